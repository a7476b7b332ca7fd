"""Recommendation: the splits are Surprise's, the scores are Surprise's, and a stored recommender predicts the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import surprise
from scipy.stats import sem
from surprise import AlgoBase, Dataset, Reader, accuracy
from surprise.model_selection import KFold, train_test_split

from sweeps.base.errors import ConfigError, DataError, ModelError
from sweeps.tasks.base import Candidate, Tried
from sweeps.tasks.ratings.data import RatingsData, ratings_from_frame
from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.model import Recommender
from sweeps.tasks.ratings.task import Recommendation
from sweeps.tasks.testing import check_task

KNN_TARGET = "sweeps.tasks.ratings.knn.algorithm.KNN"
ALGORITHMS = [
    "BaselineOnly",
    "CoClustering",
    "KNNBaseline",
    "KNNBasic",
    "KNNWithMeans",
    "KNNWithZScore",
    "NMF",
    "NormalPredictor",
    "SlopeOne",
    "SVD",
    "SVDpp",
]


def made_up_ratings(n_users: int = 40, n_items: int = 30, n: int = 600) -> pd.DataFrame:
    """Half stars by users on items, with text ids for the users and a time for each."""
    random = np.random.default_rng(3)
    pairs = random.permutation(n_users * n_items)[:n]
    users, items = pairs // n_items, pairs % n_items
    taste = random.normal(size=(n_users, 3)) @ random.normal(size=(3, n_items))
    ratings = np.clip(np.round(2 * (3 + taste[users, items])) / 2, 0.5, 5.0)
    return pd.DataFrame(
        {"who": [f"u{user}" for user in users], "what": items, "stars": ratings, "at": random.permutation(n)}
    )


def data_of(frame: pd.DataFrame) -> RatingsData:
    return ratings_from_frame(
        frame,
        user_column="who",
        item_column="what",
        rating_column="stars",
        timestamp_column="at",
        scale=(0.5, 5.0),
        source="made-up ratings",
    )


def surprise_data(frame: pd.DataFrame) -> Dataset:
    return Dataset.load_from_df(frame[["who", "what", "stars"]], Reader(rating_scale=(0.5, 5.0)))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return made_up_ratings()


@pytest.fixture(scope="module")
def task(frame: pd.DataFrame) -> Recommendation:
    return Recommendation(data_of(frame), split_seed=7)


def knn(**options: Any) -> Candidate:
    return Candidate({"_target_": KNN_TARGET, **options})


def pairs(data: RatingsData, rows: np.ndarray) -> list[tuple[Any, Any, float]]:
    return list(zip(data.users[rows].tolist(), data.items[rows].tolist(), data.ratings[rows].tolist(), strict=True))


def in_order(trainset: surprise.Trainset) -> list[list[tuple[int, float]]]:
    return [list(trainset.ur[user]) for user in trainset.all_users()]


def test_the_hold_out_is_surprises(frame: pd.DataFrame, task: Recommendation) -> None:
    trainset, testset = train_test_split(surprise_data(frame), test_size=0.2, random_state=7)
    whole = task._whole
    assert pairs(task.data, whole.score) == testset
    assert in_order(whole.trainset) == in_order(trainset)
    assert [whole.trainset.to_raw_uid(u) for u in whole.trainset.all_users()] == [
        trainset.to_raw_uid(u) for u in trainset.all_users()
    ]


def test_the_folds_are_surprises_on_the_training_part(frame: pd.DataFrame, task: Recommendation) -> None:
    training = surprise_data(frame.iloc[task._whole.fit])
    theirs = list(KFold(3, random_state=7).split(training))
    assert len(theirs) == len(task._folds)
    for fold, (trainset, testset) in zip(task._folds, theirs, strict=True):
        assert pairs(task.data, fold.score) == testset
        assert in_order(fold.trainset) == in_order(trainset)


@pytest.mark.parametrize(
    ("model", "reference"),
    [
        (
            {"_target_": KNN_TARGET, "k": 5, "user_based": False},
            lambda: surprise.KNNBasic(k=5, sim_options={"name": "cosine", "user_based": False}, verbose=False),
        ),
        (
            {"_target_": KNN_TARGET, "algorithm": "with_means", "similarity": "pearson", "min_k": 2},
            lambda: surprise.KNNWithMeans(min_k=2, sim_options={"name": "pearson"}, verbose=False),
        ),
        ({"_target_": "surprise.SVD", "n_epochs": 3}, lambda: surprise.SVD(n_epochs=3, random_state=11)),
        ({"_target_": "surprise.BaselineOnly", "verbose": False}, lambda: surprise.BaselineOnly(verbose=False)),
    ],
)
def test_the_scores_are_surprises(frame: pd.DataFrame, task: Recommendation, model: Any, reference: Any) -> None:
    metrics = task.evaluate(Candidate(model, seed=11)).metrics
    trainset, testset = train_test_split(surprise_data(frame), test_size=0.2, random_state=7)
    predicted = reference().fit(trainset).test(testset)
    assert metrics["test_rmse"] == pytest.approx(accuracy.rmse(predicted, verbose=False), abs=1e-12)
    assert metrics["test_mae"] == pytest.approx(accuracy.mae(predicted, verbose=False), abs=1e-12)
    training = surprise_data(frame.iloc[task._whole.fit])
    folds = [reference().fit(fit).test(score) for fit, score in KFold(3, random_state=7).split(training)]
    errors = [accuracy.rmse(fold, verbose=False) for fold in folds]
    assert metrics["val_rmse"] == pytest.approx(np.mean(errors), abs=1e-12)
    assert metrics["val_rmse_stderr"] == pytest.approx(sem(errors), abs=1e-12)
    assert metrics["fit_seconds"] > 0


def test_repeats_are_surprises_folds_of_other_seeds(frame: pd.DataFrame, task: Recommendation) -> None:
    twice = Recommendation(data_of(frame), split_seed=7, n_repeats=2)
    found = twice.evaluate(knn(k=5))
    training = surprise_data(frame.iloc[twice._whole.fit])
    errors = []
    for seed in (7, 8):
        folds = KFold(3, random_state=seed).split(training)
        algorithms = [(surprise.KNNBasic(k=5, sim_options={"name": "cosine"}, verbose=False), *fold) for fold in folds]
        errors.append([accuracy.rmse(one.fit(fit).test(score), verbose=False) for one, fit, score in algorithms])
    assert found.metrics["val_rmse"] == pytest.approx(np.mean(errors), abs=1e-12)
    assert found.metrics["val_rmse_stderr"] == pytest.approx(np.sqrt(np.mean([sem(e) ** 2 for e in errors])), abs=1e-12)
    assert [one.repeat for one in found.predictions] == [0, 0, 0, 1, 1, 1, 0]
    assert twice.n_reports == 6
    assert twice.evaluation_id() == task.evaluation_id()
    assert twice.selection_id() != task.selection_id()
    with pytest.raises(ConfigError, match=r"dataset\.n_repeats: dataset\.split=time parts the ratings in one way"):
        Recommendation(data_of(frame), split="time", n_repeats=2)


def test_a_temporal_split_tests_on_the_latest_and_validates_on_what_follows(frame: pd.DataFrame) -> None:
    task = Recommendation(data_of(frame), split="time", n_folds=2)
    times = frame["at"].to_numpy()
    assert sorted(times[task._whole.score]) == list(range(480, 600))
    for fold in task._folds:
        assert times[fold.fit].max() < times[fold.score].min()
        assert times[fold.score].max() < 480


def test_one_fold_holds_out_a_part_of_the_training_part(frame: pd.DataFrame) -> None:
    task = Recommendation(data_of(frame), n_folds=1)
    (fold,) = task._folds
    assert len(fold.score) == 96
    assert set(fold.fit) | set(fold.score) == set(task._whole.fit)
    assert not set(fold.fit) & set(fold.score)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_surprise_algorithm_is_stored_and_predicts_the_same(
    task: Recommendation, tmp_path: Path, name: str
) -> None:
    model = {"_target_": f"surprise.{name}"}
    if "KNN" in name or name in ("BaselineOnly",):
        model["verbose"] = False  # type: ignore[assignment]
    candidate = Candidate(model, seed=1)
    task.check(candidate)
    fitted = task.refit(candidate)
    fitted.save(tmp_path / "model")
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"arrays.npz", "recommender.json"}
    loaded = Recommender.load(tmp_path / "model")
    frame = some_pairs(task)
    seeded = [predict_seeded(recommender, frame) for recommender in (fitted, loaded)]
    pd.testing.assert_frame_equal(*seeded)


def some_pairs(task: Recommendation) -> pd.DataFrame:
    rows = task._whole.score
    known = pd.DataFrame({"who": task.data.users[rows], "what": task.data.items[rows]})
    unknown = pd.DataFrame({"who": ["nobody", "u1", "nobody"], "what": [1, 99, 99]})
    return pd.concat([known, unknown], ignore_index=True)


def predict_seeded(recommender: Recommender, frame: pd.DataFrame) -> pd.DataFrame:
    np.random.seed(0)  # NormalPredictor draws from numpy's global state
    return recommender.predict(frame)


@pytest.mark.parametrize("algorithm", ["basic", "with_means", "with_zscore", "baseline"])
def test_a_stored_knn_predicts_the_same(task: Recommendation, tmp_path: Path, algorithm: str) -> None:
    fitted = task.refit(knn(algorithm=algorithm, similarity="pearson_baseline", k=7))
    fitted.save(tmp_path / "model")
    pd.testing.assert_frame_equal(
        Recommender.load(tmp_path / "model").predict(some_pairs(task)), fitted.predict(some_pairs(task))
    )


def test_a_stored_knn_grows_with_the_ratings_and_not_with_items_squared(tmp_path: Path) -> None:
    wide = data_of(made_up_ratings(n_users=20, n_items=2000, n=4000))
    Recommendation(wide).refit(knn(user_based=False)).save(tmp_path / "model")
    size = (tmp_path / "model" / "arrays.npz").stat().st_size
    assert size < 40 * 4000 < 8 * 2000**2


def test_predictions_are_surprises_also_for_unknown_ids(frame: pd.DataFrame, task: Recommendation) -> None:
    predicted = task.refit(knn(algorithm="with_means", user_based=False)).predict(some_pairs(task))
    trainset, _ = train_test_split(surprise_data(frame), test_size=0.2, random_state=7)
    reference = surprise.KNNWithMeans(sim_options={"name": "cosine", "user_based": False}, verbose=False).fit(trainset)
    for row, found in zip(some_pairs(task).itertuples(), predicted.itertuples(), strict=True):
        expected = reference.predict(row.who, row.what)
        assert found.prediction == pytest.approx(expected.est, abs=1e-9)
        assert found.was_impossible == expected.details["was_impossible"]


def test_ids_may_be_written_as_text(task: Recommendation) -> None:
    fitted = task.refit(knn())
    as_numbers = fitted.predict(pd.DataFrame({"who": ["u1", "u2"], "what": [1, 2]}))
    for what in (["1", "2"], [" 1", "2.0\xa0"], ["+1", 2.0]):
        as_text = fitted.predict(pd.DataFrame({"who": ["u1 ", "\tu2"], "what": what}))
        pd.testing.assert_frame_equal(as_numbers, as_text)
    assert fitted.predict(pd.DataFrame({"who": ["u1"], "what": ["01"]}))["was_impossible"].all()
    assert fitted.recommend(" u1 ", 3).equals(fitted.recommend("u1", 3))


def test_recommended_are_the_best_unseen_items(task: Recommendation) -> None:
    fitted = task.refit(knn(algorithm="baseline", k=5))
    trainset = fitted.algorithm.trainset
    user = "u3"
    seen = {trainset.to_raw_iid(item) for item, _ in trainset.ur[trainset.to_inner_uid(user)]}
    unseen = [trainset.to_raw_iid(item) for item in trainset.all_items() if trainset.to_raw_iid(item) not in seen]
    expected = sorted(unseen, key=lambda item: -fitted.algorithm.predict(user, item).est)[:4]
    found = fitted.recommend(user, 4)
    assert found["what"].tolist() == expected
    assert found["prediction"].is_monotonic_decreasing
    assert not found["was_impossible"].any()


def test_an_unknown_user_gets_recommendations_too(task: Recommendation) -> None:
    found = task.refit(knn(algorithm="basic")).recommend("nobody", 3)
    assert found["was_impossible"].tolist() == [True, True, True]


def test_a_missing_column_is_named(task: Recommendation) -> None:
    with pytest.raises(DataError, match=r"no column 'what'.*its columns are: who, item"):
        task.refit(knn()).predict(pd.DataFrame({"who": ["u1"], "item": [1]}))


class Remembers(AlgoBase):  # type: ignore[misc]
    """An algorithm with an attribute that is neither array nor scalar."""

    def fit(self, trainset: surprise.Trainset) -> Remembers:
        super().fit(trainset)
        self.memory = {1, 2, 3}
        return self

    def estimate(self, user: Any, item: Any) -> float:
        return 3.0


def test_an_algorithm_that_cannot_be_stored_is_refused_by_its_attribute(task: Recommendation) -> None:
    name = f"{Remembers.__module__}.{Remembers.__qualname__}"
    with pytest.raises(ModelError, match="neither Surprise's nor ours"):
        task.check(Candidate({"_target_": name}))
    with pytest.raises(ModelError, match=r"Remembers\.memory is a set"):
        task.check(Candidate({"_target_": name}, trusted_types=(name,)))


def test_a_foreign_class_in_a_stored_recommender_is_not_loaded(task: Recommendation, tmp_path: Path) -> None:
    task.refit(knn()).save(tmp_path / "model")
    about = tmp_path / "model" / "recommender.json"
    about.write_text(about.read_text().replace(KNN_TARGET, "subprocess.Popen"))
    with pytest.raises(ModelError, match=r"subprocess\.Popen"):
        Recommender.load(tmp_path / "model")


@pytest.mark.parametrize("damage", [b"", b"not a zip"])
def test_a_damaged_recommender_is_one_message(task: Recommendation, tmp_path: Path, damage: bytes) -> None:
    task.refit(knn()).save(tmp_path / "model")
    (tmp_path / "model" / "arrays.npz").write_bytes(damage)
    with pytest.raises(ModelError, match="holds no recommender"):
        Recommender.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        (Candidate({"_target_": "sklearn.svm.SVC"}), "not a Surprise algorithm"),
        (Candidate({"_target_": KNN_TARGET}, {"_target_": "a.B"}), "nothing to vectorize"),
        (knn(algorithm="nearest"), "algorithm"),
        (knn(k=0), "k"),
    ],
)
def test_a_candidate_of_another_task_is_refused(task: Recommendation, candidate: Candidate, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task.check(candidate)


@pytest.mark.parametrize(
    "options", [{"test_size": 1.5}, {"n_folds": 0}, {"split_seed": -1}, {"split": "space"}, {"test_size": True}]
)
def test_options_out_of_range_are_refused(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"dataset\.{next(iter(options))}"):
        Recommendation(data_of(frame), **options)


def test_too_few_ratings_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="too few"):
        Recommendation(data_of(frame.iloc[:3]))


def test_the_evaluation_id_changes_with_content_and_split(frame: pd.DataFrame, task: Recommendation) -> None:
    ids: Sequence[str] = [
        task.evaluation_id(),
        Recommendation(data_of(frame), split_seed=8).evaluation_id(),
        Recommendation(data_of(frame), split_seed=7, split="time").evaluation_id(),
        Recommendation(data_of(frame.iloc[:-1]), split_seed=7).evaluation_id(),
    ]
    assert len(set(ids)) == len(ids)
    assert Recommendation(data_of(frame), split_seed=7, n_folds=5).evaluation_id() == ids[0]


def test_recommendation_keeps_the_rules_of_a_task(task: Recommendation) -> None:
    check_task(task, knn(algorithm="baseline", k=9))


def test_curves_are_the_scores_of_the_trials_they_stand_for(task: Recommendation) -> None:
    candidate = knn(algorithm="with_means", min_k=3)
    ks, curve = [8, 40], task._curve(candidate)
    positions = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]
    for k in ks:
        scored = task.evaluate(knn(algorithm="with_means", min_k=3, k=k)).metrics["val_rmse"]
        assert curve[positions.index(k)] == pytest.approx(scored, abs=1e-12)
    assert np.isnan(curve[:2]).all()
    assert not np.isnan(curve[2:]).any()


def test_the_plot_has_a_line_for_each_similarity(task: Recommendation) -> None:
    tried = [Tried(knn(similarity=s), task.evaluate(knn(similarity=s)).metrics) for s in ("cosine", "msd")]
    tried.append(Tried(Candidate({"_target_": "surprise.SVD"}), {"val_rmse": 0.1}))
    (name, figure), *others = task.plots(tried).items()
    assert name == "rmse_by_k.png"
    assert not others
    labels = [text.get_text().partition(":")[0] for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(labels) == ["cosine", "msd"]


def test_other_algorithms_alone_have_no_plot(task: Recommendation) -> None:
    assert task.plots([Tried(Candidate({"_target_": "surprise.SVD"}), {"val_rmse": 0.1})]) == {}


def test_the_fast_engine_is_the_one_that_runs(task: Recommendation) -> None:
    algorithm = task.refit(knn()).algorithm
    assert isinstance(algorithm, KNN)
    assert algorithm.engine_used == "fast"


def test_a_similarity_that_is_not_asked_for_is_not_computed() -> None:
    """Users a and b share nothing but zeros, so that their cosine would be 0/0."""
    rows = [("a", "x", 0), ("b", "x", 0), ("a", "y", 5), ("b", "z", 4), ("c", "x", 3), ("c", "y", 2), ("d", "z", 1)]
    rows += [("d", "y", 4), ("e", "x", 2), ("e", "z", 5)]
    frame = pd.DataFrame(rows, columns=["who", "what", "stars"])
    columns = {"user_column": "who", "item_column": "what", "rating_column": "stars"}
    task = Recommendation(ratings_from_frame(frame, **columns, scale=(0, 5), source="ten ratings"), n_folds=1)
    for similarity in ("msd", "pearson"):
        scores = task.evaluate(knn(similarity=similarity)).metrics
        assert 0 < scores["val_rmse"] < 5


@pytest.mark.parametrize("stranger", ["guest", "", None, 1.5, 2**70])
def test_large_ids_keep_all_digits_beside_one_that_is_no_number(stranger: Any) -> None:
    ids = [2**53, 2**53 + 1, 2**53 + 2]
    rows = [(user, item, (user + 2 * item) % 5 + 1) for user in ids for item in range(4)]
    frame = pd.DataFrame(rows, columns=["who", "what", "stars"])
    columns = {"user_column": "who", "item_column": "what", "rating_column": "stars"}
    task = Recommendation(ratings_from_frame(frame, **columns, scale=(1, 5), source="twelve ratings"), n_folds=1)
    fitted = task.refit(Candidate({"_target_": "surprise.BaselineOnly", "verbose": False}))
    alone = fitted.predict(pd.DataFrame({"who": ids, "what": [0, 1, 2]}))
    beside = fitted.predict(pd.DataFrame({"who": [*ids, stranger], "what": [0, 1, 2, 3]}, dtype=object))
    assert beside["prediction"].tolist()[:3] == alone["prediction"].tolist()


def test_no_negative_number_of_items_is_recommended(task: Recommendation) -> None:
    with pytest.raises(DataError, match="n=-1: how many items"):
        task.refit(knn()).recommend("u1", -1)
