"""Rows of similarities from packed sums of integers are those from sums of floats, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from sweeps.tasks.ratings.knn.arrays import RatingLists
from sweeps.tasks.ratings.knn.co_ratings import SIMILARITIES, SimilarityName, co_ratings
from sweeps.tasks.ratings.knn.similarity import similarity_rows

N_X, N_Y = 30, 40


def lists_of(values: np.ndarray) -> RatingLists:
    """Each y with a random half of the xs."""
    random = np.random.default_rng(0)
    ids = [random.choice(N_X, N_X // 2, replace=False).astype(np.int32) for _ in range(N_Y)]
    return RatingLists(
        np.arange(N_Y + 1) * (N_X // 2), np.concatenate(ids), random.choice(values, N_Y * (N_X // 2)).astype(np.float64)
    )


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("values", [np.arange(1, 6), np.arange(1, 11) / 2, np.arange(11), np.arange(1, 17) / 16])
def test_packed_sums_give_the_same_rows(similarity: SimilarityName, values: np.ndarray) -> None:
    lists = lists_of(values)
    packed = co_ratings(lists, N_X, similarity, 2, 100.0, lists.ratings)
    assert len(packed.y_steps) == (0 if similarity == "pearson_baseline" else len(lists.ratings))
    rows = [np.empty((N_X, N_X)), np.empty((N_X, N_X))]
    plain = packed._replace(y_steps=np.empty(0, np.int16))
    states = [similarity_rows(np.arange(N_X), one, row) for one, row in zip((packed, plain), rows, strict=True)]
    assert states[0] == states[1]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("values", [np.arange(1, 51) / 10, np.arange(-2, 3), np.array([1, 20_000]), np.array([1 / 32])])
def test_sums_that_might_not_fit_are_not_packed(values: np.ndarray) -> None:
    lists = lists_of(values)
    assert len(co_ratings(lists, N_X, "cosine", 1, 100.0, lists.ratings).y_steps) == 0
