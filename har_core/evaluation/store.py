"""Finding and keeping evaluations: a bundle's own predictions, and named ones of other sets."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, HarError, ModelBundleError, some_of
from har_core.evaluation.result import EvaluationResult
from har_core.images.thumbnail_archive import write_thumbnails
from har_core.model.answers import NO_RULES, AnswerRules
from har_core.model.fields import IN_SCOPE, RESERVED_COLUMNS, check_class_names
from har_core.model.manifest import (
    KERAS_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    BundleManifest,
    check_bundle_name,
    read_manifest,
)
from har_core.model.records import predicted_splits, read_predictions
from har_core.storage.data import work_dir
from har_core.storage.files import sha256_of_file, write_atomically
from har_core.storage.paths import is_file

BUNDLE_SPLITS: Final = ("test", "validation")
_METADATA_KEY: Final = b"har_evaluation"
_SUFFIX: Final = ".parquet"
_THUMBNAILS: Final = ".thumbnails.zip"
# Words, one space apart; a name is a file's, on other systems too.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]| (?=[A-Za-z0-9._-])){0,99}")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's predictions on one labelled set, and what must be known to read them.

    Parameters
    ----------
    name : str
        ``"test"`` or ``"validation"`` for the bundle's own, else the name it was kept under.
    model : str
        Name of the bundle.
    created : str
        ISO 8601 time in UTC.
    raw : EvaluationResult
        Probabilities at temperature 1.
    temperature : float
        What the model applies now.
    rules : AnswerRules
        How it answers now.
    network : str
        sha256 of the network that was evaluated; ``""`` if it is not known.
    folder : str
        Dataset folder of the photographs; ``""`` if they were not kept.
    skipped : DataFrame
        ``filename``, ``label`` and ``reason`` of the rows that could not be evaluated.
    """

    name: str
    model: str
    created: str
    raw: EvaluationResult
    temperature: float = 1.0
    rules: AnswerRules = NO_RULES
    network: str = ""
    folder: str = ""
    skipped: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["filename", "label", "reason"])
    )

    @cached_property
    def result(self) -> EvaluationResult:
        """The evaluation of what the model answers: with its temperature and its confidence."""
        return self.raw.calibrated(self.temperature, self.rules)


def now() -> str:
    """Return the time in UTC as evaluations and bundles record it."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def list_evaluations(folder: Path, manifest: BundleManifest) -> list[str]:
    """Return the names of a model's evaluations: its own splits, then kept ones by name.

    Raises
    ------
    ModelBundleError
        If the bundle's predictions cannot be read.
    """
    predicted = predicted_splits(folder, manifest)
    own = [split for split in BUNDLE_SPLITS if split in predicted]
    kept = sorted(path.stem for path in _kept_folder(manifest.name).glob(f"[!.]*{_SUFFIX}"))
    return own + kept


def read_evaluation(folder: str | Path, name: str) -> Evaluation:
    """Read an evaluation of a model.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    name : str
        As from `list_evaluations`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ModelBundleError
        If the bundle or its predictions are damaged or belong to other classes.
    DatasetError
        If there is no such evaluation, or its predictions are unusable; see
        `EvaluationResult.from_predictions`.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if name in BUNDLE_SPLITS:
        return _read_bundle_split(folder, manifest, name)
    return _read_kept(manifest, name)


def check_evaluation_name(name: str) -> str:
    """Return `name` if an evaluation can be kept under it.

    Raises
    ------
    DatasetError
        If it is the name of a split, or holds anything but letters, digits, ``.``, ``_``, ``-`` and
        single spaces between them.
    """
    if name in ("train", *BUNDLE_SPLITS):
        raise DatasetError(f"The name {name!r} belongs to the model's own splits; choose another.")
    if not _NAME.fullmatch(name):
        raise DatasetError(
            f"{name!r} cannot be an evaluation's name: use up to 100 letters, digits, '.', '_', "
            "'-' or single spaces, starting with a letter or digit."
        )
    return name


def keep_evaluation(evaluation: Evaluation, thumbnails: Mapping[str, bytes] | None = None) -> Path:
    """Keep an evaluation under its name, in one atomic step; replaces one of the same name.

    It goes to ``evaluations/MODEL/NAME.parquet`` in `har_core.storage.data.data_dir`, not into
    the bundle: that is checksummed and may be read-only.

    Parameters
    ----------
    evaluation : Evaluation
    thumbnails : mapping of str to bytes, optional
        sha256 to JPEG, of photographs that will be gone; kept beside it.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    DatasetError
        If the name cannot be used, a class is called like a column of the file, or the folder
        cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _kept_folder(evaluation.model) / f"{check_evaluation_name(evaluation.name)}{_SUFFIX}"
    raw = evaluation.raw
    check_class_names(raw.class_names)
    table = pd.DataFrame(
        {
            "filename": raw.filenames.astype(object),
            "label": raw.label_names,
            "sha256": raw.sha256.astype(object),
            "group": raw.groups,
        }
    )
    if raw.in_scope is not None:
        table[IN_SCOPE] = raw.in_scope
    probabilities = pd.DataFrame(raw.probabilities, columns=list(raw.class_names))
    metadata = {
        "created": evaluation.created,
        "network": evaluation.network,
        "folder": evaluation.folder,
        "class_names": list(raw.class_names),
        "skipped": evaluation.skipped.to_dict("records"),
    }
    arrow = pa.Table.from_pandas(pd.concat([table, probabilities], axis=1), preserve_index=False)
    arrow = arrow.replace_schema_metadata({_METADATA_KEY: json.dumps(metadata).encode()})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, compression="zstd")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Found by sha256: those of an evaluation that is replaced show nothing wrong meanwhile.
        if thumbnails:
            write_thumbnails(thumbnails_path(evaluation.model, evaluation.name), thumbnails)
        write_atomically(path, buffer.getvalue())
        if not thumbnails:
            thumbnails_path(evaluation.model, evaluation.name).unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(
            f"Cannot keep the evaluation {path}: {error.strerror or error}. Set HAR_DATA_DIR to "
            "a folder that can be written."
        ) from error
    return path


def delete_evaluation(model: str, name: str) -> None:
    """Delete a kept evaluation and its thumbnails; nothing happens if there is none.

    Raises
    ------
    DatasetError
        If it cannot be deleted.
    """
    path = _kept_folder(model) / f"{check_evaluation_name(name)}{_SUFFIX}"
    try:
        path.unlink(missing_ok=True)
        thumbnails_path(model, name).unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(f"Cannot delete {path}: {error.strerror or error}.") from error


def thumbnails_path(model: str, name: str) -> Path:
    """Return where the thumbnails of a kept evaluation are, if they were kept."""
    return _kept_folder(model) / f"{name}{_THUMBNAILS}"


def evaluation_stamp(folder: str | Path, name: str) -> tuple[int, ...]:
    """Return numbers that change when an evaluation does: a key for caches."""
    folder = Path(folder)
    kept = _kept_folder(read_manifest(folder).name) / f"{name}{_SUFFIX}"
    files = [folder / MANIFEST_FILE, folder / PREDICTIONS_FILE, kept]
    stats = [path.stat() for path in files if is_file(path)]
    return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size))


def network_sha256(manifest: BundleManifest) -> str:
    """Return the checksum of a bundle's network, which tells a retrained model from its old one."""
    return manifest.files.get(ONNX_FILE) or manifest.files.get(KERAS_FILE, "")


def _read_bundle_split(folder: Path, manifest: BundleManifest, split: str) -> Evaluation:
    path = folder / PREDICTIONS_FILE
    expected = manifest.files.get(PREDICTIONS_FILE)
    if expected is None or not is_file(path):
        raise DatasetError(
            f"The model {manifest.name!r} comes without predictions; evaluate it on a labelled set."
        )
    if sha256_of_file(path) != expected:
        raise ModelBundleError(f"{path} is damaged: its sha256 is not the one in bundle.json.")
    table = read_predictions(folder, manifest)
    assert table is not None
    _check_columns(path, table, ("filename", "label", "split"), manifest)
    table = table[table["split"] == split].reset_index(drop=True)
    if table.empty:
        raise DatasetError(f"The model {manifest.name!r} kept no {split} photographs apart.")
    return Evaluation(
        name=split,
        model=manifest.name,
        created=manifest.created,
        raw=_read_result(path, table, manifest, "duplicate_group"),
        temperature=manifest.temperature,
        rules=manifest.rules,
        network=network_sha256(manifest),
    )


def _read_kept(manifest: BundleManifest, name: str) -> Evaluation:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _kept_folder(manifest.name) / f"{check_evaluation_name(name)}{_SUFFIX}"
    try:
        arrow = pq.read_table(path)
        metadata: dict[str, Any] = json.loads(arrow.schema.metadata[_METADATA_KEY])
        created, network, dataset = (metadata[key] for key in ("created", "network", "folder"))
        skipped = pd.DataFrame(metadata["skipped"], columns=["filename", "label", "reason"])
    except FileNotFoundError as error:
        raise DatasetError(f"There is no evaluation {name!r} of {manifest.name!r}.") from error
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DatasetError(
            f"The evaluation {path} cannot be read ({error}); delete it and make it again."
        ) from error
    table = arrow.to_pandas()
    _check_columns(path, table, ("filename", "label", "sha256", "group"), manifest)
    return Evaluation(
        name=name,
        model=manifest.name,
        created=created,
        raw=_read_result(path, table, manifest, "group"),
        temperature=manifest.temperature,
        rules=manifest.rules,
        network=network,
        folder=dataset,
        skipped=skipped,
    )


def _check_columns(
    path: Path, table: pd.DataFrame, leading: tuple[str, ...], manifest: BundleManifest
) -> None:
    missing = [name for name in (*leading, *manifest.class_names) if name not in table.columns]
    known = {*RESERVED_COLUMNS, *manifest.class_names}
    unknown = [name for name in table.columns if name not in known]
    if missing or unknown:
        problems = [f"lacks {some_of(missing)}"] * bool(missing)
        problems += [f"has the unknown classes {some_of(unknown)}"] * bool(unknown)
        raise DatasetError(
            f"{path} does not match the classes of {manifest.name!r}: it {' and '.join(problems)}."
        )


def _read_result(
    path: Path, table: pd.DataFrame, manifest: BundleManifest, group_column: str
) -> EvaluationResult:
    try:
        return EvaluationResult.from_predictions(
            table["label"].tolist(),
            table[list(manifest.class_names)].to_numpy(np.float64),
            manifest.class_names,
            table["filename"].tolist(),
            table[group_column].to_numpy(),
            table["sha256"].tolist(),
            _in_scope(table),
        )
    except HarError as error:
        raise DatasetError(f"{path}: {error}") from error


def _in_scope(table: pd.DataFrame) -> np.ndarray | None:
    """Return which photographs looked familiar; None unless all were judged."""
    if IN_SCOPE not in table or table[IN_SCOPE].isna().any():
        return None
    return table[IN_SCOPE].to_numpy(bool)


def _kept_folder(model: str) -> Path:
    return work_dir("evaluations") / check_bundle_name(model)
