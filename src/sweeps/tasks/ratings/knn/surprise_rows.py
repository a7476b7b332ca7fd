"""Surprise's own similarity code on our arrays: where the order of its sums cannot be kept, and to check ours."""

from __future__ import annotations

from functools import cache

import numpy as np
from surprise import similarities as surprise_similarities

from sweeps.tasks.ratings.knn.arrays import ListsView, RatingLists
from sweeps.tasks.ratings.knn.co_ratings import (
    GIVEN,
    SIMILARITIES,
    CoRatings,
    SimilarityName,
    baseline_differences,
    co_ratings,
)
from sweeps.tasks.ratings.knn.similarity import similarity_rows


def surprise_matrix(
    lists: RatingLists,
    n: int,
    similarity: SimilarityName,
    min_support: int,
    shrinkage: float,
    global_mean: float,
    x_biases: np.ndarray,
    y_biases: np.ndarray,
) -> np.ndarray:
    """Surprise's similarity matrix, float64, shape (n, n); six times that much memory while it is computed.

    Args:
        lists: of each y.
        n: the number of xs.
        similarity, min_support, shrinkage: as in Surprise's `sim_options`.
        global_mean, x_biases, y_biases: for pearson_baseline.

    Raises:
        ZeroDivisionError: a similarity is 0/0.
    """
    compute = getattr(surprise_similarities, similarity)
    options = (global_mean, x_biases, y_biases, shrinkage) if similarity == "pearson_baseline" else ()
    matrix: np.ndarray = compute(n, ListsView(lists), min_support, *options)
    return matrix


def with_matrix(ratings: CoRatings, matrix: np.ndarray) -> CoRatings:
    """The same ratings, their similarities read from a matrix of shape (n, n)."""
    return ratings._replace(code=GIVEN, matrix=np.ascontiguousarray(matrix))


@cache
def rows_equal_surprises() -> bool:
    """Whether our rows of similarities are bit for bit those of the installed Surprise.

    They are where its C code was compiled to the operations that it is written with, as on x86-64. A compiler that may
    fuse a multiplication and an addition (as on ARM) rounds once where we round twice. Tried on ratings in tenths,
    once a process, in a few milliseconds.
    """
    n_x, n_y = 12, 9
    random = np.random.default_rng(0)
    lists = RatingLists(
        np.arange(n_y + 1) * n_x,
        np.tile(np.arange(n_x, dtype=np.int32), n_y),
        np.round(random.uniform(-10, 10, n_x * n_y), 1),
    )
    mean, x_biases, y_biases = 0.1, random.normal(size=n_x), random.normal(size=n_y)
    for similarity in SIMILARITIES:
        values = lists.ratings
        if similarity == "pearson_baseline":
            values = baseline_differences(lists, mean, x_biases, y_biases)
        rows = np.empty((n_x, n_x))
        similarity_rows(np.arange(n_x), co_ratings(lists, n_x, similarity, 1, 100.0, values), rows)
        matrix = surprise_matrix(lists, n_x, similarity, 1, 100.0, mean, x_biases, y_biases)
        if not np.array_equal(rows, matrix, equal_nan=True):
            return False
    return True
