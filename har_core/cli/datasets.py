"""What the commands that read a dataset share: its options, what is said of it, and its safety."""

import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from har_core.cli.terminal import progress_bar, stderr
from har_core.errors import DatasetError, HarError
from har_core.images.formats import PHOTO_SUFFIXES
from har_core.images.signatures import identify_content
from har_core.model.manifest import MANIFEST_FILE
from har_core.storage.files import is_stream
from har_core.storage.names import real_path
from har_core.storage.paths import is_file, is_folder, real

if TYPE_CHECKING:
    import pandas as pd

    from har_core.dataset.table import Dataset

_NOTES_SHOWN: Final = 6
# Those of `har_core.dataset.cells`, whose import would slow down every command, but for .txt: notes
# and annotations lie beside photographs.
TABLE_SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".jsonl", ".json")
# Of `har_core.scale`, likewise: what says what the rows of a folder are, and what is of them.
_ROWS_FILES: Final = ("_results.json", "_scan.json")
_OF_ROWS: Final = ("_*", "part-*.parquet")

TableOption = Annotated[
    Path | None,
    typer.Option("--table", metavar="FILE", help="Table to use instead of DATASET/train.csv."),
]
OldTableOption = Annotated[Path | None, typer.Option("--csv", metavar="FILE", hidden=True)]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="filename=…,label=…",
        help="The table's headings of the photographs' names and of their labels, where they are "
        "not found by themselves.",
    ),
]

CleanedOption = Annotated[
    bool,
    typer.Option(
        "--cleaned",
        help="Take the table as the review left it: without what was excluded, with corrected "
        "labels.",
    ),
]


def read_dataset(
    folder: Path,
    table: str | Path | None,
    old_table: Path | None = None,
    columns: str | None = None,
    *,
    follow_links: bool = True,
) -> "Dataset":
    """Open the dataset that a command line names, and say what was assumed.

    Links are followed out of it: whoever types the command may read what they lead to. Without
    `follow_links` the rule of `har_core.dataset.files.may_follow_links` holds.

    Raises
    ------
    DatasetError
        See `har_core.dataset.table.open_dataset`.
    """
    from har_core.dataset.columns import parse_columns
    from har_core.dataset.table import open_dataset
    from har_core.scale.sources.locations import is_remote

    if table is not None and is_remote(str(table)):
        raise HarError(f"{table} is not on this machine, as the table of a dataset's folder must.")
    if old_table is not None:
        if table is not None:
            raise HarError("--csv is the old name of --table; give one of them.")
        _say("The table to read is named by --table; --csv will only name files to write.")
        table = old_table
    dataset = open_dataset(
        folder, table, columns=parse_columns(columns), follow_links=follow_links or None
    )
    for note in dataset.notes[:_NOTES_SHOWN]:
        _say(note)
    return dataset


def table_in(folder: Path, columns: str | None = None) -> Path:
    """Return the table of a dataset, whose photographs need not be there if it is ``train.csv``.

    Raises
    ------
    HarError
        If its labels are in none, or in several; or see `read_dataset`.
    """
    from har_core.dataset.layouts import CSV_FILE

    usual = folder / CSV_FILE
    if is_file(usual) or not is_folder(folder):
        return usual
    tables = read_dataset(folder, None, columns=columns).tables
    if len(tables) == 1:
        return tables[0]
    named = shlex.quote(str(folder))
    written = shlex.quote(str(folder / "labels.csv"))
    raise HarError(
        f"The labels of {folder} are in {'several tables' if tables else 'no table'}; make one: "
        f"har scan {named} --csv {written}, then --table {written}"
    )


def warn_of_spellings(
    dataset: "Dataset", folder: Path, table: str | Path | None, columns: str | None
) -> None:
    """Say which labels differ only in spelling, and the command that makes them one."""
    from har_core.dataset.slips import describe_variants

    if variants := describe_variants(dataset.rows["label"]):
        chosen = f" --table {shlex.quote(str(table))}" if table is not None else ""
        headings = f" --columns {shlex.quote(columns)}" if columns else ""
        merged = shlex.quote(str(folder / "merged.csv"))
        _say(
            f"{variants} To make them one: har merge-labels --dataset {shlex.quote(str(folder))}"
            f"{chosen}{headings} --output {merged}, then --table {merged}{headings}"
        )


def warn_of_reviewed_spellings(dataset: "Dataset", cleaned: "pd.DataFrame") -> None:
    """Say which labels differ only in spelling since the review; its labels are in no table."""
    from har_core.dataset.slips import describe_variants

    variants = describe_variants(cleaned["label"])
    if variants and not describe_variants(dataset.rows["label"]):
        _say(
            f"{variants} To make them one: relabel those photographs on the Dataset page, or with "
            "'har review --import'."
        )


def as_reviewed(dataset: "Dataset") -> "Dataset":
    """Return a dataset as its decisions leave it, and say what that changed."""
    from har_core.dataset.decision_tables import cleaned_dataset

    with progress_bar() as report:
        cleaned, said = cleaned_dataset(dataset, progress=report)
    stderr.print(said)
    return cleaned


def as_measured(dataset: "Dataset", *, cleaned: bool) -> "Dataset":
    """Return a dataset as its decisions leave it; or as it is, and say if these would change it."""
    from har_core.dataset.decision_tables import decisions_about, new_labels

    if cleaned:
        return as_reviewed(dataset)
    # What is wrong with a damaged file does not matter here.
    with suppress(DatasetError), progress_bar() as report:
        decisions = decisions_about(dataset, report)
        excluded = dataset.rows["filename"].isin(decisions.excluded).any()
        if excluded or any(new_labels(dataset.rows, decisions, dataset.unlisted)):
            _say("What was decided in the review does not count here; with --cleaned it does.")
    return dataset


def is_dataset_not_results(named: str) -> bool:
    """Tell whether what should be results of ``har score`` is a folder of other things."""
    folder = Path(named)
    return is_folder(folder) and not [*folder.glob(_ROWS_FILES[0]), *folder.glob(_OF_ROWS[1])]


def _say(note: str) -> None:
    stderr.print(note, style="yellow")


def check_outputs(
    outputs: Iterable[str | Path | None],
    inputs: Iterable[str | Path] = (),
    dataset: "Dataset | None" = None,
    *,
    makes_folder: bool = False,
    is_table: bool = False,
) -> None:
    """Refuse to write a result over what it is made from, or over anybody's work.

    Parameters
    ----------
    outputs : iterable of str, Path or None
        Files to write; None and ``-`` (stdout) are none.
    inputs : iterable of str or Path
        Files that the command reads.
    dataset : Dataset, optional
        Its tables and photographs are inputs, too.
    makes_folder : bool
        Whether the folders that they are to lie in are made where they are missing.
    is_table : bool
        Whether what is written is a dataset's table, and may have the name of one.

    Raises
    ------
    HarError
        If an output is an input, by whatever name or link; another output; a folder; a
        photograph; a table of labels, also by its name alone; a part of a model bundle, of results
        or of a scan; or where no file can be written.
    """
    named = [str(output) for output in outputs if output is not None]
    if named.count("-") > 1:
        raise HarError("Two results would be written to stdout; name a file for one of them.")
    targets = [Path(name) for name in named if name != "-"]
    for number, target in enumerate(targets):
        if any(_is_same(target, other) for other in targets[:number]):
            raise HarError(f"Two results would be written to {target}; name two files.")
    existing = [target for target in targets if _exists(target)]
    for target in targets:
        _check_target(target, target in existing)
        if not is_table:
            _check_name(target)
        if not (makes_folder or is_stream(target)):
            _check_place(target, target in existing)
    if not existing:
        return
    read: list[str | Path] = list(inputs)
    if dataset is not None:
        read += [*dataset.tables, *dataset.rows["path"].dropna(), *dataset.unlisted.values()]
    stamps = {_stamp(path) for path in read} - {None}
    for target in existing:
        if _stamp(target) in stamps:
            raise HarError(f"{target} is read by this command; name another file to write.")


def _check_target(target: Path, is_there: bool) -> None:
    from har_core.dataset.files import DECISIONS_FILE

    if target.name.lower().endswith(PHOTO_SUFFIXES):
        raise HarError(
            f"{target} is the name of a photograph, not of a result; write the options behind the "
            "photographs, or - as the file for stdout."
        )
    for path in (target, real(target)):  # where a link lies, and where it leads
        if path.name == DECISIONS_FILE:
            raise HarError(
                f"{path} is where decisions about photographs are kept; name another file."
            )
        if is_file(path.parent / MANIFEST_FILE):
            raise HarError(f"{path.parent} is a model bundle; write to another folder.")
        is_of_rows = any(map(path.match, _OF_ROWS))
        if is_of_rows and any(is_file(path.parent / n) for n in _ROWS_FILES):
            raise HarError(f"{path} has the name of a part of results or of a scan; name another.")
    if not is_there:
        return
    if is_folder(target):
        raise HarError(f"{target} is a folder; name a file in it.")
    if is_stream(target):  # holds nothing, and reading it may wait for ever
        return
    if not is_file(target):
        raise HarError(f"{target} is a disk or a socket; name a file to write.")
    with target.open("rb") as file:
        content = identify_content(file.read(1024))
    if content.category in ("readable", "image"):
        raise HarError(f"{target} is a photograph ({content.description}); name another file.")
    from har_core.dataset.layouts import is_label_table

    if is_label_table(target):
        raise HarError(
            f"{target} is a table of photographs, which would be lost; name another file."
        )


def _check_name(target: Path) -> None:
    """Refuse a result that the next command would take for the labels of a dataset."""
    from har_core.dataset.layouts import is_table_by_name

    for path in (target, real(target)):
        if is_table_by_name(path):
            raise HarError(
                f"{path} has the name of a dataset's table, as which it would be read; name "
                "another file."
            )


def _check_place(target: Path, is_there: bool) -> None:
    """Refuse a file that cannot be written or replaced, before the work that it takes."""
    place = real(target).parent
    if not is_folder(place):
        raise HarError(f"Cannot write {target}: there is no folder {place}.")
    if not os.access(place, os.W_OK):
        raise HarError(f"Cannot write {target}: the folder {place} is read-only.")
    if is_there and not os.access(target, os.W_OK):
        raise HarError(f"Cannot write {target}: it is read-only.")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise HarError(f"Cannot write {path}: {reason}.") from error
    return True


def _is_same(left: Path, right: Path) -> bool:
    return os.path.realpath(left) == os.path.realpath(right) or (
        _stamp(left) is not None and _stamp(left) == _stamp(right)
    )


def _stamp(path: str | Path) -> tuple[int, int] | None:
    """Return what two names of one file share."""
    try:
        status = os.stat(real_path(path))  # noqa: PTH116 (making 100,000 Paths takes a second)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
