"""How near a picture lies to the training photographs, by features of length 1."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# Nearness is decided by a random part of the references, and by some components: all of them cost
# several times as much of every prediction, and tell it no better.
COMPARED: Final = 1_000
_COMPONENTS: Final = 64


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Training photographs to be near to, by features that are scaled to length 1.

    Their 64 principal components are compared, and what these leave out is added as if it were
    perpendicular.

    Parameters
    ----------
    centre : ndarray of float32, shape (C,)
    basis : ndarray of float32, shape (C, K)
        Principal components.
    references : ndarray of float32, shape (R, K)
        Training photographs.
    remainders : ndarray of float32, shape (R,)
        Squared length of what the components leave out of each.
    """

    centre: np.ndarray
    basis: np.ndarray
    references: np.ndarray
    remainders: np.ndarray

    # Every prediction waits for products with this and the references. Rows lie side by side, since
    # they are read from beyond the caches.
    @functools.cached_property
    def _projection(self) -> np.ndarray:
        return np.ascontiguousarray(np.vstack([self.basis.T, self.centre]), np.float32)

    @functools.cached_property
    def _offsets(self) -> np.ndarray:
        centre = self._projection @ self.centre
        lengths = (self.references**2).sum(axis=1) + self.remainders
        return lengths + 2 * (self.references @ centre[:-1]) + centre[-1] + 1

    @classmethod
    def fit(cls, features: np.ndarray, most: int) -> "Neighbours":
        """Learn the components of all rows, and remember the first ones."""
        unit = unit_rows(features).astype(np.float64)
        centre = unit.mean(axis=0)
        unit -= centre
        _, vectors = np.linalg.eigh(unit.T @ unit)
        basis = vectors[:, ::-1][:, :_COMPONENTS]
        unit = unit[:most]
        references = unit @ basis
        left_out = np.maximum((unit**2).sum(axis=1) - (references**2).sum(axis=1), 0)
        return cls(centre, basis, references, left_out)

    def to_nearest(self, feature: np.ndarray) -> float:
        """Return the squared distance of one picture, shape (C,), to the nearest compared one."""
        twice = self._twice_projected(feature)
        apart = self._offsets[:COMPARED] - self.references[:COMPARED].dot(twice[:-1])
        return float(apart.min()) - float(twice[-1])

    def nearest(self, feature: np.ndarray, k: int) -> np.ndarray:
        """Return which of all references are nearest to one picture, shape (min(k, R),)."""
        apart = self._offsets - self.references.dot(self._twice_projected(feature)[:-1])
        return np.argsort(apart, kind="stable")[:k]

    def _twice_projected(self, feature: np.ndarray) -> np.ndarray:
        """Return twice a picture of length 1 by its components and along the centre, (K + 1,).

        Distances come from it by (x − c)² = 1 − 2 xc + c², which copies no features.
        """
        length = math.sqrt(feature.dot(feature))
        factor = 2 / max(length, 1e-12) if math.isfinite(length) else math.nan
        return self._projection.dot(feature) * factor

    def arrays(self, prefix: str) -> dict[str, Any]:
        """Return what is stored: float16, references in one byte each."""
        step = max(float(np.abs(self.references).max()), 1e-12) / 127
        return {
            f"{prefix}_centre": self.centre.astype(np.float32),
            f"{prefix}_basis": self.basis.astype(np.float16),
            f"{prefix}_references": np.round(self.references / step).astype(np.int8),
            f"{prefix}_step": step,
            f"{prefix}_remainders": self.remainders.astype(np.float16),
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any], prefix: str) -> "Neighbours":
        """Read what `arrays` returned."""
        centre, basis, references, remainders = (
            stored[f"{prefix}_{name}"].astype(np.float32)
            for name in ("centre", "basis", "references", "remainders")
        )
        step = np.float32(stored[f"{prefix}_step"])
        return cls(centre, basis, references * step, remainders)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return rows of length 1, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
