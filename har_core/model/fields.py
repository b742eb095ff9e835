"""What a prediction's fields and its tables' columns are called, on every way in and out."""

from collections.abc import Iterable
from typing import Final

from har_core.errors import DatasetError

FILENAME: Final = "filename"
ACTION: Final = "action"
CONFIDENCE: Final = "confidence"
ALL_PREDICTIONS: Final = "all_predictions"
MODEL: Final = "model"
ERROR: Final = "error"
WARNING: Final = "warning"
# Beside one column per class, some table has a column of each of these names.
RESERVED_COLUMNS: Final = (
    *(FILENAME, ACTION, CONFIDENCE, ERROR, WARNING),
    *("label", "prediction", "split", "sha256", "group", "duplicate_group"),
    *("verdict", "answer", "in_scope", "novelty", "answer_set"),
)


def check_class_names(names: Iterable[str]) -> None:
    """Refuse classes of which a table could not hold the probabilities.

    Raises
    ------
    DatasetError
        If a name is one of `RESERVED_COLUMNS`.
    """
    taken = sorted(set(names).intersection(RESERVED_COLUMNS))
    if taken:
        are = "is the name of a column" if len(taken) == 1 else "are names of columns"
        raise DatasetError(
            f"A class cannot be called {' or '.join(map(repr, taken))}, which {are} in the tables "
            "of predictions. Rename it."
        )
