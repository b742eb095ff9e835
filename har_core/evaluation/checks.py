"""What predictions must be before anything is computed from them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, some_of
from har_core.wording import counted

_SHOWN: Final = 5
_SUM_TOLERANCE: Final = 1e-3  # float16 rows of 100 classes stay within


def check_filenames(filenames: np.ndarray) -> None:
    """Raise `DatasetError` if a filename occurs twice."""
    twice = repeated(filenames)
    if twice:
        repeats = counted(len(twice), "filename is repeated", "filenames are repeated")
        raise DatasetError(
            f"Every photograph may occur once, but {repeats}: {some_of(map(str, twice), _SHOWN)}."
        )


def check_probabilities(table: np.ndarray, filenames: np.ndarray) -> None:
    """Raise `DatasetError` if a row, shape (N, C), is no probability distribution."""
    problems = {
        "NaN or infinite probabilities": ~np.isfinite(table).all(axis=1),
        "probabilities that do not sum to 1": np.abs(table.sum(axis=1) - 1) > _SUM_TOLERANCE,
        # With a sum of 1, none is above 1 where none is below 0.
        "probabilities outside [0, 1]": (table < 0).any(axis=1),
    }
    for problem, rows in problems.items():
        if rows.any():
            wrong = filenames[rows].tolist()
            raise DatasetError(
                f"{counted(len(wrong), 'photograph')} with {problem}: {some_of(wrong, _SHOWN)}. "
                "Nothing was computed from these predictions; make them again."
            )


def label_indices(
    labels: Sequence[str], class_names: tuple[str, ...], filenames: np.ndarray
) -> np.ndarray:
    """Return the index of each label among the classes, int, shape (N,).

    Raises
    ------
    DatasetError
        If a label is no class.
    """
    given = np.asarray(labels, dtype=object)
    indices = pd.Index(class_names).get_indexer(given)
    unknown = np.flatnonzero(indices < 0)
    if unknown.size:
        named = sorted({str(label) for label in given[unknown]})
        raise DatasetError(
            f"{counted(len(named), 'label')} not among the model's classes: "
            f"{some_of(named, _SHOWN)} (first at {filenames[unknown[0]]}). "
            f"Known classes: {some_of(class_names, 20)}."
        )
    return indices


def repeated(values: Sequence[str] | np.ndarray) -> list[str]:
    """Return the values that occur more than once, each once."""
    index = pd.Index(values)
    return index[index.duplicated()].unique().tolist()
