"""The table of claims: what, what must hold, what was measured, and whether it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEADINGS: Final = ("what", "must hold", "measured", "holds?")


@dataclass(frozen=True)
class Row:
    """One claim.

    Parameters
    ----------
    what : str
        What was measured.
    must_hold : str
        The bound, in words.
    measured : str
        The ratio, and what it is the ratio of.
    holds : bool, optional
        None for a figure without a bound, or one that could not be measured.
    """

    what: str
    must_hold: str
    measured: str
    holds: bool | None

    def cells(self) -> tuple[str, str, str, str]:
        """Return the row as text."""
        verdict = {True: "yes", False: "NO", None: "–"}[self.holds]
        return self.what, self.must_hold, self.measured, verdict


def skipped(what: str, reason: str) -> Row:
    """Return the row of a claim that cannot be measured here."""
    return Row(what, "–", f"skipped: {reason}", None)


def at_most(what: str, value: float, bound: float, unit: str, detail: str) -> Row:
    """Return the row of a claim that a ratio is at most `bound`."""
    return Row(what, f"≤ {bound:g} {unit}", f"{value:.2f} {unit} ({detail})", value <= bound)


def at_least(what: str, value: float, bound: float, unit: str, detail: str) -> Row:
    """Return the row of a claim that a ratio is at least `bound`."""
    return Row(what, f"≥ {bound:g} {unit}", f"{value:.2f} {unit} ({detail})", value >= bound)


def as_text(rows: Sequence[Row]) -> str:
    """Return the table with aligned columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
