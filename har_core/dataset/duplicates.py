"""Finding near-duplicate photographs: re-encoded, resized, slightly edited or mirrored copies."""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from har_core.images.fingerprints import (
    LowFrequencies,
    low_frequencies,
    mirror_fingerprints,
    normalise_thumbnails,
)
from har_core.threads import limited_threads

# On the public HAR set, 139 pairs reach 0.92, all within a class and all true copies to the eye;
# the first pair of different classes appears at 0.905.
DUPLICATE_CORRELATION: Final = 0.92
# Where hashing becomes the faster; docs/performance.md has the times.
MOST_COMPARED: Final = 20_000
_ROUNDING: Final = 1e-4
_BLOCK: Final = 1024  # rows and columns of which a block of products stays in the second cache
_AT_ONCE: Final = 8192
_BANDS: Final = 48
_KEY_BITS: Final = 32
_SKETCH_BITS: Final = 256
# Copies at the threshold (23 degrees) differ in 33 ± 5 of the sketch's bits, strangers in 128 ± 8.
_MOST_DIFFERING: Final = 50
# Photographs of one key are compared with so many next to them: a key that thousands share is that
# of plain backgrounds, and would cost as much as comparing everything.
_NEIGHBOURS: Final = 16
_SEED: Final = 20240607


def near_duplicate_pairs(
    fingerprints: np.ndarray, threshold: float = DUPLICATE_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs whose correlation, as they are or mirrored, reaches a threshold.

    Comparing everything with everything takes N² products of length 1024. Most pairs are ruled out
    by the bound that 65 numbers give (`LowFrequencies.bounds`). No pair is missed.

    Parameters
    ----------
    fingerprints : ndarray of float32, shape (N, 1024)
        From `har_core.images.fingerprints.fingerprint_image`.
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
    # A second thread would wait for the first longer than it helps with blocks so small.
    with limited_threads(1):
        found = [*_possible_pairs(low_frequencies(fingerprints), threshold)]
    codes = np.sort(np.concatenate([np.empty(0, np.int64), *found]))
    pairs = np.stack([codes // max(n, 1), codes % max(n, 1)], axis=1)
    return _reaching(fingerprints, pairs, threshold)


def _possible_pairs(low: LowFrequencies, threshold: float) -> Iterator[np.ndarray]:
    """Yield the pairs that the bound leaves as ``smaller * N + larger``."""
    n = len(low.rest)
    even = np.hstack([low.even, low.rest[:, np.newaxis]])
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        for column in range(start, n, _BLOCK):
            columns = slice(column, column + _BLOCK)
            odd = low.odd[rows] @ low.odd[columns].T
            bounds = even[rows] @ even[columns].T
            bounds += np.abs(odd, out=odd)
            possible = np.flatnonzero(bounds >= threshold - _ROUNDING)
            first, second = np.divmod(possible, bounds.shape[1])
            first, second = first + start, second + column
            yield (first * n + second)[first < second]


def pairs_of_thumbnails(
    thumbnails: np.ndarray, threshold: float = DUPLICATE_CORRELATION
) -> tuple[np.ndarray, np.ndarray]:
    """Find near duplicates, exactly among up to 20,000 photographs, by hashing among more.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (N, 1024)
        From `har_core.images.fingerprints.grey_thumbnail`.
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
    the lowest cosine frequencies, which copies share, with 48 keys of some bits more than the
    photographs need to be told apart. Who shares a key is compared by 256 more signs, then by the
    bound of `near_duplicate_pairs`, then exactly, so that no wrong pair is found.
    docs/performance.md says how many are missed; of a lower threshold they are more.

    Parameters
    ----------
    thumbnails, threshold
        See `pairs_of_thumbnails`.
    """
    n = len(thumbnails)
    low = _low_frequencies_of(thumbnails)
    rng = np.random.default_rng(_SEED)
    sketches = _signs(low, rng, _SKETCH_BITS).view(np.uint64)
    # A picture of one colour resembles nothing, and shares no key.
    coloured = np.flatnonzero(np.tile(low.even.any(axis=1) | low.odd.any(axis=1), 2))
    unused_bits = max(0, _KEY_BITS - math.ceil(math.log2(max(n, 2))) - 2)
    codes = np.empty(0, np.int64)
    for _ in range(_BANDS):
        keys = _signs(low, rng, _KEY_BITS).view(">u4")[coloured, 0].astype(np.uint32)
        found = [*_sharing(keys >> np.uint32(unused_bits), coloured, sketches, low, threshold)]
        codes = np.unique(np.concatenate([codes, *found]))
    pairs = np.stack([codes // max(n, 1), codes % max(n, 1)], axis=1)
    return _reaching(thumbnails, pairs, threshold)


def _low_frequencies_of(thumbnails: np.ndarray) -> LowFrequencies:
    parts = [
        low_frequencies(normalise_thumbnails(thumbnails[start : start + _AT_ONCE]))
        for start in range(0, max(len(thumbnails), 1), _AT_ONCE)
    ]
    names = ("even", "odd", "rest")
    return LowFrequencies(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _signs(low: LowFrequencies, rng: np.random.Generator, n_bits: int) -> np.ndarray:
    """Return the signs of random projections of photographs, then of their mirror images.

    Returns
    -------
    ndarray of uint8, shape (2 N, n_bits / 8)
    """
    n = len(low.rest)
    shape = (low.even.shape[1], n_bits)
    of_even, of_odd = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    signs = np.empty((2, n, n_bits // 8), np.uint8)
    for start in range(0, n, _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        even, odd = low.even[rows] @ of_even, low.odd[rows] @ of_odd
        signs[0, rows] = np.packbits(even + odd > 0, axis=1)
        signs[1, rows] = np.packbits(even - odd > 0, axis=1)
    return signs.reshape(2 * n, n_bits // 8)


def _sharing(
    keys: np.ndarray,
    entries: np.ndarray,
    sketches: np.ndarray,
    low: LowFrequencies,
    threshold: float,
) -> Iterator[np.ndarray]:
    """Yield pairs that share a key and may be near as ``smaller * N + larger``.

    Entries from N on are mirror images; two of these are no pair.
    """
    n = len(low.rest)
    order = np.argsort(keys, kind="stable")
    keys, entries = keys[order], entries[order]
    sketches = sketches[entries]
    for distance in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(keys[distance:] == keys[:-distance])
        if not len(same):
            break
        differing = np.bitwise_count(sketches[same] ^ sketches[same + distance]).sum(axis=1)
        near = same[differing <= _MOST_DIFFERING]
        first, second = entries[near], entries[near + distance]
        kept = ((first < n) | (second < n)) & (first % n != second % n)
        first, second = first[kept] % n, second[kept] % n
        for start in range(0, len(first), _AT_ONCE):
            one, other = first[start : start + _AT_ONCE], second[start : start + _AT_ONCE]
            possible = low.bounds(one, other) >= threshold - _ROUNDING
            one, other = one[possible], other[possible]
            yield np.minimum(one, other) * n + np.maximum(one, other)


def _reaching(
    pictures: np.ndarray, pairs: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compare pairs of fingerprints, or of the thumbnails behind them, exactly; keep those near."""
    correlations = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BLOCK):
        chunk = slice(start, start + _BLOCK)
        first, second = (pictures[pairs[chunk, side]] for side in (0, 1))
        if pictures.dtype == np.uint8:
            first, second = normalise_thumbnails(first), normalise_thumbnails(second)
        correlations[chunk] = np.maximum(
            np.einsum("ij,ij->i", first, second),
            np.einsum("ij,ij->i", first, mirror_fingerprints(second)),
        )
    kept = correlations >= threshold
    return pairs[kept], correlations[kept]


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
