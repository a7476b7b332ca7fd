"""One row of Surprise's similarity matrix at a time, bit for bit.

Surprise fills several n x n matrices of sums, adding the term of one co-rating after the other, y by y in the order of
the trainset (`surprise/similarities.pyx`). Each entry of a row of these sums depends on that row's own ratings alone.
So a row is computed here when it is needed, adding the same terms in the same order in doubles, and nothing of size n^2
is ever held. Equal operations in equal order give equal floats, whatever the rating scale. Where all ratings are small
multiples of a power of two (stars, half stars), every sum is exact in any arithmetic: integers, two sums packed in a
word, then give the same floats in about half the time.

Two things could still differ, and `knn_engine` looks at both: duplicate pairs (Surprise adds their terms in the order
of the smaller id's list for both triangles) and a Surprise built with fused multiply-add.

As in Surprise, x is what neighbours are sought among (users if user-based, else items) and y is the other side.
"""

from __future__ import annotations

import math

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.ratings.knn.co_ratings import GIVEN, MSD, PEARSON, PEARSON_BASELINE, CoRatings

FINE, HAS_NAN, UNDEFINED = range(3)

_HALF = np.int64(32)  # bits: of the two sums in a word, one stands in the upper half
_LOWER = np.int64(2**32 - 1)


@kernel
def room_for_sums(ratings: CoRatings) -> np.ndarray:
    """Room for the sums of one row, float64: no wider than needed, so that it stays in the processor's cache."""
    n = ratings.x_starts.size - 1
    if ratings.code == GIVEN:
        return np.empty((0, 0))
    width = 2 if ratings.code == MSD else 6 if ratings.code == PEARSON else 4
    return np.empty((n, width // 2 if ratings.y_steps.size else width))


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
def _pack_products(x: int, ratings: CoRatings, words: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, steps = ratings.y_ids[first:last], ratings.y_steps[first:last]
        mine = np.int64(ratings.x_steps[at])
        one, square = np.int64(1) << _HALF, (mine * mine) << _HALF
        for place in range(ids.size):
            other = np.uint64(ids[place])
            value = np.int64(steps[place])
            words[other, 0] += one + mine * value
            words[other, 1] += square + value * value


@kernel
def _pack_products_and_values(x: int, ratings: CoRatings, words: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, steps = ratings.y_ids[first:last], ratings.y_steps[first:last]
        mine = np.int64(ratings.x_steps[at])
        one, square, upper = np.int64(1) << _HALF, (mine * mine) << _HALF, mine << _HALF
        for place in range(ids.size):
            other = np.uint64(ids[place])
            value = np.int64(steps[place])
            words[other, 0] += one + mine * value
            words[other, 1] += square + value * value
            words[other, 2] += upper + value


@kernel
def _pack_squared_differences(x: int, ratings: CoRatings, words: np.ndarray) -> None:
    for at in range(ratings.x_starts[x], ratings.x_starts[x + 1]):
        y = ratings.x_ids[at]
        first, last = ratings.y_starts[y], ratings.y_starts[y + 1]
        ids, steps = ratings.y_ids[first:last], ratings.y_steps[first:last]
        mine = np.int64(ratings.x_steps[at])
        one = np.int64(1) << _HALF
        for place in range(ids.size):
            other = np.uint64(ids[place])
            difference = mine - np.int64(steps[place])
            words[other, 0] += one + difference * difference


@kernel
def _add_up(x: int, ratings: CoRatings, sums: np.ndarray, words: np.ndarray) -> None:
    sums[:] = 0.0
    if ratings.y_steps.size:
        if ratings.code == MSD:
            _pack_squared_differences(x, ratings, words)
        elif ratings.code == PEARSON:
            _pack_products_and_values(x, ratings, words)
        else:
            _pack_products(x, ratings, words)
    elif ratings.code == MSD:
        _add_squared_differences(x, ratings, sums)
    elif ratings.code == PEARSON:
        _add_products_and_values(x, ratings, sums)
    else:
        _add_products(x, ratings, sums)


@kernel
def _unpack(word: int, upper_unit: float, lower_unit: float) -> tuple[float, float]:
    return float(word >> _HALF) * upper_unit, float(word & _LOWER) * lower_unit


@kernel
def _cosine(products: float, squares: float, other_squares: float) -> float:
    divisor = math.sqrt(squares * other_squares)
    return -np.inf if divisor == 0.0 else products / divisor


@kernel
def _pearson(
    support: float, products: float, squares: float, other_squares: float, total: float, other_total: float
) -> float:
    numerator = support * products - total * other_total
    own, others = support * squares - total * total, support * other_squares - other_total * other_total
    divisor = math.sqrt(own * others)
    return 0.0 if divisor == 0.0 else numerator / divisor


@kernel
def _write_row(code: int, min_support: int, shrinkage: float, sums: np.ndarray, row: np.ndarray) -> None:
    """Similarities from sums of floats; -inf, which no similarity is, where Surprise divides by zero."""
    for other in range(row.size):
        support = sums[other, 0]
        if support < min_support:
            row[other] = 0.0
        elif code == MSD:
            row[other] = 1.0 / (sums[other, 1] / support + 1.0)
        elif code == PEARSON:
            row[other] = _pearson(
                support, sums[other, 1], sums[other, 2], sums[other, 3], sums[other, 4], sums[other, 5]
            )
        else:
            row[other] = _cosine(sums[other, 1], sums[other, 2], sums[other, 3])
            if code == PEARSON_BASELINE:
                row[other] *= (support - 1.0) / (support - 1.0 + shrinkage)


@kernel
def _write_row_of_words(code: int, min_support: int, step: float, words: np.ndarray, row: np.ndarray) -> None:
    """Similarities from packed sums of integers; -inf as in `_write_row`."""
    square = step * step
    for other in range(row.size):
        support, products = _unpack(words[other, 0], 1.0, square)
        if support < min_support:
            row[other] = 0.0
        elif code == MSD:
            row[other] = 1.0 / (products / support + 1.0)
        else:
            squares, other_squares = _unpack(words[other, 1], square, square)
            if code == PEARSON:
                total, other_total = _unpack(words[other, 2], step, step)
                row[other] = _pearson(support, products, squares, other_squares, total, other_total)
            else:
                row[other] = _cosine(products, squares, other_squares)


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
    # Loops take the scalars that they need: a helper that is given `ratings` counts references to all of its arrays.
    if ratings.code == GIVEN:
        for other in range(row.size):  # a loop: numba takes seconds to compile an assignment of slices
            row[other] = ratings.matrix[x, other]
    else:
        words = sums.view(np.int64)  # the same room: sums of integers if there are steps
        _add_up(x, ratings, sums, words)
        if ratings.y_steps.size:
            _write_row_of_words(ratings.code, ratings.min_support, ratings.step, words, row)
        else:
            _write_row(ratings.code, ratings.min_support, ratings.shrinkage, sums, row)
        row[x] = 1.0
    status = FINE
    for other in range(row.size):
        if math.isnan(row[other]):
            status = max(status, HAS_NAN)
        elif row[other] == -np.inf:
            status = UNDEFINED
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
    sums = room_for_sums(ratings)
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
    sums = room_for_sums(ratings)
    row = np.empty(n)
    for x in xs:  # noqa: SIM110 - numba compiles no generator expressions
        if similarity_row(x, ratings, sums, row) == UNDEFINED:
            return True
    return False
