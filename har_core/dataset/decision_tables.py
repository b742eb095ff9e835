"""Decisions as a table: what one machine decided, for another one to take over."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import pandas as pd

from har_core.dataset.decisions import (
    Action,
    Decision,
    Decisions,
    cleaned_table,
    load_decisions,
)
from har_core.dataset.names import split_of_folder
from har_core.dataset.table import Dataset, read_table
from har_core.errors import DatasetError, UnclearTableError
from har_core.progress import Progress, silent
from har_core.storage.checksums import sha256_of_files
from har_core.storage.paths import exists
from har_core.storage.spreadsheets import restore_formula, table_csv
from har_core.wording import counted

# As people read it; the file of decisions has the shorter words.
_WORDS: Final[dict[Action, str]] = {
    "confirm": "right as it is",
    "relabel": "relabel",
    "exclude": "exclude",
}
_ACTIONS: Final = {word: action for action, word in _WORDS.items()}
_COLUMNS: Final = ("filename", "label", "decision", "new_label", "time", "sha256")
_HAS: Final = (
    "a table of decisions has the columns filename (or uri), decision and new_label, as "
    "'review --export' writes them."
)
_LISTED: Final = 5


def decisions_csv(decisions: Decisions, given_labels: Mapping[str, str]) -> str:
    """Return what holds now as CSV.

    Parameters
    ----------
    decisions : Decisions
    given_labels : mapping of str to str
        Filename to the label that ``train.csv`` gives it.

    Returns
    -------
    str
        ``filename``, ``label`` (given), ``decision`` (``right as it is``, ``relabel``,
        ``exclude``), ``new_label``, ``time`` (UTC) and ``sha256`` (of the photograph's file, ``""``
        where that is not known), safe to open in a spreadsheet, and read again exactly.
    """
    rows = [
        {
            "filename": name,
            "label": given_labels.get(name, ""),
            "decision": _WORDS[step.action],
            "new_label": step.label,
            "time": step.time,
            "sha256": step.photographs[name],
        }
        for name, step in decisions.current.items()
    ]
    return table_csv(pd.DataFrame(rows, columns=list(_COLUMNS)))


def new_labels(
    table: pd.DataFrame, decisions: Decisions, unlisted: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return the photographs that decisions give another label than the table does.

    Who decides about many at once also relabels some to the label that they have.

    Parameters
    ----------
    table, decisions, unlisted
        See `har_core.dataset.decisions.cleaned_table`.

    Returns
    -------
    relabelled, labelled : list of str
        Filenames of those that have a label in the table, and of those that have none.
    """
    decided = decisions.relabelled
    rows = table.loc[table["filename"].isin(decided), ["filename", "label"]]
    given = rows.groupby("filename")["label"].agg(set).to_dict()
    there = {name: given.get(name, {""}) for name in decided if name in given or name in unlisted}
    changed = [name for name, labels in there.items() if labels != {decided[name]}]
    return (
        [name for name in changed if there[name] != {""}],
        [name for name in changed if there[name] == {""}],
    )


def decisions_about(dataset: Dataset, progress: Progress = silent) -> Decisions:
    """Return what was decided about the photographs of a dataset, not about what they replaced.

    Parameters
    ----------
    dataset : Dataset
    progress : callable, optional
        Called with (what is being done, done, total).
    """
    decisions, paths = load_decisions(dataset.folder), _paths(dataset)
    decided = {name for step in decisions.steps for name in step.filenames}
    names = sorted(decided & paths.keys())
    hashes = sha256_of_files([paths[name] for name in names], progress)
    return decisions.about(dict(zip(names, hashes, strict=True)))


def _paths(dataset: Dataset) -> dict[str, str | None]:
    listed = dataset.rows.drop_duplicates("filename").set_index("filename")["path"]
    return dict(dataset.unlisted) | listed.to_dict()


def cleaned_dataset(
    dataset: Dataset, decisions: Decisions | None = None, progress: Progress = silent
) -> tuple[Dataset, str]:
    """Return a dataset as its decisions leave it, and what that changed, in a sentence.

    A decision about a photograph that another one has replaced since does not count. Rows that
    nobody has labelled are left out, unless there is no label at all.

    Parameters
    ----------
    dataset : Dataset
    decisions : Decisions, optional
        Of `decisions_about`, where they are at hand.
    progress : callable, optional
        Called with (what is being done, done, total).
    """
    decisions = decisions or decisions_about(dataset, progress)
    rows = cleaned_table(dataset.rows, decisions, dataset.unlisted)
    added = rows.index[rows["path"].eq("")]  # what is missing has None
    rows.loc[added, "path"] = rows.loc[added, "filename"].map(dataset.unlisted)
    if "split" in rows:  # of its folder; what no split's folder holds is learned from
        folders = [
            Path(path).relative_to(dataset.folder).parent for path in rows.loc[added, "path"]
        ]
        rows.loc[added, "split"] = [split_of_folder(f.as_posix()) or "train" for f in folders]
    relabelled, newly = new_labels(dataset.rows, decisions, dataset.unlisted)
    excluded = dataset.rows["filename"].isin(decisions.excluded)
    n_excluded = dataset.rows.loc[excluded, "filename"].nunique()  # some in several rows
    said = f"{len(relabelled):,} relabelled, {n_excluded:,} excluded"
    said += f", {len(newly):,} newly labelled by the review." if newly else " by the review."
    labelled = rows["label"].ne("")
    if labelled.any() and not labelled.all():
        said += f" Left out: {counted(int((~labelled).sum()), 'row')} without a label."
        rows = rows[labelled]
    is_labelled = dataset.labelled or bool(labelled.any())
    return replace(dataset, rows=rows.reset_index(drop=True), labelled=is_labelled), said


def read_decisions_csv(path: str | Path) -> list[Decision]:
    """Read decisions from CSV, for `har_core.dataset.decisions.decide_together`.

    Parameters
    ----------
    path : str or Path
        Columns ``filename`` (as in the dataset's table; or ``uri``, see `named_as_in`),
        ``decision`` and ``new_label``, as `decisions_csv` writes them, and if they are there
        ``time`` and ``sha256``. A row with a new label and no decision relabels; one with neither
        is passed over. A table without rows holds no decision.

    Returns
    -------
    list of Decision
        In the table's order, equal ones that follow each other joined into one step.

    Raises
    ------
    DatasetError
        If the file cannot be read, lacks a column, or a row holds no decision that is known; the
        message names the first such rows, and nothing was taken over.
    """
    table = _read(path)
    table = table.rename(columns=str.lower)
    missing = [name for name in ("decision", "new_label") if name not in table.columns]
    if missing:
        raise DatasetError(f"{path} lacks the column {' and '.join(missing)}; {_HAS}")
    words = table["decision"].str.strip().str.lower()
    labels = table["new_label"].str.strip().map(restore_formula)
    # Whoever fills in a label has decided; a row with neither waits to be.
    words = words.mask(words.eq("") & labels.ne(""), "relabel")
    waiting = words.eq("") & labels.eq("")
    table, words, labels = table[~waiting], words[~waiting], labels[~waiting]
    wrong = ~words.isin(_ACTIONS) | (words.eq("relabel") & labels.eq(""))
    if wrong.any():
        rows = table[wrong].head(_LISTED)
        listed = "; ".join(f"{row.filename}: {row.decision!r}" for row in rows.itertuples())
        raise DatasetError(
            f"{path} holds {counted(int(wrong.sum()), 'row')} whose decision is not one of "
            f"{', '.join(_ACTIONS)} (relabel with a new_label): {listed}. Nothing was taken over."
        )
    times = table["time"].str.strip() if "time" in table.columns else pd.Series("", table.index)
    steps: list[Decision] = []
    names = table["filename"].map(restore_formula)
    known = "sha256" in table.columns
    sha256 = table["sha256"].str.strip() if known else names
    rows_of = zip(words, labels, times, names, sha256, strict=True)
    for (word, label, time), group in groupby(rows_of, key=itemgetter(0, 1, 2)):
        action = _ACTIONS[word]
        *_, together, contents = zip(*group, strict=True)
        step = Decision(action, together, label if action == "relabel" else "", time)
        steps.append(replace(step, sha256=contents) if known else step)
    return steps


def _read(path: str | Path) -> pd.DataFrame:
    if not exists(path):
        raise DatasetError(f"There is no {path}; {_HAS}")
    read = partial(read_table, path, may_be_empty=True, may_lack_labels=True)
    try:
        return read()[0]
    except UnclearTableError:
        try:
            return read(columns={"filename": "uri"})[0]
        except DatasetError as error:  # what it advises is of datasets
            raise DatasetError(f"{path} lacks the column filename; {_HAS}") from error


def named_as_in(
    dataset: Dataset, steps: Sequence[Decision], progress: Progress = silent
) -> list[Decision]:
    """Return decisions about photographs by the names that a dataset has for them.

    Parameters
    ----------
    dataset : Dataset
    steps : sequence of Decision
        A name that is none in the dataset, such as the URI that the photograph was scored at, is
        found by its sha256: of several copies the one whose name the URI ends with, else all.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    list of Decision
        What is not found keeps its name.
    """
    paths = _paths(dataset)
    sought = {
        sha256
        for step in steps
        for name, sha256 in step.photographs.items()
        if sha256 and name not in paths
    }
    if not sought:
        return list(steps)
    copies: dict[str, list[str]] = {}
    hashes = sha256_of_files(list(paths.values()), progress)
    for name, sha256 in zip(paths, hashes, strict=True):
        if sha256 in sought:
            copies.setdefault(sha256, []).append(name)
    named = []
    for step in steps:
        photographs: dict[str, str] = {}
        for name, sha256 in step.photographs.items():
            found = [] if name in paths else copies.get(sha256, [])
            same = [copy for copy in found if f"/{name}".endswith(f"/{copy}")]
            photographs |= dict.fromkeys(same or found or [name], sha256)
        known = tuple(photographs.values()) if step.sha256 else ()
        named.append(replace(step, filenames=tuple(photographs), sha256=known))
    return named
