"""KNN beside its predictions: options, trainsets of arrays, storing, refusals."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from surprise import SVD, BaselineOnly, Dataset, KNNBasic, Reader, Trainset
from surprise.model_selection import train_test_split

from sweeps.base.errors import ConfigError, DataError, ModelError
from sweeps.tasks.ratings.knn import engine as knn_engine
from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset, arrays_of
from sweeps.tasks.ratings.knn.engine import UndefinedSimilarityError

Row = tuple[Any, Any, float]


def trainset_of(rows: Sequence[Row], scale: tuple[float, float] = (1, 5)) -> Trainset:
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    return Dataset.load_from_df(frame, Reader(rating_scale=scale)).build_full_trainset()


@pytest.fixture
def rows() -> list[Row]:
    """300 ratings in tenths, with ids of text."""
    random = np.random.default_rng(5)
    pairs = random.choice(20 * 30, 300, replace=False)
    return [(f"u{pair // 30}", f"i{pair % 30}", float(random.integers(10, 51)) / 10) for pair in pairs]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be an integer of at least 1, got 0"),
        ({"k": 2.5}, "k must be an integer"),
        ({"k": True}, "k must be an integer"),
        ({"min_k": 0}, "min_k must be an integer of at least 1"),
        ({"min_support": 0}, "min_support must be an integer of at least 1"),
        ({"shrinkage": -1}, "shrinkage must be a number of at least 0"),
        ({"shrinkage": float("nan")}, "shrinkage must be a number of at least 0"),
        ({"algorithm": "means"}, "algorithm must be one of basic, with_means, with_zscore, baseline, got 'means'"),
        ({"similarity": "jaccard"}, "similarity must be one of cosine, msd, pearson, pearson_baseline"),
        ({"engine": "slow"}, "engine must be one of fast, surprise"),
        ({"user_based": "yes"}, "user_based must be true or false"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        KNN(**options)


def test_two_models_do_not_share_options() -> None:
    KNN(user_based=False, similarity="pearson")
    assert KNN().sim_options == {"name": "cosine", "user_based": True, "min_support": 1, "shrinkage": 100}


def test_a_model_can_be_fitted_again(rows: list[Row]) -> None:
    model = KNN().fit(trainset_of(rows[:150]))
    model.test(rows)
    assert model.fit(trainset_of(rows)).test(rows) == KNN().fit(trainset_of(rows)).test(rows)


def test_nearest_neighbours_are_surprises(rows: list[Row]) -> None:
    trainset = trainset_of(rows)
    surprises = KNNBasic(sim_options={"name": "cosine"}, verbose=False).fit(trainset)
    model = KNN().fit(trainset)
    for user in trainset.all_users():
        assert model.get_neighbors(user, 5) == surprises.get_neighbors(user, 5)


def test_an_empty_testset(rows: list[Row]) -> None:
    assert KNN().fit(trainset_of(rows)).test([]) == []


def test_surprise_runs_its_own_code(rows: list[Row]) -> None:
    model = KNN(engine="surprise").fit(trainset_of(rows))
    assert (model.engine_used, model.similarity_source) == ("surprise", "surprise")
    assert isinstance(model.sim, np.ndarray)


def test_a_trainset_with_other_inner_ids_runs_surprise(rows: list[Row]) -> None:
    trainset = trainset_of(rows)
    trainset.ur = dict(reversed(trainset.ur.items()))
    model = KNN(similarity="msd").fit(trainset)
    assert model.engine_used == "surprise"
    assert len(model.test(rows)) == len(rows)


def test_duplicates_and_another_rounding_take_surprises_similarities(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = KNN().fit(trainset_of(rows))
    assert expected.similarity_source == "rows"
    assert KNN().fit(trainset_of([*rows, rows[0]])).similarity_source == "surprise"
    monkeypatch.setattr(knn_engine, "rows_equal_surprises", lambda: False)
    model = KNN().fit(trainset_of(rows))
    assert (model.engine_used, model.similarity_source) == ("fast", "surprise")
    assert model.test(rows) == expected.test(rows)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_ratings_that_are_no_numbers(rows: list[Row], value: float) -> None:
    with pytest.raises(DataError, match="not a finite number"):
        KNN().fit(trainset_of([*rows, ("u1", "new", value)])).test(rows)
    with pytest.raises(DataError, match="finite"):
        ArrayTrainset.of_ratings(np.array([1]), np.array([1]), np.array([value]), (1, 5))


def test_an_undefined_similarity_is_named() -> None:
    rows = [(user, item, rating) for user in range(3) for item, rating in ((1, 0.0), (2, 3.0))]
    with pytest.raises(UndefinedSimilarityError, match="similarity cosine of two items is 0/0"):
        KNN(user_based=False).fit(trainset_of(rows, (0, 5)))
    with pytest.raises(UndefinedSimilarityError, match="pearson_baseline of two users"):
        KNN(similarity="pearson_baseline").fit(trainset_of([(u, i, 3.0) for u in range(3) for i in range(3)]))


@pytest.mark.parametrize("raw", [str, int, float])
@pytest.mark.parametrize("algorithm", ["basic", "with_means", "with_zscore", "baseline"])
def test_a_stored_model_predicts_the_same(rows: list[Row], algorithm: Any, raw: type) -> None:
    if raw is not str:
        rows = [(raw(user[1:]), raw(item[1:]), rating) for user, item, rating in rows]
    model = KNN(k=7, algorithm=algorithm, similarity="pearson_baseline", user_based=False).fit(trainset_of(rows[:250]))
    state = model.state()
    assert all(isinstance(one, (bool, int, float, str)) or one.dtype.kind in "iufU" for one in state.values())
    again = KNN.from_state({name: np.asarray(value) for name, value in state.items()})
    testset = [*rows, (raw("99"), rows[0][1], 1.0), (rows[0][0], raw("99"), 1.0)]
    assert again.test(testset) == model.test(testset)
    assert again.predict(*rows[-1]) == model.predict(*rows[-1])


def test_a_stored_model_grows_with_the_ratings() -> None:
    random = np.random.default_rng(0)
    users, items = random.integers(0, 300, 5000), random.permutation(5000)
    trainset = ArrayTrainset.of_ratings(users, items, random.integers(1, 6, 5000), (1, 5))
    state = KNN(user_based=False).fit(trainset).state()
    assert sum(one.nbytes for one in state.values() if isinstance(one, np.ndarray)) < 40 * 5000


def test_order_and_duplicates_survive_storing(rows: list[Row]) -> None:
    trainset = trainset_of([*rows, *rows[:9], ("u1", "i1", 1.0), ("u1", "i1", 5.0)])
    again = KNN.from_state(KNN().fit(trainset).state()).trainset
    assert dict(again.ur.items()) == trainset.ur
    assert dict(again.ir.items()) == trainset.ir


@pytest.mark.parametrize("name", ["items", "ratings", "item_order", "raw_users", "user_starts", "k", "lowest_rating"])
def test_a_damaged_model_is_refused(rows: list[Row], name: str) -> None:
    state = KNN().fit(trainset_of(rows)).state()
    without = {key: value for key, value in state.items() if key != name}
    with pytest.raises(ModelError, match="no entry"):
        KNN.from_state(without)
    if isinstance(state[name], np.ndarray):
        with pytest.raises(ModelError, match="damaged"):
            KNN.from_state(state | {name: state[name][:-1]})


def test_ids_that_cannot_be_stored(rows: list[Row]) -> None:
    with pytest.raises(ModelError, match="user ids of type int, str cannot be stored"):
        KNN().fit(trainset_of([*rows, (1, "i1", 3.0)])).state()
    with pytest.raises(ModelError, match="fitted"):
        KNN().state()


def test_a_trainset_of_arrays_is_surprises_trainset(rows: list[Row]) -> None:
    expected = trainset_of(rows)
    users, items, ratings = (np.array(column) for column in zip(*rows, strict=True))
    trainset = ArrayTrainset.of_ratings(users, items, ratings, (1, 5))
    assert dict(trainset.ur.items()) == expected.ur
    assert dict(trainset.ir.items()) == expected.ir
    assert trainset.global_mean == expected.global_mean
    assert [trainset.to_raw_uid(one) for one in trainset.all_users()] == list(expected._raw2inner_id_users)
    assert trainset.build_anti_testset() == expected.build_anti_testset()
    assert not trainset.knows_user("UKN__u1")
    for algorithm in (KNNBasic(verbose=False), BaselineOnly(verbose=False), SVD(random_state=0, n_epochs=2)):
        assert algorithm.fit(trainset).test(rows) == algorithm.fit(expected).test(rows)


def test_a_split_of_surprises(rows: list[Row]) -> None:
    frame = pd.DataFrame(rows, columns=["user", "item", "rating"])
    trainset, testset = train_test_split(Dataset.load_from_df(frame, Reader(rating_scale=(1, 5))), random_state=1)
    arrays = arrays_of(trainset)
    assert arrays is not None
    assert arrays.global_mean == trainset.global_mean
    assert KNN().fit(trainset).test(testset) == KNNBasic(sim_options={"name": "cosine"}).fit(trainset).test(testset)


def test_a_fitted_model_can_be_pickled(rows: list[Row]) -> None:
    model = KNN(k=5).fit(trainset_of(rows))
    assert pickle.loads(pickle.dumps(model)).test(rows) == model.test(rows)


def test_numpys_integers_are_integers_and_a_huge_k_means_all(rows: list[Row]) -> None:
    ours, surprises = (
        KNN(k=np.int64(2**40), min_k=np.int32(2)),
        KNNBasic(2**40, 2, sim_options={"name": "cosine"}, verbose=False),
    )
    assert ours.fit(trainset_of(rows)).test(rows) == surprises.fit(trainset_of(rows)).test(rows)
