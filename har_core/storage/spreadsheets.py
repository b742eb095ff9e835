"""Tables for other programs: what a file name may not do to the spreadsheet that opens it."""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def neutralise_formula(cell: str) -> str:
    """Return a text cell so that no spreadsheet runs it as a formula.

    A leading apostrophe makes spreadsheets take the rest literally (OWASP, "CSV Injection").

    Parameters
    ----------
    cell : str
        Text from outside, such as a file name.

    Returns
    -------
    str
        Unchanged unless it starts with ``= + - @``, a tab or a line break and is no number.

    Examples
    --------
    >>> neutralise_formula("=HYPERLINK(A1)")
    "'=HYPERLINK(A1)"
    >>> neutralise_formula("photo.jpg")
    'photo.jpg'
    """
    if not cell.startswith(_FORMULA_STARTS) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def escape_formula(cell: str) -> str:
    """Return a text as `neutralise_formula`, but so that `restore_formula` gives it back exactly.

    Examples
    --------
    >>> escape_formula("=1.jpg")
    "'=1.jpg"
    >>> escape_formula("'=1.jpg")
    "''=1.jpg"
    """
    bare = cell.lstrip("'")
    return cell if neutralise_formula(bare) == bare else f"'{cell}"


def restore_formula(cell: str) -> str:
    """Return the text that `escape_formula` was given.

    Examples
    --------
    >>> restore_formula("'=1.jpg")
    '=1.jpg'
    >>> restore_formula("'n'.jpg")
    "'n'.jpg"
    """
    return cell[1:] if cell[:1] == "'" and escape_formula(cell[1:]) == cell else cell


def table_csv(table: "pd.DataFrame") -> str:
    """Return a table as CSV whose texts and headings no spreadsheet runs as formulas.

    Parameters
    ----------
    table : DataFrame
        Texts in columns of strings, of which some may be missing; the index is left out.
    """
    return escape_formulas(table).to_csv(index=False, lineterminator="\n")


def escape_formulas(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table whose texts and headings no spreadsheet runs as formulas.

    As by `escape_formula`, so that no two texts become one. Also for tables on a page: a button
    over them saves what they show as CSV.

    Parameters
    ----------
    table : DataFrame
        Texts in columns of strings.

    Returns
    -------
    DataFrame
        A copy; numbers are as they were.
    """
    import pandas as pd

    safe = table.copy(deep=False)
    for column in range(table.shape[1]):
        values = table.iloc[:, column]
        if not pd.api.types.is_numeric_dtype(values):
            safe.isetitem(column, values.map(escape_formula, na_action="ignore"))
    safe.columns = pd.Index([escape_formula(str(name)) for name in table.columns])
    return safe
