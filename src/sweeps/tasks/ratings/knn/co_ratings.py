"""Ratings arranged so that kernels can compute rows of similarities from them; see `knn_similarity`."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.ratings.knn.arrays import RatingLists, transpose

SimilarityName = Literal["cosine", "msd", "pearson", "pearson_baseline"]
SIMILARITIES: tuple[SimilarityName, ...] = ("cosine", "msd", "pearson", "pearson_baseline")

COSINE, MSD, PEARSON, PEARSON_BASELINE, GIVEN = range(5)

_FINEST_STEP = 1 / 16
_LARGEST_SUM = 2**32 - 1  # of two in a word

# Below this a square of a square can underflow to zero, and with it the divisor of a cosine.
_TINY = 1e-75


class CoRatings(NamedTuple):
    """What the kernels read to compute rows of similarities.

    Attributes:
        y_starts, y_ids, y_values: the lists of each y: x ids (int32) and values (float64).
        x_starts, x_ids, x_values: of each x the ys that rated it, in ascending order, and the values.
        y_steps, x_steps: the values as multiples of `step`, int16; empty where sums of integers would not be exact.
        step: a power of two.
        code: COSINE, MSD, PEARSON, PEARSON_BASELINE, or GIVEN where the rows stand in `matrix`.
        min_support: pairs with fewer co-ratings have similarity 0.
        shrinkage: of PEARSON_BASELINE.
        matrix: shape (n, n) if GIVEN, else (0, 0); float64.

    Values are the ratings, for PEARSON_BASELINE their differences from the baseline.
    """

    y_starts: np.ndarray
    y_ids: np.ndarray
    y_values: np.ndarray
    x_starts: np.ndarray
    x_ids: np.ndarray
    x_values: np.ndarray
    y_steps: np.ndarray
    x_steps: np.ndarray
    step: float
    code: int
    min_support: int
    shrinkage: float
    matrix: np.ndarray

    @property
    def n(self) -> int:
        """The number of xs."""
        return len(self.x_starts) - 1


def co_ratings(
    lists: RatingLists,
    n: int,
    similarity: SimilarityName,
    min_support: int,
    shrinkage: float,
    values: np.ndarray,
) -> CoRatings:
    """Arrange ratings so that `similarity_row` can be computed.

    Args:
        lists: of each y, in the trainset's order.
        n: the number of xs.
        similarity, min_support, shrinkage: as in Surprise's `sim_options`.
        values: the ratings of `lists`; for pearson_baseline their `baseline_differences`.
    """
    starts, owners, origins = transpose(lists.starts, lists.ids, n)
    code = SIMILARITIES.index(similarity)
    if code == PEARSON_BASELINE:
        min_support = max(2, min_support)  # as Surprise: a single co-rating would be shrunk to nothing
    longest = int(np.diff(starts).max(initial=0))
    # Differences from baselines are no multiples of anything.
    steps, step = _in_steps(values if code != PEARSON_BASELINE else values[:0], longest)
    return CoRatings(
        lists.starts,
        lists.ids,
        values,
        starts,
        owners,
        values[origins],
        steps,
        steps[origins] if len(steps) else steps,
        step,
        code,
        min_support,
        float(shrinkage),
        np.empty((0, 0)),
    )


def _in_steps(values: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """Values as int16 multiples of a power of two, if sums of up to `longest` of their products fit half a word."""
    none = np.empty(0, np.int16), 1.0
    if not len(values) or values.min() < 0.0:
        return none
    step = 1.0
    while not _are_multiples(values, step):
        step /= 2
        if step < _FINEST_STEP:
            return none
    highest = values.max() / step
    if highest > np.iinfo(np.int16).max or highest**2 * longest > _LARGEST_SUM:
        return none
    return (values / step).astype(np.int16), step


@kernel
def _are_multiples(values: np.ndarray, step: float) -> bool:
    for value in values:  # noqa: SIM110 - numba compiles no generator expressions
        if value / step != np.floor(value / step):
            return False
    return True


def baseline_differences(
    lists: RatingLists, global_mean: float, x_biases: np.ndarray, y_biases: np.ndarray
) -> np.ndarray:
    """What each rating is above its baseline, with Surprise's order of additions.

    Args:
        lists: of each y.
        global_mean: of all ratings.
        x_biases, y_biases: float64, one of each x and y.

    Returns:
        float64, shape (n_ratings,).
    """
    difference: np.ndarray = lists.ratings - ((global_mean + y_biases[lists.owners]) + x_biases[lists.ids])
    return difference


def may_divide_by_zero(similarity: SimilarityName, values: np.ndarray) -> bool:
    """Whether a similarity computed from these values could be 0/0; rarely so."""
    return similarity in ("cosine", "pearson_baseline") and bool((np.abs(values) < _TINY).any())


def rows_that_may_divide_by_zero(ratings: CoRatings) -> np.ndarray:
    """The xs for which `similarity_row` could come out `UNDEFINED`."""
    if ratings.code not in (COSINE, PEARSON_BASELINE):
        return np.empty(0, np.int64)
    zeros = np.flatnonzero(np.abs(ratings.x_values) < _TINY)
    rows: np.ndarray = np.unique(np.searchsorted(ratings.x_starts, zeros, side="right") - 1)
    return rows
