"""Summaries of photographs whose products say how alike these are."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

FINGERPRINT_SIDE: Final = 32
_FREQUENCIES: Final = 8


def fingerprint_image(image: np.ndarray) -> np.ndarray:
    """Summarise a photograph so that the dot product of two summaries is their correlation.

    The summary is a 32×32 greyscale thumbnail with zero mean and unit norm: the dot product of
    two is their zero-normalised cross-correlation, which brightness, contrast, size and
    compression barely change.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        RGB photograph.

    Returns
    -------
    ndarray of float32, shape (1024,)
        Unit norm; all zeros for a picture of one colour, which then resembles nothing.
    """
    return normalise_thumbnails(grey_thumbnail(image)[np.newaxis])[0]


def grey_thumbnail(image: np.ndarray) -> np.ndarray:
    """Return the 32×32 greyscale thumbnail behind a fingerprint: uint8, shape (1024,).

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        RGB photograph.
    """
    side = (FINGERPRINT_SIDE, FINGERPRINT_SIDE)
    thumbnail = Image.fromarray(image).convert("L").resize(side, Image.Resampling.BOX)
    return np.asarray(thumbnail, dtype=np.uint8).ravel()


def normalise_thumbnails(thumbnails: np.ndarray) -> np.ndarray:
    """Turn greyscale thumbnails into fingerprints.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (N, 1024)
        From `grey_thumbnail`.

    Returns
    -------
    ndarray of float32, shape (N, 1024)
        Rows of zero mean and unit norm, or of zeros where the thumbnail has one colour.
    """
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", values, values))[:, np.newaxis]
    # A norm of one grey level over the whole thumbnail is compression noise, not content.
    values /= np.where(norms > FINGERPRINT_SIDE, norms, np.inf)
    return values


def mirror_fingerprints(fingerprints: np.ndarray) -> np.ndarray:
    """Return the fingerprints, shape (N, 1024), of the photographs flipped left to right."""
    grid = fingerprints.reshape(-1, FINGERPRINT_SIDE, FINGERPRINT_SIDE)
    return np.ascontiguousarray(grid[:, :, ::-1]).reshape(len(fingerprints), -1)


@dataclass(frozen=True)
class LowFrequencies:
    """The 64 lowest cosine frequencies of fingerprints, which hold most of a photograph.

    Mirroring a picture flips the sign of its odd horizontal frequencies alone: of two photographs,
    the products of the even ones plus or minus those of the odd ones are those of the two as they
    are or mirrored.

    Parameters
    ----------
    even, odd : ndarray of float32, shape (N, 32)
        By horizontal frequency.
    rest : ndarray of float32, shape (N,)
        Norm of all other frequencies.
    """

    even: np.ndarray
    odd: np.ndarray
    rest: np.ndarray

    def bounds(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return what the correlations of pairs of rows, as they are or mirrored, cannot exceed.

        What remains of two fingerprints has at most the product of its norms (Cauchy-Schwarz).
        """
        even = np.einsum("ij,ij->i", self.even[first], self.even[second])
        odd = np.einsum("ij,ij->i", self.odd[first], self.odd[second])
        return even + np.abs(odd) + self.rest[first] * self.rest[second]


def low_frequencies(fingerprints: np.ndarray) -> LowFrequencies:
    """Return the low frequencies of fingerprints, shape (N, 1024), by the orthonormal DCT-II."""
    side = FINGERPRINT_SIDE
    angles = np.outer(np.arange(_FREQUENCIES), 2 * np.arange(side) + 1) * np.pi / (2 * side)
    waves = (np.cos(angles) * np.sqrt(2 / side)).astype(np.float32)
    waves[0] /= np.sqrt(2)
    spectra = waves @ fingerprints.reshape(-1, side, side) @ waves.T
    even, odd = (
        np.ascontiguousarray(spectra[:, :, parity::2]).reshape(-1, _FREQUENCIES**2 // 2)
        for parity in (0, 1)
    )
    norms = np.einsum("ij,ij->i", fingerprints, fingerprints)
    for part in (even, odd):
        norms = norms - np.einsum("ij,ij->i", part, part)
    return LowFrequencies(even, odd, np.sqrt(np.clip(norms, 0, None)))
