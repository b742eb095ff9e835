"""Which column of a table holds the photographs' names, and which their labels."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from har_core.dataset.slips import spelling_key
from har_core.errors import DatasetError, UnclearTableError, some_of
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
)
_WRITTEN_FOR_NONE: Final = ("nan", "<na>", "n/a", "#n/a")
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
    for part in (text or "").split(",") if text else []:
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
    lowered = [heading.lower() for heading in headings]
    repeated = sorted(heading for heading, n in Counter(lowered).items() if heading and n > 1)
    if repeated:
        raise DatasetError(
            f"{name} has more than one column {' and '.join(repeated)}; keep one of each."
        )
    found: dict[str, int] = {}
    for role, usual in _ROLES.items():
        if role in chosen:
            if spelling_key(chosen[role]) not in keys:
                raise DatasetError(
                    f"{name} has no column {chosen[role]!r}; it has {_listed(headings)}."
                )
            found[role] = keys.index(spelling_key(chosen[role]))
            continue
        taken = {spelling_key(heading) for heading in chosen.values()}
        known = [key for key in usual if key in keys and key not in taken]
        if known:
            found[role] = keys.index(known[0])
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


def doubt_about_labels(headings: Sequence[str], found: Columns, labels: Iterable[str]) -> str:
    """Say where labels may not be what they seem: none at all, or "NaN"; "" if nothing is odd."""
    if found.label is None:
        others = [h for n, h in enumerate(headings) if h and n != found.filename]
        if not others:
            return ""
        return (
            f"none of its columns {some_of(others, 6)} is "
            "read as label (--columns label=… names one)"
        )
    odd = [label for label in labels if label.strip().casefold() in _WRITTEN_FOR_NONE]
    if not odd:
        return ""
    return (
        f"{counted(len(odd), 'row has', 'rows have')} the label {odd[0].strip()!r}, as programs "
        "write a missing one; leave the cell empty if there is none"
    )


def has_filenames(headings: Sequence[str], chosen: Mapping[str, str] | None = None) -> bool:
    """Tell whether a table names photographs, under usual headings or the one that is chosen."""
    return _has("filename", headings, chosen or {})


def has_labels(headings: Sequence[str], chosen: Mapping[str, str] | None = None) -> bool:
    """Tell whether a table has labels, under usual headings or the one that is chosen."""
    return _has("label", headings, chosen or {})


def _has(role: str, headings: Sequence[str], chosen: Mapping[str, str]) -> bool:
    wanted = (spelling_key(chosen[role]),) if role in chosen else _ROLES[role]
    return not {*wanted}.isdisjoint(map(spelling_key, headings))


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
