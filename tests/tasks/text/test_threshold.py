"""`threshold: f1` and `n_repeats`, against scikit-learn and brute force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC

from sweeps.base.errors import ConfigError
from sweeps.tasks.base import Candidate
from sweeps.tasks.text.calibration import Threshold
from sweeps.tasks.text.data import TextData
from sweeps.tasks.text.duplicates import first_of_each, same_texts
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification

TFIDF = {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "max_features": 400}
MODELS: dict[str, Any] = {
    "sklearn.svm.SVC": SVC(),
    "sklearn.svm.LinearSVC": LinearSVC(random_state=7),
    "sklearn.linear_model.LogisticRegression": LogisticRegression(random_state=7),
    "sklearn.naive_bayes.MultinomialNB": MultinomialNB(),
}


@pytest.fixture(scope="module", params=["great", "other"])
def reviews(request: pytest.FixtureRequest) -> TextData:
    """400 short reviews, of which few are of the positive label; it is the first or the second of the two."""
    data = load_reviews()
    once = first_of_each(same_texts(data.texts))
    short = once[[len(text) < 600 for text in data.texts[once]]]
    is_rare = data.labels[short] == request.param
    rows = np.sort(np.concatenate([short[is_rare][:80], short[~is_rare][:320]]))
    return replace(data, texts=data.texts[rows], labels=data.labels[rows], positive_label=request.param)


def split(data: TextData) -> Any:
    return train_test_split(np.arange(len(data.labels)), test_size=0.2, stratify=data.labels, random_state=42)


def said(model: Any, texts: Any, positive: Any) -> np.ndarray:
    if hasattr(model, "decision_function"):
        values = model.decision_function(texts)
    else:
        probabilities = model.predict_proba(texts)[:, 1]
        values = np.log(probabilities) - np.log(1 - probabilities)
    return np.asarray(values if positive == model.classes_[1] else -values)


def best(scores: np.ndarray, truth: np.ndarray) -> float:
    """Try every threshold."""
    ordered = np.unique(scores)
    candidates = [ordered[0], *((ordered[1:] + ordered[:-1]) / 2)]
    f1 = [f1_score(truth, scores >= value) for value in candidates]
    return float(candidates[int(np.argmax(f1))])


@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=25), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_threshold_has_a_higher_f1(rows: list[tuple[int, bool]], positive: bool) -> None:
    scores, truth = np.array([float(score) for score, _ in rows]), np.array([label for _, label in rows])
    if len(set(truth)) < 2:
        return
    found = Threshold.best_f1([scores[:, np.newaxis]], [truth], positive)
    labels = found.labels(scores[:, np.newaxis], np.array([False, True]))
    toward = scores if positive else -scores
    brute = [f1_score(truth == positive, toward >= value) for value in np.unique(toward)]
    assert f1_score(truth, labels, pos_label=positive) == pytest.approx(max(brute))


@pytest.mark.parametrize("name", MODELS)
def test_labels_are_by_the_best_threshold_of_the_other_folds_and_that_of_all_is_served(
    reviews: TextData, name: str, tmp_path: Path
) -> None:
    task = TextClassification(reviews, threshold="f1")
    candidate = Candidate({"_target_": name}, TFIDF, 7)
    metrics = dict(task.evaluate(candidate).metrics)
    positive = reviews.positive_label
    train, test = split(reviews)
    texts, labels = reviews.texts[train], reviews.labels[train]
    truth = labels == positive
    pipeline = make_pipeline(TfidfVectorizer(max_features=400), MODELS[name])
    folds = list(StratifiedKFold(3, shuffle=True, random_state=42).split(texts, labels))
    of_folds = []
    for fit, score in folds:
        pipeline.fit(texts[fit], labels[fit])
        of_folds.append(said(pipeline, texts[score], positive))
    f1 = []
    for index, (_, score) in enumerate(folds):
        others = [one for one in range(3) if one != index]
        value = best(
            np.concatenate([of_folds[one] for one in others]), truth[np.concatenate([folds[one][1] for one in others])]
        )
        f1.append(f1_score(truth[score], of_folds[index] >= value))
    assert metrics["val_f1"] == pytest.approx(np.mean(f1), abs=1e-12)
    value = best(np.concatenate(of_folds), truth[np.concatenate([score for _, score in folds])])
    pipeline.fit(texts, labels)
    is_positive = said(pipeline, reviews.texts[test], positive) >= value
    assert metrics["test_f1"] == pytest.approx(f1_score(reviews.labels[test] == positive, is_positive), abs=1e-12)

    served = task.refit(candidate)
    served.save(tmp_path / "model")
    predicted = TextClassification.load(tmp_path / "model").predict(pd.DataFrame({"text": reviews.texts[test]}))
    assert ((predicted["prediction"] == positive) == is_positive).all()
    assert task.test_scores(served)["test_f1"] == metrics["test_f1"]
    own = TextClassification(reviews).refit(candidate)
    assert (own.predict(pd.DataFrame({"text": reviews.texts[test]}))["prediction"] != predicted["prediction"]).any()
    assert task.evaluation_id() == TextClassification(reviews).evaluation_id()


def test_a_threshold_needs_a_positive_label_and_a_model_that_says_more_than_labels(reviews: TextData) -> None:
    with pytest.raises(ConfigError, match=r"name it with dataset\.positive_label"):
        TextClassification(replace(reviews, positive_label=None), threshold="f1")
    with pytest.raises(ConfigError, match="threshold=best: f1, or null"):
        TextClassification(reviews, threshold="best")  # type: ignore[arg-type]  # what a user may type
    hard = {
        "_target_": "sklearn.ensemble.VotingClassifier",
        "estimators": [["a", {"_target_": "sklearn.naive_bayes.MultinomialNB"}]],
    }
    with pytest.raises(ConfigError, match="VotingClassifier has neither"):
        TextClassification(reviews, threshold="f1").check(Candidate(hard, TFIDF, 7))
    TextClassification(reviews).check(Candidate(hard, TFIDF, 7))


def test_repeats_are_folds_of_other_seeds_and_the_first_is_as_without(reviews: TextData) -> None:
    candidate = Candidate({"_target_": "sklearn.svm.LinearSVC"}, TFIDF, 7)
    once, thrice = TextClassification(reviews), TextClassification(reviews, n_repeats=3)
    found, single = thrice.evaluate(candidate), once.evaluate(candidate)
    train, _ = split(reviews)
    texts, labels = reviews.texts[train], reviews.labels[train]
    scoring = make_scorer(f1_score, pos_label=reviews.positive_label)
    pipeline = make_pipeline(TfidfVectorizer(max_features=400), LinearSVC(random_state=7))
    by_repeat = [
        cross_val_score(
            pipeline, texts, labels, scoring=scoring, cv=StratifiedKFold(3, shuffle=True, random_state=seed)
        )
        for seed in (42, 43, 44)
    ]
    assert found.metrics["val_f1"] == pytest.approx(np.mean(by_repeat), abs=1e-12)
    assert single.metrics["val_f1"] == pytest.approx(np.mean(by_repeat[0]), abs=1e-12)
    expected = np.sqrt(np.mean([sem(of_one) ** 2 for of_one in by_repeat]))
    assert found.metrics["val_f1_stderr"] == pytest.approx(expected, abs=1e-12)
    assert found.metrics["test_f1"] == single.metrics["test_f1"]
    assert [one.repeat for one in found.predictions] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0]
    assert thrice.n_reports == 9
    assert once.evaluation_id() == thrice.evaluation_id()
    assert once.selection_id() != thrice.selection_id()


@pytest.mark.parametrize("n_repeats", [0, 1.5, True, "3"])
def test_a_number_of_repeats_is_checked(reviews: TextData, n_repeats: Any) -> None:
    with pytest.raises(ConfigError, match=rf"dataset.n_repeats={n_repeats}: how often"):
        TextClassification(reviews, n_repeats=n_repeats)
