"""Scoring: a model's answers for all photographs of some sources."""

import dataclasses
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from har_core.errors import InvalidImageError, ModelBundleError
from har_core.images.decoding import decode_photograph
from har_core.model.manifest import Precision, read_manifest
from har_core.model.precision import check_exact
from har_core.progress import Progress, silent
from har_core.scale.jobs import Engine, Where, place_for_rows, run_job
from har_core.scale.locks import hold_job
from har_core.scale.models import bundle_files, find_bundle, fingerprint, load_for_one_core
from har_core.scale.results import Results, ResultsInfo, results_schema
from har_core.scale.rows import Decoded, answered_rows
from har_core.scale.sources.items import Item
from har_core.scale.sources.listing import list_sources
from har_core.scale.status import JobStatus, now
from har_core.scale.working import Maker, Work


def score(
    sources: Sequence[str],
    to: str,
    *,
    model: str | None = None,
    engine: Engine = "local",
    address: str | None = None,
    workers: int | None = None,
    precision: Precision = "float32",
    with_features: bool = False,
    column: str | None = None,
    progress: Progress = silent,
    work: Work | None = None,
) -> JobStatus:
    """Let a model answer for all photographs of some sources; go on where a job was cut off.

    Parameters
    ----------
    sources : sequence of str
        See `har_core.scale.sources.listing.list_sources`.
    to : str
        RESULTS folder, here or in a bucket; see `har_core.scale.results`.
    model : str, optional
        See `har_core.model.loading.find_model`.
    engine, address, workers
        See `har_core.scale.jobs.Where`.
    precision : {"float32", "int8"}, default "float32"
        What the network computes with. The environment does not decide it: parts may come from
        several machines, and from another day.
    with_features : bool, default False
        Also keep feature vectors.
    column : str, optional
        Of tables among the sources.
    progress : callable, optional
        Called with (what is being done, done, total).
    work : Work, optional
        How the workers write, for tests; its places are those of the other parameters.

    Returns
    -------
    JobStatus

    Raises
    ------
    HarError
        See `har_core.scale.jobs.run_job`.
    """
    to = place_for_rows(to, sources)
    folder, manifest = find_bundle(model, precision)
    if precision == "int8" and engine == "local":  # before there is a folder of such results
        check_exact(folder, manifest.input_size)
    n_features = 0
    if with_features:
        n_features = load_for_one_core(folder, precision).n_features
        if not n_features:
            raise ModelBundleError(
                f"The model {manifest.name!r} gives no features. 'har calibrate {manifest.name} "
                "--dataset FOLDER' adds them where there are enough photographs; or name another "
                "by --model."
            )
    info = ResultsInfo(
        manifest.name,
        fingerprint(manifest, precision),
        manifest.class_names,
        n_features,
        now(),
        precision,
    )
    results = Results(to)
    status = JobStatus(secrets.token_hex(4), engine, 0, manifest.name, list(sources))
    with hold_job(to):
        results.create(info)
        run_job(
            partial(list_sources, sources, column),
            results,
            work or Scoring(to=to, bundle=str(folder), precision=precision),
            Where(engine, address, workers),
            status,
            "Scoring photographs",
            progress,
        )
    return status


@dataclass(frozen=True, kw_only=True)
class Scoring(Work):
    """What the workers of a score job do.

    Parameters
    ----------
    bundle : str
        Folder of the model.
    precision : {"float32", "int8"}, default "float32"
        What its network computes with.
    """

    bundle: str
    precision: Precision = "float32"

    def begin(self) -> "Scorer":
        """See `Work.begin`."""
        return Scorer(Path(self.bundle), self.precision, Results(self.to))

    def files(self) -> dict[str, bytes]:
        """Return the model."""
        folder = Path(self.bundle)
        return bundle_files(folder, read_manifest(folder), self.precision)

    def beside(self, folder: str) -> "Scoring":
        """See `Work.beside`."""
        return dataclasses.replace(self, bundle=folder)


class Scorer(Maker[Decoded]):
    """A model on one core.

    Raises
    ------
    HarError
        If it cannot be loaded, this processor would give other answers than most, or the results
        cannot be reached.
    """

    def __init__(self, bundle: Path, precision: Precision, results: Results) -> None:
        self._model = load_for_one_core(bundle, precision)
        self._side = self._model.manifest.input_size
        if precision == "int8":
            check_exact(bundle, self._side)
        n_features = results.read_info().n_features
        self._schema = results_schema(self._model.class_names, n_features)
        self._with_features = n_features > 0

    def look(self, item: Item, data: bytes) -> Decoded:
        """Decode a photograph."""
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            decoded = decode_photograph(data, side=self._side, with_image=False)
        except InvalidImageError as error:
            return Decoded(item, len(data), sha256, None, "", str(error), error.reason)
        return Decoded(item, len(data), sha256, decoded.square, decoded.warning)

    def without(self, item: Item, sentence: str, reason: str, *, gone: bool) -> Decoded:
        """See `har_core.scale.reading.Look.without`."""
        return Decoded(item, item.size, None, None, "", sentence, reason)

    def rows(self, batch: list[Decoded]) -> Any:
        """Return the answers."""
        good = [i for i, decoded in enumerate(batch) if decoded.square is not None]
        answers = None
        if good:
            squares = [square for photograph in batch if (square := photograph.square) is not None]
            answers = self._model.answer_pixels(squares, with_features=self._with_features)
        return answered_rows(self._schema, self._model.manifest, batch, good, answers)
