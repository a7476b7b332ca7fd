"""From sorted neighbours to predicted ratings, as Surprise's four k-NN algorithms do (`surprise/.../knns.py`).

With s the similarities and r the ratings of the first k neighbours, each sum taken nearest first:

    basic        sum(s r) / sum(s)
    with_means   mean_x + sum(s (r - mean)) / sum(s)
    with_zscore  mean_x + sum(s (r - mean) / sigma) / sum(s) * sigma_x
    baseline     b_xy + sum(s (r - b)) / sum(s), with b = global mean + bias of x + bias of y
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.ratings.knn.arrays import RatingArrays, RatingLists
from sweeps.tasks.ratings.knn.neighbours import Neighbours, in_pieces

AlgorithmName = Literal["basic", "with_means", "with_zscore", "baseline"]
ALGORITHMS: tuple[AlgorithmName, ...] = ("basic", "with_means", "with_zscore", "baseline")

# Surprise's defaults of `bsl_options` for alternating least squares.
_EPOCHS, _USER_REGULARISATION, _ITEM_REGULARISATION = 10, 15.0, 10.0


@dataclass(frozen=True)
class Biases:
    """Surprise's baseline estimates.

    Attributes:
        users, items: float64, one of each inner id.
    """

    users: np.ndarray
    items: np.ndarray

    @classmethod
    def of(cls, ratings: RatingArrays) -> Biases:
        """Fit them by alternating least squares with Surprise's defaults, operation by operation."""
        users, items = np.zeros(len(ratings.by_user)), np.zeros(len(ratings.by_item))
        user_lists, item_lists = ratings.by_user, ratings.by_item
        for _ in range(_EPOCHS):
            _refit_biases(
                item_lists.starts,
                item_lists.ids,
                item_lists.ratings,
                ratings.global_mean,
                users,
                _ITEM_REGULARISATION,
                items,
            )
            _refit_biases(
                user_lists.starts,
                user_lists.ids,
                user_lists.ratings,
                ratings.global_mean,
                items,
                _USER_REGULARISATION,
                users,
            )
        return cls(users, items)


@kernel
def _refit_biases(
    starts: np.ndarray,
    ids: np.ndarray,
    ratings: np.ndarray,
    global_mean: float,
    others: np.ndarray,
    regularisation: float,
    biases: np.ndarray,
) -> None:
    for one in range(biases.size):
        deviation = 0.0
        for entry in range(starts[one], starts[one + 1]):
            deviation += ratings[entry] - global_mean - others[ids[entry]]
        biases[one] = deviation / (regularisation + (starts[one + 1] - starts[one]))


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of each x's ratings.

    Attributes:
        means: float64, shape (n,).
        sigmas: the same; where all ratings are equal, that of all ratings of the trainset. Empty where not needed.
    """

    means: np.ndarray
    sigmas: np.ndarray

    @classmethod
    def of(cls, lists: RatingLists, overall_sigma: float | None) -> Spread:
        """Compute them with numpy's own functions on each list, as Surprise does: their order of summing is numpy's.

        Args:
            lists: of each x.
            overall_sigma: of all ratings; None to leave the deviations out.
        """
        means = np.array([np.mean(lists.ratings_of(x)) for x in range(len(lists))])
        if overall_sigma is None:
            return cls(means, np.empty(0))
        sigmas = np.array([np.std(lists.ratings_of(x)) for x in range(len(lists))])
        sigmas[sigmas == 0.0] = overall_sigma
        return cls(means, sigmas)


@dataclass(frozen=True)
class Centring:
    """What an algorithm averages, and what it does to the average.

    Attributes:
        deviations: of each entry in the lists of the ys, what is averaged instead of the rating; float64.
        divisors: each x's sigma, float64; empty where deviations are not scaled.
    """

    deviations: np.ndarray
    divisors: np.ndarray


def average(
    ids: np.ndarray, neighbours: Neighbours, centring: Centring, ks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the first k neighbours of each pair, for several k in one pass.

    Args:
        ids: the x of each entry in the lists of the ys, int32.
        neighbours: with a depth of at least max(ks).
        centring: of the algorithm.
        ks: ascending.

    Returns:
        sum(s * deviation) and sum(s), float64, each of shape (len(ks), n_pairs).
    """
    shape = (len(ks), len(neighbours.counts))
    weighted, weights = np.empty(shape), np.empty(shape)
    wanted = np.asarray(ks, np.int64)

    def piece(start: int, stop: int) -> bool:
        _average(
            start,
            stop,
            wanted,
            neighbours.starts,
            neighbours.counts,
            neighbours.entries,
            neighbours.similarities,
            centring.deviations,
            ids,
            centring.divisors,
            weighted,
            weights,
        )
        return True

    in_pieces(piece, shape[1])
    return weighted, weights


@kernel
def _average(
    start: int,
    stop: int,
    ks: np.ndarray,
    starts: np.ndarray,
    counts: np.ndarray,
    entries: np.ndarray,
    similarities: np.ndarray,
    deviations: np.ndarray,
    ids: np.ndarray,
    divisors: np.ndarray,
    weighted: np.ndarray,
    weights: np.ndarray,
) -> None:
    scaled = divisors.size > 0
    for pair in range(start, stop):
        first = starts[pair]
        done = 0
        total, weight = 0.0, 0.0
        for step in range(ks.size):
            last = min(ks[step], counts[pair])
            for place in range(first + done, first + last):
                entry, similarity = entries[place], similarities[place]
                term = similarity * deviations[entry]
                total += term / divisors[ids[entry]] if scaled else term
                weight += similarity
            done = last
            weighted[step, pair] = total
            weights[step, pair] = weight


def finish(
    weighted: np.ndarray,
    weights: np.ndarray,
    counts: np.ndarray,
    min_k: int,
    scales: np.ndarray | None,
    offsets: np.ndarray | None,
) -> np.ndarray:
    """Turn sums into estimates, not yet clipped to the rating scale.

    Args:
        weighted, weights: from `average`, shape (n_ks, n_pairs).
        counts: neighbours used (Surprise's `actual_k`), int, of the same shape.
        min_k: with fewer neighbours a pair gets its offset alone.
        scales: multiplies the average of each pair, shape (n_pairs,); None for 1.
        offsets: is added to the average of each pair, shape (n_pairs,); None where with too few neighbours a
            prediction is impossible.

    Returns:
        float64, of the shape of `weighted`; meaningless where impossible.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        averages: np.ndarray = weighted / weights
        if scales is not None:
            averages *= scales
    if offsets is None:
        return averages
    averages += offsets
    np.copyto(averages, offsets, where=counts < min_k)
    return averages
