"""Is a new model better than an old one? On photographs that neither has learned from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import Interval
from har_core.evaluation.comparison import (
    Comparison,
    PermutationTest,
    check_common_class,
    compare_models,
)
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import read_evaluation
from har_core.model.manifest import read_manifest
from har_core.model.records import read_lineage, unrecorded_ancestors
from har_core.wording import counted

Outcome = Literal["better", "worse", "not distinguishable"]
SIGNIFICANT_BELOW: Final = 0.05
_LEARNED_FROM: Final = ("train", "validation")


@dataclass(frozen=True, eq=False)
class Verdict:
    """Two models on the same photographs, and what follows from it.

    Parameters
    ----------
    old, new : str
        Names of the models' folders.
    outcome : {"better", "worse", "not distinguishable"}
        Of the new model, by a permutation test on top-1 accuracy at the 5 % level.
    comparison : Comparison
        Of ``{old: …, new: …}``.
    labels : str
        Which model's training table gave the labels that photographs count under.
    n_relabelled : int
        Photographs compared that the other one's gave another label.
    n_left_out : int
        Test photographs of either that the other one's training has used, or that look like such
        a photograph; or that only one of them was tested on.
    unrecorded : tuple of str
        Models that one of the two builds on and of whose photographs nothing is known.
    """

    old: str
    new: str
    outcome: Outcome
    comparison: Comparison
    labels: str
    n_relabelled: int
    n_left_out: int
    unrecorded: tuple[str, ...]

    @property
    def difference(self) -> Interval:
        """Top-1 accuracy of the new model minus that of the old one, with its 95 % interval."""
        return self.comparison.differences[self.new]["top1"]

    @property
    def test(self) -> PermutationTest:
        """Whether the two are equally often right."""
        return self.comparison.tests[self.new]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        before, after = (
            f"{100 * self.comparison.results[name].headline_intervals['top1'].value:.1f} %"
            for name in (self.old, self.new)
        )
        value, low, high = (f"{100 * number:+.1f}" for number in self.difference)
        p = self.test.p_value
        p_value = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
        n = self.comparison.results[self.old].n
        learned = "is known to have learned" if self.unrecorded else "has learned"
        numbers = (
            f"right on {after} instead of {before} of {counted(n, 'photograph')} that neither "
            f"{learned} from ({value} points, 95 % interval {low} to {high}; {p_value})"
        ).replace("-", "−")
        if self.outcome == "not distinguishable":
            return f"{self.new} and {self.old} are not distinguishable: {numbers}."
        return f"{self.new} is {self.outcome} than {self.old}: {numbers}."

    @property
    def whose_labels(self) -> str:
        """Which labels photographs count under, in one sentence; empty where all are the same."""
        if not self.n_relabelled:
            return ""
        other = self.old if self.labels == self.new else self.new
        return (
            f"{counted(self.n_relabelled, 'photograph has', 'photographs have')} another label for "
            f"{self.labels} than for {other}; the numbers are by the labels for {self.labels}."
        )

    def classes(self) -> pd.DataFrame:
        """Return the recall of each class of both models, the most changed first.

        Returns
        -------
        DataFrame
            Index: class. ``photographs``, ``old``, ``new`` and ``change`` (shares in [0, 1]).
        """
        old, new = (self.comparison.results[name].per_class() for name in (self.old, self.new))
        table = old.set_index("class")[["support", "recall"]].join(
            new.set_index("class")["recall"].rename("new"), how="inner"
        )
        table = table.rename(columns={"support": "photographs", "recall": "old"})
        table = table[table["photographs"] > 0].assign(change=table["new"] - table["old"])
        return table.loc[table["change"].abs().sort_values(ascending=False, kind="stable").index]


def judge_models(old: Path, new: Path, *, labels: str | None = None) -> Verdict:
    """Compare two models by the predictions that they record of their test photographs.

    Parameters
    ----------
    old, new : Path
        Bundles.
    labels : str, optional
        See `Verdict`; default: the model that was made later.

    Returns
    -------
    Verdict

    Raises
    ------
    DatasetError
        If they have no class or no such photograph in common, or one of them records no
        predictions.
    ModelBundleError
        If a bundle is damaged.
    """
    if old.name == new.name:
        raise DatasetError(f"{new.name} cannot be compared with itself; name two models.")
    folders = {old.name: old, new.name: new}
    results = {model: read_evaluation(folder, "test").result for model, folder in folders.items()}
    check_common_class({model: result.class_names for model, result in results.items()})
    shared = pd.Index(results[old.name].sha256).intersection(pd.Index(results[new.name].sha256))
    clean = shared[(shared != "") & ~shared.isin(_tainted(folders.values()))]
    if clean.empty:
        raise DatasetError(
            f"There is no photograph that both {old.name} and {new.name} were tested on and that "
            "neither has learned from; evaluate both on a set that is new to them."
        )
    of_model = {m: _labels_by_content(r, clean) for m, r in results.items()}
    # A review came before the later training, whichever of the two is asked about first.
    labels = labels or max(new, old, key=lambda folder: read_manifest(folder).created).name
    chosen = of_model[labels]
    known = chosen.isin(set.intersection(*(set(r.class_names) for r in results.values())))
    chosen = chosen[known]
    differing = of_model[old.name].ne(of_model[new.name])[known]
    comparison = compare_models({m: _relabelled(r, chosen) for m, r in results.items()})
    test = comparison.tests[new.name]
    outcome: Outcome = "not distinguishable"
    if test.p_value < SIGNIFICANT_BELOW:
        outcome = "better" if test.only_second > test.only_first else "worse"
    everything = set().union(*(r.sha256.tolist() for r in results.values()))
    return Verdict(
        old.name,
        new.name,
        outcome,
        comparison,
        labels,
        n_relabelled=int(differing.sum()),
        n_left_out=len(everything) - len(chosen),
        unrecorded=tuple(sorted({name for f in (old, new) for name in unrecorded_ancestors(f)})),
    )


def _tainted(folders: Iterable[Path]) -> set[str]:
    """Return the contents that one of the models has learned from, and all that look like them."""
    records = [read_lineage(folder) for folder in folders]
    known = [record for record in records if record is not None]
    seen = set().union(*(r.loc[r["split"].isin(_LEARNED_FROM), "sha256"].tolist() for r in known))
    alike: set[str] = set()
    for record in known:
        groups = record.loc[record["sha256"].isin(seen), "duplicate_group"]
        alike |= set(record.loc[record["duplicate_group"].isin(groups), "sha256"])
    return seen | alike


def _labels_by_content(result: EvaluationResult, contents: pd.Index) -> pd.Series:
    table = pd.Series(result.label_names, index=result.sha256)
    return table[~table.index.duplicated()].reindex(contents)


def _relabelled(result: EvaluationResult, labels: pd.Series) -> EvaluationResult:
    """Return the evaluation of the photographs that have a label here, under that label."""
    rows = np.flatnonzero(pd.Index(result.sha256).isin(labels.index))
    first = ~pd.Index(result.sha256[rows]).duplicated()  # of copies, one counts
    kept = result.take(rows[first])
    codes = pd.Index(kept.class_names).get_indexer(labels.loc[kept.sha256])
    return replace(kept, labels=np.asarray(codes))
