"""Finding near-duplicate photographs: re-encoded, resized, slightly edited or mirrored copies."""

import itertools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
MOST_COMPARED: Final = 40_000
_ROUNDING: Final = 1e-4
_BLOCK: Final = 512  # rows and columns of which a block of products stays in the second cache
_AT_ONCE: Final = 1024
_BANDS: Final = 48
_KEY_BITS: Final = 32
_ENTRY_BITS: Final = np.uint64(32)
_ENTRY: Final = np.uint64(2**32 - 1)
_SIGNS: Final = 256  # at once: a sketch, or keys
# Copies at the threshold (23 degrees) differ in 33 ± 5 of the sketch's bits, strangers in 128 ± 8.
_MOST_DIFFERING: Final = 50
# Photographs of one key are compared with so many next to them: a key that thousands share is that
# of plain backgrounds, and would cost as much as comparing everything.
_NEIGHBOURS: Final = 16
_SEED: Final = 20240607
# Each has 64 bytes a photograph.
_KEYS_AT_ONCE: Final = 2


def near_duplicate_pairs(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs whose correlation, as they are or mirrored, reaches `DUPLICATE_CORRELATION`.

    Comparing everything with everything takes N² products of length 1024. Most pairs are ruled out
    by bounds that 34 numbers give, then 65 (`LowFrequencies.bounds`). No pair is missed.

    Parameters
    ----------
    pictures : ndarray of float32 or uint8, shape (N, 1024)
        Fingerprints or the thumbnails behind them, from
        `har_core.images.fingerprints.fingerprint_image` or `grey_thumbnail` there.

    Returns
    -------
    pairs : ndarray of int64, shape (P, 2)
        Row indices, the smaller first, in ascending order.
    correlations : ndarray of float32, shape (P,)
        The larger of the plain and the mirrored correlation.
    """
    # A second thread would wait for the first longer than it helps with blocks so small.
    with limited_threads(1):
        found = [*_possible_pairs(_low_frequencies_of(pictures))]
        return _reaching(pictures, np.concatenate([np.empty(0, np.int64), *found]))


def _possible_pairs(low: LowFrequencies) -> Iterator[np.ndarray]:
    """Yield the pairs that the bound leaves as ``smaller * N + larger``.

    First by a looser one, which is a single product: that of the odd frequencies is at most the
    product of their norms, too.
    """
    n = len(low.rest)
    odd = np.linalg.norm(low.odd, axis=1)
    summary = np.column_stack([low.even, odd, low.rest])
    for start in range(0, n, _BLOCK):
        rows = summary[start : start + _BLOCK]
        for column in range(start, n, _BLOCK):
            products = rows @ summary[column : column + _BLOCK].T
            loosely = np.flatnonzero(products >= DUPLICATE_CORRELATION - _ROUNDING)
            first, second = np.divmod(loosely, products.shape[1])
            first, second = first + start, second + column
            yield _bounded(low, first[first < second], second[first < second])


def _bounded(low: LowFrequencies, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return those of some pairs that may be near as ``smaller * N + larger``."""
    possible = low.bounds(first, second) >= DUPLICATE_CORRELATION - _ROUNDING
    first, second = first[possible], second[possible]
    return np.minimum(first, second) * len(low.rest) + np.maximum(first, second)


def pairs_of_thumbnails(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find near duplicates, exactly among up to 40,000 photographs, by hashing among more.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (N, 1024)
        From `har_core.images.fingerprints.grey_thumbnail`.

    Returns
    -------
    pairs, correlations : ndarray
        See `near_duplicate_pairs`.
    """
    if len(thumbnails) <= MOST_COMPARED:
        return near_duplicate_pairs(thumbnails)
    return hashed_pairs(thumbnails)


def hashed_pairs(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find nearly all near duplicates, as they are or mirrored, in almost linear time.

    Locality-sensitive hashing by the signs of random projections (Charikar 2002, STOC, 380-388) of
    the lowest cosine frequencies, which copies share, with 48 keys of some bits more than the
    photographs need to be told apart. Who shares a key is compared by 256 more signs, then by the
    bound of `near_duplicate_pairs`, then exactly, so that no wrong pair is found.
    docs/performance.md says how many are missed.

    Parameters
    ----------
    thumbnails
        See `pairs_of_thumbnails`.
    """
    rng = np.random.default_rng(_SEED)
    of_sketches, *of_keys = rng.normal(size=(1 + _BANDS * _KEY_BITS // _SIGNS, 2, 32, _SIGNS))
    with limited_threads(1), ThreadPoolExecutor(_KEYS_AT_ONCE) as pool:
        low = _low_frequencies_of(thumbnails)
        sketches = _signs(low, of_sketches).view(np.uint64).T.copy()
        # A picture of one colour resembles nothing, and shares no key.
        coloured = np.flatnonzero(np.tile(low.even.any(axis=1) | low.odd.any(axis=1), 2))
        unused_bits = max(0, _KEY_BITS - math.ceil(math.log2(max(len(thumbnails), 2))) - 2)

        def find(projections: np.ndarray) -> np.ndarray:
            several = _signs(low, projections)[coloured].view(np.uint32).T >> np.uint32(unused_bits)
            found = [_sharing(keys, coloured, sketches, low) for keys in several]
            return np.unique(np.concatenate([np.empty(0, np.int64), *itertools.chain(*found)]))

        codes = np.unique(np.concatenate([*pool.map(find, of_keys)]))
        return _reaching(thumbnails, codes)


def _low_frequencies_of(pictures: np.ndarray) -> LowFrequencies:
    parts = [
        low_frequencies(_fingerprints(pictures[start : start + _AT_ONCE]))
        for start in range(0, max(len(pictures), 1), _AT_ONCE)
    ]
    names = ("even", "odd", "rest")
    return LowFrequencies(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def _fingerprints(pictures: np.ndarray) -> np.ndarray:
    return normalise_thumbnails(pictures) if pictures.dtype == np.uint8 else pictures


def _signs(low: LowFrequencies, projections: np.ndarray) -> np.ndarray:
    """Return 256 signs of projections of photographs, then of their mirror images.

    Parameters
    ----------
    low : LowFrequencies
    projections : ndarray of float, shape (2, 32, 256)
        Of the even frequencies and the odd ones.

    Returns
    -------
    ndarray of uint8, shape (2 N, 32)
    """
    n = len(low.rest)
    of_even, of_odd = projections.astype(np.float32)
    signs = np.empty((2, n, _SIGNS // 8), np.uint8)
    for start in range(0, n, _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        even, odd = low.even[rows] @ of_even, low.odd[rows] @ of_odd
        signs[0, rows] = np.packbits(even > -odd, axis=1)
        signs[1, rows] = np.packbits(even > odd, axis=1)
    return signs.reshape(2 * n, _SIGNS // 8)


def _sharing(
    keys: np.ndarray,
    entries: np.ndarray,
    sketches: np.ndarray,
    low: LowFrequencies,
) -> Iterator[np.ndarray]:
    """Yield pairs that share a key and may be near as ``smaller * N + larger``.

    Entries from N on are mirror images; two of these are no pair.
    """
    n = len(low.rest)
    # Sorting numbers that hold both takes a tenth of the time of finding the order of keys.
    ordered = np.sort(keys.astype(np.uint64) << _ENTRY_BITS | entries.astype(np.uint64))
    keys = (ordered >> _ENTRY_BITS).astype(np.uint32)
    entries = (ordered & _ENTRY).astype(np.int64)
    for distance in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(keys[distance:] == keys[:-distance])
        if not len(same):
            break
        first, second = entries[same], entries[same + distance]
        kept = ((first < n) | (second < n)) & (first % n != second % n)
        first, second = first[kept], second[kept]
        differing = np.zeros(len(first), np.uint16)
        for words in sketches:
            differing += np.bitwise_count(words[first] ^ words[second])
            near = differing <= _MOST_DIFFERING
            first, second, differing = first[near], second[near], differing[near]
        first, second = first % n, second % n
        for start in range(0, len(first), _AT_ONCE):
            chunk = slice(start, start + _AT_ONCE)
            yield _bounded(low, first[chunk], second[chunk])


def _reaching(pictures: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare possible pairs, ``smaller * N + larger``, exactly; see `near_duplicate_pairs`."""
    pairs = np.stack(np.divmod(np.sort(codes), max(len(pictures), 1)), axis=1)
    correlations = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BLOCK):
        chunk = slice(start, start + _BLOCK)
        first, second = (_fingerprints(pictures[pairs[chunk, side]]) for side in (0, 1))
        correlations[chunk] = np.maximum(
            np.einsum("ij,ij->i", first, second),
            np.einsum("ij,ij->i", first, mirror_fingerprints(second)),
        )
    kept = correlations >= DUPLICATE_CORRELATION
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


def groups_of(content: np.ndarray, *pairs: np.ndarray) -> np.ndarray:
    """Return the group of each photograph, int64, shape (N,): copies, and what pairs link.

    Copies of a picture of one colour are no near duplicates, which resembles nothing.

    Parameters
    ----------
    content : ndarray, shape (N,)
        What only copies of one file share: the sha256, or numbers from it.
    pairs : ndarrays of int, shape (P, 2)
        Rows of near duplicates.
    """
    _, first, place = np.unique(content, return_index=True, return_inverse=True)
    copies = np.stack([first[place], np.arange(len(content))], axis=1)
    return duplicate_groups(len(content), np.concatenate([copies, *pairs]))
