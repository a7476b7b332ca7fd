"""scikit-learn's text pipelines for a few texts at a time: the same floats without the checks of every call.

For one text, scikit-learn spends nearly all its time on validating arrays, once for each step and method. A linear SVC
also multiplies the text with each support vector in turn, where an index by term needs those few that share a term with
it. What is done here is what the fitted estimators do, in the order they do it, so that every float is equal
(`tests/models/test_quick_text.py` compares). Estimators that are not covered keep their own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import normalize
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.sparsefuncs_fast import inplace_csr_row_normalize_l2

_ROWS = 256  # whose dot products with all support vectors are in memory at once

Decide = Callable[[Any], np.ndarray]
Vectorize = Callable[[Any], Any]  # array of strings to sparse features


def quick_vectorizer(vectorizer: Any) -> Vectorize:
    """What `vectorizer.transform` does, faster where it is a `CountVectorizer`, a `TfidfVectorizer` or a union of them.

    Args:
        vectorizer: fitted.
    """
    if type(vectorizer) is CountVectorizer and vectorizer.input == "content":
        return _Counts(vectorizer)
    if type(vectorizer) is TfidfVectorizer and vectorizer.input == "content" and vectorizer.dtype == np.float64:
        return _TfIdf(vectorizer)
    if type(vectorizer) is FeatureUnion and vectorizer.transformer_weights is None:
        parts = [part for _, part in vectorizer.transformer_list]
        if all(type(part) in (CountVectorizer, TfidfVectorizer) for part in parts):
            return _Union([quick_vectorizer(part) for part in parts])
    transform: Vectorize = vectorizer.transform
    return transform


def decision(model: Any) -> Decide | None:
    """What `model.decision_function` does for sparse features, where `labels` follow from it.

    Args:
        model: fitted.

    Returns:
        None for models whose labels do not follow from their decision, and those not covered.
    """
    if type(model) in (LogisticRegression, LinearSVC):
        return _linear(model)
    if type(model) is SVC and len(model.classes_) == 2:
        if model.kernel == "linear" and sparse.issparse(model.support_vectors_):
            return _LinearKernel(model)
        decide: Decide = model.decision_function
        return decide
    return None


def labels(model: Any, decided: np.ndarray) -> np.ndarray:
    """What `model.predict` gives, from the decisions."""
    if decided.ndim == 2:
        columns = decided.argmax(axis=1)
    elif type(model) is SVC:  # libsvm gives a tie to the second class, linear models to the first
        columns = (~(decided < 0)).astype(np.intp)
    else:
        columns = (decided > 0).astype(np.intp)
    found: np.ndarray = model.classes_[columns]
    return found


class _Counts:
    def __init__(self, vectorizer: CountVectorizer) -> None:
        self._analyze = vectorizer.build_analyzer()
        self._column_of: Callable[[str], int | None] = vectorizer.vocabulary_.get
        self._n_columns = len(vectorizer.vocabulary_)
        self._binary = vectorizer.binary
        self._dtype = vectorizer.dtype

    def __call__(self, texts: Sequence[str]) -> sparse.csr_matrix:
        columns: list[int] = []
        counts: list[int] = []
        ends = [0]
        for text in texts:
            count_of: dict[int, int] = {}
            for term in self._analyze(text):
                column = self._column_of(term)
                if column is not None:
                    count_of[column] = count_of.get(column, 0) + 1
            ordered = sorted(count_of)
            columns += ordered
            counts += [1] * len(ordered) if self._binary else [count_of[column] for column in ordered]
            ends.append(len(columns))
        parts = (np.array(counts, self._dtype), np.array(columns, np.int32), np.array(ends, np.int32))
        return sparse.csr_matrix(parts, shape=(len(texts), self._n_columns))


class _TfIdf(_Counts):
    def __init__(self, vectorizer: TfidfVectorizer) -> None:
        super().__init__(vectorizer)
        self._idf = vectorizer.idf_ if vectorizer.use_idf else None
        self._norm = vectorizer.norm
        self._sublinear = vectorizer.sublinear_tf

    def __call__(self, texts: Sequence[str]) -> sparse.csr_matrix:
        features = super().__call__(texts)
        if self._sublinear:
            np.log(features.data, features.data)
            features.data += 1.0
        if self._idf is not None:
            features.data *= self._idf[features.indices]
        if self._norm == "l2":
            inplace_csr_row_normalize_l2(features)
        elif self._norm is not None:
            features = normalize(features, self._norm, copy=False)
        return features


class _Union:
    def __init__(self, parts: Sequence[Vectorize]) -> None:
        self._parts = parts

    def __call__(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return sparse.hstack([part(texts) for part in self._parts]).tocsr()


def _linear(model: Any) -> Decide:
    coefficients, intercept = np.ascontiguousarray(model.coef_.T), model.intercept_

    def decide(features: sparse.csr_matrix) -> np.ndarray:
        scores = features @ coefficients + intercept
        return np.asarray(scores.ravel() if scores.shape[1] == 1 else scores)

    return decide


class _LinearKernel:
    """libsvm's sums in libsvm's order: the terms of a dot product by column, the support vectors one after another."""

    def __init__(self, model: SVC) -> None:
        self._by_term = model.support_vectors_.T.tocsr()
        self._weights = model.dual_coef_.toarray().ravel()
        self._intercept = model.intercept_

    def __call__(self, features: sparse.csr_matrix) -> np.ndarray:
        features = features.astype(np.float64)
        parts = [self._decided(features[start : start + _ROWS]) for start in range(0, features.shape[0], _ROWS)]
        return np.concatenate(parts)

    def _decided(self, features: sparse.csr_matrix) -> np.ndarray:
        products = (features @ self._by_term).toarray()
        products *= self._weights
        sums: np.ndarray = np.cumsum(products, axis=1)[:, -1] + self._intercept
        return sums
