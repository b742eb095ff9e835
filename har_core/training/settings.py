"""The settings that decide a training run besides the dataset."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from har_core.errors import HarError
from har_core.training.learning.augmentation import AugmentationSettings


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides a training run besides the dataset.

    Parameters
    ----------
    backbone_weights : str
        See `har_core.training.network.build_network`; or ``"shipped"``, see
        `har_core.training.ancestry.shipped_backbone`.
    seed : int
        Of the split, the initial head, the order of photographs and the augmentation.
    validation, test : float
        Shares of the photographs in these splits.
    head : {"lstm", "pooled"}
        See `har_core.training.network.build_network`.
    head_epochs : int
        Epochs of the head on the frozen backbone's features.
    epochs : int
        Epochs of fine-tuning the whole network; 0 leaves the backbone as it is.
    small_epochs : int
        So many of the fine-tuning's first epochs see photographs of `small_size`, never the last
        one: progressive resizing, at half the cost (Touvron et al. 2019, arXiv:1906.06423, on
        what sizes suit).
    small_size, size : int
        Sides in pixels of the first and of the further epochs' photographs, multiples of 16;
        whatever they are, the network is measured and used at 224.
    frozen_blocks : int
        While fine-tuning, the stem and the blocks before the one of this number keep their
        pretrained weights; 0 trains all.
    batch_size : int
        Photographs per step.
    head_learning_rate, learning_rate : float
        Peaks of the two stages' schedules; the second is that of the last backbone block.
    head_factor : float
        While fine-tuning, the head's learning rate is this times the backbone's.
    layer_decay : float
        Learning-rate factor from one backbone stage to the one before it.
    warmup_epochs : float
        Length of the fine-tuning's linear warm-up.
    weight_decay, label_smoothing, dropout : float
        Regularisation.
    ema_epochs : float
        Time constant, in epochs, of the moving average of the weights that is evaluated and kept;
        0 turns it off.
    augmentation : AugmentationSettings
        Of the fine-tuning.
    teachers : tuple of str
        Bundles, or folders of trained networks, whose mean opinion is mixed into the targets while
        fine-tuning.
    teacher_weight : float
        Share of that opinion in the targets, in [0, 1].
    views : int
        The teachers judge so many views of each photograph, which then come again and again; 0
        shows other views in every epoch.
    unlabelled : str
        Folder of photographs that are learned from by the teachers' opinion alone.
    fewest_head_steps, fewest_steps : int
        Where the photographs are few, the head and the fine-tuning get epochs until they have so
        many steps.
    splits_of : str
        Bundle whose split is kept, so that the two models can be compared: see
        `har_core.dataset.splits.inherited_split`.
    notes : str
        For the model card, e.g. the origin and licence of the photographs and weights.
    """

    backbone_weights: str = "imagenet"
    seed: int = 0
    validation: float = 0.1
    test: float = 0.1
    head: str = "lstm"
    head_epochs: int = 4
    epochs: int = 14
    small_epochs: int = 9
    small_size: int = 160
    size: int = 224
    frozen_blocks: int = 3
    batch_size: int = 32
    head_learning_rate: float = 1e-3
    learning_rate: float = 2e-4
    head_factor: float = 2.0
    layer_decay: float = 0.9
    warmup_epochs: float = 1.0
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    dropout: float = 0.4
    ema_epochs: float = 0.5
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    teachers: tuple[str, ...] = ()
    teacher_weight: float = 0.7
    views: int = 0
    unlabelled: str = ""
    fewest_head_steps: int = 0
    fewest_steps: int = 0
    splits_of: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        wrong = [
            message
            for invalid, message in (
                (not 0 <= self.seed < 2**31, f"the seed must be from 0 to {2**31 - 1}"),
                (self.head_epochs < 0, "head epochs must not be negative"),
                (self.head_epochs + self.epochs < 1, "there must be an epoch"),
                (self.head not in ("lstm", "pooled"), "the head must be lstm or pooled"),
                (
                    not (self.validation > 0 and self.test > 0 and self.validation + self.test < 1),
                    "the shares of validation and test must be positive and leave some",
                ),
                (self.epochs < 0, "epochs must not be negative"),
                (self.small_epochs < 0, "small epochs must not be negative"),
                (
                    min(self.small_size, self.size) < 32 or (self.small_size | self.size) % 16 != 0,
                    "sizes must be multiples of 16 from 32",
                ),
                (self.views < 0, "views must not be negative"),
                (self.frozen_blocks < 0, "frozen blocks must not be negative"),
                (self.ema_epochs < 0, "the moving average's epochs must not be negative"),
                (self.warmup_epochs < 0, "warm-up epochs must not be negative"),
                (not 0 <= self.weight_decay < 1, "the weight decay must be in [0, 1)"),
                (
                    not 0 < self.head_learning_rate < 1,
                    "the head's learning rate must be in (0, 1)",
                ),
                (
                    min(self.fewest_head_steps, self.fewest_steps) < 0,
                    "the fewest steps must not be negative",
                ),
                (self.batch_size < 2, "the batch size must be at least 2"),
                (not 0 < self.learning_rate < 1, "the learning rate must be in (0, 1)"),
                (not 0 <= self.dropout < 1, "dropout must be in [0, 1)"),
                (not 0 <= self.label_smoothing < 1, "label smoothing must be in [0, 1)"),
                (not 0 < self.layer_decay <= 1, "the layer decay must be in (0, 1]"),
                (not 0 <= self.teacher_weight <= 1, "the teacher weight must be in [0, 1]"),
            )
            if invalid
        ]
        if wrong:
            raise HarError(f"Training settings: {'; '.join(wrong)}.")

    def is_small(self, epoch: int) -> bool:
        """Tell whether a fine-tuning epoch, counted from 0, sees photographs of `small_size`."""
        return epoch < min(self.small_epochs, self.epochs - 1)

    def learned_of(self, n: int) -> int:
        """Return about how many of `n` photographs are learned from, at least 1."""
        return max(1, round((1 - self.validation - self.test) * n))

    def for_photographs(self, n: int) -> "TrainingSettings":
        """Return these settings with as many epochs as the fewest steps ask for.

        Parameters
        ----------
        n : int
            Photographs that are learned from, at least 1.
        """
        steps = math.ceil(n / self.batch_size)
        head_least, least = (
            math.ceil(fewest / steps) for fewest in (self.fewest_head_steps, self.fewest_steps)
        )
        epochs = max(self.epochs, least) if self.epochs else 0
        return replace(
            self,
            head_epochs=max(self.head_epochs, head_least) if self.head_epochs else 0,
            epochs=epochs,
            small_epochs=round(self.small_epochs * epochs / max(1, self.epochs)),
        )

    def changed(self, changes: Mapping[str, Any]) -> "TrainingSettings":
        """Return these settings with some of another value.

        Parameters
        ----------
        changes : mapping of str to object
            By the names of the fields here, or of those of the augmentation.

        Raises
        ------
        HarError
            If a value cannot be used.
        """
        names = {f.name for f in fields(AugmentationSettings)}
        augmentation = replace(
            self.augmentation, **{n: v for n, v in changes.items() if n in names}
        )
        others = {n: v for n, v in changes.items() if n not in names}
        return replace(self, **{"augmentation": augmentation, **others})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingSettings":
        """Rebuild settings from `dataclasses.asdict`."""
        augmentation = AugmentationSettings(**values["augmentation"])
        teachers = tuple(values["teachers"])
        return cls(**{**values, "augmentation": augmentation, "teachers": teachers})
