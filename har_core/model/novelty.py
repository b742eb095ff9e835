"""Does a picture belong to what the model learned from? A score from the same forward pass."""

import dataclasses
import io
import zipfile
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError

# The share of ordinary photographs that is called foreign; at most 5 % are wanted, the rest is
# margin for thresholds that some hundred photographs set.
FALSE_ALARMS: Final = 0.042
# With fewer, a threshold of so few false alarms would lie beyond all of them.
FEWEST_HELD_OUT: Final = 23
MOST_REFERENCES: Final = 10_000
_COMPONENTS: Final = 64
_FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class Novelty:
    """How unlike the training photographs some pictures are.

    Parameters
    ----------
    value : ndarray of float64, shape (N,)
        In [0, 1]: the share of the model's own held-out photographs that look more ordinary.
    in_scope : ndarray of bool, shape (N,)
        False where a picture is unlike anything that the model learned from.
    """

    value: np.ndarray
    in_scope: np.ndarray


@dataclass(frozen=True, eq=False)
class NoveltyDetector:
    """Compares a picture's features with those of the training photographs; use `fit_novelty`.

    The score is the sum of two, each standardised on held-out photographs:

    - the Mahalanobis distance of the bottlenecks' means (Lee et al. 2018, arXiv:1807.03888; one
      Gaussian for all classes), which notices unusual texture and composition,
    - the distance to the nearest training photograph by the last map's largest values (Sun et al.
      2022, arXiv:2204.06507), scaled to length 1, which notices unusual content. Their 64
      principal components are compared, and what these leave out is added as if it were
      perpendicular.

    Parameters
    ----------
    centre, scale : ndarray of float32, shape (D,)
        Of the means.
    whitening : ndarray of float32, shape (D, D)
        Turns standardised means into uncorrelated ones.
    peak_centre : ndarray of float32, shape (C,)
    basis : ndarray of float32, shape (C, K)
        Principal components of the peaks.
    references : ndarray of float32, shape (R, K)
        Training photographs.
    remainders : ndarray of float32, shape (R,)
        Squared length of what the components leave out of each.
    rows : ndarray of int, shape (R,)
        Which photographs: rows of the bundle's ``splits.parquet``.
    standards : ndarray of float64, shape (2, 2)
        Mean and deviation of both scores on the held-out photographs.
    held_out : ndarray of float64, shape (M,)
        Sorted scores of the held-out photographs.
    split : str
        Where these are from.
    """

    centre: np.ndarray
    scale: np.ndarray
    whitening: np.ndarray
    peak_centre: np.ndarray
    basis: np.ndarray
    references: np.ndarray
    remainders: np.ndarray
    rows: np.ndarray
    standards: np.ndarray
    held_out: np.ndarray
    split: str

    def __post_init__(self) -> None:
        lengths = (self.references**2).sum(axis=1) + self.remainders
        object.__setattr__(self, "_lengths", lengths)
        # As the product with a picture wants it, which every prediction waits for.
        object.__setattr__(self, "_doubled", np.ascontiguousarray(-2 * self.references.T))

    @property
    def threshold(self) -> float:
        """The score above which a picture is foreign: split conformal, at `FALSE_ALARMS`."""
        n = len(self.held_out)
        rank = int(np.ceil((n + 1) * (1 - FALSE_ALARMS)))
        return float(self.held_out[rank - 1])

    def judge(self, means: np.ndarray, peaks: np.ndarray) -> Novelty:
        """Judge pictures by their features.

        Parameters
        ----------
        means : ndarray of float32, shape (N, D)
        peaks : ndarray of float32, shape (N, C)
            The outputs of `har_core.keras_io.feature_outputs.add_feature_outputs`.
        """
        score = self.score(means, peaks)
        more_ordinary = np.searchsorted(self.held_out, score, side="left")
        return Novelty(more_ordinary / len(self.held_out), score <= self.threshold)

    def score(self, means: np.ndarray, peaks: np.ndarray) -> np.ndarray:
        """Return the novelty before it is compared: float64, shape (N,), any range."""
        both = np.stack([self._distance(means), self._to_nearest(peaks)])
        centres, deviations = self.standards
        return ((both - centres[:, np.newaxis]) / deviations[:, np.newaxis]).sum(axis=0)

    def nearest(self, peaks: np.ndarray, k: int = 3) -> np.ndarray:
        """Return which training photographs are most similar: rows of ``splits.parquet``.

        Parameters
        ----------
        peaks : ndarray of float32, shape (C,)
            Of one picture.
        k : int, default 3

        Returns
        -------
        ndarray of int, shape (min(k, R),)
            The most similar first.
        """
        distances = self._distances(peaks[np.newaxis])[0]
        return self.rows[np.argsort(distances, kind="stable")[:k]]

    def _distance(self, means: np.ndarray) -> np.ndarray:
        standard = (means - self.centre) / self.scale
        return np.sqrt(((standard @ self.whitening) ** 2).sum(axis=1))

    def _to_nearest(self, peaks: np.ndarray) -> np.ndarray:
        return self._distances(peaks).min(axis=1)

    def _distances(self, peaks: np.ndarray) -> np.ndarray:
        """Return squared distances to every reference, float32, shape (N, R)."""
        centred = _unit(peaks) - self.peak_centre
        projected = centred @ self.basis
        distances: np.ndarray = projected @ self._doubled  # type: ignore[attr-defined]
        distances += self._lengths  # type: ignore[attr-defined]
        distances += (centred**2).sum(axis=1)[:, np.newaxis]
        return distances

    def to_bytes(self) -> bytes:
        """Return the content of ``novelty.npz``: float16, references in one byte each."""
        step = max(float(np.abs(self.references).max()), 1e-12) / 127
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            format=_FORMAT,
            centre=self.centre,
            scale=self.scale,
            whitening=self.whitening.astype(np.float16),
            peak_centre=self.peak_centre,
            basis=self.basis.astype(np.float16),
            references=np.round(self.references / step).astype(np.int8),
            step=step,
            remainders=self.remainders.astype(np.float16),
            rows=self.rows.astype(np.int32),
            standards=self.standards,
            held_out=self.held_out,
            split=self.split,
        )
        return buffer.getvalue()


def read_novelty(content: bytes, name: str) -> NoveltyDetector:
    """Read what `NoveltyDetector.to_bytes` wrote.

    Raises
    ------
    ModelBundleError
        If the content is no such file; the message holds `name`.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            if int(stored["format"]) != _FORMAT:
                raise ValueError(f"its format is {int(stored['format'])}, not {_FORMAT}")
            arrays: dict[str, Any] = {
                key: stored[key].astype(np.float32)
                for key in ("centre", "scale", "whitening", "peak_centre", "basis", "remainders")
            }
            return NoveltyDetector(
                **arrays,
                references=stored["references"].astype(np.float32) * np.float32(stored["step"]),
                rows=stored["rows"],
                standards=stored["standards"],
                held_out=stored["held_out"],
                split=str(stored["split"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelBundleError(f"Cannot read {name}: {error}.") from error


def fit_novelty(
    means: np.ndarray,
    peaks: np.ndarray,
    rows: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    split: str,
) -> NoveltyDetector | None:
    """Learn what training photographs look like, and how far others of their kind lie from them.

    Parameters
    ----------
    means : ndarray of float32, shape (R, D)
    peaks : ndarray of float32, shape (R, C)
        Features of training photographs.
    rows : ndarray of int, shape (R,)
        Which photographs, see `NoveltyDetector`.
    held_out : tuple of ndarray, shapes (M, D) and (M, C)
        Features of photographs that are not among them.
    split : str
        Where these are from.

    Returns
    -------
    NoveltyDetector or None
        As it is read back from disk; None where fewer than 23 held-out photographs could not say
        how rare a false alarm of 4.2 % is.
    """
    from sklearn.covariance import ledoit_wolf

    n = len(held_out[0])
    if n < FEWEST_HELD_OUT or len(means) < 2:
        return None
    centre = means.mean(axis=0, dtype=np.float64)
    scale = means.std(axis=0, dtype=np.float64) + 1e-6
    # Shrunk, so that few photographs of many features still have an inverse.
    covariance, _ = ledoit_wolf((means - centre) / scale, assume_centered=True)
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    unit = _unit(peaks).astype(np.float64)
    peak_centre = unit.mean(axis=0)
    unit -= peak_centre
    _, vectors = np.linalg.eigh(unit.T @ unit)
    basis = vectors[:, ::-1][:, :_COMPONENTS]
    references = unit @ basis
    detector = NoveltyDetector(
        centre=centre,
        scale=scale,
        whitening=whitening,
        peak_centre=peak_centre,
        basis=basis,
        references=references,
        remainders=np.maximum((unit**2).sum(axis=1) - (references**2).sum(axis=1), 0),
        rows=rows,
        standards=np.array([[0.0, 0.0], [1.0, 1.0]]),
        held_out=np.zeros(n),
        split=split,
    )
    # Through the rounding of the file, so that its thresholds fit what is read back.
    detector = read_novelty(detector.to_bytes(), "novelty")
    both = np.stack([detector._distance(held_out[0]), detector._to_nearest(held_out[1])])
    standards = np.stack([both.mean(axis=1), both.std(axis=1) + 1e-9])
    scores = ((both - standards[0][:, np.newaxis]) / standards[1][:, np.newaxis]).sum(axis=0)
    return dataclasses.replace(detector, standards=standards, held_out=np.sort(scores))


def _unit(peaks: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(peaks, axis=1, keepdims=True)
    return peaks / np.maximum(lengths, 1e-12)
