"""What can be wrong with a photograph as a picture: its light, sharpness, size and colour."""

from abc import abstractmethod
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from har_core.scan.issue_kind import IssueKind, register, score_column


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
