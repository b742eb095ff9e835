"""What a table of labels says by itself: class balance, and slips that a fix can be offered for."""

import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd

from har_core.errors import some_of

_BALANCED_UP_TO = 1.5
_WEIGHTS_FROM = 3.0
_MORE_DATA_FROM = 10.0


@dataclass(frozen=True)
class ClassBalance:
    """How evenly photographs are spread over classes.

    Parameters
    ----------
    counts : Series of int
        Photographs by label, most frequent first, unlabelled ones left out.
    """

    counts: pd.Series

    @classmethod
    def of(cls, labels: pd.Series) -> "ClassBalance":
        """Count labels; empty ones are left out."""
        return cls(labels[labels.ne("")].value_counts())

    @property
    def imbalance_ratio(self) -> float:
        """Size of the largest class over that of the smallest; NaN without labels."""
        return float(self.counts.max() / self.counts.min()) if len(self.counts) else np.nan

    @property
    def normalised_entropy(self) -> float:
        """Entropy of the shares over its maximum: 1 for equal classes, NaN for fewer than two."""
        if len(self.counts) < 2:
            return np.nan
        shares = self.counts.to_numpy() / self.counts.sum()
        return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))

    def describe(self) -> str:
        """Say in one line what the ratio means for training."""
        if len(self.counts) < 2:
            return "One class only: nothing to tell apart."
        ratio = self.imbalance_ratio
        if ratio <= _BALANCED_UP_TO:
            return "balanced"
        text = f"{ratio:.1f} : 1"
        if ratio < _WEIGHTS_FROM:
            return f"{text}: slightly uneven, no action needed"
        if ratio < _MORE_DATA_FROM:
            return f"{text}: consider class weights"
        return f"{text}: collect more photographs of {self.counts.index[-1]!r}, or leave it out"


@dataclass(frozen=True)
class LabelSlips:
    """Slips in a table of labels.

    Parameters
    ----------
    variants : DataFrame
        Labels that differ from another only in case, spaces or punctuation: ``label``,
        ``suggested`` (the most frequent spelling), ``rows``.
    empty : DataFrame
        Rows without a label: ``filename``, ``label``.
    repeated : DataFrame
        Rows whose filename another row has too: ``filename``, ``label``, ``conflict`` (their
        labels differ, also after `variants` are fixed).
    """

    variants: pd.DataFrame
    empty: pd.DataFrame
    repeated: pd.DataFrame

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(len(self.variants) or len(self.empty) or len(self.repeated))


def find_label_slips(table: pd.DataFrame) -> LabelSlips:
    """Find spelling variants, empty labels and repeated filenames.

    Parameters
    ----------
    table : DataFrame
        ``filename`` and ``label`` (str), e.g. from `har_core.dataset.table.read_table`, which
        leaves labels as they are, so that ``"running "`` is seen.

    Returns
    -------
    LabelSlips
    """
    spellings = suggest_spellings(table["label"])
    counts = table["label"].value_counts()
    variants = pd.DataFrame(
        [
            (label, suggested, int(counts[label]))
            for label, suggested in spellings.items()
            if label != suggested
        ],
        columns=["label", "suggested", "rows"],
    ).sort_values(["suggested", "rows"], ascending=[True, False], ignore_index=True)
    empty = table[table["label"].str.strip().eq("")]
    repeated = table[table["filename"].duplicated(keep=False)].sort_values(
        "filename", kind="stable"
    )
    fixed = repeated["label"].map(spellings)
    conflict = fixed.groupby(repeated["filename"]).transform("nunique").gt(1)
    return LabelSlips(
        variants,
        empty[["filename", "label"]],
        repeated[["filename", "label"]].assign(conflict=conflict),
    )


def describe_variants(labels: pd.Series) -> str:
    """Say which labels differ from another only in spelling, ``""`` if none does.

    Parameters
    ----------
    labels : Series of str
        One per row of the table.
    """
    counts = labels[labels.ne("")].value_counts()
    pairs = [(k, v) for k, v in suggest_spellings(labels[labels.ne("")]).items() if k != v]
    if not pairs:
        return ""
    named = [
        f"{label!r} ({counts[label]:,}) and {best!r} ({counts.get(best, 0):,})"
        for label, best in pairs
    ]
    return f"Labels that differ only in spelling are different classes: {some_of(named, 5)}."


def suggest_spellings(labels: pd.Series) -> dict[str, str]:
    """Map every distinct label to its most frequent spelling.

    Labels count as the same when they agree but for case, spaces, hyphens and underscores; of
    equally frequent spellings the one in lower case without outer spaces wins.
    """
    counts = labels.value_counts()
    groups: dict[str, list[str]] = {}
    for label in counts.index:
        groups.setdefault(spelling_key(label) or label.strip(), []).append(label)
    suggested = {}
    for spellings in groups.values():
        best = min(
            spellings, key=lambda s: (-int(counts[s]), s != s.strip(), s != s.lower(), s)
        ).strip()
        suggested.update(dict.fromkeys(spellings, best))
    return suggested


def spelling_key(name: str) -> str:
    """Return what names share that differ only in case, spaces, hyphens and underscores.

    An accent of its own (NFD, as in names of folders from a Mac) counts as the letter with it, a
    letter of full width as the usual one, and a mark that cannot be seen (of copied text) as none.
    """
    letters = unicodedata.normalize("NFKC", name.casefold())
    return "_".join(without_marks(letters).replace("-", " ").replace("_", " ").split())


def without_marks(text: str) -> str:
    """Leave out what cannot be seen and has no width, such as the direction of writing."""
    if text.isprintable():
        return text
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def fix_label_slips(table: pd.DataFrame) -> pd.DataFrame:
    """Apply the offered fixes.

    Parameters
    ----------
    table : DataFrame
        ``filename``, ``label`` and any other columns.

    Returns
    -------
    DataFrame
        With one spelling per label; without rows that have no label; of repeated filenames the
        first row, or none where their labels differ, because nobody can tell which is right.
    """
    fixed = table.copy()
    fixed["label"] = fixed["label"].map(suggest_spellings(fixed["label"]))
    fixed = fixed[fixed["label"].ne("")]
    labels = fixed.groupby("filename", sort=False)["label"].transform("nunique")
    return fixed[labels.eq(1)].drop_duplicates("filename", ignore_index=True)
