"""How well a model tells foreign pictures: false alarms on its own kind, hits on others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import N_RESAMPLES, Interval, percentile_interval
from har_core.images.listing import photographs_below
from har_core.model.classifier import ActionModel
from har_core.model.prediction import Prediction
from har_core.progress import silent
from har_core.storage.paths import expanded, is_folder


@dataclass(frozen=True, eq=False)
class JudgedPictures:
    """What a model says of some pictures' novelty.

    Parameters
    ----------
    novelty : ndarray of float64, shape (N,)
    flagged : ndarray of bool, shape (N,)
        Whether each is called foreign.
    read : ndarray of int, shape (N,)
        Positions of these among the pictures that were given; the others could not be read.
    """

    novelty: np.ndarray
    flagged: np.ndarray
    read: np.ndarray

    @property
    def auroc(self) -> Interval:
        """Area under the ROC curve against the model's validation photographs, for foreign ones.

        A picture's novelty is the share of them that look more ordinary, so that the area is its
        mean; the 95 % interval is a bootstrap over the pictures.
        """
        rng, n = np.random.default_rng(0), len(self.novelty)
        means = [self.novelty[rng.integers(n, size=n)].mean() for _ in range(N_RESAMPLES)]
        return percentile_interval(float(self.novelty.mean()), np.array(means))


def judge_pictures(
    model: ActionModel,
    paths: Sequence[str | Path],
    *,
    progress: Callable[[int, int], None] = silent,
) -> JudgedPictures:
    """Judge pictures; those that cannot be read are left out.

    Raises
    ------
    DatasetError
        If the model cannot tell foreign pictures, or none can be read.
    """
    if model.novelty is None:
        raise DatasetError(
            f"The model {model.name!r} cannot tell foreign pictures; 'har calibrate' teaches it."
        )
    answers = model.predict_batch(list(paths), progress=progress)
    good = [(i, a) for i, a in enumerate(answers) if isinstance(a, Prediction)]
    if not good:
        raise DatasetError("None of the pictures can be read.")
    return JudgedPictures(
        novelty=np.array([answer.novelty for _, answer in good], np.float64),
        flagged=np.array([answer.in_scope is False for _, answer in good]),
        read=np.array([i for i, _ in good]),
    )


def list_pictures(folder: str | Path) -> list[Path]:
    """Return the pictures of a folder and those below it, sorted.

    Raises
    ------
    HarError
        If there is no such folder, it holds no picture, or it cannot be listed.
    """
    root = expanded(folder)
    found = [Path(entry.path) for entry in photographs_below(root)] if is_folder(root) else []
    if not found:
        raise DatasetError(f"There is no folder {root}, or it holds no pictures.")
    return found
