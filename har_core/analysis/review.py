"""The review queue: every photograph that somebody should look at, and why, most doubtful first."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import pandas as pd

from har_core.analysis.opinions import Opinions
from har_core.analysis.suspects import disputed_labels

ReviewKind = Literal["conflict", "label", "error", "quality"]
# In the order in which they are asked about.
REVIEW_KINDS: Final[tuple[ReviewKind, ...]] = ("conflict", "label", "error", "quality")
# From here on an answer counts as confident: what the pages call "very likely".
CONFIDENT_FROM: Final = 0.8
_PROBABILISTIC: Final = ("model", "regression")
# Next to probabilities votes only break ties. On the public HAR set with 5 % of the training
# labels flipped, the first 500 of a ranking by the regression hold more of them (88.0 %) than those
# of a mean with ten neighbours' votes (86.2 %).
_VOTE_WEIGHT: Final = 1e-3
_AT_ONCE: Final = 4_096


def review_queue(
    photographs: pd.DataFrame,
    opinions: Sequence[Opinions],
    quality: Mapping[str, pd.Series],
) -> pd.DataFrame:
    """Merge all that is doubtful into one list.

    Parameters
    ----------
    photographs : DataFrame
        ``filename``, ``label``, ``listed`` and ``is_label_conflict_issue``, from
        `har_core.scan.scanning.scan_dataset`; rows that the table does not list are not asked
        about.
    opinions : sequence of Opinions
        From `har_core.analysis.opinions`.
    quality : mapping of str to Series of bool
        Findings to ask about, by name, e.g. ``"dark"``; index as `photographs`.

    Returns
    -------
    DataFrame
        Index: row of the photograph. ``filename``, ``label``; ``kind`` (the first of
        `REVIEW_KINDS` that holds: duplicates with different labels, a label that cross-validated
        opinions contradict, a confident error of the model on a photograph that it has not
        learned from, a finding) and ``kinds`` (all that hold); ``findings`` (tuple of names);
        ``suggested`` (the label that the independent opinions favour, ``""`` if it is the given
        one or nobody says anything), ``agreed`` (bool: whether they all name that label) and
        ``doubt`` in [0, 1] (the mean probability that the given label is wrong, of the model and
        the regression; only where neither says anything, of votes). In the order
        of `kind`, then the most doubtful first.
    """
    listed = photographs.index[photographs["listed"].astype(bool)]
    judged = judge_labels(photographs.loc[listed, "label"], opinions)
    conflict = photographs.loc[listed, "is_label_conflict_issue"].eq(True)
    suspects = _label_suspects(photographs["label"], opinions).reindex(listed, fill_value=False)
    # Pruning keeps no more of a class than it estimates to be wrong, however sure all are.
    contradicted = judged["agreed"] & judged["doubt"].ge(CONFIDENT_FROM)
    labelled = photographs.loc[listed, "label"].ne("")
    flags = {
        "conflict": conflict,
        "label": labelled & ((suspects & judged["suggested"].ne("")) | contradicted),
        "error": judged["confident_error"],
    }
    names = {name: found.reindex(listed).eq(True) for name, found in quality.items()}
    findings = pd.DataFrame(names, index=listed) if names else pd.DataFrame(index=listed)
    flags["quality"] = findings.any(axis=1)
    table = pd.DataFrame(flags)
    table = table[table.any(axis=1)]
    kinds = _that_hold(table)
    queue = pd.DataFrame(
        {
            "filename": photographs.loc[table.index, "filename"],
            "label": photographs.loc[table.index, "label"],
            "kind": pd.Series([k[0] for k in kinds], table.index, dtype=object),
            "kinds": kinds,
            "findings": _that_hold(findings.loc[table.index]),
            **{name: judged.loc[table.index, name] for name in ("suggested", "agreed", "doubt")},
        }
    )
    # Where a picture is bad, nobody's opinion on the action says how bad.
    rank = queue["kind"].map({"conflict": 0, "label": 1, "error": 1, "quality": 2})
    order = queue.assign(rank=rank).sort_values(
        ["rank", "doubt"], ascending=[True, False], kind="stable"
    )
    return queue.loc[order.index]


def _that_hold(flags: pd.DataFrame) -> pd.Series:
    """Return the columns that are true in each row, as tuples."""
    names = [tuple(n for n, flag in zip(flags, row, strict=True) if flag) for row in flags.values]
    return pd.Series(names, flags.index, dtype=object)


def judge_labels(labels: pd.Series, opinions: Sequence[Opinions]) -> pd.DataFrame:
    """Weigh the independent opinions on each label.

    Parameters
    ----------
    labels : Series of str
        Given labels, ``""`` where there is none; the index names the photographs.
    opinions : sequence of Opinions

    Returns
    -------
    DataFrame
        Index as `labels`: ``suggested``, ``agreed``, ``doubt`` as in `review_queue`, and
        ``confident_error`` (bool: the model itself, which has not learned from the photograph,
        contradicts its label with a probability of at least `CONFIDENT_FROM`).
    """
    classes = sorted(
        {str(name) for source in opinions for name in source.probabilities}
        | set(labels.unique()) - {""}
    ) or [""]  # of photographs without labels nobody may name a class
    starts = range(0, max(len(labels), 1), _AT_ONCE)
    return pd.concat(
        [_judge(labels.iloc[start : start + _AT_ONCE], opinions, classes) for start in starts]
    )


def _judge(labels: pd.Series, opinions: Sequence[Opinions], classes: list[str]) -> pd.DataFrame:
    """Return what `judge_labels` does, of so few that their probabilities take little room."""
    codes = pd.Index(classes).get_indexer(pd.Index(labels))
    n = len(labels)
    total, counted = np.zeros((n, len(classes))), np.zeros(n)
    given, weight = np.zeros(n), np.zeros(n)
    first = np.full(n, -1)
    agreed = np.ones(n, bool)
    error = np.zeros(n, bool)
    for source in opinions:
        rows, probabilities = _aligned(labels, source, classes)
        best = probabilities.argmax(axis=1)
        total[rows] += probabilities
        agreed[rows] &= (first[rows] < 0) | (first[rows] == best)
        first[rows] = np.where(first[rows] < 0, best, first[rows])
        counted[rows] += 1
        of_source = 1.0 if source.source in _PROBABILISTIC else _VOTE_WEIGHT
        given[rows] += of_source * _of_label(probabilities, codes[rows])
        weight[rows] += of_source
        if source.source == "model":
            confident = probabilities.max(axis=1, initial=0.0) >= CONFIDENT_FROM
            error[rows] = confident & (best != codes[rows]) & (codes[rows] >= 0)
    mean = total / np.maximum(counted, 1)[:, np.newaxis]
    # Where all agree on the given label there is nothing to suggest.
    contested = (counted > 0) & ~(agreed & (first == codes))
    suggested = np.where(contested, np.asarray(classes, object)[_best_other(mean, codes)], "")
    return pd.DataFrame(
        {
            "suggested": suggested,
            "agreed": contested & agreed,
            "doubt": np.where(counted > 0, 1 - given / np.maximum(weight, _VOTE_WEIGHT), 0.0),
            "confident_error": error,
        },
        index=labels.index,
    )


def _of_label(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the probability of each label, 0 where there is none (-1)."""
    own = probabilities[np.arange(len(codes)), codes]
    return np.where(codes >= 0, own, 0.0)


def _best_other(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the most probable class of each photograph but for that of its label."""
    others, labelled = probabilities.copy(), np.flatnonzero(codes >= 0)
    others[labelled, codes[labelled]] = -1.0
    return others.argmax(axis=1)


def _aligned(
    labels: pd.Series, source: Opinions, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the photographs that a source can judge, and its probabilities.

    It has not learned their labels, and knows of the classes that those name.
    """
    judged = labels.index[source.independent.reindex(labels.index, fill_value=False)]
    given = labels.loc[judged]
    judged = judged[given.isin(["", *source.probabilities.columns])]
    table = source.probabilities.loc[judged].reindex(columns=classes, fill_value=0.0)
    return labels.index.get_indexer(judged), table.to_numpy(np.float64)


def _label_suspects(labels: pd.Series, opinions: Sequence[Opinions]) -> pd.Series:
    """Return which labels confident learning disputes, by the model or the regression; bool.

    Pruning by class, which finds more than the rule of `har_core.analysis.suspects`: a queue is
    ordered, and a list to be accepted in bulk is not. On the public HAR set with 500 labels flipped
    it holds 473 of them, the other rule 418.
    """
    found = pd.Series(False, labels.index)
    for source in opinions:
        if source.source not in _PROBABILISTIC:
            continue
        judged = source.independent.index[source.independent]
        given = labels.loc[judged]
        given = given[given.isin(source.probabilities.columns)]
        # cleanlab wants every class to occur among the labels.
        present, codes = np.unique(given.to_numpy(dtype=str), return_inverse=True)
        if len(present) < 2:
            continue
        kept = source.probabilities.loc[given.index, list(present)].to_numpy()
        kept = kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
        issues = disputed_labels(codes, kept, "prune_by_class")
        found.loc[given.index[issues]] = True
    return found
