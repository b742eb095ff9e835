"""What speaks for and against a label: each opinion on a photograph, with its source."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from har_core.analysis.neighbours import nearest_others, vote_of_neighbours
from har_core.analysis.whole_set import Analysis, group_numbers
from har_core.model.manifest import BundleManifest, read_manifest
from har_core.model.records import recorded_cross_validation

SourceName = Literal["model", "regression", "neighbours", "duplicates"]
_HELD_OUT: Final = ("", "validation", "test")


@dataclass(frozen=True)
class Opinions:
    """What one source says of photographs.

    Parameters
    ----------
    source : {"model", "regression", "neighbours", "duplicates"}
        The model itself; a cross-validated regression, which was fitted without the photograph;
        the labels of the ten photographs most like it; the labels of its duplicates.
    probabilities : DataFrame
        Index: row of the photograph; one column per class; rows sum to 1.
    independent : Series of bool
        Same index: whether the source has not learned the photograph's label. Only then it is a
        second opinion.
    """

    source: SourceName
    probabilities: pd.DataFrame
    independent: pd.Series


def collect_opinions(
    photographs: pd.DataFrame,
    analysis: Analysis,
    model_folder: Path,
    *,
    rows: pd.Index | None = None,
) -> list[Opinions]:
    """Return all that is known about the labels of analysed photographs.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`, with ``split`` (of the model, ``""`` if it is
        not known).
    analysis : Analysis
        Of these photographs.
    model_folder : Path
        The model whose analysis it is.
    rows : Index, optional
        Of analysed photographs whose neighbours to ask, where the labels are others than those of
        the analysis: they are looked for again. Default: all, whose neighbours the analysis knows.

    Returns
    -------
    list of Opinions
        In the order of `SourceName`; a source that says nothing is left out.
    """
    manifest = read_manifest(model_folder)
    usable = photographs.loc[analysis.table.index]
    model = pd.DataFrame(
        analysis.model_probabilities, index=usable.index, columns=list(manifest.class_names)
    )
    opinions = [Opinions("model", model, _not_learned(photographs).loc[usable.index])]
    regression = _regression(photographs, analysis, model_folder, manifest)
    if len(regression):
        opinions.append(_independent("regression", regression))
    labels = usable["label"].to_numpy(dtype=str)
    nearest = analysis.neighbours
    if rows is not None:
        nearest = nearest_others(
            analysis.components,
            np.flatnonzero(labels != ""),
            group_numbers(usable),
            usable.index.get_indexer(rows),
        )
    shares, class_names = vote_of_neighbours(nearest, labels)
    votes = pd.DataFrame(shares, usable.index if rows is None else rows, class_names)
    opinions.append(_independent("neighbours", votes[votes.sum(axis=1).gt(0)]))
    return opinions


def opinions_of_duplicates(photographs: pd.DataFrame) -> Opinions:
    """Return the labels of the other photographs of a duplicate group where they differ.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.
    """
    grouped = photographs[photographs["duplicate_group"].notna() & photographs["label"].ne("")]
    n_labels = grouped.groupby("duplicate_group")["label"].transform("nunique")
    members = grouped[n_labels.gt(1)]
    counts = pd.crosstab(members["duplicate_group"], members["label"])
    of_group = counts.loc[members["duplicate_group"]].set_axis(members.index)
    own = pd.get_dummies(members["label"]).reindex(columns=counts.columns, fill_value=0)
    others = of_group - own.astype(int)
    return _independent("duplicates", others.div(others.sum(axis=1), axis=0))


def _not_learned(photographs: pd.DataFrame) -> pd.Series:
    """Tell from which photographs, and duplicates of them, a model has not learned; bool."""
    groups = group_numbers(photographs)
    learned = ~photographs["split"].isin(_HELD_OUT).to_numpy()
    return pd.Series(~np.isin(groups, groups[learned]), photographs.index)


def _independent(source: SourceName, probabilities: pd.DataFrame) -> Opinions:
    return Opinions(source, probabilities, pd.Series(True, probabilities.index))


def _regression(
    photographs: pd.DataFrame, analysis: Analysis, model_folder: Path, manifest: BundleManifest
) -> pd.DataFrame:
    """Return cross-validated probabilities: those of the analysis, or better ones on record.

    The recorded ones are of features that had not been fine-tuned on these labels. They are taken
    only if they judge every photograph under its present label: two regressions are not equally
    sure, so that of a mixture one's photographs would look more doubtful.
    """
    labelled = photographs.index[analysis.labelled]
    table = pd.DataFrame(analysis.probabilities, labelled, analysis.class_names, dtype=np.float64)
    recorded = recorded_cross_validation(model_folder, manifest)
    if recorded is None:
        return table
    keys = ["sha256", "label"]
    known = recorded.drop_duplicates(keys).set_index(keys)[list(manifest.class_names)]
    positions = known.index.get_indexer(pd.MultiIndex.from_frame(photographs[keys]))
    found = positions >= 0
    if not found[analysis.labelled].all():
        return table
    return known.iloc[positions[found]].set_axis(photographs.index[found])
