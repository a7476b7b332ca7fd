"""Which text models predict in this process, and that the others predict the same in theirs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import SVC, LinearSVC

from sweeps.base.errors import DataError, PredictionTimeoutError
from sweeps.tasks.text.model import SupervisedTextModel, TextModel, limit_seconds

TEXTS = ["good fine day", "bad sad day", "fine sun", "bad rain", "good sun", "sad mud"]
LABELS = ["fair", "hate", "fair", "hate", "fair", "hate"]
FOLDS = [(np.array([0, 1, 2, 3]), np.array([4, 5])), (np.array([2, 3, 4, 5]), np.array([0, 1]))]
ENDLESS = r"(?:[a-z]+)+$"


def stored(folder: Path, vectorizer: BaseEstimator, model: BaseEstimator) -> TextModel:
    fitted = TextModel.fit(vectorizer, model, TEXTS, LABELS, text_column="text", folds=FOLDS)
    fitted.save(folder / "model")
    return fitted


@pytest.mark.parametrize("vectorizer", [TfidfVectorizer(), CountVectorizer(token_pattern=r"\S+", ngram_range=(1, 2))])
@pytest.mark.parametrize("model", [SVC(), LinearSVC(), LogisticRegression(), MultinomialNB()])
def test_our_own_models_predict_in_this_process(tmp_path: Path, vectorizer: Any, model: Any) -> None:
    stored(tmp_path, vectorizer, model)
    assert type(TextModel.load(tmp_path / "model")) is TextModel


@pytest.mark.parametrize(
    "vectorizer",
    [
        TfidfVectorizer(token_pattern=r"(?:[a-z]\w*)(?:'s)?"),
        *(
            pytest.param(vectorizer, marks=pytest.mark.slow)
            for vectorizer in (
                FeatureUnion(
                    [("one", CountVectorizer()), ("other", Pipeline([("two", CountVectorizer(token_pattern="a|b"))]))]
                ),
                FeatureUnion([("one", CountVectorizer())], n_jobs=2),
                Pipeline([("count", CountVectorizer()), ("topics", LatentDirichletAllocation(2, random_state=1))]),
            )
        ),
    ],
)
def test_a_model_that_may_not_end_predicts_the_same_in_a_process_of_its_own(tmp_path: Path, vectorizer: Any) -> None:
    fitted = stored(tmp_path, vectorizer, LogisticRegression())
    loaded = TextModel.load(tmp_path / "model")
    assert isinstance(loaded, SupervisedTextModel)
    for ours, theirs in zip(fitted.score([*TEXTS, None]), loaded.score([*TEXTS, None]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.labels(TEXTS).tolist() == fitted.labels(TEXTS).tolist()
    with pytest.raises(DataError, match="Row 1 of the texts"):
        loaded.score(["one", 2])  # type: ignore[list-item]
    again = pickle.loads(pickle.dumps(loaded))
    assert again.labels(TEXTS).tolist() == fitted.labels(TEXTS).tolist()


def test_a_text_that_is_never_done_is_given_up_and_the_next_one_is_predicted(tmp_path: Path) -> None:
    fitted = stored(tmp_path, TfidfVectorizer(token_pattern=ENDLESS), LogisticRegression())
    loaded = TextModel.load(tmp_path / "model")
    limit_seconds(loaded, 1.0)
    with pytest.raises(PredictionTimeoutError, match="did not answer within 1 s"):
        loaded.score(["a" * 60 + "!"])
    limit_seconds(loaded, 60.0)
    assert loaded.labels(["sun", "mud"]).tolist() == fitted.labels(["sun", "mud"]).tolist()
