"""How a model turns probabilities into an answer: how sure it says it is, and when it abstains."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from har_core.model.temperature import apply_temperature

_HALVINGS: Final = 40
_INVERSE_RANGE: Final = (1e-3, 1e3)


@dataclass(frozen=True)
class AnswerRules:
    """What a bundle records, beside the temperature, about its answers.

    Parameters
    ----------
    abstain_below : float
        The model does not answer where its confidence is lower; 0: it always answers.
    confidence : tuple of (float, float)
        A monotone map from the largest probability to the share of such answers that are right,
        as points to interpolate between, both ends included; empty: the probability is taken as
        it is.
    set_threshold : float or None
        The classes with at least this probability are an answer set (split conformal prediction;
        Vovk et al. 2005); None: no sets.
    set_coverage : float
        The share of sets that hold the right class.
    fitted_on : str
        Name of the split.
    n : int
        Its photographs.
    """

    abstain_below: float = 0.0
    confidence: tuple[tuple[float, float], ...] = ()
    set_threshold: float | None = None
    set_coverage: float = 0.9
    fitted_on: str = ""
    n: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return what ``bundle.json`` holds under ``answers``."""
        return {**asdict(self), "confidence": [list(point) for point in self.confidence]}

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "AnswerRules":
        """Read what `to_dict` wrote; of an older bundle nothing, which means the defaults.

        Raises
        ------
        ValueError
            If a value cannot be used.
        """
        try:
            rules = cls(**body)
            points = tuple((float(x), float(y)) for x, y in rules.confidence)
            numbers = [rules.abstain_below, rules.set_coverage, *np.ravel(points)]
            if rules.set_threshold is not None:
                numbers.append(rules.set_threshold)
            usable = all(0 <= number <= 1 for number in numbers) and type(rules.n) is int
        except TypeError as error:
            raise ValueError(str(error)) from error
        falls = any(b[0] <= a[0] or b[1] < a[1] for a, b in itertools.pairwise(points))
        if not usable or falls or len(points) == 1:
            raise ValueError(
                "its answers hold a number outside [0, 1], a map that falls or no count"
            )
        return cls(**{**body, "confidence": points})

    def shown(self, probabilities: np.ndarray) -> np.ndarray:
        """Return probabilities whose largest is what the confidence map says of it.

        Each row gets a temperature of its own that leads there, so that its order stays and it
        still sums to 1.

        Parameters
        ----------
        probabilities : ndarray of float64, shape (N, C)
            At the bundle's temperature.

        Returns
        -------
        ndarray of float64, shape (N, C)
        """
        if not self.confidence or not len(probabilities):
            return probabilities
        largest = probabilities.max(axis=1)
        known, right = np.transpose(self.confidence)
        # No order-keeping row of C classes has a largest probability below 1 / C.
        least = 1 / probabilities.shape[1]
        wanted = np.clip(np.interp(largest, known, right), least + 1e-9, 1 - 1e-9)
        return _with_largest(probabilities, wanted)

    def answer_set(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Return which classes the answer set of a row of shown probabilities holds, best first.

        Returns
        -------
        ndarray of int or None
            Indices of classes, at least the most probable one.
        """
        if self.set_threshold is None:
            return None
        order = np.argsort(-probabilities, kind="stable")
        n = int((probabilities >= self.set_threshold).sum())
        return order[: max(n, 1)]


NO_RULES: Final = AnswerRules()


def _with_largest(probabilities: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Temper each row so that its largest probability is the wanted one, by bisection."""
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities)
    logits -= logits.max(axis=1, keepdims=True)
    low, high = (np.full(len(wanted), np.log(bound)) for bound in _INVERSE_RANGE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        largest = 1 / np.exp(logits * np.exp(middle)[:, np.newaxis]).sum(axis=1)
        low, high = (
            np.where(largest < wanted, middle, low),
            np.where(largest < wanted, high, middle),
        )
    tempered = np.exp(logits * np.exp((low + high) / 2)[:, np.newaxis])
    return apply_temperature(tempered, 1.0)
