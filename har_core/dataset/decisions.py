"""What people decide about photographs: exclude, relabel, confirm; kept in a file, undone."""

import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import pandas as pd

from har_core.dataset.files import DECISIONS_FILE, PHOTO_FOLDER, find_photographs
from har_core.errors import DatasetError
from har_core.progress import Progress, silent
from har_core.storage.checksums import sha256_of_files
from har_core.storage.data import work_dir
from har_core.storage.files import write_atomically
from har_core.storage.locks import folder_to_oneself
from har_core.storage.paths import is_file, real
from har_core.storage.spreadsheets import escape_formula, neutralise_formula
from har_core.wording import counted

Action = Literal["exclude", "relabel", "confirm", "keep"]
_FORMAT: Final = 1
_lock = threading.Lock()


@dataclass(frozen=True)
class Decision:
    """One step: the same for one or many photographs.

    Parameters
    ----------
    action : {"exclude", "relabel", "confirm", "keep"}
        ``"confirm"`` says that a photograph is right as it is, so that nobody is asked again;
        ``"keep"`` takes back whatever was decided before.
    filenames : tuple of str
        As `har_core.dataset.files.name_of_file` calls the photographs.
    label : str
        The new label of ``"relabel"``, else ``""``.
    time : str
        ISO 8601 in UTC.
    joined : bool
        Made together with the step before it: `undo` takes back both.
    sha256 : tuple of str
        Of the photograph that each of the names meant, ``""`` where that is not known; empty in
        files of version 1.0.
    """

    action: Action
    filenames: tuple[str, ...]
    label: str = ""
    time: str = ""
    joined: bool = False
    sha256: tuple[str, ...] = ()

    @cached_property
    def photographs(self) -> dict[str, str]:
        """The sha256 of the photograph that each name meant, ``""`` where it is not known."""
        return dict(zip_longest(self.filenames, self.sha256, fillvalue=""))

    def among(self, names: Collection[str]) -> "Decision":
        """Return the same about those of its photographs that have one of these names."""
        kept = tuple(name for name in self.filenames if name in names)
        known = tuple(self.photographs[name] for name in kept) if self.sha256 else ()
        return replace(self, filenames=kept, sha256=known)


@dataclass(frozen=True)
class Decisions:
    """All decisions about one dataset.

    Parameters
    ----------
    path : Path
        The file they are kept in.
    steps : tuple of Decision
        In the order in which they were made; a later one overrules an earlier one.
    present : mapping of str to str
        Filename to sha256 of the photographs that there are now, see `about`.
    """

    path: Path
    steps: tuple[Decision, ...] = ()
    present: Mapping[str, str] = field(default_factory=dict)

    @property
    def last_together(self) -> tuple[Decision, ...]:
        """The steps that the next `undo` takes back."""
        first = len(self.steps) - 1
        while first > 0 and self.steps[first].joined:
            first -= 1
        return self.steps[max(first, 0) :]

    def about(self, present: Mapping[str, str]) -> "Decisions":
        """Return what was decided about photographs, and not about others of the same names.

        Parameters
        ----------
        present : mapping of str to str
            Filename to sha256 of the photographs that there are now. A decision still holds for a
            name that it lacks: a file that is missing may come back.
        """
        return replace(self, present=present)

    @cached_property
    def current(self) -> dict[str, Decision]:
        """What holds now: filename to its last decision, ``"keep"`` left out."""
        last = {name: step for step, name, meant in self._each() if meant}
        return {name: step for name, step in last.items() if step.action != "keep"}

    @cached_property
    def outdated(self) -> set[str]:
        """Filenames that only photographs had which others have replaced since."""
        names = {name for _, name, _ in self._each()}
        return names - {name for _, name, meant in self._each() if meant}

    def _each(self) -> Iterator[tuple[Decision, str, bool]]:
        """Yield each step with each of its names, and whether it means today's photograph."""
        for step in self.steps:
            for name, sha256 in step.photographs.items():
                there = self.present.get(name, "")
                yield step, name, not (sha256 and there) or sha256 == there

    @property
    def excluded(self) -> set[str]:
        """Filenames to be left out."""
        return {name for name, step in self.current.items() if step.action == "exclude"}

    @property
    def confirmed(self) -> set[str]:
        """Filenames that are right as they are."""
        return {name for name, step in self.current.items() if step.action == "confirm"}

    @property
    def relabelled(self) -> dict[str, str]:
        """Filename to new label."""
        return {name: s.label for name, s in self.current.items() if s.action == "relabel"}


def decisions_path(folder: str | Path) -> Path:
    """Return where a dataset's decisions are kept.

    Beside ``train.csv``; in the data folder where the dataset's folder cannot be written, or could
    not when the first decision was made.
    """
    folder = real(folder)
    beside = folder / DECISIONS_FILE
    if is_file(beside):
        return beside
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    kept = work_dir("decisions") / f"{folder.name}-{name}.json"
    return beside if _is_writable(folder) and not is_file(kept) else kept


def _is_writable(folder: Path) -> bool:
    # The superuser may write what its mode forbids; a folder without any write bit is meant to be
    # left alone all the same.
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def load_decisions(folder: str | Path) -> Decisions:
    """Read the decisions about a dataset; none if there is no file yet.

    Raises
    ------
    DatasetError
        If the file cannot be read; it is left as it is.
    """
    path = decisions_path(folder)
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        return Decisions(path, tuple(_parse_step(step) for step in _steps_of(body)))
    except FileNotFoundError:
        return Decisions(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"Cannot read the decisions in {path}: {error}. Repair the file or move it away."
        ) from error


def _steps_of(body: Any) -> list[Any]:
    if not isinstance(body, dict) or body.get("format") != _FORMAT:
        raise ValueError(f"it is not of format {_FORMAT}")
    steps = body["steps"]
    if not isinstance(steps, list):
        raise TypeError("its steps are no list")
    return steps


def _parse_step(step: Mapping[str, Any]) -> Decision:
    action, label = step["action"], str(step.get("label", ""))
    if action not in get_args(Action) or (action == "relabel" and not label):
        raise ValueError(f"it holds an unknown step {dict(step)}")
    names, time = tuple(map(str, step["filenames"])), str(step.get("time", ""))
    sha256 = tuple(map(str, step.get("sha256", ())))
    if len(sha256) not in (0, len(names)):
        checksums = counted(len(sha256), "checksum")
        raise ValueError(f"it holds a step with {counted(len(names), 'name')} and {checksums}")
    return Decision(action, names, label, time, bool(step.get("joined", False)), sha256)


def decide(
    folder: str | Path,
    action: Action,
    filenames: Sequence[str],
    label: str = "",
    *,
    sha256: Mapping[str, str] | None = None,
) -> Decisions:
    """Add one step, unless all that it decides holds already, and write the file.

    Parameters
    ----------
    folder : str or Path
        Dataset folder.
    action : {"exclude", "relabel", "confirm", "keep"}
    filenames : sequence of str
        See `Decision`.
    label : str
        Needed to relabel.
    sha256 : mapping of str to str, optional
        Filename to the sha256 of the photograph that it means; default: of the one that has
        that name now.

    Returns
    -------
    Decisions
        With what holds then.

    Raises
    ------
    DatasetError
        If a new label is empty, or the file cannot be read or written.
    """
    known = () if sha256 is None else tuple(sha256.get(name, "") for name in filenames)
    return decide_together(folder, [Decision(action, tuple(filenames), label, sha256=known)])


def decide_together(
    folder: str | Path, steps: Sequence[Decision], progress: Progress = silent
) -> Decisions:
    """Add several steps that are undone as one, and write the file; see `decide`.

    Parameters
    ----------
    folder : str or Path
        Dataset folder.
    steps : sequence of Decision
        Those without a ``time`` get the present one, those without ``sha256`` that of the
        photographs that have these names now.
    progress : callable, optional
        Called with (what is being done, done, total).
    """
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    unknown = [name for step in steps if not step.sha256 for name in step.filenames]
    found = _sha256_of(folder, unknown, progress)
    checked = []
    for number, step in enumerate(steps):
        label = step.label.strip() if step.action == "relabel" else ""
        if step.action == "relabel" and not label:
            raise DatasetError("The new label is empty; name a class, or exclude the photograph.")
        sha256 = step.sha256 or tuple(found[name] for name in step.filenames)
        step = replace(step, label=label, time=step.time or now, joined=number > 0, sha256=sha256)
        checked.append(step)
    with _lock, folder_to_oneself(real(folder)):
        decisions = load_decisions(folder)
        if not _changes(decisions, checked):
            return decisions
        return _write(Decisions(decisions.path, (*decisions.steps, *checked)))


def _changes(decisions: Decisions, steps: Sequence[Decision]) -> bool:
    # A step that changes nothing, as of a second visitor, would make an undo that does nothing.
    meant = {name: sha256 for step in steps for name, sha256 in step.photographs.items()}
    current = decisions.about(meant).current
    return any(
        (held.action, held.label) != (step.action, step.label)
        if (held := current.get(name))
        else step.action != "keep"
        for step in steps
        for name in step.filenames
    )


def _sha256_of(folder: str | Path, filenames: Sequence[str], progress: Progress) -> dict[str, str]:
    # Names come from a browser; one that leads elsewhere is no photograph's.
    if not filenames:
        return {}
    hashes = sha256_of_files(find_photographs(folder, filenames), progress)
    return dict(zip(filenames, hashes, strict=True))


def undo(folder: str | Path) -> Decisions:
    """Take back the last step, and what was decided together with it; then write the file."""
    with _lock, folder_to_oneself(real(folder)):
        decisions = load_decisions(folder)
        remaining = len(decisions.steps) - len(decisions.last_together)
        if remaining == len(decisions.steps):
            return decisions
        return _write(Decisions(decisions.path, decisions.steps[:remaining]))


def _write(decisions: Decisions) -> Decisions:
    body = {"format": _FORMAT, "steps": [asdict(step) for step in decisions.steps]}
    try:
        decisions.path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(body, indent=1, ensure_ascii=False) + "\n"
        write_atomically(decisions.path, content.encode())
    except OSError as error:
        raise DatasetError(
            f"Cannot write the decisions to {decisions.path}: {error.strerror or error}."
        ) from error
    return decisions


def cleaned_table(
    table: pd.DataFrame, decisions: Decisions, unlisted: Collection[str]
) -> pd.DataFrame:
    """Apply decisions to a table of labels.

    Parameters
    ----------
    table : DataFrame
        ``filename``, ``label`` and any other columns, e.g. from
        `har_core.dataset.table.read_table`.
    decisions : Decisions
    unlisted : collection of str
        Filenames of further photographs; see `har_core.dataset.table.Dataset`.

    Returns
    -------
    DataFrame
        Without the excluded rows, relabelled rows with their new label; a relabelled photograph
        among `unlisted` is added, with nothing in the other columns.
    """
    kept = table[~table["filename"].isin(decisions.excluded)].reset_index(drop=True)
    relabelled = decisions.relabelled
    if not relabelled:
        return kept
    labels = [
        relabelled.get(name, label)
        for name, label in zip(kept["filename"], kept["label"], strict=True)
    ]
    kept = kept.assign(label=labels)
    added = [(name, label) for name, label in relabelled.items() if name in unlisted]
    if not added:
        return kept
    extra = pd.DataFrame(added, columns=["filename", "label"])
    extra = extra.reindex(columns=kept.columns, fill_value="")
    return pd.concat([kept, extra], ignore_index=True)


def labels_csv(table: pd.DataFrame, columns: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a table of labels as CSV that is safe in a spreadsheet and still names the files.

    A filename such as ``=1.jpg`` becomes ``train/=1.jpg``, which is no formula and means the same
    file. Other texts of that kind get an apostrophe in all their rows; texts that have one keep it
    as it is, so that a table may be read and written again, unless two of them became one.

    Parameters
    ----------
    table : DataFrame
        ``filename``, ``label`` and any other columns, all str.
    columns : mapping of str to str, optional
        Headings to write instead of these two: people's own.
    """
    safe = table.assign(
        filename=[
            name
            if neutralise_formula(name) == name
            else f"{'.' if '/' in name else PHOTO_FOLDER}/{name}"
            for name in table["filename"]
        ]
    )
    for name in safe.columns.drop("filename"):
        literal = safe[name].map(neutralise_formula)
        alike = literal.nunique() < safe[name].nunique()
        safe[name] = safe[name].map(escape_formula) if alike else literal
    safe = safe.rename(columns=columns).rename(columns=neutralise_formula)
    return safe.to_csv(index=False, lineterminator="\n")
