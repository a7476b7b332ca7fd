"""Text classification against scikit-learn's own split, cross-validation and pipelines."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import StratifiedKFold, cross_validate, train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from sweeps.base.cache import SHARED
from sweeps.base.errors import ConfigError, DataError, ModelError
from sweeps.tasks.base import Candidate
from sweeps.tasks.text.csv import load_text_csv
from sweeps.tasks.text.data import TextData
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"
HERE = __name__
METRICS = ("accuracy", "precision", "recall", "f1")
OVERFITTING = (("", "test"), ("val_", "val"))
TFIDF = {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "max_features": 400, "ngram_range": [1, 2]}
COUNT = {"_target_": "sklearn.feature_extraction.text.CountVectorizer", "min_df": 3}
SVM = {"_target_": "sklearn.svm.SVC", "kernel": "linear", "class_weight": "balanced"}
RBF = {"_target_": "sklearn.svm.SVC", "kernel": "rbf", "C": 3.0}
LOGISTIC = {"_target_": "sklearn.linear_model.LogisticRegression", "C": 2.0, "max_iter": 1000}
BAYES = {"_target_": "sklearn.naive_bayes.MultinomialNB", "alpha": 0.3}
FOREST = {"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 10}
LINEAR_SVM = {"_target_": "sklearn.svm.LinearSVC", "C": 0.5}

NODES: dict[str, tuple[dict[str, Any], dict[str, Any], Any]] = {
    "linear svm": (TFIDF, SVM, lambda: SVC(kernel="linear", class_weight="balanced")),
    "rbf svm": (COUNT, RBF, lambda: SVC(kernel="rbf", C=3.0)),
    "logistic": (TFIDF, LOGISTIC, lambda: LogisticRegression(C=2.0, max_iter=1000)),
    "bayes": (COUNT, BAYES, lambda: MultinomialNB(alpha=0.3)),
    "forest": (TFIDF, FOREST, lambda: RandomForestClassifier(10, random_state=7)),
    "liblinear": (COUNT, LINEAR_SVM, lambda: LinearSVC(C=0.5, random_state=7)),
}


def reference_vectorizer(node: dict[str, Any]) -> CountVectorizer:
    return TfidfVectorizer(max_features=400, ngram_range=(1, 2)) if node is TFIDF else CountVectorizer(min_df=3)


@pytest.fixture(scope="module")
def reviews() -> TextData:
    """300 reviews of some length, great or other."""
    data = load_reviews()
    short = np.flatnonzero([len(text) < 600 for text in data.texts])[:300]
    return replace(data, texts=data.texts[short], labels=data.labels[short])


@pytest.fixture(scope="module")
def three_classes(reviews: TextData) -> TextData:
    """Reviews of three classes: other, and the great ones by length."""
    long = np.array([len(text) > 250 for text in reviews.texts])
    labels = np.where(reviews.labels == "other", "other", np.where(long, "long", "short")).astype(object)
    return replace(reviews, labels=labels, positive_label=None)


def made_up(n_each: int = 20, classes: tuple[Any, ...] = ("a", "b"), **options: Any) -> TextData:
    rng = np.random.default_rng(2)
    words = [f"word{i}" for i in range(10 * len(classes))]
    rows = [
        (" ".join([*rng.choice(words[10 * i : 10 * i + 10], 3), *rng.choice(words, 3)]), label)
        for i, label in enumerate(classes)
        for _ in range(n_each)
    ]
    labels = np.array([label for _, label in rows], dtype=object if isinstance(classes[0], str) else None)
    texts = np.array([text for text, _ in rows], dtype=object)
    given = {"text_column": "text", "positive_label": classes[0], "fingerprint": "f", "source": "made up"} | options
    return TextData(texts, labels, **given)


def measured(task: TextClassification, of: Candidate) -> dict[str, float]:
    """Its metrics, but for the one that differs each time."""
    metrics = dict(task.evaluate(of).metrics)
    assert metrics.pop("fit_seconds") > 0
    return metrics


def candidate(model: dict[str, Any], vectorizer: dict[str, Any] = TFIDF, seed: int = 7) -> Candidate:
    return Candidate(model, vectorizer, seed)


def scorer(positive_label: Any) -> Callable[..., dict[str, float]]:
    how = {"average": "macro"} if positive_label is None else {"pos_label": positive_label}

    def scores(estimator: Any, texts: Any, labels: Any) -> dict[str, float]:
        predicted = estimator.predict(texts)
        return {
            "accuracy": accuracy_score(labels, predicted),
            "precision": precision_score(labels, predicted, zero_division=0, **how),
            "recall": recall_score(labels, predicted, zero_division=0, **how),
            "f1": f1_score(labels, predicted, zero_division=0, **how),
        }

    return scores


def split(data: TextData, test_size: float = 0.2, seed: int = 42) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    train, test = train_test_split(
        np.arange(len(data.labels)), test_size=test_size, stratify=data.labels, random_state=seed
    )
    return train, test


def reference(
    data: TextData, pipeline: Any, *, test_size: float = 0.2, split_seed: int = 42, n_folds: int = 3
) -> dict[str, float]:
    """All metrics, by scikit-learn alone."""
    train, test = split(data, test_size, split_seed)
    texts, labels, scores = data.texts, data.labels, scorer(data.positive_label)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=split_seed)
    found = cross_validate(pipeline, texts[train], labels[train], cv=folds, scoring=scores)
    metrics = {f"val_{name}": float(found[f"test_{name}"].mean()) for name in METRICS}
    metrics |= {f"val_{name}_stderr": float(sem(found[f"test_{name}"])) for name in METRICS}
    pipeline.fit(texts[train], labels[train])
    for part, rows in {"train": train, "test": test}.items():
        measured = scores(pipeline, texts[rows], labels[rows])
        metrics |= {f"{part}_{name}": value for name, value in measured.items()}
    overfitting = {f"{part}overfitting": metrics["train_f1"] - metrics[f"{of}_f1"] for part, of in OVERFITTING}
    return metrics | overfitting


# The metrics


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("classes", ["two", "three"])
def test_metrics_equal_cross_validation_and_a_plain_fit_of_scikit_learn(reviews, three_classes, name, classes):
    data = reviews if classes == "two" else three_classes
    vectorizer, model, estimator = NODES[name]
    metrics = measured(TextClassification(data), candidate(model, vectorizer))
    expected = reference(data, make_pipeline(reference_vectorizer(vectorizer), estimator()))
    assert metrics == pytest.approx(expected, abs=1e-12)
    parts = {f"{part}_{m}" for part in ("train", "val", "test") for m in METRICS}
    assert set(metrics) == parts | {f"val_{m}_stderr" for m in METRICS} | {"overfitting", "val_overfitting"}


@pytest.mark.parametrize("options", [{"test_size": 0.35}, {"split_seed": 3}, {"n_folds": 5}], ids=str)
def test_size_seed_and_folds_are_those_of_scikit_learn(reviews, options):
    metrics = measured(TextClassification(reviews, **options), candidate(BAYES))
    expected = reference(reviews, make_pipeline(reference_vectorizer(TFIDF), MultinomialNB(alpha=0.3)), **options)
    assert metrics == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("positive", ["great", "other"])
def test_precision_recall_and_f1_are_of_the_positive_label(reviews, positive):
    data = replace(reviews, positive_label=positive)
    metrics = measured(TextClassification(data), candidate(BAYES, COUNT))
    assert metrics == pytest.approx(
        reference(data, make_pipeline(CountVectorizer(min_df=3), MultinomialNB(alpha=0.3))), abs=1e-12
    )


@pytest.mark.parametrize("classes", [(0, 1, 5), (True, False), ("b", "a")], ids=str)
@pytest.mark.parametrize("has_positive", [True, False])
@pytest.mark.parametrize("name", ["linear svm", "logistic"])
def test_labels_may_be_numbers_booleans_or_words(classes, has_positive, name):
    if has_positive and len(classes) > 2:
        classes = classes[1:]
    data = made_up(classes=classes, positive_label=classes[0] if has_positive else None)
    vectorizer, model, estimator = NODES[name]
    metrics = measured(TextClassification(data), candidate(model, vectorizer))
    expected = reference(data, make_pipeline(reference_vectorizer(vectorizer), estimator()))
    assert metrics == pytest.approx(expected, abs=1e-12)


def test_a_ratio_without_denominator_is_zero_and_no_warning():
    data = made_up(positive_label="b", classes=("a", "b"))
    data = replace(data, labels=np.array(["a"] * 34 + ["b"] * 6, dtype=object))
    always = {"_target_": "sklearn.dummy.DummyClassifier", "strategy": "most_frequent"}
    metrics = measured(TextClassification(data, n_folds=2), candidate(always))
    assert metrics["val_f1"] == metrics["val_precision"] == metrics["test_recall"] == metrics["overfitting"] == 0


def test_every_phase_has_its_seconds(reviews):
    evaluation = TextClassification(reviews).evaluate(candidate(BAYES))
    assert set(evaluation.seconds) == {"vectorize", "fit", "score"}
    assert all(seconds >= 0 for seconds in evaluation.seconds.values())


@pytest.mark.real_data
def test_metrics_on_real_tweets_of_three_classes_equal_scikit_learns():
    file = REAL_DATA / "davidson" / "labeled_data.csv"
    if not file.exists():
        pytest.skip("no data folder beside the checkout")
    read = load_text_csv(file, text_column="tweet", label_column="class")
    data = replace(read, texts=read.texts[:1500], labels=read.labels[:1500])
    metrics = measured(TextClassification(data), candidate(SVM))
    pipeline = make_pipeline(reference_vectorizer(TFIDF), SVC(kernel="linear", class_weight="balanced"))
    assert metrics == pytest.approx(reference(data, pipeline), abs=1e-12)


# No leakage


class Recording(CountVectorizer):
    """Counts words, and notes the texts that it was fitted on and those that it transformed."""

    fitted: ClassVar[list[list[str]]] = []
    transformed: ClassVar[list[list[str]]] = []

    def fit_transform(self, raw_documents, y=None):  # type: ignore[no-untyped-def]
        Recording.fitted.append(list(raw_documents))
        return super().fit_transform(raw_documents, y)

    def transform(self, raw_documents):  # type: ignore[no-untyped-def]
        Recording.transformed.append(list(raw_documents))
        return super().transform(raw_documents)


@pytest.fixture
def recording() -> type[Recording]:
    Recording.fitted, Recording.transformed = [], []
    return Recording


RECORDING = {"_target_": f"{HERE}.Recording"}


@pytest.mark.parametrize("model", [SVM, LOGISTIC], ids=["svm", "logistic"])
def test_the_vectorizer_of_each_fold_is_fitted_on_the_rows_of_that_fold_alone(recording, model):
    data = made_up()
    TextClassification(data).evaluate(candidate(model, RECORDING))
    train, test = split(data)
    folds = StratifiedKFold(3, shuffle=True, random_state=42).split(train, data.labels[train])
    expected = [*((train[fit], train[score]) for fit, score in folds), (train, test)]
    assert recording.fitted == [data.texts[fit].tolist() for fit, _ in expected]
    assert recording.transformed == [data.texts[score].tolist() for _, score in expected]


@pytest.mark.parametrize("name", NODES)
def test_a_word_of_the_test_part_alone_changes_nothing_in_val_and_train(reviews, name):
    vectorizer, model, _ = NODES[name]
    texts = reviews.texts.copy()
    _, test = split(reviews)
    texts[test] = [f"zyzzyva quokka {text} zyzzyva" for text in texts[test]]
    before = measured(TextClassification(reviews), candidate(model, vectorizer))
    after = measured(TextClassification(replace(reviews, texts=texts)), candidate(model, vectorizer))
    selected = [metric for metric in before if not metric.startswith("test_") and metric != "overfitting"]
    assert [after[metric] for metric in selected] == [before[metric] for metric in selected]


def test_labels_of_the_test_part_change_nothing_in_val_and_train(reviews):
    task = TextClassification(reviews)
    labels = reviews.labels.copy()
    before = measured(task, candidate(LOGISTIC))
    _, test = split(reviews)
    # The same split with the test part's labels turned round, by a task whose data is exchanged after the split.
    labels[test] = np.where(labels[test] == "great", "other", "great")
    task = TextClassification(reviews)
    task.data = replace(reviews, labels=labels)
    after = measured(task, candidate(LOGISTIC))
    assert after["test_accuracy"] == pytest.approx(1 - before["test_accuracy"])
    assert all(after[m] == before[m] for m in before if m.startswith(("val_", "train_")))


# Shared work


ALL = [candidate(model, vectorizer) for vectorizer in (TFIDF, COUNT) for model in (SVM, RBF, BAYES)]


@pytest.fixture(autouse=True)
def shared():
    """An empty store for each test."""
    bound = SHARED.max_bytes
    SHARED.resize(0)
    SHARED.resize(bound)
    yield SHARED
    SHARED.share(None, 0)
    SHARED.resize(bound)


def test_cold_warm_too_small_and_stored_caches_give_the_same_scores(reviews, shared, tmp_path):
    def run(candidates=ALL):
        task = TextClassification(reviews)
        return [measured(task, each) for each in candidates]

    first = run()
    assert run(ALL[::-1])[::-1] == first
    for max_bytes in (0, 2_000_000):
        shared.resize(max_bytes)
        assert run([*ALL, *ALL]) == [*first, *first]
    shared.resize(0)  # every use is as if in another process
    shared.share(tmp_path, 2**30)
    assert run() == first
    stored = sorted(tmp_path.glob("*.arrays"))
    assert run() == first
    assert sorted(tmp_path.glob("*.arrays")) == stored
    assert len(stored) == 8
    for path in stored:
        path.write_bytes(path.read_bytes()[:-1])
    assert run() == first


def test_trials_of_one_vectorizer_setting_share_its_features(recording):
    task = TextClassification(made_up())
    for model in (SVM, LOGISTIC, RBF, BAYES):
        task.evaluate(candidate(model, RECORDING))
    assert len(recording.fitted) == 4  # three folds and the whole training part
    task.evaluate(candidate(SVM, {**RECORDING, "binary": True}))
    assert len(recording.fitted) == 8


IN_PLACE = {
    "_target_": "sklearn.pipeline.Pipeline",
    "steps": [["scale", {"_target_": "sklearn.preprocessing.MaxAbsScaler", "copy": False}], ["model", BAYES]],
}


def test_a_model_that_changes_its_input_leaves_the_scores_of_other_trials_alone(reviews):
    alone = [measured(TextClassification(reviews), candidate(model)) for model in (IN_PLACE, LOGISTIC, SVM)]
    task = TextClassification(reviews)
    shared = [measured(task, candidate(model)) for model in (IN_PLACE, LOGISTIC, SVM, IN_PLACE)]
    assert shared == [*alone, alone[0]]
    copying = {**IN_PLACE, "steps": [["scale", {**IN_PLACE["steps"][0][1], "copy": True}], ["model", BAYES]]}
    assert measured(task, candidate(copying)) == alone[0]


def test_settings_that_compare_equal_in_python_and_differ_do_not_share(reviews):
    task = TextClassification(reviews)
    in_one_text = measured(task, candidate(BAYES, {**COUNT, "min_df": 1}))
    in_all_texts = {**COUNT, "min_df": 1.0}
    with pytest.raises(DataError, match=r"finds no term in 160 texts\. By .*min_df=1\.0, .* 0 of them are empty"):
        task.evaluate(candidate(BAYES, in_all_texts))
    assert measured(task, candidate(BAYES, {**COUNT, "min_df": 1})) == in_one_text


# Seeds


def test_a_model_that_leaves_its_random_state_open_is_repeatable_and_follows_the_seed(reviews):
    def run(seed: int) -> dict[str, float]:
        return dict(measured(TextClassification(reviews), candidate(FOREST, COUNT, seed)))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_random_state_written_in_the_yaml_stays(reviews):
    fixed = {**FOREST, "random_state": 4}
    task = TextClassification(reviews)
    assert measured(task, candidate(fixed, COUNT, 1)) == measured(task, candidate(fixed, COUNT, 2))


def test_the_seed_reaches_a_model_within_a_model(reviews):
    bagged = {
        "_target_": "sklearn.ensemble.BaggingClassifier",
        "n_estimators": 3,
        "estimator": {"_target_": "sklearn.tree.DecisionTreeClassifier", "max_features": 5, "max_depth": 3},
    }
    first = measured(TextClassification(reviews), candidate(bagged, COUNT))
    assert measured(TextClassification(reviews), candidate(bagged, COUNT)) == first


BALANCED = {**LOGISTIC, "class_weight": "balanced"}
REDUCED = {
    "_target_": "sklearn.pipeline.Pipeline",
    "steps": [
        ["words", {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"}],
        ["components", {"_target_": "sklearn.decomposition.TruncatedSVD", "n_components": 5, "n_iter": 1}],
    ],
}


def test_the_seed_reaches_a_vectorizer_with_a_random_state(reviews):
    def run(seed: int) -> dict[str, float]:
        np.random.seed(seed + len(runs))
        runs.append(seed)
        return dict(measured(TextClassification(reviews), candidate(BALANCED, REDUCED, seed)))

    runs: list[int] = []
    assert run(1) == run(1)
    assert run(1) != run(2)
    task = TextClassification(reviews)
    predictor = task.refit(candidate(BALANCED, REDUCED, 3))
    assert predictor.pipeline.get_params()["vectorizer__components__random_state"] == 3
    trial = measured(task, candidate(BALANCED, REDUCED, 3))
    assert without_confidence(task.test_scores(predictor)) == {
        name: score for name, score in trial.items() if name.startswith("test_")
    }


def test_the_seed_of_the_split_and_that_of_the_model_do_not_mix(reviews):
    expected = {
        (split_seed, seed): reference(
            reviews,
            make_pipeline(CountVectorizer(min_df=3), RandomForestClassifier(10, random_state=seed)),
            split_seed=split_seed,
        )
        for split_seed in (1, 2)
        for seed in (1, 2)
    }
    for (split_seed, seed), metrics in expected.items():
        task = TextClassification(reviews, split_seed=split_seed)
        assert measured(task, candidate(FOREST, COUNT, seed)) == pytest.approx(metrics, abs=1e-12)
    assert len({str(metrics) for metrics in expected.values()}) == 4


def test_what_numpy_drew_before_makes_no_difference(reviews):
    np.random.seed(1)
    first = measured(TextClassification(reviews), candidate(FOREST, COUNT))
    np.random.seed(2)
    assert measured(TextClassification(reviews), candidate(FOREST, COUNT)) == first


# What is refused


@pytest.mark.parametrize("n_folds", [1, 0, -3, 2.0, "3", True, None])
def test_a_number_of_folds_below_two_or_no_whole_number_is_refused(n_folds):
    with pytest.raises(ConfigError, match=r"dataset\.n_folds"):
        TextClassification(made_up(), n_folds=n_folds)


@pytest.mark.parametrize("test_size", [1.5, 1.0, 1, 0, 0.0, -0.2, "0.2", True, None, float("nan")])
def test_a_test_size_that_is_no_share_is_refused(test_size):
    with pytest.raises(ConfigError, match=r"dataset\.test_size"):
        TextClassification(made_up(), test_size=test_size)


@pytest.mark.parametrize("split_seed", [-1, 2**32, 1.5, "1", True, None])
def test_a_split_seed_that_numpy_would_refuse_is_refused(split_seed):
    with pytest.raises(ConfigError, match=r"dataset\.split_seed"):
        TextClassification(made_up(), split_seed=split_seed)


def test_a_class_too_rare_for_the_folds_is_named_with_its_count():
    data = made_up(30)
    labels = data.labels.copy()
    labels[:3] = "scarce"
    with pytest.raises(DataError, match=r"made up.*'scarce' has 3.*n_folds=3") as refused:
        TextClassification(replace(data, labels=labels))
    assert "'a'" not in str(refused.value)
    TextClassification(replace(data, labels=labels), n_folds=2)


def test_fewer_rows_than_folds_are_refused():
    with pytest.raises(DataError, match="too few rows"):
        TextClassification(made_up(4), n_folds=10)


@pytest.mark.parametrize("test_size", [0.97, 0.99, 0.001])
def test_a_split_that_leaves_a_part_too_small_is_refused(test_size):
    with pytest.raises(DataError, match=rf"made up: too few rows.*dataset\.test_size={test_size}"):
        TextClassification(made_up(25), test_size=test_size)


@given(
    counts=st.lists(st.integers(1, 15), min_size=2, max_size=4),
    test_size=st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5, 0.7]),
    n_folds=st.integers(2, 4),
    split_seed=st.integers(0, 5),
)
@settings(max_examples=80, deadline=None)
def test_a_split_that_is_accepted_has_every_class_in_every_part(counts, test_size, n_folds, split_seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    texts = np.array([f"text {row}" for row in range(len(labels))], dtype=object)
    data = TextData(texts, labels, "text", None, "f", "made up")
    Recording.fitted, Recording.transformed = [], []
    try:
        task = TextClassification(data, test_size, split_seed, n_folds)
    except DataError:
        return
    task.evaluate(candidate({"_target_": "sklearn.dummy.DummyClassifier"}, {**RECORDING, "token_pattern": r"\w+"}))
    label_of = dict(zip(texts.tolist(), labels.tolist(), strict=True))
    parts = [*Recording.fitted, *Recording.transformed]
    assert len(parts) == 2 * (n_folds + 1)
    assert all({label_of[text] for text in part} == set(range(len(counts))) for part in parts)


def test_no_vectorizer_is_refused_with_those_to_choose_from():
    with pytest.raises(ConfigError, match="vectorizer=none") as refused:
        TextClassification(made_up()).check(Candidate(SVM, {}))
    assert "vectorizer=tfidf" in str(refused.value)


@pytest.mark.parametrize(
    "model",
    ["sklearn.svm.SVR", "sklearn.linear_model.Ridge", "sklearn.cluster.KMeans", "collections.OrderedDict"],
)
def test_a_model_that_is_no_classifier_is_refused(model):
    with pytest.raises(ConfigError, match=f"model: {model} is not a classifier"):
        TextClassification(made_up()).check(candidate({"_target_": model}))


def test_a_model_without_target_is_refused():
    with pytest.raises(ConfigError, match="_target_"):
        TextClassification(made_up()).check(candidate({"C": 1.0}))


def test_a_vectorizer_that_makes_no_features_is_refused():
    with pytest.raises(ConfigError, match=r"vectorizer: sklearn\.svm\.SVC does not turn texts into features"):
        TextClassification(made_up()).check(candidate(SVM, SVM))


def test_an_argument_that_the_model_does_not_take_is_refused_by_its_key():
    with pytest.raises(ConfigError, match=r"model\.Cc"):
        TextClassification(made_up()).check(candidate({**SVM, "Cc": 1}))


class Foreign(ClassifierMixin, BaseEstimator):
    """A classifier that is no part of scikit-learn: the most frequent label."""

    def fit(self, X: Any, y: Any) -> "Foreign":
        self.classes_, counts = np.unique(y, return_counts=True)
        self.most_ = int(counts.argmax())
        return self

    def predict(self, X: Any) -> Any:
        return np.repeat(self.classes_[self.most_], X.shape[0])


def test_a_model_of_foreign_code_is_refused_unless_its_yaml_trusts_it_by_name():
    task, foreign = TextClassification(made_up()), {"_target_": f"{HERE}.Foreign"}
    with pytest.raises(ModelError, match=rf"model {HERE}\.Foreign: .*trusted_types: \[{HERE}\.Foreign\]"):
        task.check(Candidate(foreign, TFIDF))
    task.check(Candidate(foreign, TFIDF, trusted_types=(f"{HERE}.Foreign",)))


def test_a_sound_candidate_whose_min_df_defeats_the_small_sample_is_not_refused(reviews):
    task = TextClassification(reviews)
    often = candidate(LOGISTIC, {**COUNT, "min_df": 101})  # the sample has 50 rows of each class
    train, _ = split(reviews)
    small = np.concatenate([train[reviews.labels[train] == label][:50] for label in ("great", "other")])
    with pytest.raises(ValueError, match=r"max_df corresponds to < documents than min_df"):
        CountVectorizer(min_df=101).fit(reviews.texts[small])
    task.check(often)
    assert 0 < measured(task, often)["val_f1"] < 1


@pytest.mark.parametrize("model", [BAYES, SVM])
@pytest.mark.parametrize(
    ("text", "vectorizer", "message"),
    [
        ("\U0001f600 \U0001f44d {}", TFIDF, r"no term in 10 texts\. By token_pattern=.*all 10\..*pattern='\\S\+'"),
        ("word{}", COUNT, r"no term in 10 texts\. By .*min_df=3, .* 0 of them are empty, .*vectorizer\.min_df=1 "),
    ],
)  # fmt: skip
def test_texts_that_are_empty_for_the_vectorizer_are_said_before_the_first_trial(model, text, vectorizer, message):
    one_letter = "abcdefghijklmnopqrst"
    texts = np.array([text.format(letter) for letter in one_letter], dtype=object)
    labels = np.array(["a", "b"] * 10, dtype=object)
    task = TextClassification(TextData(texts, labels, "text", None, "f", "here"), test_size=0.25)
    for run in (task.check, task.evaluate):
        with pytest.raises(DataError, match=message):
            run(candidate(model, vectorizer))
    task.check(candidate(model, {**COUNT, "min_df": 1, "token_pattern": r"\S+"}))


def test_another_wrong_setting_of_the_vectorizer_keeps_its_own_words(reviews):
    for wrong, words in ({"ngram_range": [3, 2]}, "ngram_range"), ({"analyzer": "some"}, "'analyzer' parameter"):
        with pytest.raises(ValueError, match=words):
            TextClassification(reviews).evaluate(candidate(BAYES, {**COUNT, **wrong}))


def test_the_check_keeps_the_warnings_of_its_fit_to_itself(recwarn, capfd):
    TextClassification(made_up()).check(candidate({"_target_": "sklearn.svm.LinearSVC", "max_iter": 1, "C": 100.0}))
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_every_sound_candidate_passes_the_check(reviews):
    task = TextClassification(reviews)
    for vectorizer, model, _ in NODES.values():
        task.check(candidate(model, vectorizer))


# What makes two scores comparable


def identity(data: TextData, **options: Any) -> str:
    return TextClassification(data, **options).evaluation_id()


def test_the_evaluation_id_changes_with_content_split_and_positive_label():
    data = made_up()
    ids = [
        identity(data),
        identity(replace(data, fingerprint="g")),
        identity(data, test_size=0.25),
        identity(data, split_seed=43),
        identity(replace(data, positive_label="b")),
        identity(replace(data, positive_label=None)),
    ]
    assert len(set(ids)) == len(ids)


def test_the_evaluation_id_stays_with_other_folds_and_from_one_task_to_the_next():
    data = made_up()
    assert identity(data) == identity(data) == identity(data, n_folds=5)
    assert identity(data) == identity(replace(data, source="elsewhere"))
    assert identity(data, test_size=0.5) == identity(data, test_size=0.5, n_folds=2)


class Sibling(TextClassification):
    """Another task on the same data."""


def test_the_evaluation_id_changes_with_the_task():
    assert Sibling(made_up()).evaluation_id() != identity(made_up())


# The winner


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("classes", ["two", "three"])
def test_a_refitted_model_scores_what_its_trial_scored_on_the_test_part(reviews, three_classes, name, classes):
    task = TextClassification(reviews if classes == "two" else three_classes)
    vectorizer, model, _ = NODES[name]
    predictor = task.refit(candidate(model, vectorizer))
    trial = measured(task, candidate(model, vectorizer))
    assert without_confidence(task.test_scores(predictor)) == {
        name: value for name, value in trial.items() if name.startswith("test_")
    }


def without_confidence(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of labels."""
    assert 0 <= scores["test_ece"] < 1
    assert 0 <= scores["test_brier"] < 1
    return {name: score for name, score in scores.items() if name not in ("test_brier", "test_ece")}


def test_a_stored_and_loaded_winner_scores_the_same(reviews, tmp_path):
    task = TextClassification(reviews)
    predictor = task.refit(candidate(SVM))
    predictor.save(tmp_path / "model")
    assert task.test_scores(TextClassification.load(tmp_path / "model")) == task.test_scores(predictor)


def test_the_example_holds_no_text_of_the_data(reviews):
    task = TextClassification(reviews)
    example = task.example()
    assert list(example.columns) == [reviews.text_column]
    assert not set(example[reviews.text_column]) & set(reviews.texts)
    predicted = task.refit(candidate(BAYES)).predict(example)
    assert list(predicted.columns) == ["prediction", "confidence"]
