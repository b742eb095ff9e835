"""What can be wrong with a photograph as a file and a row: missing, damaged, twice, at odds."""

from typing import Final

import numpy as np
import pandas as pd

from har_core.images.formats import PHOTO_FORMATS
from har_core.scan.issue_kind import IssueKind, register

_SUFFIXES: Final = {entry.name: entry.suffixes for entry in PHOTO_FORMATS}
_BARELY: Final = 0.01


@register
class Missing(IssueKind):
    """Listed in the table, but there is no such file."""

    name = "missing"
    title = "Missing file"
    meaning = "The table lists it, but the folder has no such file. Restore it or drop the row."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1."""
        return photographs["path"].notna().to_numpy(float)


@register
class Unlisted(IssueKind):
    """In the folder, but not in the table."""

    name = "unlisted"
    title = "Not in the table"
    meaning = "The folder holds it, but the table does not list it: training will not see it."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1."""
        return photographs["listed"].to_numpy(float)


@register
class Unlabelled(IssueKind):
    """The table has labels, but none for it."""

    name = "unlabelled"
    title = "No label"
    meaning = (
        "The table has no label for it: the Training page passes over it, 'har train' refuses the "
        "table without --cleaned. Fill it in or drop it."
    )

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1; a table without labels is not judged."""
        empty = photographs["label"].eq("") & photographs["labels"].gt(0)
        return 1 - empty.to_numpy(float)


@register
class Unreadable(IssueKind):
    """Empty, cut short, damaged, or no image at all."""

    name = "unreadable"
    title = "Unreadable"
    meaning = "Empty, cut short, damaged or no image: it cannot be decoded. Replace or drop it."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1."""
        return photographs["reason"].fillna("").eq("").to_numpy(float)


@register
class Damaged(IssueKind):
    """Decoders warn of it, but show most of it."""

    name = "damaged"
    title = "Damaged in part"
    meaning = (
        "Its data are damaged, but most of the picture is there: decoders show it without a word. "
        "Replace it."
    )
    threshold = 1.0

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return the share of the picture that is sound, less than 1 where anything is wrong."""
        return 1 - np.maximum(photographs["damage"].to_numpy(float), _BARELY)


@register
class WrongExtension(IssueKind):
    """The name promises another format than the content has."""

    name = "wrong_extension"
    title = "Wrong extension"
    meaning = "The name promises another format than the content has; some programs will stumble."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1; content that cannot be identified is not judged, nor a bare name."""
        content = photographs["content"].fillna("").replace("unknown data", "")
        names = photographs["filename"].tolist()  # a tenth of the time of iterating in pandas
        return np.array(
            [
                float(name.lower().endswith(_SUFFIXES.get(c, ("\0",))))
                if c and "." in name.rsplit("/", 1)[-1]
                else np.nan
                for name, c in zip(names, content.tolist(), strict=True)
            ]
        )


@register
class ExactDuplicates(IssueKind):
    """The same pixels in several files."""

    name = "exact_duplicates"
    title = "Exact duplicates"
    meaning = "Several files show exactly the same pixels. Keep one of each group."
    threshold = 1.0

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return one over the number of files with these pixels, as cleanvision does."""
        return 1 / photographs["copies"].to_numpy(float)


@register
class NearDuplicates(IssueKind):
    """Another photograph shows the same: re-encoded, resized, slightly edited or mirrored."""

    name = "near_duplicates"
    title = "Near duplicates"
    meaning = (
        "Another file shows the same picture re-encoded, resized, slightly edited or mirrored. "
        "Keep one of each group, or at least keep the group in one split."
    )
    threshold = 1.0

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return one minus the correlation with the nearest near duplicate."""
        return 1 - photographs["correlation"].to_numpy(float)


@register
class LabelConflict(IssueKind):
    """Duplicates, or rows of the same file, with different labels."""

    name = "label_conflict"
    title = "Duplicates with different labels"
    meaning = "The same picture carries different labels. At least one of them is wrong."
    threshold = 1.0

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return the share of its group's labelled photographs that have its label."""
        labelled = photographs[photographs["label"].ne("") & photographs["duplicate_group"].notna()]
        sizes = labelled.groupby("duplicate_group")["label"].transform("size")
        same = labelled.groupby(["duplicate_group", "label"])["label"].transform("size")
        share = (same / sizes).reindex(photographs.index).to_numpy(float)
        rows = 1 / np.maximum(photographs["labels"].to_numpy(float), 1)
        return np.fmin(share, rows)
