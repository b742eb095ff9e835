"""Finding near-duplicate photographs: re-encoded, resized, slightly edited or mirrored copies."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

FINGERPRINT_SIDE: Final = 32
# On the public HAR set, 139 pairs reach 0.92, all within a class and all true copies to the eye;
# the first pair of different classes appears at 0.905.
DUPLICATE_CORRELATION: Final = 0.92
_CHUNK: Final = 1024
_BLOCK_ELEMENTS: Final = 2**25
_FREQUENCIES: Final = 10
_ROUNDING: Final = 1e-4
# All pairs of so many take some minutes; time grows with the square.
MOST_COMPARED: Final = 200_000
_HASHED_FREQUENCIES: Final = 8
_BANDS: Final = 48
_BITS: Final = 28
_SEED: Final = 20240607
_HASHED_AT_ONCE: Final = 8192
# Photographs of one key are compared with so many next to them: a key that thousands share is that
# of plain backgrounds, and would cost as much as comparing everything.
_NEIGHBOURS: Final = 64


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
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    # A norm of one grey level over the whole thumbnail is compression noise, not content.
    values *= norms > FINGERPRINT_SIDE
    return values / np.maximum(norms, 1e-6)


def mirror_fingerprints(fingerprints: np.ndarray) -> np.ndarray:
    """Return the fingerprints, shape (N, 1024), of the photographs flipped left to right."""
    grid = fingerprints.reshape(-1, FINGERPRINT_SIDE, FINGERPRINT_SIDE)
    return np.ascontiguousarray(grid[:, :, ::-1]).reshape(len(fingerprints), -1)


def near_duplicate_pairs(
    fingerprints: np.ndarray, threshold: float = DUPLICATE_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs whose correlation, as they are or mirrored, reaches a threshold.

    Comparing everything with everything takes N² products of length 1024. Most pairs are ruled
    out by an upper bound of length 101: the products of the low cosine frequencies, plus
    (Cauchy-Schwarz) the product of what remains of either norm. No pair is missed.

    Parameters
    ----------
    fingerprints : ndarray of float32, shape (N, 1024)
        From `fingerprint_image`.
    threshold : float
        Least correlation, in (0, 1].

    Returns
    -------
    pairs : ndarray of int64, shape (P, 2)
        Row indices, the smaller first, in ascending order.
    correlations : ndarray of float32, shape (P,)
        The larger of the plain and the mirrored correlation.
    """
    n = len(fingerprints)
    if n < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    bounds, mirrored_bounds = _bounding_vectors(fingerprints)
    candidates = []
    rows = max(1, _BLOCK_ELEMENTS // n)
    for start in range(0, n, rows):
        block = bounds[start : start + rows]
        possible = np.maximum(block @ bounds[start:].T, block @ mirrored_bounds[start:].T)
        found = np.argwhere(possible >= threshold - _ROUNDING)
        candidates.append(found[found[:, 0] < found[:, 1]] + start)
    pairs = np.concatenate(candidates)
    correlations = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        first, second = (fingerprints[pairs[chunk, side]] for side in (0, 1))
        correlations[chunk] = np.maximum(
            np.einsum("ij,ij->i", first, second),
            np.einsum("ij,ij->i", first, mirror_fingerprints(second)),
        )
    kept = correlations >= threshold
    return pairs[kept], correlations[kept]


def _bounding_vectors(fingerprints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors, (N, 101), whose products bound the plain and the mirrored correlations."""
    from scipy.fft import dctn

    side = FINGERPRINT_SIDE
    spectrum = dctn(fingerprints.reshape(-1, side, side), axes=(1, 2), norm="ortho")
    low = spectrum[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(fingerprints), -1)
    total = np.einsum("ij,ij->i", fingerprints, fingerprints)
    remaining = np.sqrt(np.clip(total - np.einsum("ij,ij->i", low, low), 0, None))[:, np.newaxis]
    # Mirroring a picture flips the sign of its odd horizontal frequencies.
    signs = np.tile(np.where(np.arange(_FREQUENCIES) % 2, -1, 1), _FREQUENCIES)
    bounds = np.hstack([low, remaining]).astype(np.float32)
    return bounds, np.hstack([low * signs, remaining]).astype(np.float32)


def pairs_of_thumbnails(
    thumbnails: np.ndarray, threshold: float = DUPLICATE_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Find near duplicates, exactly among up to 200,000 photographs, by hashing among more.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (N, 1024)
        From `grey_thumbnail`.
    threshold : float
        See `near_duplicate_pairs`.

    Returns
    -------
    pairs, correlations : ndarray
        See `near_duplicate_pairs`.
    """
    if len(thumbnails) <= MOST_COMPARED:
        return near_duplicate_pairs(normalise_thumbnails(thumbnails), threshold)
    return hashed_pairs(thumbnails, threshold)


def hashed_pairs(
    thumbnails: np.ndarray, threshold: float = DUPLICATE_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Find nearly all near duplicates, as they are or mirrored, in almost linear time.

    Locality-sensitive hashing by the signs of random projections (Charikar 2002, STOC, 380-388) of
    the lowest cosine frequencies, which copies share: 48 keys of 28 bits each. Who shares a key is
    compared exactly, so that no wrong pair is found. docs/scale.md says how many are missed.

    Parameters
    ----------
    thumbnails, threshold
        See `pairs_of_thumbnails`.
    """
    n = len(thumbnails)
    keys, mirrored = _keys(thumbnails)
    candidates = np.empty(0, np.int64)
    for band in range(_BANDS):
        found = np.concatenate([*_sharing(keys[band], mirrored[band])])
        candidates = np.union1d(candidates, found)
    pairs = np.stack([candidates // n, candidates % n], axis=1)
    correlations = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _HASHED_AT_ONCE):
        chunk = slice(start, start + _HASHED_AT_ONCE)
        first, second = (normalise_thumbnails(thumbnails[pairs[chunk, side]]) for side in (0, 1))
        correlations[chunk] = np.maximum(
            np.einsum("ij,ij->i", first, second),
            np.einsum("ij,ij->i", first, mirror_fingerprints(second)),
        )
    kept = correlations >= threshold
    return pairs[kept], correlations[kept]


def _keys(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of photographs and of their mirror images, uint32, shape (bands, N)."""
    from scipy.fft import dctn

    rng = np.random.default_rng(_SEED)
    planes = rng.normal(size=(_HASHED_FREQUENCIES**2, _BANDS * _BITS)).astype(np.float32)
    signs = np.tile(np.where(np.arange(_HASHED_FREQUENCIES) % 2, -1, 1), _HASHED_FREQUENCIES)
    weights = (1 << np.arange(_BITS)).astype(np.uint32)
    keys = np.empty((2, _BANDS, len(thumbnails)), np.uint32)
    for start in range(0, len(thumbnails), _HASHED_AT_ONCE):
        fingerprints = normalise_thumbnails(thumbnails[start : start + _HASHED_AT_ONCE])
        grid = fingerprints.reshape(-1, FINGERPRINT_SIDE, FINGERPRINT_SIDE)
        spectrum = dctn(grid, axes=(1, 2), norm="ortho")
        low = spectrum[:, :_HASHED_FREQUENCIES, :_HASHED_FREQUENCIES].reshape(len(grid), -1)
        for which, vectors in enumerate((low, low * signs.astype(np.float32))):
            bits = (vectors @ planes > 0).reshape(len(grid), _BANDS, _BITS)
            # A picture of one colour resembles nothing, and shares no key.
            keys[which, :, start : start + _HASHED_AT_ONCE] = (bits @ weights).T
            plain = ~fingerprints.any(axis=1)
            keys[which][:, start : start + _HASHED_AT_ONCE][:, plain] = 1 << _BITS
    return keys[0], keys[1]


def _sharing(keys: np.ndarray, mirrored: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs that share a key as ``smaller * N + larger``; two mirror images are no pair."""
    n = len(keys)
    every = np.concatenate([keys, mirrored])
    order = np.argsort(every, kind="stable")
    ordered = every[order]
    for distance in range(1, _NEIGHBOURS + 1):
        same = (ordered[distance:] == ordered[:-distance]) & (ordered[distance:] < 1 << _BITS)
        if not same.any():
            break
        first, second = order[:-distance][same], order[distance:][same]
        plain = (first < n) | (second < n)
        first, second = first[plain] % n, second[plain] % n
        smaller, larger = np.minimum(first, second), np.maximum(first, second)
        yield np.unique((smaller * n + larger)[smaller < larger])
    yield np.empty(0, np.int64)


def duplicate_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Join pairs into groups: whatever is linked by a chain of pairs shares a number.

    Parameters
    ----------
    n : int
        Number of photographs.
    pairs : ndarray of int, shape (P, 2)
        Row indices in [0, n).

    Returns
    -------
    ndarray of int64, shape (n,)
        Group numbers from 0 in order of first appearance; most photographs are alone in theirs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)
