"""The fast engine: predictions of Surprise's k-NN algorithms for many pairs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sweeps.base.cache import SHARED, Key
from sweeps.base.errors import DataError
from sweeps.tasks.ratings.knn.arrays import RatingArrays, RatingLists, fingerprint_of
from sweeps.tasks.ratings.knn.co_ratings import (
    CoRatings,
    SimilarityName,
    baseline_differences,
    co_ratings,
    may_divide_by_zero,
    rows_that_may_divide_by_zero,
)
from sweeps.tasks.ratings.knn.estimates import AlgorithmName, Biases, Centring, Spread, average, finish
from sweeps.tasks.ratings.knn.neighbours import BYTES_A_NEIGHBOUR, Neighbours, Pairs, nearest, room_needed
from sweeps.tasks.ratings.knn.similarity import UNDEFINED, any_undefined, similarity_rows
from sweeps.tasks.ratings.knn.surprise_rows import rows_equal_surprises, surprise_matrix, with_matrix

# Keys stand for the ratings and pairs themselves: trials on equal ratings share baselines and means; those that differ
# only in k, min_k or algorithm share sorted neighbours.
_SHARED_DEPTH = 100  # neighbours are shared for every k up to this or its doubles, up to less where pairs are many
_BATCH_BYTES = 2**28  # of neighbours at a time, where they are too many to share


class UndefinedSimilarityError(DataError, ZeroDivisionError):
    """Two users or items have a similarity of 0/0, at which Surprise stops with a ZeroDivisionError."""


@dataclass(frozen=True)
class Settings:
    """The options of `sweeps.tasks.ratings.knn.algorithm.KNN` that decide a prediction, under the same names."""

    min_k: int
    algorithm: AlgorithmName
    similarity: SimilarityName
    user_based: bool
    min_support: int
    shrinkage: float


@dataclass(frozen=True)
class Estimates:
    """Predictions of pairs, for one or more k.

    Attributes:
        values: not clipped, float64, shape (n_ks, n_pairs).
        counts: Surprise's `actual_k`, int32, of the same shape; 0 where they were too few for a prediction, -1 where
            user or item is unknown.
        impossible: Surprise's `was_impossible`, bool, of the same shape.
    """

    values: np.ndarray
    counts: np.ndarray
    impossible: np.ndarray


class Engine:
    """Ratings arranged for one setting. Similarities are computed when they are asked for, and not kept.

    Args:
        ratings: to learn from.
        sizes: the number of users and of items.
        settings: see `Settings`.

    Attributes:
        rows_are_ours: False where Surprise's code computes the similarities: the ratings have duplicate pairs, or the
            installed Surprise rounds in another way than its source says.

    Raises:
        UndefinedSimilarityError: where Surprise's `fit` would divide by zero.
    """

    def __init__(self, ratings: RatingArrays, sizes: tuple[int, int], settings: Settings) -> None:
        self.ratings = ratings
        self.settings = settings
        n_users, n_items = sizes
        self._n = n_users if settings.user_based else n_items
        self.rows_are_ours = rows_equal_surprises() and not self._by_y.has_duplicates
        if not self.rows_are_ours or self._may_divide_by_zero:
            _ = self._co_ratings  # is computed, and raises, only here

    @property
    def _by_x(self) -> RatingLists:
        return self.ratings.by_user if self.settings.user_based else self.ratings.by_item

    @property
    def _by_y(self) -> RatingLists:
        return self.ratings.by_item if self.settings.user_based else self.ratings.by_user

    @property
    def _may_divide_by_zero(self) -> bool:
        def compute() -> tuple[bool, int]:
            return may_divide_by_zero(self.settings.similarity, self._values), 1

        key = (*self._fingerprints, "may divide by zero", self.settings.similarity, self.settings.user_based)
        found: bool = SHARED.get_or_compute(key, compute)
        return found

    @property
    def _fingerprints(self) -> tuple[str, ...]:
        """Of all that similarities depend on: baselines come from both sides."""
        if self.settings.similarity == "pearson_baseline":
            return self.ratings.fingerprint
        return (self._by_y.fingerprint,)

    @cached_property
    def _values(self) -> np.ndarray:
        """What similarities are computed from, one of each entry in the lists of the ys."""
        if self.settings.similarity != "pearson_baseline":
            return self._by_y.ratings
        x_biases, y_biases = self._xy(self.biases.users, self.biases.items)
        return baseline_differences(self._by_y, self.ratings.global_mean, x_biases, y_biases)

    @cached_property
    def _co_ratings(self) -> CoRatings:
        settings, n = self.settings, self._n
        options = (settings.similarity, settings.min_support, settings.shrinkage)
        arranged = co_ratings(self._by_y, n, *options, self._values)
        if not self.rows_are_ours:
            biases = self._xy(self.biases.users, self.biases.items)
            baseline = (self.ratings.global_mean, *biases)
            try:
                return with_matrix(arranged, surprise_matrix(self._by_y, n, *options, *baseline))
            except ZeroDivisionError as error:
                raise self._undefined() from error
        doubtful = rows_that_may_divide_by_zero(arranged)
        if len(doubtful) and any_undefined(doubtful, arranged, n):
            raise self._undefined()
        return arranged

    def _undefined(self) -> UndefinedSimilarityError:
        side = "users" if self.settings.user_based else "items"
        what = "baselines" if self.settings.similarity == "pearson_baseline" else "zeros"
        return UndefinedSimilarityError(
            f"similarity {self.settings.similarity} of two {side} is 0/0: the ratings that one of them shares with the "
            f"other are all {what}, and Surprise divides by zero there; use similarity msd or pearson"
        )

    def _xy(self, of_users: np.ndarray, of_items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (of_users, of_items) if self.settings.user_based else (of_items, of_users)

    @cached_property
    def biases(self) -> Biases:
        """Baselines of users and items."""
        return SHARED.get_or_share(("biases", *self.ratings.fingerprint), Biases, lambda: Biases.of(self.ratings))

    @cached_property
    def spread(self) -> Spread:
        """Means of the xs' ratings and, for with_zscore, their standard deviations."""
        scaled = self.settings.algorithm == "with_zscore"

        def compute() -> Spread:
            return Spread.of(self._by_x, float(np.std(self.ratings.by_user.ratings)) if scaled else None)

        key: Key = ("spread", *self.ratings.fingerprint, self.settings.user_based, scaled)
        return SHARED.get_or_share(key, Spread, compute)

    @cached_property
    def _centring(self) -> Centring:
        ratings, ids = self._by_y.ratings, self._by_y.ids
        if self.settings.algorithm == "basic":
            return Centring(ratings, np.empty(0))
        if self.settings.algorithm == "baseline":
            x_biases, y_biases = self._xy(self.biases.users, self.biases.items)
            baselines = (self.ratings.global_mean + x_biases[ids]) + y_biases[self._by_y.owners]
            return Centring(ratings - baselines, np.empty(0))
        return Centring(ratings - self.spread.means[ids], self.spread.sigmas)

    def similarity_rows(self, xs: np.ndarray) -> np.ndarray:
        """Surprise's `sim[xs]`, float64, shape (len(xs), n); `xs` are inner ids."""
        rows = np.empty((len(xs), self._n))
        if similarity_rows(np.asarray(xs, np.int64), self._co_ratings, rows) == UNDEFINED:
            raise self._undefined()
        return rows

    def estimate(self, users: np.ndarray, items: np.ndarray, ks: Sequence[int]) -> Estimates:
        """Predict pairs, for several k at once.

        Args:
            users, items: inner ids, int, shape (n_pairs,); -1 for an unknown one.
            ks: ascending.
        """
        estimates = self._of_unknown(users, items, len(ks))
        known = np.flatnonzero((users >= 0) & (items >= 0))
        xs, ys = self._xy(users[known], items[known])
        offsets = self._offsets(estimates, users, items)
        every_k = slice(0, len(ks))
        for part, neighbours in self._neighbours(_sorted_pairs(xs, ys), max(ks)):
            self._fill(estimates, every_k, known[part.order], part, neighbours, offsets, ks)
            rest = part.only(neighbours.unordered)
            for row, k in enumerate(ks if len(rest) else ()):
                found = nearest(self._co_ratings, rest, k, as_heapq=True)
                self._fill(estimates, slice(row, row + 1), known[rest.order], rest, found, offsets, [k])
        if estimates.impossible.any():
            estimates.values[estimates.impossible] = self.ratings.global_mean
        return estimates

    def _of_unknown(self, users: np.ndarray, items: np.ndarray, n_ks: int) -> Estimates:
        values = np.zeros((n_ks, len(users)))
        if self.settings.algorithm == "baseline":
            values += self.ratings.global_mean
            values += np.where(users >= 0, self.biases.users[users], 0.0)
            values += np.where(items >= 0, self.biases.items[items], 0.0)
        impossible = np.full(values.shape, self.settings.algorithm != "baseline")
        return Estimates(values, np.full(values.shape, -1, np.int32), impossible)

    def _offsets(self, estimates: Estimates, users: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """What is added to the average of each pair; meaningless where user or item is unknown."""
        if self.settings.algorithm == "basic":
            return None
        if self.settings.algorithm == "baseline":
            baselines: np.ndarray = estimates.values[0].copy()  # what `_of_unknown` wrote
            return baselines
        means: np.ndarray = self.spread.means[users if self.settings.user_based else items]
        return means

    def _fill(
        self,
        estimates: Estimates,
        rows: slice,
        places: np.ndarray,
        part: Pairs,
        neighbours: Neighbours,
        offsets: np.ndarray | None,
        ks: Sequence[int],
    ) -> None:
        weighted, weights = average(self._by_y.ids, neighbours, self._centring, ks)
        counts = np.minimum(neighbours.counts, np.asarray(ks, np.int32)[:, None])
        scales = self._centring.divisors[part.xs] if self._centring.divisors.size else None
        added = None if offsets is None else offsets[places]
        estimates.values[rows, places] = finish(weighted, weights, counts, self.settings.min_k, scales, added)
        impossible = (counts < self.settings.min_k) & (offsets is None)
        estimates.counts[rows, places] = np.where(impossible, 0, counts)
        estimates.impossible[rows, places] = impossible

    def _neighbours(self, pairs: Pairs, k: int) -> Iterator[tuple[Pairs, Neighbours]]:
        depth = self._depth_to_share(pairs, k)
        if depth is not None:
            yield pairs, self._shared_neighbours(pairs, depth)
            return
        ends = np.cumsum(room_needed(self._by_y, pairs, k)) * BYTES_A_NEIGHBOUR
        start = 0
        while start < len(pairs):
            held = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, held + _BATCH_BYTES, side="right")))
            part = pairs.part(start, stop)
            yield part, nearest(self._co_ratings, part, k)
            start = stop

    def _depth_to_share(self, pairs: Pairs, k: int) -> int | None:
        """How many neighbours to keep of each pair, the same for as many k as can be; None if k are too many."""
        depth = _SHARED_DEPTH
        while depth < k:
            depth *= 2
        if self._bytes_needed(pairs, depth) <= SHARED.max_bytes // 4:
            return depth
        for depth in range(_SHARED_DEPTH - 10, 0, -10):
            if self._bytes_needed(pairs, depth) <= SHARED.max_bytes:
                return depth if depth >= k else None
        return None

    def _bytes_needed(self, pairs: Pairs, depth: int) -> int:
        # 13 bytes of a pair are its start, its count and whether it is ordered.
        return int(room_needed(self._by_y, pairs, depth).sum()) * BYTES_A_NEIGHBOUR + 13 * len(pairs) + 8

    def _shared_neighbours(self, pairs: Pairs, depth: int) -> Neighbours:
        settings = self.settings
        shrinkage = settings.shrinkage if settings.similarity == "pearson_baseline" else None
        sought = (settings.similarity, settings.user_based, settings.min_support, shrinkage, depth)
        key: Key = ("neighbours", *self._fingerprints, self._n, pairs.fingerprint, *sought)
        return SHARED.get_or_share(key, Neighbours, lambda: nearest(self._co_ratings, pairs, depth))


def _sorted_pairs(xs: np.ndarray, ys: np.ndarray) -> Pairs:
    def compute() -> tuple[Pairs, int]:
        found = Pairs.of(xs, ys)
        return found, found.n_bytes

    pairs: Pairs = SHARED.get_or_compute((fingerprint_of(xs, ys), "sorted pairs"), compute)
    return pairs
