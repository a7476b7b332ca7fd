"""The nearest neighbours behind each prediction, sorted once for every k.

A prediction of (x, y) averages the ratings of the k xs most similar to x among those that y rated. Surprise takes them
with `heapq.nlargest`: in descending order of similarity, equal ones in the order of y's list, and then leaves out those
with a similarity of 0 or less. So the first k of one sorted list are the neighbours for k.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.ratings.knn.arrays import RatingLists, fingerprint_of
from sweeps.tasks.ratings.knn.co_ratings import CoRatings
from sweeps.tasks.ratings.knn.similarity import FINE, HAS_NAN, UNDEFINED, room_for_sums, similarity_row

BYTES_A_NEIGHBOUR = 12  # an int32 and a float64
_BINS = 1025  # one of them for similarities that are not positive
_PIECES_A_THREAD = 16  # targets differ much in their work: threads take the next small piece when they are free


@dataclass(frozen=True)
class Pairs:
    """Pairs to predict, sorted by x, so that each row of similarities is computed once.

    Attributes:
        xs, ys: inner ids, int32, shape (n_pairs,).
        order: the caller's place of each sorted pair, int64.
        fingerprint: of the pairs as the caller gave them: equal for equal pairs.
    """

    xs: np.ndarray
    ys: np.ndarray
    order: np.ndarray
    fingerprint: str

    @classmethod
    def of(cls, xs: np.ndarray, ys: np.ndarray) -> Pairs:
        """Sort pairs of inner ids."""
        order = np.argsort(xs, kind="stable")
        sorted_xs, sorted_ys = xs[order].astype(np.int32, copy=False), ys[order].astype(np.int32, copy=False)
        return cls(sorted_xs, sorted_ys, order, fingerprint_of(xs, ys))

    def __len__(self) -> int:
        return len(self.xs)

    def part(self, start: int, stop: int) -> Pairs:
        """Some of the pairs, in their sorted order."""
        name = f"{self.fingerprint} {start}:{stop}"
        return Pairs(self.xs[start:stop], self.ys[start:stop], self.order[start:stop], name)

    def only(self, wanted: np.ndarray) -> Pairs:
        """The pairs where `wanted` (bool) is true, in their sorted order."""
        name = fingerprint_of(self.xs[wanted], self.ys[wanted])
        return Pairs(self.xs[wanted], self.ys[wanted], self.order[wanted], name)

    @property
    def n_bytes(self) -> int:
        """The size in bytes."""
        return self.xs.nbytes + self.ys.nbytes + self.order.nbytes


@dataclass(frozen=True)
class Neighbours:
    """Up to `depth` nearest neighbours of each pair that have a positive similarity, nearest first.

    Attributes:
        starts: where each pair's neighbours start, int64, shape (n_pairs + 1,).
        counts: how many there are, int32, shape (n_pairs,).
        entries: each neighbour's place in the lists of the ys, int32; past a pair's count meaningless.
        similarities: of the same shape, float64.
        unordered: pairs with a NaN among their similarities, bool: no order is defined, and what `heapq.nlargest`
            returns follows from its steps. Not searched, unless `as_heapq`.
        depth: the largest k that they serve; with `as_heapq` the only one.
    """

    starts: np.ndarray
    counts: np.ndarray
    entries: np.ndarray
    similarities: np.ndarray
    unordered: np.ndarray
    depth: int


def room_needed(lists: RatingLists, pairs: Pairs, depth: int) -> np.ndarray:
    """How many neighbours each pair can have at most, int64, shape (n_pairs,); `lists` are those of the ys."""
    room: np.ndarray = np.minimum(lists.lengths[pairs.ys], depth)
    return room


def nearest(ratings: CoRatings, pairs: Pairs, depth: int, *, as_heapq: bool = False) -> Neighbours:
    """Find the neighbours of each pair, on all processors that this process may use.

    Args:
        ratings: see `CoRatings`.
        pairs: to predict; both ids known.
        depth: the most neighbours to keep.
        as_heapq: search the unordered pairs too, step by step as `heapq.nlargest(depth, ...)` does.

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
            as_heapq,
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
def _grade(x: int, row: np.ndarray, grades: np.ndarray, bins: np.ndarray, bin_of: np.ndarray) -> None:
    """Give each x a grade from 1 to 255 that rises with its similarity, about as many xs to each; 0 if not positive.

    Any rising function would do for `_select`; equal shares keep what it has to sort within a grade small.
    `bins` and `bin_of` are room to work in.
    """
    lowest, highest = np.inf, 0.0
    for other in range(row.size):
        if row[other] > 0.0 and other != x:
            lowest, highest = min(lowest, row[other]), max(highest, row[other])
    last = bins.size - 2  # the last bin is for those that are not positive
    scale = last / (highest - lowest) if highest > lowest else 0.0
    bins[:] = 0
    for other in range(row.size):
        here = last + 1
        if row[other] > 0.0:
            position = (row[other] - lowest) * scale
            here = int(min(position, float(last))) if position > 0.0 else 0  # as NaN, of an infinite similarity
        bin_of[other] = here
        bins[here] += 1
    share = 254.0 / max(row.size - bins[last + 1], 1)
    above = 0
    for place in range(last, -1, -1):
        here = bins[place]
        bins[place] = 255 - int(above * share)
        above += here
    bins[last + 1] = 0
    for other in range(row.size):
        grades[other] = bins[bin_of[other]]


@kernel
def _select(
    first: int,
    ids: np.ndarray,
    row: np.ndarray,
    grades: np.ndarray,
    places: np.ndarray,
    candidates: np.ndarray,
    closeness: np.ndarray,
    entries: np.ndarray,
    similarities: np.ndarray,
) -> int:
    """Write the nearest of `ids` to `entries` and `similarities`, nearest first; return how many.

    A counting sort by grade, which keeps the order of `ids` within a grade, and stops at the grade where there are
    enough; then an insertion sort by similarity, which moves elements only within a grade and leaves equal ones in
    order.
    """
    n_kept = entries.size
    places[:] = 0
    for place in range(ids.size):
        places[grades[np.uint64(ids[place])]] += 1
    held = 0
    lowest = 255
    while lowest > 0 and held < n_kept:
        here = places[lowest]
        places[lowest] = held
        held += here
        lowest -= 1
    for grade in range(lowest + 1):  # where all others are written, one over the other: faster than a branch
        places[grade] = held
    for place in range(ids.size):
        other = np.uint64(ids[place])
        grade = grades[other]
        at = places[grade]
        candidates[at] = first + place
        closeness[at] = row[other]
        places[grade] = at + (grade > lowest)
    for place in range(1, held):
        entry, similarity = candidates[place], closeness[place]
        at = place
        while at > 0 and closeness[at - 1] < similarity:
            candidates[at], closeness[at] = candidates[at - 1], closeness[at - 1]
            at -= 1
        candidates[at], closeness[at] = entry, similarity
    count = min(held, n_kept)
    for place in range(count):
        entries[place], similarities[place] = candidates[place], closeness[place]
    return count


@kernel
def _any_nan(ids: np.ndarray, row: np.ndarray) -> bool:
    for one in ids:  # noqa: SIM110 - numba compiles no generator expressions
        if math.isnan(row[one]):
            return True
    return False


@kernel
def _is_less(one: int, other: int, entries: np.ndarray, similarities: np.ndarray) -> bool:
    """Compare as Python does (similarity, order) tuples; earlier entries have the larger order."""
    if similarities[one] == similarities[other]:
        return bool(entries[one] > entries[other])
    return bool(similarities[one] < similarities[other])


@kernel
def _swap(one: int, other: int, entries: np.ndarray, similarities: np.ndarray) -> None:
    entries[one], entries[other] = entries[other], entries[one]
    similarities[one], similarities[other] = similarities[other], similarities[one]


@kernel
def _sift(start: int, entries: np.ndarray, similarities: np.ndarray) -> None:
    """`siftup` of CPython's `_heapqmodule.c`: down to a leaf along the smaller children, then up again."""
    at = start
    while at < entries.size // 2:
        child = 2 * at + 1
        if child + 1 < entries.size and not _is_less(child, child + 1, entries, similarities):
            child += 1
        _swap(at, child, entries, similarities)
        at = child
    while at > start and _is_less(at, (at - 1) // 2, entries, similarities):
        _swap(at, (at - 1) // 2, entries, similarities)
        at = (at - 1) // 2


@kernel
def _select_as_heapq(
    first: int, ids: np.ndarray, row: np.ndarray, entries: np.ndarray, similarities: np.ndarray
) -> int:
    """As `_select`, but with the comparisons of `heapq.nlargest`, which NaN makes a part of the result.

    Source: CPython's `Lib/heapq.py`, for fewer places than ids; its heap of more than 2,500 is made in another order.
    """
    for place in range(entries.size):
        entries[place], similarities[place] = first + place, row[ids[place]]
    for start in range(entries.size // 2 - 1, -1, -1):
        _sift(start, entries, similarities)
    for place in range(entries.size, ids.size):
        if similarities[0] < row[ids[place]]:
            entries[0], similarities[0] = first + place, row[ids[place]]
            _sift(0, entries, similarities)
    count = 0
    for place in range(entries.size):
        entry, similarity = entries[place], similarities[place]
        if similarity > 0.0:
            at = count
            while at > 0 and (
                similarities[at - 1] < similarity or (similarities[at - 1] == similarity and entries[at - 1] > entry)
            ):
                entries[at], similarities[at] = entries[at - 1], similarities[at - 1]
                at -= 1
            entries[at], similarities[at] = entry, similarity
            count += 1
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
    as_heapq: bool,
) -> bool:
    n = ratings.x_starts.size - 1
    longest = 0
    for y in range(ratings.y_starts.size - 1):
        longest = max(longest, ratings.y_starts[y + 1] - ratings.y_starts[y])
    sums = room_for_sums(ratings)
    row, grades = np.empty(n), np.empty(n, np.uint8)
    bins, bin_of = np.empty(_BINS, np.int32), np.empty(n, np.uint16)
    places = np.empty(256, np.int64)
    candidates, closeness = np.empty(longest + 1, np.int32), np.empty(longest + 1)
    x = -1
    state = FINE
    for pair in range(start, stop):
        if xs[pair] != x:
            x = int(np.int64(xs[pair]))  # as elsewhere: for another type everything would be compiled again
            state = similarity_row(x, ratings, sums, row)
            if state == UNDEFINED:
                return False
            _grade(x, row, grades, bins, bin_of)
        first, last = ratings.y_starts[ys[pair]], ratings.y_starts[ys[pair] + 1]
        here, there = starts[pair], starts[pair + 1]
        ids = ratings.y_ids[first:last]
        if state == HAS_NAN and _any_nan(ids, row):
            unordered[pair] = True
            if not as_heapq:
                continue
            if ids.size > there - here:  # with a place for each, all are returned
                kept, similar = entries[here:there], similarities[here:there]
                counts[pair] = _select_as_heapq(first, ids, row, kept, similar)
                continue
        counts[pair] = _select(
            first, ids, row, grades, places, candidates, closeness, entries[here:there], similarities[here:there]
        )
    return True
