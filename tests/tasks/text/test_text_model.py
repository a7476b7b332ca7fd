"""A text model stored and loaded, over every classifier of scikit-learn; its confidences against scikit-learn's own."""

import importlib.metadata
import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import all_estimators

from sweeps.base.errors import DataError, ModelError
from sweeps.tasks.text.calibration import Threshold, said_of
from sweeps.tasks.text.model import TextModel
from sweeps.tasks.text.svm import sparse_svc

WORDS = {
    "fair": ["good", "fine", "nice", "great", "happy"],
    "hate": ["bad", "awful", "ugly", "sad", "vile"],
    "other": ["train", "bus", "car", "road", "bike"],
}


def corpus(n_classes: int, n_each: int = 14) -> tuple[list[str], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    labels = list(WORDS)[:n_classes]
    everything = [word for label in labels for word in WORDS[label]]
    rows = [
        (" ".join([*rng.choice(WORDS[label], 3), *rng.choice(everything, 2)]), label)
        for label in labels
        for _ in range(n_each)
    ]
    return [text for text, _ in rows], np.array([label for _, label in rows], dtype=object)


def folds(labels: Any, n_folds: int = 3) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Stratified folds."""
    return list(StratifiedKFold(n_folds, shuffle=True, random_state=3).split(labels, labels))


def fit(model: Any, n_classes: int = 2, vectorizer: Any = None, **options: Any) -> TextModel:
    texts, labels = corpus(n_classes)
    arguments = {"text_column": "text", "folds": folds(labels)} | options
    return TextModel.fit(vectorizer or TfidfVectorizer(), model, texts, labels, **arguments)


def dense_tfidf() -> Pipeline:
    return make_pipeline(TfidfVectorizer(), TruncatedSVD(5, random_state=0))


CLASSIFIERS: dict[str, Any] = dict(all_estimators(type_filter="classifier"))
BASE = LogisticRegression()
TWO = [("a", LogisticRegression()), ("b", LogisticRegression(C=3))]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AdaBoostClassifier": {"n_estimators": 5},
    "ExtraTreesClassifier": {"n_estimators": 5},
    "FixedThresholdClassifier": {"estimator": BASE},
    "GradientBoostingClassifier": {"n_estimators": 5},
    "HistGradientBoostingClassifier": {"max_iter": 5},
    "LogisticRegressionCV": {
        "Cs": 2,
        "cv": 2,
        "l1_ratios": (0,),
        "scoring": "accuracy",
        "use_legacy_attributes": False,
    },
    "MLPClassifier": {"hidden_layer_sizes": (5,), "tol": 1e-2, "max_iter": 500},
    "OneVsOneClassifier": {"estimator": BASE},
    "OneVsRestClassifier": {"estimator": BASE},
    "OutputCodeClassifier": {"estimator": BASE},
    "RandomForestClassifier": {"n_estimators": 5},
    "SelfTrainingClassifier": {"estimator": BASE},
    "StackingClassifier": {"estimators": TWO},
    "TunedThresholdClassifierCV": {"estimator": BASE, "cv": 2, "thresholds": 5},
    "VotingClassifier": {"estimators": TWO},
}
DENSE_ONLY = {
    "CategoricalNB": "takes dense category numbers only",
    "GaussianNB": "takes dense features only",
    "GaussianProcessClassifier": "takes dense features only",
    "HistGradientBoostingClassifier": "takes dense features only",
    "LinearDiscriminantAnalysis": "takes dense features only",
    "QuadraticDiscriminantAnalysis": "takes dense features only",
}
BINARY_ONLY = {
    "FixedThresholdClassifier": "a threshold between two labels",
    "TunedThresholdClassifierCV": "a threshold between two labels",
}
SKIPPED = {
    "ClassifierChain": "fits label matrices, a text has one label here",
    "MultiOutputClassifier": "fits label matrices, a text has one label here",
}
DENSE_TOO = {"KNeighborsClassifier", "RadiusNeighborsClassifier", "SVC", "RandomForestClassifier"}
NO_CONFIDENCE = {"OutputCodeClassifier", "VotingClassifier"}
WARNS = {
    "PassiveAggressiveClassifier": (FutureWarning, "deprecated in scikit-learn 1.8, said at each construction"),
    "SelfTrainingClassifier": (UserWarning, "every text has a label, and it says so"),
}


class Bins(TransformerMixin, BaseEstimator):
    """Category numbers for CategoricalNB: 1 where a word occurs."""

    def fit(self, X: Any, y: Any = None) -> "Bins":
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return (X.toarray() > 0).astype(int)


def cases() -> Iterator[Any]:
    for name in CLASSIFIERS:
        if name in SKIPPED:
            continue
        for n_classes in (2, 3):
            if n_classes == 3 and name in BINARY_ONLY:
                continue
            if name not in DENSE_ONLY:
                yield pytest.param(name, n_classes, False, id=f"{name}-{n_classes}-sparse")
            if name in DENSE_ONLY or name in DENSE_TOO:
                yield pytest.param(name, n_classes, True, id=f"{name}-{n_classes}-dense")


def construct(name: str) -> Any:
    model = CLASSIFIERS[name](**ARGUMENTS.get(name, {}))
    return model.set_params(random_state=0) if "random_state" in model.get_params(deep=False) else model


def test_no_classifier_is_left_out_silently() -> None:
    covered = {case.values[0] for case in cases()}
    assert covered | SKIPPED.keys() == CLASSIFIERS.keys()
    assert covered.isdisjoint(SKIPPED)
    assert len(covered) >= 35


@pytest.mark.parametrize("name", SKIPPED)
def test_what_is_skipped_does_not_fit(name: str) -> None:
    with pytest.raises((IndexError, ValueError)):
        fit(CLASSIFIERS[name](BASE), 3)


@pytest.mark.parametrize("name", DENSE_ONLY)
def test_what_is_only_tried_on_dense_features_refuses_sparse_ones(name: str) -> None:
    with pytest.raises(TypeError, match="dense data is required"):
        fit(construct(name))


@pytest.mark.parametrize("name", BINARY_ONLY)
def test_what_is_only_tried_on_two_labels_refuses_three(name: str) -> None:
    with pytest.raises(ValueError, match="Only binary"):
        fit(construct(name), 3)


@pytest.mark.parametrize(("name", "n_classes", "dense"), list(cases()))
def test_every_classifier_stores_and_loads_without_extra_trust(
    name: str, n_classes: int, dense: bool, tmp_path: Path
) -> None:
    vectorizer = dense_tfidf() if dense else TfidfVectorizer()
    trusted: list[str] = []
    if name == "CategoricalNB":  # the trust is for the vectorizer, a class of this file
        vectorizer = make_pipeline(TfidfVectorizer(), Bins())
        trusted = [f"{Bins.__module__}.Bins"]
    texts, labels = corpus(n_classes)
    frame = pd.DataFrame({"text": texts})
    with warnings.catch_warnings():
        if name in WARNS:
            warnings.simplefilter("ignore", WARNS[name][0])
        model = fit(construct(name), n_classes, vectorizer)
        model.save(tmp_path / "model", trusted)
        loaded = TextModel.load(tmp_path / "model", trusted)
    before, after = model.predict(frame), loaded.predict(frame)
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    assert set(after["prediction"]) <= set(labels)
    if name in NO_CONFIDENCE:
        assert after["confidence"].isna().all()
        assert "neither predict_proba nor decision_function" in loaded.no_confidence
    else:
        assert after["confidence"].between(0, 1).all()
        assert loaded.no_confidence == ""


@pytest.mark.parametrize(
    ("vectorizer", "model"),
    [
        (CountVectorizer(stop_words=["good"], dtype=np.float32), MultinomialNB()),
        (CountVectorizer(stop_words="english", binary=True, ngram_range=(1, 2)), LogisticRegression()),
        (HashingVectorizer(n_features=64), SGDClassifier(loss="log_loss", random_state=0)),
        (
            FeatureUnion([("words", TfidfVectorizer()), ("chars", TfidfVectorizer(analyzer="char_wb"))]),
            LinearSVC(random_state=0),
        ),
        (dense_tfidf(), KNeighborsClassifier(p=3)),
        (dense_tfidf(), KNeighborsClassifier(algorithm="ball_tree", metric="manhattan")),
        (TfidfVectorizer(), CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=StratifiedKFold(2))),
        (TfidfVectorizer(), CalibratedClassifierCV(LinearSVC(), method="temperature", cv=2)),
        (TfidfVectorizer(), FrozenEstimator(LogisticRegression())),
        (TfidfVectorizer(), SVC(kernel="rbf", class_weight="balanced")),
    ],
    ids=lambda part: type(part).__name__,
)
def test_vectorizers_and_variants_need_no_extra_trust(vectorizer: Any, model: Any, tmp_path: Path) -> None:
    if isinstance(model, FrozenEstimator):
        texts, labels = corpus(2)
        model = FrozenEstimator(LogisticRegression().fit(TfidfVectorizer().fit_transform(texts), labels))
    fitted = fit(model, 2, vectorizer)
    fitted.save(tmp_path / "model")
    frame = pd.DataFrame({"text": corpus(2)[0]})
    loaded = TextModel.load(tmp_path / "model").predict(frame)
    pd.testing.assert_frame_equal(loaded, fitted.predict(frame), check_exact=True)
    assert loaded["confidence"].between(0, 1).all()


MODELS = [SVC(), LinearSVC(), RidgeClassifier(), Perceptron(), LogisticRegression(), MultinomialNB()]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_confidence_is_a_logistic_regression_of_what_is_said_out_of_fold_and_labels_are_the_plain_pipelines(
    model: Any, n_classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_svc, "_WORTH_IT", 1)
    texts, labels = corpus(n_classes)
    fitted = fit(model, n_classes)
    assert type(fitted.pipeline["model"]) is type(model)
    result = fitted.predict(pd.DataFrame({"text": texts}))
    plain = Pipeline([("vectorizer", TfidfVectorizer()), ("model", model)])
    if hasattr(model, "decision_function"):
        said = cross_val_predict(plain, texts, labels, cv=folds(labels), method="decision_function")
        said_now = clone(plain).fit(texts, labels).decision_function(texts)
        said, said_now = said.reshape(len(texts), -1), said_now.reshape(len(texts), -1)
    else:
        p = cross_val_predict(plain, texts, labels, cv=folds(labels), method="predict_proba")
        p_now = clone(plain).fit(texts, labels).predict_proba(texts)
        first = 1 if n_classes == 2 else 0
        said, said_now = (np.hstack([logit(q), q]) for q in (p[:, first:], p_now[:, first:]))
    by_hand = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(said, labels)
    probabilities = by_hand.predict_proba(said_now)
    predicted = plain.fit(texts, labels).predict(texts)
    np.testing.assert_array_equal(result["prediction"], predicted)
    columns = np.searchsorted(by_hand.classes_, predicted)
    np.testing.assert_allclose(result["confidence"], probabilities[np.arange(len(texts)), columns], atol=1e-9)


def test_confidence_follows_the_label_where_the_label_is_not_the_likeliest() -> None:
    texts = corpus(2)[0]
    with pytest.warns(FutureWarning, match="probability"):
        model = fit(SVC(probability=True, random_state=0), text_column="t")
    model = replace(model, calibration=None)
    result = model.predict(pd.DataFrame({"t": texts}))
    columns = [list(model.pipeline.classes_).index(label) for label in result["prediction"]]
    np.testing.assert_array_equal(
        result["confidence"], model.pipeline.predict_proba(texts)[np.arange(len(texts)), columns]
    )


@pytest.mark.parametrize("model", [SVC(kernel="linear"), LogisticRegression(), MultinomialNB()], ids=str)
@pytest.mark.parametrize("is_second", [True, False])
def test_a_threshold_decides_the_label_and_the_confidence_is_of_that_label(
    model: Any, is_second: bool, tmp_path: Path
) -> None:
    texts = corpus(2)[0]
    frame = pd.DataFrame({"text": texts})
    own = fit(model)
    said = said_of(own.pipeline["model"], own.pipeline["vectorizer"].transform(texts))[:, 0]
    said = said if is_second else -said
    high = Threshold(is_second, float(np.quantile(said, 0.8)))
    fitted = fit(model, threshold=high)
    fitted.save(tmp_path / "model")
    loaded = TextModel.load(tmp_path / "model")
    result = loaded.predict(frame)
    positive, other = ("hate", "fair") if is_second else ("fair", "hate")
    assert result["prediction"].tolist() == np.where(said >= high.value, positive, other).tolist()
    assert loaded.labels(texts).tolist() == result["prediction"].tolist()
    same = result["prediction"] == own.predict(frame)["prediction"]
    assert 0 < same.sum() < len(same)
    np.testing.assert_allclose(
        result["confidence"], np.where(same, own.predict(frame)["confidence"], 1 - own.predict(frame)["confidence"])
    )


def test_calibration_costs_one_fit_a_fold_and_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    own_fit = LinearSVC.fit

    def counted(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        sizes.append(X.shape[0])
        return own_fit(self, X, y, sample_weight)

    monkeypatch.setattr(LinearSVC, "fit", counted)
    n = len(corpus(2)[0])
    fit(LinearSVC(), folds=folds(corpus(2)[1], 4))
    assert sizes == [n, 21, 21, 21, 21]


def test_arguments_stay_unfitted() -> None:
    vectorizer, model = TfidfVectorizer(), LinearSVC()
    fit(model, 2, vectorizer)
    assert not hasattr(vectorizer, "vocabulary_")
    assert not hasattr(model, "coef_")


def test_a_single_example_of_a_label_costs_the_confidence_and_not_the_model(caplog: pytest.LogCaptureFixture) -> None:
    texts, labels = corpus(2)
    texts, labels = [*texts, "bus"], np.array([*labels, "x"], dtype=object)
    parts = list(KFold(3, shuffle=True, random_state=0).split(texts))
    single = TextModel.fit(TfidfVectorizer(), LinearSVC(), texts, labels, text_column="text", folds=parts)
    assert "a label has too few examples" in single.no_confidence
    assert single.no_confidence in caplog.text
    assert list(single.labels(["bus"])) == ["x"]
    assert single.predict(pd.DataFrame({"text": texts}))["confidence"].isna().all()
    own = TextModel.fit(TfidfVectorizer(), LogisticRegression(), texts, labels, text_column="text", folds=parts)
    assert "will be the classifier's own" in caplog.text
    assert (own.no_confidence, own.calibration) == ("", None)
    expected = own.pipeline.predict_proba(texts).max(axis=1)
    assert np.array_equal(own.predict(pd.DataFrame({"text": texts}))["confidence"], expected)


def test_a_fold_that_cannot_be_fitted_costs_the_confidence_and_not_the_model(tmp_path: Path) -> None:
    texts = ["alpha", "alpha", "beta", "beta"]
    model = TextModel.fit(
        TfidfVectorizer(min_df=2), LinearSVC(), texts, [0, 0, 1, 1], text_column="text", folds=folds([0, 0, 1, 1], 2)
    )
    assert model.no_confidence.startswith("calibration failed")
    model.save(tmp_path / "model")
    loaded = TextModel.load(tmp_path / "model")
    assert loaded.no_confidence == model.no_confidence
    assert loaded.labels(texts).tolist() == [0, 0, 1, 1]


def test_a_label_outside_of_the_training_labels_has_no_confidence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = fit(RadiusNeighborsClassifier(radius=0.5, outlier_label="unlike"))
        result = model.predict(pd.DataFrame({"text": ["nothing known", corpus(2)[0][0]]}))
    assert result["prediction"].tolist()[0] == "unlike"
    assert np.isnan(result["confidence"][0])
    assert 0.5 < result["confidence"][1] < 1.0


@pytest.mark.parametrize(
    ("labels", "dtype"), [([0, 1], np.int64), ([True, False], np.bool_), ([1.0, 2.0], np.float64)], ids=str
)
def test_labels_keep_their_type_also_in_an_empty_frame(labels: list[Any], dtype: Any, tmp_path: Path) -> None:
    texts = ["good fine", "bad ugly"] * 6
    for model in (LogisticRegression(), LinearSVC()):
        fitted = TextModel.fit(TfidfVectorizer(), model, texts, labels * 6, text_column="text", folds=folds(labels * 6))
        full = fitted.predict(pd.DataFrame({"text": texts}))
        empty = fitted.predict(pd.DataFrame({"text": []}))
        assert full["prediction"].dtype == empty["prediction"].dtype == dtype
        assert full["prediction"].tolist() == labels * 6
        assert empty["confidence"].dtype == np.float64
        assert list(empty.columns) == ["prediction", "confidence"]
        assert len(empty) == 0


def test_the_index_is_kept_and_a_missing_text_is_an_empty_one() -> None:
    model = fit(LogisticRegression())
    frame = pd.DataFrame({"id": [1, 2, 3, 4], "text": ["good", None, np.nan, pd.NA]}, index=[7, "b", 7, None])
    result = model.predict(frame)
    assert result.index.equals(frame.index)
    assert result["prediction"].tolist()[1:] == [model.labels([""])[0]] * 3
    assert result["confidence"].notna().all()


def test_which_column_is_read() -> None:
    model = fit(LogisticRegression())
    texts = ["good", "bad"]
    expected = model.predict(pd.DataFrame({"text": texts}))
    pd.testing.assert_frame_equal(model.predict(pd.DataFrame({"anything": texts})), expected)
    pd.testing.assert_frame_equal(model.predict(pd.DataFrame({"id": [1, 2], "text": texts})), expected)
    with pytest.raises(DataError, match=r"'text'.*'id', 'body'"):
        model.predict(pd.DataFrame({"id": [1, 2], "body": texts}))
    with pytest.raises(DataError, match="'text', 'text'"):
        model.predict(pd.DataFrame([["a", "b"]], columns=["text", "text"]))
    with pytest.raises(DataError, match="none"):
        model.predict(pd.DataFrame())
    with pytest.raises(DataError, match=r"Row 1 .* int: 5"):
        model.predict(pd.DataFrame({"text": ["good", 5]}))


def test_the_directory_says_what_it_holds(tmp_path: Path) -> None:
    model = fit(LinearSVC())
    model.save(tmp_path / "deep" / "model")
    assert {path.name for path in (tmp_path / "deep" / "model").iterdir()} == {"model.skops", "text_model.json"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]
    about = json.loads((tmp_path / "deep" / "model" / "text_model.json").read_text())
    assert about["text_column"] == "text"
    assert about["label_dtype"] == "object"
    assert len(about["calibration"]["weights"]) == len(about["calibration"]["intercept"]) == 1
    assert about["threshold"] is None
    assert about["versions"]["scikit-learn"] == sklearn.__version__


def test_a_model_is_not_written_over_another_nor_half(tmp_path: Path) -> None:
    model = fit(LogisticRegression())
    (tmp_path / "empty").mkdir()
    model.save(tmp_path / "empty")
    with pytest.raises(ModelError, match="not an empty directory"):
        model.save(tmp_path / "empty")
    untrusted = fit(LogisticRegression(), 2, make_pipeline(TfidfVectorizer(), Bins()))
    with pytest.raises(ModelError, match=rf"trusted_types: \[{Bins.__module__}.Bins\]"):
        untrusted.save(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_what_was_trusted_when_saving_is_not_trusted_when_loading(tmp_path: Path) -> None:
    name = f"{Bins.__module__}.Bins"
    fit(LogisticRegression(), 2, make_pipeline(TfidfVectorizer(), Bins())).save(tmp_path / "model", [name])
    with pytest.raises(ModelError, match=f"--trust {name}"):
        TextModel.load(tmp_path / "model")
    assert TextModel.load(tmp_path / "model", [name]).labels(["good"]).tolist() == ["fair"]


@pytest.mark.parametrize(
    "about",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"format_version": 1, "text_column": "t", "no_confidence": ""}',
        '{"format_version": 2, "text_column": "t", "no_confidence": ""}',
        '{"format_version": 2, "text_column": 5, "no_confidence": "", "calibration": null, "threshold": null}',
        '{"format_version": 2, "text_column": "t", "no_confidence": "", "calibration": {"weights": [[1.0]], '
        '"intercept": [1.0, 2.0]}, "threshold": null}',
        '{"format_version": 2, "text_column": "t", "no_confidence": "", "calibration": null, "threshold": {}}',
    ],
)
def test_a_damaged_description(about: str | None, tmp_path: Path) -> None:
    fit(LogisticRegression()).save(tmp_path / "model")
    file = tmp_path / "model" / "text_model.json"
    file.unlink() if about is None else file.write_text(about)
    with pytest.raises(ModelError, match=r"text_model\.json"):
        TextModel.load(tmp_path / "model")


@pytest.mark.parametrize(
    "stored",
    [LogisticRegression(), [1, 2], make_pipeline(TfidfVectorizer(), LogisticRegression()), CalibratedClassifierCV()],
    ids=lambda part: type(part).__name__,
)
def test_another_object_in_the_model_file(stored: Any, tmp_path: Path) -> None:
    import skops.io

    fit(LogisticRegression()).save(tmp_path / "model")
    skops.io.dump(stored, tmp_path / "model" / "model.skops")
    with pytest.raises(ModelError, match="holds no fitted vectorizer and model"):
        TextModel.load(tmp_path / "model")


class Foreign(ClassifierMixin, BaseEstimator):
    def fit(self, X: Any, y: Any) -> "Foreign":
        self.classes_ = np.unique(y)
        return self


def test_pip_requirements_name_what_loading_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["scikit-learn", "skops", "numpy", "scipy", "pandas"]
    pinned = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    assert fit(LinearSVC()).pip_requirements() == pinned
    monkeypatch.setattr(Foreign, "__module__", "yaml.somewhere")
    foreign = Pipeline([("vectorizer", TfidfVectorizer()), ("model", Foreign())])
    assert TextModel(foreign, "text").pip_requirements() == [
        *pinned,
        f"PyYAML=={importlib.metadata.version('PyYAML')}",
    ]
