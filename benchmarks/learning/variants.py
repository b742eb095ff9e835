"""The student's lesson at a small budget, and what changes one thing of it."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from har_core.training.learning.augmentation import AugmentationSettings

_VIEWS: Final = AugmentationSettings(mixup=0.5)  # as in recipes/har15.toml


@dataclass(frozen=True)
class Variant:
    """How a student learns; see `har_core.training.settings.TrainingSettings` for the rest.

    Parameters
    ----------
    labelled, unlabelled : float
        Shares of the photographs that are there.
    teachers : tuple of str
        Whose mean opinion is learned; none: the labels of photographs that have one.
    same_view : bool
        Whether teachers judge the view that the student sees, not the whole photograph.
    sizes : tuple of int
        Sides in pixels of the first 53 % of the steps, and of the others.
    length : float
        Share of the steps.
    """

    labelled: float = 1.0
    unlabelled: float = 1.0
    teachers: tuple[str, ...] = ("mobilenet", "lite0")
    same_view: bool = True
    augmentation: AugmentationSettings = field(default=_VIEWS)
    layer_decay: float = 0.9
    averaged: bool = True
    sizes: tuple[int, int] = (96, 128)
    length: float = 1.0


def variants() -> dict[str, Variant]:
    """Return all, what tells most first."""
    recipe = Variant()

    def but(**changes: Any) -> Variant:
        return replace(recipe, **changes)

    def seen(**changes: float) -> Variant:
        return but(augmentation=replace(_VIEWS, **changes))

    return {
        "the recipe": recipe,
        "labels instead of teachers": but(teachers=(), unlabelled=0.0),
        "no photographs without labels": but(unlabelled=0.0),
        "25 % of the labels": but(labelled=0.25),
        "50 % of the labels": but(labelled=0.5),
        "half of those without labels": but(unlabelled=0.5),
        "half the steps": but(length=0.5),
        "opinions of whole photographs": but(same_view=False),
        "no mixup": seen(mixup=0.0),
        "no crops": seen(min_crop_area=1.0, max_aspect_change=1.0),
        "no colours, no erasing": seen(colour=0.0, greyscale=0.0, erasing=0.0),
        "one teacher": but(teachers=("lite0",)),
        "no layer-wise decay": but(layer_decay=1.0),
        "no moving average": but(averaged=False),
        "all steps at 128 pixels": but(sizes=(128, 128)),
    }
