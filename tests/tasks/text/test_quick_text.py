"""The quick text pipelines against scikit-learn's own, float for float."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import FeatureUnion
from sklearn.svm import SVC, LinearSVC

from sweeps.tasks.text.quick_text import decision, labels, quick_vectorizer
from sweeps.tasks.text.union import Union

RNG = random.Random(0)
WORDS = ["".join(RNG.choices("abcdeé", k=RNG.randint(2, 4))) for _ in range(300)]
TEXTS = [" ".join(RNG.choices(WORDS, k=RNG.randint(0, 30))) for _ in range(300)]
NEW = [*(" ".join(RNG.choices([*WORDS, "unknown"], k=RNG.randint(0, 40))) for _ in range(300)), "", "É 😀", "new words"]
VECTORIZERS = [
    CountVectorizer(),
    CountVectorizer(binary=True, ngram_range=(1, 2)),
    CountVectorizer(analyzer="char_wb", ngram_range=(2, 3), dtype=np.float32),
    CountVectorizer(vocabulary=["abc", "de", "unknown"]),
    TfidfVectorizer(),
    TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, strip_accents="unicode"),
    TfidfVectorizer(norm="l1", use_idf=False),
    TfidfVectorizer(norm=None, binary=True, max_features=50),
    TfidfVectorizer(dtype=np.float32),
    HashingVectorizer(n_features=64),
    TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True),
    Union(word=TfidfVectorizer(sublinear_tf=True), char=CountVectorizer(analyzer="char_wb", ngram_range=(2, 4))),
    FeatureUnion([("word", TfidfVectorizer()), ("hashed", HashingVectorizer(n_features=64))]),
    FeatureUnion([("word", TfidfVectorizer()), ("char", CountVectorizer())], transformer_weights={"char": 0.5}),
]
CLASSIFIERS = [
    LogisticRegression(C=5),
    LinearSVC(),
    SVC(kernel="linear", C=3),
    SVC(kernel="linear", class_weight="balanced"),
    SVC(kernel="rbf"),
]


@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=str)
def test_features_are_equal(vectorizer: Any) -> None:
    fitted = clone(vectorizer).fit(TEXTS)
    expected = sparse.csr_matrix(fitted.transform(NEW))
    found = sparse.csr_matrix(quick_vectorizer(fitted)(NEW))
    assert found.dtype == expected.dtype
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    for text in NEW[:20]:
        assert (quick_vectorizer(fitted)([text]) != fitted.transform([text])).nnz == 0


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("vectorizer", [CountVectorizer(), TfidfVectorizer()], ids=str)
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_decisions_labels_and_probabilities_are_equal(classifier: Any, vectorizer: Any, n_classes: int) -> None:
    truth = np.array([["one", "two", "three"][sum(map(ord, text)) % n_classes] for text in TEXTS])
    fitted = clone(vectorizer).fit(TEXTS)
    model = clone(classifier).fit(fitted.transform(TEXTS), truth)
    features = fitted.transform(NEW)
    decide = decision(model)
    if decide is None:
        assert isinstance(model, SVC)
        assert n_classes == 3
        return
    decided = decide(features)
    assert np.array_equal(decided, model.decision_function(features))
    assert np.array_equal(labels(model, decided), model.predict(features))


def test_a_tie_goes_where_each_library_gives_it() -> None:
    """Two mirrored examples: a text without known terms is on the boundary exactly."""
    features = sparse.csr_matrix(np.array([[1.0, 0.0], [0.0, 1.0]]))
    empty = sparse.csr_matrix((1, 2))
    for model in (SVC(kernel="linear"), LinearSVC(), LogisticRegression()):
        model.fit(features, ["a", "b"])
        decide = decision(model)
        assert decide is not None
        assert labels(model, decide(empty)).tolist() == model.predict(empty).tolist()


@pytest.mark.parametrize("model", [MultinomialNB(), RidgeClassifier()], ids=str)
def test_others_keep_their_own_code(model: Any) -> None:
    assert decision(model) is None
