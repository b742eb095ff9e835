"""Which column of a table holds the photographs' names, and which their labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from har_core.dataset.slips import spelling_key
from har_core.errors import DatasetError, UnclearTableError, some_of
from har_core.images.formats import is_photograph_name
from har_core.wording import counted

# In the order in which they are tried.
FILENAME_HEADINGS: Final = (
    "filename",
    "file_name",
    "file",
    "filepath",
    "file_path",
    "image",
    "image_name",
    "image_path",
    "image_file",
    "img",
    "img_name",
    "img_path",
    "path",
    "photo",
    "photograph",
    "image_id",
    "img_id",
    "id",
)
LABEL_HEADINGS: Final = (
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "label_name",
    "category",
    "target",
    "action",
    "activity",
    "class_label",
)
_WRITTEN_FOR_NONE: Final = ("nan", "<na>", "n/a", "#n/a", "null")
_FLAGS: Final = ("0", "1", "0.0", "1.0")
_ROLES: Final = {"filename": FILENAME_HEADINGS, "label": LABEL_HEADINGS}


@dataclass(frozen=True)
class Columns:
    """Where a table's filenames and labels are.

    Parameters
    ----------
    filename : int
        Position of the column.
    label : int or None
        None in a table without labels.
    note : str
        Which headings were taken for which, ``""`` if they are ``filename`` and ``label``.
    """

    filename: int
    label: int | None
    note: str = ""


def parse_columns(text: str | None) -> dict[str, str]:
    """Parse ``filename=HEADING,label=HEADING``, either of which may be left out.

    Raises
    ------
    DatasetError
        If it is written in another way.
    """
    chosen: dict[str, str] = {}
    for part in text.split(",") if text else []:
        role, equals, heading = part.partition("=")
        role = role.strip().lower()
        if role not in _ROLES or not equals or not heading.strip() or role in chosen:
            raise DatasetError(
                f"Write the columns as filename=HEADING,label=HEADING instead of {text!r}."
            )
        chosen[role] = heading.strip()
    return chosen


def choose_columns(
    headings: Sequence[str], name: str, chosen: Mapping[str, str] | None = None
) -> Columns:
    """Find the columns of filenames and labels by their headings.

    Parameters
    ----------
    headings : sequence of str
    name : str
        Of the table, for messages.
    chosen : mapping, optional
        ``"filename"`` and ``"label"`` to headings, see `parse_columns`. What is not in there is
        found by its usual names.

    Raises
    ------
    DatasetError
        If no column holds filenames, a chosen one does not exist, or a heading that counts comes
        twice.
    """
    chosen = chosen or {}
    keys = [spelling_key(heading) for heading in headings]
    first = next(filter(is_photograph_name, headings), None)
    if first is not None and _usual("filename", keys) is None:
        raise DatasetError(without_headings(name, first))
    lowered = [heading.lower() for heading in headings]
    repeated = sorted(heading for heading, n in Counter(lowered).items() if heading and n > 1)
    if repeated:
        raise DatasetError(
            f"{name} has more than one column {' and '.join(repeated)}; keep one of each."
        )
    found: dict[str, int] = {}
    for role in _ROLES:
        if role in chosen:
            if spelling_key(chosen[role]) not in keys:
                raise DatasetError(
                    f"{name} has no column {chosen[role]!r}; it has {_listed(headings)}."
                )
            found[role] = keys.index(spelling_key(chosen[role]))
            continue
        taken = {spelling_key(heading) for heading in chosen.values()}
        position = _usual(role, ["" if key in taken else key for key in keys])
        if position is not None:
            found[role] = position
    if "filename" not in found:
        missing = [role for role in _ROLES if role not in found]
        columns = f"column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}"
        raise UnclearTableError(
            f"{name} lacks the {columns}; it has {_listed(headings)}. The first line must "
            "be: filename,label; or say which columns they are: "
            "--columns filename=HEADING,label=HEADING",
            headings=[heading for heading in headings if heading],
        )
    if found["filename"] == found.get("label"):
        raise DatasetError(f"{name}: one column cannot hold both filenames and labels.")
    return Columns(found["filename"], found.get("label"), _note(headings, found, chosen))


def without_headings(name: str, first: str) -> str:
    """Say that a table begins with a photograph instead of headings."""
    return f"{name} begins with {first}, not with headings; put the line filename,label above it."


def doubt_about_labels(headings: Sequence[str], found: Columns, values: pd.DataFrame) -> str:
    """Say where labels may not be what they seem, ``""`` if nothing is odd.

    There may be none, or one column for each class; "NaN"; or numbers whose names are beside them.
    """
    others = [n for n, h in enumerate(headings) if h and n not in (found.filename, found.label)]
    if found.label is None:
        if not others:
            return ""
        flags = [n for n in others if values[n].str.strip().isin(_FLAGS).all()]
        if len(flags) > 1:
            return (
                f"its columns {some_of([headings[n] for n in flags], 6)} hold 0 or 1, as one for "
                "each class would; write the classes' names into one column label"
            )
        return (
            f"none of its columns {some_of([headings[n] for n in others], 6)} is "
            "read as label (--columns label=… names one)"
        )
    labels = values[found.label]
    odd = [
        label
        for label in labels.unique()
        if label.strip().casefold() in _WRITTEN_FOR_NONE or label.strip() == "None"
    ]
    if not odd:
        named = next((headings[n] for n in others if _are_names_of(labels, values[n])), "")
        return (
            f"its labels are numbers, which {named!r} has names for (--columns label=… names it)"
            if named
            else ""
        )
    n_odd = int(labels.isin(odd).sum())
    return (
        f"{counted(n_odd, 'row has', 'rows have')} the label {odd[0].strip()!r}, as programs "
        "write a missing one; leave the cell empty if there is none"
    )


def has_filenames(headings: Sequence[str], chosen: Mapping[str, str] | None = None) -> bool:
    """Tell whether a table names photographs, under usual headings or the one that is chosen."""
    return _has("filename", headings, chosen or {})


def has_labels(headings: Sequence[str], chosen: Mapping[str, str] | None = None) -> bool:
    """Tell whether a table has labels, under usual headings or the one that is chosen."""
    return _has("label", headings, chosen or {})


def _has(role: str, headings: Sequence[str], chosen: Mapping[str, str]) -> bool:
    keys = [spelling_key(heading) for heading in headings]
    return spelling_key(chosen[role]) in keys if role in chosen else _usual(role, keys) is not None


def _usual(role: str, keys: Sequence[str]) -> int | None:
    """Return the first column with a usual heading, words apart (``image_path``) before joined."""
    for spelled in (str, _joined):
        found = list(map(spelled, keys))
        known = next((key for key in map(spelled, _ROLES[role]) if key in found), None)
        if known is not None:
            return found.index(known)
    return None


def _joined(key: str) -> str:
    return key.replace("_", "")


def _are_names_of(numbers: pd.Series, names: pd.Series) -> bool:
    """Tell whether a column has a name of its own for each number in another, in several rows."""
    if not numbers.str.strip().str.isdecimal().all() or names.str.strip().str.isdecimal().any():
        return False
    n_pairs = len(pd.DataFrame({"number": numbers, "name": names}).drop_duplicates())
    return 1 < n_pairs == numbers.nunique() == names.nunique() < len(numbers)


def _note(headings: Sequence[str], found: Mapping[str, int], chosen: Mapping[str, str]) -> str:
    guessed = [
        f"{headings[position]!r} is read as {role}"
        for role, position in found.items()
        if role not in chosen and spelling_key(headings[position]) != role
    ]
    if not guessed:
        return ""
    return f"the column {' and '.join(guessed)} (--columns filename=…,label=… names others)"


def _listed(headings: Sequence[str]) -> str:
    return some_of([heading[:40] for heading in headings if heading], 12) or "none with a name"
