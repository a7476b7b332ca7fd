"""One row of Surprise's similarity matrix at a time, bit for bit.

Surprise fills several n x n matrices of sums, adding the term of one co-rating after the other, y by y in the order of
the trainset (`surprise/similarities.pyx`). Each entry of a row of these sums depends on that row's own ratings alone.
So a row is computed here when it is needed, adding the same terms in the same order in doubles, and nothing of size n^2
is ever held. Equal operations in equal order give equal floats, whatever the rating scale.

Two things could still differ, and `knn_engine` looks at both: duplicate pairs (Surprise adds their terms in the order
of the smaller id's list for both triangles) and a Surprise built with fused multiply-add.

As in Surprise, x is what neighbours are sought among (users if user-based, else items) and y is the other side.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from sweeps.models.knn_jit import kernel
from sweeps.models.knn_ratings import RatingLists, transpose

SimilarityName = Literal["cosine", "msd", "pearson", "pearson_baseline"]
SIMILARITIES: tuple[SimilarityName, ...] = ("cosine", "msd", "pearson", "pearson_baseline")

COSINE, MSD, PEARSON, PEARSON_BASELINE, GIVEN = range(5)

FINE, HAS_NAN, UNDEFINED = range(3)

# Below this a square of a square can underflow to zero, and with it the divisor of a cosine.
_TINY = 1e-75


class CoRatings(NamedTuple):
    """What the kernels read to compute rows of similarities.

    Attributes:
        y_starts, y_ids, y_values: the lists of each y: x ids (int32) and values (float64).
        x_starts, x_ids, x_values: of each x the ys that rated it, in ascending order, and the values.
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
    return CoRatings(
        lists.starts,
        lists.ids,
        values,
        starts,
        owners,
        values[origins],
        code,
        min_support,
        float(shrinkage),
        np.empty((0, 0)),
    )


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


@kernel
def room_for_sums(code: int, n: int) -> np.ndarray:
    """Room for the sums of one row, float64: no wider than needed, so that it stays in the processor's cache.

    Args:
        code: of `CoRatings`.
        n: the number of xs.
    """
    if code == GIVEN:
        return np.empty((0, 0))
    if code == MSD:
        return np.empty((n, 2))
    return np.empty((n, 6 if code == PEARSON else 4))


@kernel
def _add_products(x: int, ratings: CoRatings, sums: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, values = ratings.y_ids[first:last], ratings.y_values[first:last]
        mine = ratings.x_values[at]
        square = mine * mine
        for place in range(ids.size):
            other = np.uint64(ids[place])  # unsigned: no check for a negative index
            value = values[place]
            sums[other, 0] += 1.0
            sums[other, 1] += mine * value
            sums[other, 2] += square
            sums[other, 3] += value * value


@kernel
def _add_products_and_values(x: int, ratings: CoRatings, sums: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, values = ratings.y_ids[first:last], ratings.y_values[first:last]
        mine = ratings.x_values[at]
        square = mine * mine
        for place in range(ids.size):
            other = np.uint64(ids[place])
            value = values[place]
            sums[other, 0] += 1.0
            sums[other, 1] += mine * value
            sums[other, 2] += square
            sums[other, 3] += value * value
            sums[other, 4] += mine
            sums[other, 5] += value


@kernel
def _add_squared_differences(x: int, ratings: CoRatings, sums: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, values = ratings.y_ids[first:last], ratings.y_values[first:last]
        mine = ratings.x_values[at]
        for place in range(ids.size):
            other = np.uint64(ids[place])
            difference = mine - values[place]
            sums[other, 0] += 1.0
            sums[other, 1] += difference * difference


@kernel
def _pearson(sums: np.ndarray) -> float:
    n, products = sums[0], sums[1]
    squares, other_squares = sums[2], sums[3]
    total, other_total = sums[4], sums[5]
    numerator = n * products - total * other_total
    divisor = math.sqrt((n * squares - total * total) * (n * other_squares - other_total * other_total))
    return 0.0 if divisor == 0.0 else numerator / divisor


@kernel
def similarity_row(x: int, ratings: CoRatings, sums: np.ndarray, row: np.ndarray) -> int:
    """Write Surprise's `sim[x]`.

    Formulas: `surprise.similarities`, whose operations are repeated one by one.

    Args:
        x: the row.
        ratings: see `CoRatings`.
        sums: room to work in, from `room_for_sums`.
        row: written to, shape (n,), float64.

    Returns:
        FINE; HAS_NAN where rounding left a negative number under pearson's root, as it does in Surprise; UNDEFINED
        where Surprise raises ZeroDivisionError.
    """
    status = FINE
    if ratings.code == GIVEN:
        for other in range(row.size):  # a loop: numba takes seconds to compile an assignment of slices
            row[other] = ratings.matrix[x, other]
            if math.isnan(row[other]):
                status = HAS_NAN
        return status
    sums[:] = 0.0
    if ratings.code == MSD:
        _add_squared_differences(x, ratings, sums)
    elif ratings.code == PEARSON:
        _add_products_and_values(x, ratings, sums)
    else:
        _add_products(x, ratings, sums)
    for other in range(row.size):
        support = sums[other, 0]
        if support < ratings.min_support or other == x:
            row[other] = 0.0
        elif ratings.code == MSD:
            row[other] = 1.0 / (sums[other, 1] / support + 1.0)
        elif ratings.code == PEARSON:
            row[other] = _pearson(sums[other])
            if math.isnan(row[other]):
                status = HAS_NAN
        else:
            divisor = math.sqrt(sums[other, 2] * sums[other, 3])
            if divisor == 0.0:
                return UNDEFINED
            row[other] = sums[other, 1] / divisor
            if ratings.code == PEARSON_BASELINE:
                row[other] *= (support - 1.0) / (support - 1.0 + ratings.shrinkage)
    row[x] = 1.0
    return status


@kernel
def similarity_rows(xs: np.ndarray, ratings: CoRatings, rows: np.ndarray) -> int:
    """Write several rows of the similarity matrix.

    Args:
        xs: which, int64, shape (m,).
        ratings: see `CoRatings`.
        rows: written to, float64, shape (m, n).

    Returns:
        The largest of the rows' states: FINE < HAS_NAN < UNDEFINED.
    """
    sums = room_for_sums(ratings.code, rows.shape[1])
    state = FINE
    for place in range(xs.size):
        state = max(state, similarity_row(xs[place], ratings, sums, rows[place]))
    return state


@kernel
def any_undefined(xs: np.ndarray, ratings: CoRatings, n: int) -> bool:
    """Whether Surprise would divide by zero in one of these rows.

    Args:
        xs: int64, shape (m,).
        ratings: see `CoRatings`.
        n: the number of xs in all.
    """
    sums = room_for_sums(ratings.code, n)
    row = np.empty(n)
    for x in xs:  # noqa: SIM110 - numba compiles no generator expressions
        if similarity_row(x, ratings, sums, row) == UNDEFINED:
            return True
    return False
