"""Does a picture belong to what the model learned from? A score from the same forward pass."""

import bisect
import dataclasses
import functools
import io
import math
import zipfile
from dataclasses import dataclass
from typing import Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import Features
from har_core.model.novelty.neighbours import COMPARED, Neighbours

# The share of ordinary photographs that is called foreign; at most 5 % are wanted, the rest is
# margin for thresholds that some hundred photographs set.
FALSE_ALARMS: Final = 0.045
# With fewer, a threshold of so few false alarms would lie beyond all of them.
FEWEST_HELD_OUT: Final = 22
MOST_REFERENCES: Final = 10_000
# Novelty is decided by the directions in which means vary most: all of them cost several times as
# much of every prediction, and tell it no better.
_DIRECTIONS: Final = 128
_FORMAT: Final = 2


@dataclass(frozen=True, eq=False)
class Novelty:
    """How unlike the training photographs some pictures are.

    Parameters
    ----------
    value : ndarray of float64, shape (N,)
        In [0, 1]: the share of the model's own held-out photographs that look more ordinary; NaN
        where the features are not finite.
    in_scope : ndarray of bool, shape (N,)
        False where a picture is unlike anything that the model learned from.
    """

    value: np.ndarray
    in_scope: np.ndarray


@dataclass(frozen=True, eq=False)
class NoveltyDetector:
    """Compares a picture's features with those of the training photographs; use `fit_novelty`.

    The score is the sum of three, each standardised on held-out photographs:

    - the Mahalanobis distance of the bottlenecks' means (Lee et al. 2018, arXiv:1807.03888; one
      Gaussian for all classes), which notices unusual texture and composition. The directions
      beyond the 128 that vary most count as if they varied alike,
    - the distance to the nearest training photograph (Sun et al. 2022, arXiv:2204.06507) by the
      last map's largest values, which notices unusual content,
    - and that by the spread of the widest map before it, which notices both.

    Parameters
    ----------
    centre, scale : ndarray of float32, shape (D,)
        Of the means.
    directions : ndarray of float32, shape (D, K)
        Principal directions of the standardised means.
    variances : ndarray of float32, shape (K + 1,)
        Along each, and along any other.
    peaks, spreads : Neighbours
        Training photographs by both features.
    rows : ndarray of int, shape (R,)
        Which photographs those of `peaks` are: rows of the bundle's ``splits.parquet``.
    standards : ndarray of float64, shape (2, 3)
        Mean and deviation of the scores on the held-out photographs.
    held_out : ndarray of float64, shape (M,)
        Sorted scores of the held-out photographs.
    split : str
        Where these are from.
    """

    centre: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    peaks: Neighbours
    spreads: Neighbours
    rows: np.ndarray
    standards: np.ndarray
    held_out: np.ndarray
    split: str

    @functools.cached_property
    def _ordinary(self) -> list[float]:
        return self.held_out.tolist()

    @functools.cached_property
    def threshold(self) -> float:
        """The score above which a picture is foreign: split conformal, at `FALSE_ALARMS`."""
        rank = int(np.ceil((len(self.held_out) + 1) * (1 - FALSE_ALARMS)))
        return float(self.held_out[rank - 1])

    def judge(self, features: Features) -> Novelty:
        """Judge N pictures by their features, each as if it were alone."""
        scores = self.score(features)
        n = len(self._ordinary)
        value = [
            bisect.bisect_left(self._ordinary, score) / n if math.isfinite(score) else math.nan
            for score in scores
        ]
        return Novelty(
            np.array(value), np.array([score <= self.threshold for score in scores], bool)
        )

    def score(self, features: Features) -> list[float]:
        """Return the novelty of N pictures before it is compared: any range."""
        # Numbers, not arrays: each step of NumPy costs several times as much after a network's run.
        standards = self.standards.T.tolist()
        return [
            sum((part - mean) / scale for part, (mean, scale) in zip(parts, standards, strict=True))
            for parts in self._parts(features)
        ]

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
        return self.rows[self.peaks.nearest(peaks, k)]

    def _parts(self, features: Features) -> list[tuple[float, float, float]]:
        """Return the scores of N pictures that are added up."""
        to_peaks, to_spreads = self.peaks.to_nearest, self.spreads.to_nearest
        return [
            (self._from_gaussian(means), to_peaks(peaks), to_spreads(spreads))
            for means, peaks, spreads in zip(*features, strict=True)
        ]

    def _from_gaussian(self, means: np.ndarray) -> float:
        """Return the Mahalanobis distance of one picture's means, shape (D,)."""
        standard = (means - self.centre) / self.scale
        excess = self._excess.dot(standard)
        whole = float(standard.dot(standard)) / float(self.variances[-1])
        return math.sqrt(max(whole - float(excess.dot(excess)), 0.0))

    # All is weighed as if it lay beyond the directions; this is what it weighs too much along them.
    @functools.cached_property
    def _excess(self) -> np.ndarray:
        weights = np.maximum(1 / self.variances[-1] - 1 / self.variances[:-1], 0)
        return np.ascontiguousarray((self.directions * np.sqrt(weights)).T, np.float32)

    def measured_on(self, held_out: Features) -> "NoveltyDetector":
        """Return the detector whose scores are compared with those of other held-out features."""
        parts = np.array(self._parts(held_out))
        standards = np.stack([parts.mean(axis=0), parts.std(axis=0) + 1e-9])
        measured = dataclasses.replace(self, standards=standards)
        return dataclasses.replace(measured, held_out=np.sort(measured.score(held_out)))

    def measure_to_bytes(self) -> bytes:
        """Return the content of ``novelty.int8.npz``: what `measured_on` changes."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, format=_FORMAT, standards=self.standards, held_out=self.held_out
        )
        return buffer.getvalue()

    def with_measure(self, content: bytes, name: str) -> "NoveltyDetector":
        """Return the detector with what `measure_to_bytes` of another wrote.

        Raises
        ------
        ModelBundleError
            If the content is no such file; the message holds `name`.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                if int(stored["format"]) != _FORMAT:
                    raise ValueError(f"its format is {int(stored['format'])}, not {_FORMAT}")
                return dataclasses.replace(
                    self, standards=stored["standards"], held_out=stored["held_out"]
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelBundleError(f"Cannot read {name}: {error}.") from error

    def to_bytes(self) -> bytes:
        """Return the content of ``novelty.npz``."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            format=_FORMAT,
            centre=self.centre,
            scale=self.scale,
            directions=self.directions.astype(np.float16),
            variances=self.variances,
            **self.peaks.arrays("peaks"),
            **self.spreads.arrays("spreads"),
            rows=self.rows.astype(np.int32),
            standards=self.standards,
            held_out=self.held_out,
            split=self.split,
        )
        return buffer.getvalue()


def read_novelty(content: bytes, name: str) -> NoveltyDetector | None:
    """Read what `NoveltyDetector.to_bytes` wrote.

    Returns
    -------
    NoveltyDetector or None
        None for a file of an earlier format, which wants other features: the model cannot tell
        until it is calibrated again.

    Raises
    ------
    ModelBundleError
        If the content is no such file; the message holds `name`.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            if int(stored["format"]) > _FORMAT:
                raise ValueError(f"its format is {int(stored['format'])}, not {_FORMAT}")
            if int(stored["format"]) < _FORMAT:
                return None
            return NoveltyDetector(
                centre=stored["centre"],
                scale=stored["scale"],
                directions=stored["directions"].astype(np.float32),
                variances=stored["variances"],
                peaks=Neighbours.from_arrays(stored, "peaks"),
                spreads=Neighbours.from_arrays(stored, "spreads"),
                rows=stored["rows"],
                standards=stored["standards"],
                held_out=stored["held_out"],
                split=str(stored["split"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelBundleError(f"Cannot read {name}: {error}.") from error


def fit_novelty(
    training: Features, rows: np.ndarray, held_out: Features, split: str
) -> NoveltyDetector | None:
    """Learn what training photographs look like, and how far others of their kind lie from them.

    Parameters
    ----------
    training : Features
        Of R training photographs.
    rows : ndarray of int, shape (R,)
        Which photographs, see `NoveltyDetector`.
    held_out : Features
        Of M photographs that are not among them.
    split : str
        Where these are from.

    Returns
    -------
    NoveltyDetector or None
        As it is read back from disk; None where fewer than 22 held-out photographs could not say
        how rare a false alarm of 4.5 % is.
    """
    from sklearn.covariance import ledoit_wolf

    n = len(held_out.means)
    if n < FEWEST_HELD_OUT or len(rows) < 2:
        return None
    # The first ones are a random part.
    order = np.random.default_rng(0).permutation(len(rows))
    training, rows = training.take(order), rows[order]
    centre = training.means.mean(axis=0, dtype=np.float64)
    scale = training.means.std(axis=0, dtype=np.float64) + 1e-6
    # Shrunk, so that few photographs of many features still have an inverse.
    covariance, _ = ledoit_wolf((training.means - centre) / scale, assume_centered=True)
    variances, directions = (part[..., ::-1] for part in np.linalg.eigh(covariance))
    k = min(_DIRECTIONS, len(variances) - 1)
    rest = 1 / (1 / variances[k:]).mean()
    detector = NoveltyDetector(
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        directions=directions[:, :k],
        variances=np.append(variances[:k], rest).astype(np.float32),
        peaks=Neighbours.fit(training.peaks, len(rows)),
        spreads=Neighbours.fit(training.spreads, COMPARED),
        rows=rows,
        standards=np.array([[0.0] * 3, [1.0] * 3]),
        held_out=np.zeros(n),
        split=split,
    )
    # Through the rounding of the file, so that its thresholds fit what is read back.
    read = read_novelty(detector.to_bytes(), "novelty")
    assert read is not None
    return read.measured_on(held_out)
