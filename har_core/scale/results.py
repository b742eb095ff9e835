"""A RESULTS folder: a model's answers, one row per photograph; see `har_core.scale.parts`.

``_results.json`` says which model answered, see `ResultsInfo`; the parts have the columns of
`results_schema`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, get_args

from har_core.errors import DatasetError
from har_core.model.fields import (
    ACTION,
    CONFIDENCE,
    ERROR,
    FEATURES,
    IN_SCOPE,
    NOVELTY,
    REASON,
    VERDICT,
    WARNING,
)
from har_core.model.manifest import Precision
from har_core.scale.parts import PartsFolder
from har_core.scale.status import is_at_work

INFO_FILE: Final = "_results.json"


@dataclass(frozen=True)
class ResultsInfo:
    """What ``_results.json`` says: a folder holds the answers of one network, set in one way.

    Parameters
    ----------
    model : str
        Name of the bundle.
    fingerprint : str
        Of whatever an answer depends on, see `har_core.scale.models.fingerprint`.
    class_names : tuple of str
        In the order of the columns.
    n_features : int
        Length of ``features``; 0: there is no such column.
    created : str
        ISO 8601 time in UTC.
    precision : {"float32", "int8"}, default "float32"
        What the network computed with.
    """

    model: str
    fingerprint: str
    class_names: tuple[str, ...]
    n_features: int
    created: str
    precision: Precision = "float32"

    @property
    def answered_by(self) -> str:
        """The model, for people, and 8 bits where it computed with them."""
        return f"{self.model} with 8 bits" if self.precision == "int8" else self.model


def results_schema(class_names: Sequence[str], n_features: int = 0) -> Any:
    """Return the Arrow schema of the parts.

    ``uri`` (unique), ``size``, ``mtime_ns`` and ``etag`` say which state of which input a row is
    of, as in `har_core.scale.sources.items.Item` (null where unknown); ``sha256`` which photograph,
    of its bytes (null if they could not be read). ``action``, ``confidence``, ``verdict``,
    ``in_scope``, ``novelty`` and ``warning`` are as in `har_core.model.prediction.Prediction`,
    followed by one column of the probability of each class, as shown, which sum to 1.
    ``features``, if any, are float16: the last feature map, averaged over the picture. Where there
    is no answer, ``error`` says why in a sentence and ``reason`` in a word (see
    `har_core.errors.InvalidImageError`; ``"crashed"``: it ended a worker twice; ``"failed"``: a
    library met something unforeseen, which the next job tries again; ``"unreadable_source"``: a
    folder, list, table or tar file that could not be read to its end), and the others are null.

    Parameters
    ----------
    class_names : sequence of str
    n_features : int, default 0
        Length of the feature vectors; 0: none.
    """
    import pyarrow as pa

    text, single = pa.string(), pa.float32()
    fields = [
        pa.field("uri", text, nullable=False),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("etag", text),
        ("sha256", text),
        (ACTION, text),
        (CONFIDENCE, single),
        (VERDICT, text),
        (IN_SCOPE, pa.bool_()),
        (NOVELTY, single),
        (WARNING, text),
        *((name, single) for name in class_names),
        *([(FEATURES, pa.list_(pa.float16(), n_features))] if n_features else []),
        (ERROR, text),
        (REASON, text),
    ]
    return pa.schema(fields)


class Results(PartsFolder):
    """A RESULTS folder, here or in a bucket; see `PartsFolder`."""

    info_file: ClassVar[str] = INFO_FILE
    format_version: ClassVar[int] = 1
    holds: ClassVar[str] = "results"
    verb: ClassVar[str] = "score"

    def read_info(self) -> ResultsInfo:
        """Return what the folder holds.

        Raises
        ------
        DatasetError
            If it is no folder of results, or one of another version.
        """
        body = self.read_body()
        try:
            info = ResultsInfo(**{**body, "class_names": tuple(body["class_names"])})
        except (TypeError, KeyError) as error:
            raise DatasetError(f"Cannot read {self.location}/{INFO_FILE}: {error}.") from error
        if info.precision not in get_args(Precision):
            raise DatasetError(
                f"{self.location} holds answers that were computed with {info.precision!r}, which "
                "this version does not know."
            )
        return info

    def create(self, info: ResultsInfo) -> ResultsInfo:
        """Make the folder, or check that what is there is of the same model.

        Raises
        ------
        DatasetError
            If it holds the answers of another model, or other files.
        """
        if self.claim(dataclasses.asdict(info), in_use=is_at_work(self)):
            return info
        found = self.read_info()
        if dataclasses.replace(found, created=info.created, model=info.model) != info:
            say = []
            if found.model == info.model and found.precision != info.precision:
                say.append(f"--precision {found.precision}")
            if found.model == info.model and found.n_features > info.n_features:
                say.append("--features")
            instead = "name another folder" + (f", or say {' '.join(say)}" if say else "")
            raise DatasetError(
                f"{self.location} holds answers of {_described(found)}, not of {_described(info)}; "
                f"{instead}."
            )
        return found


def _described(info: ResultsInfo) -> str:
    features = "with" if info.n_features else "without"
    return f"{info.model!r} ({info.fingerprint[:8]}, {info.precision}, {features} features)"
