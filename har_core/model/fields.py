"""What a prediction's fields and its tables' columns are called, on every way in and out."""

from collections.abc import Iterable
from typing import Final

from har_core.errors import LabelsError

FILENAME: Final = "filename"
ACTION: Final = "action"
CONFIDENCE: Final = "confidence"
ALL_PREDICTIONS: Final = "all_predictions"
VERDICT: Final = "verdict"
ANSWER: Final = "answer"
IN_SCOPE: Final = "in_scope"
NOVELTY: Final = "novelty"
ANSWER_SET: Final = "answer_set"
# What a table says of each answer, beside its probabilities.
VERDICT_FIELDS: Final = (VERDICT, ANSWER, IN_SCOPE, NOVELTY, ANSWER_SET)
MODEL: Final = "model"
ERROR: Final = "error"
WARNING: Final = "warning"
REASON: Final = "reason"
FEATURES: Final = "features"
# Beside one column per class, some table has a column of each of these names.
RESERVED_COLUMNS: Final = (
    *(FILENAME, ACTION, CONFIDENCE, ERROR, WARNING),
    *("label", "prediction", "split", "sha256", "group", "duplicate_group"),
    *("uri", "size", "mtime_ns", "etag", FEATURES, REASON),
    *VERDICT_FIELDS,
)


def check_class_names(names: Iterable[str]) -> None:
    """Refuse classes of which a table could not hold the probabilities.

    Raises
    ------
    LabelsError
        If a name is one of `RESERVED_COLUMNS`.
    """
    taken = sorted(set(names).intersection(RESERVED_COLUMNS))
    if taken:
        are = "is the name of a column" if len(taken) == 1 else "are names of columns"
        raise LabelsError(
            f"A class cannot be called {' or '.join(map(repr, taken))}, which {are} in the tables "
            "of predictions. Rename it."
        )
