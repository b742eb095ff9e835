"""What is wrong with the photographs of a dataset: every registered kind of issue, as one table.

The table has cleanvision's shape: ``<issue>_score`` in [0, 1] (low is bad) and
``is_<issue>_issue``.
"""

import json
from typing import Final

import numpy as np
import pandas as pd

# Importing them registers the kinds, in the order of their columns.
from har_core.scan import file_issues, picture_issues  # noqa: F401
from har_core.scan.issue_kind import ISSUE_KINDS, issue_column, score_column
from har_core.storage.spreadsheets import table_csv

_DECIMALS: Final = 4


def findings_csv(photographs: pd.DataFrame) -> str:
    """Return the findings as CSV.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`, with an analysis's outliers if there is one.

    Returns
    -------
    str
        Per photograph ``filename``, ``label`` (both safe to open in a spreadsheet), then
        ``<issue>_score`` and ``is_<issue>_issue`` for each kind of issue, and
        ``duplicate_group`` (empty where there is none).
    """
    names = [*ISSUE_KINDS, *(["outlier"] if issue_column("outlier") in photographs else [])]
    columns = [f(name) for name in names for f in (score_column, issue_column)]
    table = photographs[["filename", "label", *columns, "duplicate_group"]].copy()
    scores = [score_column(name) for name in names]
    table[scores] = table[scores].round(_DECIMALS)
    if issue_column("outlier") in table:  # no answer for what could not be read
        table[issue_column("outlier")] = table[issue_column("outlier")].astype("boolean")
    return table_csv(table)


def findings_json(photographs: pd.DataFrame) -> str:
    """Return the number of photographs with each kind of issue as a JSON object."""
    return json.dumps(count_issues(photographs), indent=2) + "\n"


def find_issues(photographs: pd.DataFrame) -> pd.DataFrame:
    """Judge every photograph by every registered kind of issue.

    Parameters
    ----------
    photographs : DataFrame
        See `IssueKind.score`.

    Returns
    -------
    DataFrame
        Same index; ``<issue>_score`` (float64) and ``is_<issue>_issue`` (bool) per kind.
    """
    columns: dict[str, np.ndarray] = {}
    for kind in ISSUE_KINDS.values():
        columns[score_column(kind.name)], columns[issue_column(kind.name)] = kind.find(photographs)
    return pd.DataFrame(columns, index=photographs.index)


def count_issues(findings: pd.DataFrame) -> dict[str, int]:
    """Return how many photographs have each kind of issue, in registry order."""
    return {name: int(findings[issue_column(name)].sum()) for name in ISSUE_KINDS}


def any_issue(findings: pd.DataFrame) -> pd.Series:
    """Tell which photographs have an issue of any kind: bool, index as `findings`."""
    return findings[[issue_column(name) for name in ISSUE_KINDS]].any(axis=1)
