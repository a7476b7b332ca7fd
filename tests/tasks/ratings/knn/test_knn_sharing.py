"""What k-NN trials share never shows in what they return, and is bounded."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from surprise import Dataset, Reader, Trainset

from sweeps.base.cache import SharedCache
from sweeps.tasks.ratings.knn import engine as knn_engine
from sweeps.tasks.ratings.knn.algorithm import KNN

SETTINGS: list[dict[str, Any]] = [
    {"k": k, "min_k": min_k, "algorithm": algorithm, "similarity": similarity, "user_based": user_based}
    for (k, min_k), algorithm, similarity, user_based in product(
        [(1, 1), (7, 3), (150, 1)],
        ["basic", "with_zscore", "baseline"],
        ["cosine", "pearson", "pearson_baseline"],
        [True, False],
    )
]


def made_up() -> pd.DataFrame:
    """4,000 ratings in tenths of 60 items by 200 users."""
    random = np.random.default_rng(3)
    pairs = random.choice(200 * 60, 4000, replace=False)
    return pd.DataFrame({"user": pairs // 60, "item": pairs % 60, "rating": random.integers(1, 51, 4000) / 10})


@pytest.fixture
def ratings() -> pd.DataFrame:
    return made_up()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedCache:
    """A cache of this test's own."""
    cache = SharedCache(2**28)
    monkeypatch.setattr(knn_engine, "SHARED", cache)
    return cache


def trainset_of(ratings: pd.DataFrame) -> Trainset:
    return Dataset.load_from_df(ratings, Reader(rating_scale=(0, 5))).build_full_trainset()


def predict(trainset: Trainset, testset: list[Any], options: dict[str, Any]) -> np.ndarray:
    return np.array([one.est for one in KNN(**options).fit(trainset).test(testset)])


def test_shared_and_unshared_trials_are_equal(
    ratings: pd.DataFrame, shared: SharedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    testset = list(ratings[3500:].itertuples(index=False, name=None))
    trainset = trainset_of(ratings[:3500])
    together = [predict(trainset, testset, options) for options in SETTINGS]
    monkeypatch.setattr(knn_engine, "SHARED", SharedCache(0))  # nothing is kept, neighbours come in batches
    monkeypatch.setattr(knn_engine, "_BATCH_BYTES", 10_000)
    for expected, options in zip(together, SETTINGS, strict=True):
        np.testing.assert_array_equal(predict(trainset, testset, options), expected)


def test_neighbours_are_sorted_once_for_k_min_k_and_algorithm(
    ratings: pd.DataFrame, shared: SharedCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    sorted_for: list[int] = []
    nearest = knn_engine.nearest
    monkeypatch.setattr(knn_engine, "nearest", lambda *args: sorted_for.append(args[2]) or nearest(*args))
    testset = list(ratings[3500:].itertuples(index=False, name=None))
    for k, min_k, algorithm in product((1, 40, 100), (1, 5), ("basic", "with_means", "baseline")):
        trainset = trainset_of(ratings[:3500])  # another object with equal ratings
        predict(trainset, testset, {"k": k, "min_k": min_k, "algorithm": algorithm})
    assert sorted_for == [100]


def test_trials_that_read_what_another_process_stored_are_equal(
    ratings: pd.DataFrame, shared: SharedCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    testset = list(ratings[3500:].itertuples(index=False, name=None))
    trainset = trainset_of(ratings[:3500])
    expected = [predict(trainset, testset, options) for options in SETTINGS]
    subprocess.run([sys.executable, __file__, tmp_path], check=True, timeout=300)
    n_stored = len(list(tmp_path.glob("*.arrays")))
    reader = SharedCache(2**28)
    reader.share(tmp_path, 2**30)
    monkeypatch.setattr(knn_engine, "SHARED", reader)
    for one, options in zip(expected, SETTINGS, strict=True):
        np.testing.assert_array_equal(predict(trainset, testset, options), one)
    assert len(list(tmp_path.glob("*.arrays"))) == n_stored > 6  # nothing was computed here


@pytest.mark.parametrize("change", ["rating", "order", "test", "min_support", "orientation"])
def test_nothing_is_shared_between_unequal_trials(ratings: pd.DataFrame, shared: SharedCache, change: str) -> None:
    options: dict[str, Any] = {"similarity": "msd", "k": 5}
    train, test = ratings[:3500], ratings[3500:]
    predict(trainset_of(train), list(test.itertuples(index=False, name=None)), options)
    if change == "rating":
        train = train.assign(rating=train.rating.where(train.index != 17, 3.3))
    elif change == "order":
        train = train.sample(frac=1, random_state=1)
    elif change == "test":
        test = test[::-1]
    elif change == "min_support":
        options["min_support"] = 4
    else:
        options["user_based"] = False
    testset = list(test.itertuples(index=False, name=None))
    found = predict(trainset_of(train), testset, options)
    np.testing.assert_array_equal(found, predict(trainset_of(train), testset, options | {"engine": "surprise"}))


def test_what_is_shared_is_bounded(ratings: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SharedCache(600_000)
    monkeypatch.setattr(knn_engine, "SHARED", cache)
    trainset, testset = trainset_of(ratings[:3500]), list(ratings[3500:].itertuples(index=False, name=None))
    for options in SETTINGS:
        predict(trainset, testset, options)
        assert cache.held_bytes <= cache.max_bytes


@pytest.mark.parametrize("engine", ["fast", "surprise"])
def test_curves_are_the_predictions_for_each_k(ratings: pd.DataFrame, engine: str) -> None:
    trainset, test = trainset_of(ratings[:3900]), ratings[3900:]
    ks = [1, 2, 9, 40, 2**40]
    for algorithm, similarity in product(["basic", "with_zscore", "baseline"], ["cosine", "pearson"]):
        options: dict[str, Any] = {"algorithm": algorithm, "similarity": similarity, "min_k": 2, "engine": engine}
        model = KNN(**options).fit(trainset)
        pairs = model.inner_ids([*test.user, 10**6, 1], [*test.item, 1, 10**6])
        curves = model.curves(*pairs, ks)
        for row, k in enumerate(ks):
            one = KNN(k=k, **options | {"engine": "fast"}).fit(trainset).predict_inner(*pairs)
            np.testing.assert_array_equal(one.values[0], curves.values[row])
            np.testing.assert_array_equal(one.counts[0], curves.counts[row])
            np.testing.assert_array_equal(one.impossible[0], curves.impossible[row])


@pytest.mark.parametrize("ks", [[], [0, 1], [5, 3]])
def test_ks_out_of_order_are_refused(ratings: pd.DataFrame, ks: list[int]) -> None:
    model = KNN().fit(trainset_of(ratings))
    with pytest.raises(ValueError, match="ks must ascend"):
        model.curves(np.array([0]), np.array([0]), ks)


if __name__ == "__main__":  # the other process: it stores what it computes
    knn_engine.SHARED.share(Path(sys.argv[1]), 2**30)
    for settings in SETTINGS:
        rows = made_up()
        predict(trainset_of(rows[:3500]), list(rows[3500:].itertuples(index=False, name=None)), settings)
