"""What can be wrong with a photograph of a dataset: one small class per kind of issue.

The table has cleanvision's shape: ``<issue>_score`` in [0, 1] (low is bad) and
``is_<issue>_issue``. To add a kind, write a class and register it.
"""

import json
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from har_core.storage.spreadsheets import neutralise_formula

_DECIMALS: Final = 4


def findings_csv(photographs: pd.DataFrame) -> str:
    """Return the findings as CSV.

    Parameters
    ----------
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.

    Returns
    -------
    str
        Per photograph ``filename``, ``label`` (both safe to open in a spreadsheet), then
        ``<issue>_score`` and ``is_<issue>_issue`` for each kind of issue, and
        ``duplicate_group`` (empty where there is none).
    """
    columns = [f(name) for name in ISSUE_KINDS for f in (score_column, issue_column)]
    table = photographs[["filename", "label", *columns, "duplicate_group"]].copy()
    for column in ("filename", "label"):
        table[column] = table[column].map(neutralise_formula)
    scores = [score_column(name) for name in ISSUE_KINDS]
    table[scores] = table[scores].round(_DECIMALS)
    return table.to_csv(index=False, lineterminator="\n")


def findings_json(photographs: pd.DataFrame) -> str:
    """Return the number of photographs with each kind of issue as a JSON object."""
    return json.dumps(count_issues(photographs), indent=2) + "\n"


# Suffixes under which a content is expected; names as in `har_core.images.decoding.signatures`.
_SUFFIXES: Final = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WebP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
}


class IssueKind(ABC):
    """One kind of issue.

    Attributes
    ----------
    name : str
        As in the columns ``<name>_score`` and ``is_<name>_issue``.
    title : str
        For people.
    meaning : str
        One sentence: what it is, and what to do.
    threshold : float
        Scores below it are issues.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    threshold: ClassVar[float] = 0.5

    @abstractmethod
    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Score every photograph.

        Parameters
        ----------
        photographs : DataFrame
            Rows of `har_core.scan.scanning.scan_dataset`, before the issues.

        Returns
        -------
        ndarray of float64, shape (N,)
            In [0, 1], low is bad; NaN where there is nothing to judge (e.g. a missing file).
        """

    def find(self, photographs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores, 1 where there is nothing to judge, and which are issues (bool)."""
        scores = np.asarray(self.score(photographs), dtype=np.float64)
        scores = np.clip(np.nan_to_num(scores, nan=1.0), 0.0, 1.0)
        return scores, scores < self.threshold


ISSUE_KINDS: dict[str, IssueKind] = {}


def register(kind: type[IssueKind]) -> type[IssueKind]:
    """Add a kind of issue to `ISSUE_KINDS`; its place there is its place in tables."""
    ISSUE_KINDS[kind.name] = kind()
    return kind


def score_column(issue: str) -> str:
    """Return the name of an issue's score column."""
    return f"{issue}_score"


def issue_column(issue: str) -> str:
    """Return the name of an issue's yes/no column."""
    return f"is_{issue}_issue"


def find_issues(photographs: pd.DataFrame) -> pd.DataFrame:
    """Judge every photograph by every registered kind of issue.

    Parameters
    ----------
    photographs : DataFrame
        See `IssueKind.score`.

    Returns
    -------
    DataFrame
        Same index; ``<issue>_score`` (float64) and ``is_<issue>_issue`` (bool) per kind.
    """
    columns: dict[str, np.ndarray] = {}
    for kind in ISSUE_KINDS.values():
        columns[score_column(kind.name)], columns[issue_column(kind.name)] = kind.find(photographs)
    return pd.DataFrame(columns, index=photographs.index)


def count_issues(findings: pd.DataFrame) -> dict[str, int]:
    """Return how many photographs have each kind of issue, in registry order."""
    return {name: int(findings[issue_column(name)].sum()) for name in ISSUE_KINDS}


def any_issue(findings: pd.DataFrame) -> pd.Series:
    """Tell which photographs have an issue of any kind: bool, index as `findings`."""
    return findings[[issue_column(name) for name in ISSUE_KINDS]].any(axis=1)


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
class Unreadable(IssueKind):
    """Empty, cut short, damaged, or no image at all."""

    name = "unreadable"
    title = "Unreadable"
    meaning = "Empty, cut short, damaged or no image: it cannot be decoded. Replace or drop it."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1."""
        return photographs["reason"].fillna("").eq("").to_numpy(float)


@register
class WrongExtension(IssueKind):
    """The name promises another format than the content has."""

    name = "wrong_extension"
    title = "Wrong extension"
    meaning = "The name promises another format than the content has; some programs will stumble."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1; content that cannot be identified is not judged."""
        content = photographs["content"].fillna("").replace("unknown data", "")
        return np.array(
            [
                np.nan if not c else float(name.lower().endswith(_SUFFIXES.get(c, ("\0",))))
                for name, c in zip(photographs["filename"], content, strict=True)
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


class _CleanvisionIssue(IssueKind):
    """An issue that cleanvision scores from measured values, with its threshold."""

    @staticmethod
    @abstractmethod
    def make_property() -> Any:
        """Return cleanvision's image property."""

    def parameters(self) -> dict[str, float]:
        """Return the parameters of cleanvision's ``get_scores``."""
        return {}

    def values(self, photographs: pd.DataFrame) -> pd.DataFrame:
        """Return the measured values under cleanvision's column names."""
        return photographs

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return cleanvision's score."""
        measured = photographs["pixels"].notna().to_numpy()
        scores = np.full(len(photographs), np.nan)
        if measured.any():
            image_property = self.make_property()
            values = self.values(photographs[measured])[image_property.score_columns].astype(float)
            scores[measured] = image_property.get_scores(
                raw_scores=values, issue_type=self.name, **self.parameters()
            )[score_column(self.name)]
        return scores


@cache
def _image_properties() -> Any:
    # cleanvision takes half a second to import, which only a scan should cost.
    from cleanvision.issue_managers import image_property

    return image_property


@register
class Dark(_CleanvisionIssue):
    """Even its brightest spots are dark."""

    name = "dark"
    title = "Dark"
    meaning = "Even the brightest spots are dark; the action may not be recognisable."
    threshold = 0.32

    @staticmethod
    def make_property() -> Any:
        """Return cleanvision's brightness property."""
        return _image_properties().BrightnessProperty("dark")


@register
class Light(_CleanvisionIssue):
    """Even its darkest spots are bright."""

    name = "light"
    title = "Light"
    meaning = "Even the darkest spots are bright: overexposed or washed out."
    threshold = 0.05

    @staticmethod
    def make_property() -> Any:
        """Return cleanvision's brightness property."""
        return _image_properties().BrightnessProperty("light")


@register
class Blurry(IssueKind):
    """Blurring it once more would hardly change it."""

    # cleanvision's blur score, from edges at 64 pixels, finds 3 % of photographs blurred with a
    # Gaussian of radius 3 and 36 % at radius 10. This one finds 100 % of either; of 1,000 originals
    # the least sharp has 0.502.
    name = "blurry"
    title = "Blurry"
    meaning = "Out of focus, moved, or enlarged from a smaller picture."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return `har_core.scan.measurement.measure_sharpness`."""
        return photographs["sharpness"].to_numpy(float)


@register
class OddSize(_CleanvisionIssue):
    """Much larger or smaller than the other photographs."""

    name = "odd_size"
    title = "Odd size"
    meaning = "Much larger or smaller than the rest (three interquartile ranges off)."

    @staticmethod
    def make_property() -> Any:
        """Return cleanvision's size property."""
        return _image_properties().SizeProperty()

    def parameters(self) -> dict[str, float]:
        """Return cleanvision's default."""
        return {"iqr_factor": 3.0}

    def values(self, photographs: pd.DataFrame) -> pd.DataFrame:
        """Return the square root of the area."""
        area = photographs["width"].astype(float) * photographs["height"].astype(float)
        return pd.DataFrame({"size": np.sqrt(area)})

    def find(self, photographs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Flag as cleanvision does, whose threshold is 1 where most sizes are equal."""
        scores, flagged = super().find(photographs)
        areas = self.values(photographs)["size"].dropna()
        if len(areas) and np.subtract(*np.percentile(areas, [75, 25])) == 0:
            flagged = scores < 1.0
        return scores, flagged


@register
class OddAspectRatio(_CleanvisionIssue):
    """A narrow strip."""

    name = "odd_aspect_ratio"
    title = "Odd aspect ratio"
    meaning = "A narrow strip: resizing it to the network's square input distorts it badly."
    threshold = 0.35

    @staticmethod
    def make_property() -> Any:
        """Return cleanvision's aspect ratio property."""
        return _image_properties().AspectRatioProperty()

    def values(self, photographs: pd.DataFrame) -> pd.DataFrame:
        """Return the shorter side over the longer."""
        sides = photographs[["width", "height"]].astype(float)
        return pd.DataFrame({"aspect_ratio": sides.min(axis=1) / sides.max(axis=1)})


@register
class LowInformation(_CleanvisionIssue):
    """Few different colours."""

    name = "low_information"
    title = "Low information"
    meaning = "Few different colours: a blank picture, a logo or a placeholder."
    threshold = 0.3

    @staticmethod
    def make_property() -> Any:
        """Return cleanvision's entropy property."""
        return _image_properties().EntropyProperty()

    def parameters(self) -> dict[str, float]:
        """Return cleanvision's default."""
        return {"normalizing_factor": 0.1}


@register
class Greyscale(IssueKind):
    """No colour: also where it is stored as RGB, which cleanvision does not see."""

    name = "grayscale"
    title = "Greyscale"
    meaning = "It has no colour. Fine if the photographs to classify have none either."

    def score(self, photographs: pd.DataFrame) -> np.ndarray:
        """Return 0 or 1."""
        return 1 - photographs["colourless"].astype(float).to_numpy()
