"""Labels of scored photographs: a table of them joined with a RESULTS folder."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.scale.labels import NONE, LabelTable
from har_core.scale.opened.table import ResultsTable
from har_core.storage.checksums import digests_of


@dataclass(frozen=True, eq=False)
class JoinedLabels:
    """The labels of the rows of a `ResultsTable`.

    Parameters
    ----------
    key : str
        Heading of what they were joined by.
    by_sha256 : bool
        Whether that is the content.
    label : ndarray of int16, shape (N,)
        Index of the class; -1 where the label is not known or no class.
    counted : ndarray of bool, shape (N,)
        Rows to measure on: with a label and an answer, each photograph once.
    unanswered : int
        Rows with a label but without an answer.
    ambiguous : int
        Rows without a label since others have the same base name, by which alone one might be
        theirs.
    copies : int
        Rows left out since another one has the same sha256.
    unknown_labels : tuple of str
        Labels that are no class of the model.
    contradicted : int
        See `LabelTable`.
    unmatched : int
        Labels of which there is no row.
    """

    key: str
    by_sha256: bool
    label: np.ndarray
    counted: np.ndarray
    unanswered: int
    ambiguous: int
    copies: int
    unknown_labels: tuple[str, ...]
    contradicted: int
    unmatched: int


def join_labels(table: ResultsTable, labels: LabelTable) -> JoinedLabels:
    """Give the rows of results their labels; see `LabelTable.find`.

    Raises
    ------
    DatasetError
        If no row has a label, or the table's sha256 are none.
    """
    parts = () if labels.by_sha256 else table.map_parts(("uri",), lambda _, part: part)
    found, digest = labels.find_in(parts, table.digest)
    if (found.label == NONE).all():
        raise DatasetError(
            f"None of the labels ({len(labels):,}) belongs to these results: no {labels.key} "
            "is the same. Is it the table of other photographs?"
        )
    codes = pd.Index(table.class_names).get_indexer(pd.Index(labels.names)).astype(np.int16)
    has = (found.label != NONE) & ~found.several
    label = np.where(has, codes[found.label], NONE).astype(np.int16)
    labelled = np.flatnonzero((label != NONE) & table.answered)
    counted = np.zeros(table.n, bool)
    counted[labelled[~pd.Index(digest[labelled]).duplicated()]] = True
    return JoinedLabels(
        labels.key,
        labels.by_sha256,
        label,
        counted,
        int(((label != NONE) & ~table.answered).sum()),
        int(found.ambiguous.sum()),
        len(labelled) - int(counted.sum()),
        tuple(sorted(name for name, code in zip(labels.names, codes, strict=True) if code == NONE)),
        labels.contradicted,
        found.unmatched,
    )


def count_among(table: ResultsTable, rows: np.ndarray, sha256: pd.Series) -> int:
    """Count the rows whose photographs are among some.

    Parameters
    ----------
    table : ResultsTable
    rows : ndarray of bool, shape (N,)
        Which rows to look at.
    sha256 : Series of str
        Of those photographs; each once.
    """
    import pyarrow as pa

    if sha256.empty:
        return 0
    among = pd.Index(digests_of(pa.array(sha256, pa.string(), from_pandas=True))).unique()
    looked_at = table.digest[rows]
    return int((among.get_indexer(looked_at[looked_at != 0]) != NONE).sum())
