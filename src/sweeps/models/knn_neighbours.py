"""The nearest neighbours behind each prediction, sorted once for every k.

A prediction of (x, y) averages the ratings of the k xs most similar to x among those that y rated. Surprise takes them
with `heapq.nlargest`: in descending order of similarity, equal ones in the order of y's list, and then leaves out those
with a similarity of 0 or less. So the first k of one sorted list are the neighbours for k.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sweeps.models.knn_jit import kernel
from sweeps.models.knn_ratings import RatingLists
from sweeps.models.knn_similarity import FINE, UNDEFINED, CoRatings, room_for_sums, similarity_row

BYTES_A_NEIGHBOUR = 12  # an int32 and a float64
_PIECES_A_THREAD = 16  # targets differ much in their work: threads take the next small piece when they are free


@dataclass(frozen=True)
class Pairs:
    """Pairs to predict, sorted by x, so that each row of similarities is computed once.

    Attributes:
        xs, ys: inner ids, int32, shape (n_pairs,).
        order: the caller's place of each sorted pair, int64.
    """

    xs: np.ndarray
    ys: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, xs: np.ndarray, ys: np.ndarray) -> Pairs:
        """Sort pairs of inner ids."""
        order = np.argsort(xs, kind="stable")
        return cls(xs[order].astype(np.int32, copy=False), ys[order].astype(np.int32, copy=False), order)

    def __len__(self) -> int:
        return len(self.xs)

    def part(self, start: int, stop: int) -> Pairs:
        """Some of the pairs, in their sorted order."""
        return Pairs(self.xs[start:stop], self.ys[start:stop], self.order[start:stop])

    @property
    def fingerprint(self) -> str:
        """Equal for equal sorted pairs."""
        digest = hashlib.blake2b(self.xs.tobytes(), digest_size=16)
        digest.update(self.ys.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Neighbours:
    """Up to `depth` nearest neighbours of each pair that have a positive similarity, nearest first.

    Attributes:
        starts: where each pair's neighbours start, int64, shape (n_pairs + 1,).
        counts: how many there are, int32, shape (n_pairs,).
        entries: each neighbour's place in the lists of the ys, int32; past a pair's count meaningless.
        similarities: of the same shape, float64.
        unordered: pairs with a NaN among their similarities, bool: no order is defined, what `heapq.nlargest` returns
            follows from its steps.
        depth: the largest k that they serve.
    """

    starts: np.ndarray
    counts: np.ndarray
    entries: np.ndarray
    similarities: np.ndarray
    unordered: np.ndarray
    depth: int

    @property
    def n_bytes(self) -> int:
        """The size in bytes."""
        arrays = (self.starts, self.counts, self.entries, self.similarities, self.unordered)
        return sum(array.nbytes for array in arrays)


def room_needed(lists: RatingLists, pairs: Pairs, depth: int) -> np.ndarray:
    """How many neighbours each pair can have at most, int64, shape (n_pairs,); `lists` are those of the ys."""
    room: np.ndarray = np.minimum(lists.lengths[pairs.ys], depth)
    return room


def nearest(ratings: CoRatings, pairs: Pairs, depth: int) -> Neighbours:
    """Find the neighbours of each pair, on all processors that this process may use.

    Args:
        ratings: see `CoRatings`.
        pairs: to predict; both ids known.
        depth: the most neighbours to keep.

    Raises:
        ZeroDivisionError: where Surprise would divide by zero.
    """
    starts = np.zeros(len(pairs) + 1, np.int64)
    np.cumsum(np.minimum(np.diff(ratings.y_starts)[pairs.ys], depth), out=starts[1:])
    found = Neighbours(
        starts,
        np.zeros(len(pairs), np.int32),
        np.empty(starts[-1], np.int32),
        np.empty(starts[-1]),
        np.zeros(len(pairs), np.bool_),
        depth,
    )

    def piece(start: int, stop: int) -> bool:
        return _nearest(
            start,
            stop,
            pairs.xs,
            pairs.ys,
            ratings,
            starts,
            found.counts,
            found.entries,
            found.similarities,
            found.unordered,
        )

    if not all(in_pieces(piece, len(pairs))):
        raise ZeroDivisionError("a similarity is undefined: its divisor is zero")
    return found


def in_pieces(work: Callable[[int, int], bool], n: int) -> Iterable[bool]:
    """Run `work(start, stop)` on pieces of range(n), in threads; it must release the GIL."""
    n_threads = _n_processors()
    size = max(1, math.ceil(n / (n_threads * _PIECES_A_THREAD)))
    starts = range(0, n, size)
    if n_threads == 1 or len(starts) <= 1:
        return [work(start, min(start + size, n)) for start in starts]
    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(lambda start: work(start, min(start + size, n)), starts))


def _n_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@kernel
def _is_nearer(similarity: float, entry: int, than_similarity: float, than_entry: int) -> bool:
    return similarity > than_similarity or (similarity == than_similarity and entry < than_entry)


@kernel
def _sink(at: int, size: int, entries: np.ndarray, similarities: np.ndarray) -> None:
    """Restore a heap whose root is the farthest neighbour, after the element at `at` came nearer."""
    entry, similarity = entries[at], similarities[at]
    child = 2 * at + 1
    while child < size:
        right = child + 1
        if right < size and _is_nearer(similarities[child], entries[child], similarities[right], entries[right]):
            child = right
        if not _is_nearer(similarity, entry, similarities[child], entries[child]):
            break
        entries[at], similarities[at] = entries[child], similarities[child]
        at = child
        child = 2 * at + 1
    entries[at], similarities[at] = entry, similarity


@kernel
def _sort_nearest_first(size: int, entries: np.ndarray, similarities: np.ndarray) -> None:
    for last in range(size - 1, 0, -1):
        entry, similarity = entries[0], similarities[0]
        entries[0], similarities[0] = entries[last], similarities[last]
        entries[last], similarities[last] = entry, similarity
        _sink(0, last, entries, similarities)


@kernel
def _select(
    first: int, ids: np.ndarray, row: np.ndarray, entries: np.ndarray, similarities: np.ndarray, may_have_nan: bool
) -> int:
    """Write the nearest of `ids`, at most len(entries); return how many, or -1 where a similarity is NaN."""
    depth = entries.size
    count = 0
    for place in range(ids.size):
        similarity = row[np.uint64(ids[place])]
        if may_have_nan and math.isnan(similarity):
            return -1
        if not similarity > 0.0:
            continue
        if count < depth:
            entries[count], similarities[count] = first + place, similarity
            count += 1
            if count == depth:
                for at in range(depth // 2 - 1, -1, -1):
                    _sink(at, depth, entries, similarities)
        elif similarity > similarities[0]:  # at equal similarity the earlier one stays, as in heapq.nlargest
            entries[0], similarities[0] = first + place, similarity
            _sink(0, depth, entries, similarities)
    if count < depth:
        for at in range(count // 2 - 1, -1, -1):
            _sink(at, count, entries, similarities)
    _sort_nearest_first(count, entries, similarities)
    return count


@kernel
def _nearest(
    start: int,
    stop: int,
    xs: np.ndarray,
    ys: np.ndarray,
    ratings: CoRatings,
    starts: np.ndarray,
    counts: np.ndarray,
    entries: np.ndarray,
    similarities: np.ndarray,
    unordered: np.ndarray,
) -> bool:
    n = ratings.x_starts.size - 1
    sums = room_for_sums(ratings.code, n)
    row = np.empty(n)
    x = -1
    state = FINE
    for pair in range(start, stop):
        if xs[pair] != x:
            x = xs[pair]
            state = similarity_row(x, ratings, sums, row)
            if state == UNDEFINED:
                return False
        first, last = ratings.y_starts[ys[pair]], ratings.y_starts[ys[pair] + 1]
        here, there = starts[pair], starts[pair + 1]
        found = _select(
            first, ratings.y_ids[first:last], row, entries[here:there], similarities[here:there], state != FINE
        )
        counts[pair] = max(found, 0)
        unordered[pair] = found < 0
    return True
