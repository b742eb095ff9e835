"""A scan's findings as files for other programs: one row per photograph, counts by issue."""

import json
from typing import Final

import pandas as pd

from har_core.quality import ISSUE_KINDS, count_issues, issue_column, score_column
from har_core.storage.spreadsheets import neutralise_formula

_DECIMALS: Final = 4


def findings_csv(photographs: pd.DataFrame) -> str:
    """Return the findings as CSV.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scan_dataset`.

    Returns
    -------
    str
        Per photograph ``filename``, ``label`` (both safe to open in a spreadsheet), then
        ``<issue>_score`` and ``is_<issue>_issue`` for each kind of issue, and
        ``duplicate_group`` (empty where there is none).
    """
    columns = [f(name) for name in ISSUE_KINDS for f in (score_column, issue_column)]
    table = photographs[["filename", "label", *columns, "duplicate_group"]].copy()
    for column in ("filename", "label"):
        table[column] = table[column].map(neutralise_formula)
    scores = [score_column(name) for name in ISSUE_KINDS]
    table[scores] = table[scores].round(_DECIMALS)
    return table.to_csv(index=False, lineterminator="\n")


def findings_json(photographs: pd.DataFrame) -> str:
    """Return the number of photographs with each kind of issue as a JSON object."""
    return json.dumps(count_issues(photographs), indent=2) + "\n"
