"""Support vector machines on shared dot products against scikit-learn's own on the features."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.svm import SVC, LinearSVC

from sweeps.models import gram_svc
from sweeps.models.gram_svc import Gram, GramSVC

KERNELS = ("linear", "rbf", "poly", "sigmoid")
WORDS = [f"word{i}" for i in range(60)]
N_FIT, N_SCORE = 150, 60


def corpus(n_classes: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Texts in which each class prefers words of its own, some repeated, and labels with noise."""
    rng = np.random.default_rng(5)
    labels = rng.choice(n_classes, N_FIT + N_SCORE, p=[0.5, 0.3, 0.2] if n_classes == 3 else [0.65, 0.35])
    texts = []
    for label in labels:
        weights = np.ones(len(WORDS))
        weights[label * 20 : label * 20 + 20] = 3
        texts.append(" ".join(rng.choice(WORDS, rng.integers(3, 15), p=weights / weights.sum())))
    for copy, original in [(3, 0), (4, 0), (20, 21), (N_FIT + 5, N_FIT), (N_FIT + 6, 1)]:
        texts[copy] = texts[original]  # the labels stay, so that some duplicates contradict one another
    return texts, np.array(["a", "b", "c"], dtype=object)[labels]


def features(vectorizer: Any, n_classes: int = 2) -> tuple[Any, np.ndarray[Any, Any], Any]:
    texts, labels = corpus(n_classes)
    return vectorizer.fit_transform(texts[:N_FIT]), labels[:N_FIT], vectorizer.transform(texts[N_FIT:])


def inner(fitted: GramSVC) -> SVC:
    """The SVC inside, for what `GramSVC` has no name for: support vectors and decision values."""
    return fitted._svc


def decision_values(fitted: GramSVC, gram: Gram) -> np.ndarray[Any, Any]:
    return inner(fitted).decision_function(fitted._kernel(gram.score, gram.score_norms))


def assert_same(model: SVC, x_fit: Any, labels: np.ndarray[Any, Any], x_score: Any) -> tuple[GramSVC, Gram, SVC]:
    """The shared products lead to the support vectors and the labels of scikit-learn on the features."""
    expected = clone(model).fit(x_fit.copy(), labels)
    gram = Gram.of(x_fit, x_score)
    found = GramSVC(model, gram).fit(labels)
    np.testing.assert_array_equal(inner(found).support_, expected.support_)
    np.testing.assert_array_equal(inner(found).n_support_, expected.n_support_)
    np.testing.assert_allclose(inner(found).intercept_, expected.intercept_, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.predict_fit(), expected.predict(x_fit))
    np.testing.assert_array_equal(found.predict_score(), expected.predict(x_score))
    np.testing.assert_allclose(decision_values(found, gram), expected.decision_function(x_score), rtol=1e-4, atol=1e-5)
    return found, gram, expected


VECTORIZERS: dict[str, Callable[[], Any]] = {
    "tfidf": TfidfVectorizer,
    "count": CountVectorizer,
    "tfidf of float32": lambda: TfidfVectorizer(dtype=np.float32),
    "unnormed": lambda: TfidfVectorizer(norm=None, sublinear_tf=True, ngram_range=(1, 2)),
}


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("gamma", ["scale", "auto", 0.3])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("vectorizer", VECTORIZERS)
def test_support_vectors_and_labels_are_those_of_svc_on_the_features(vectorizer, kernel, gamma, n_classes):
    model = SVC(kernel=kernel, gamma=gamma, coef0=0.5 if kernel in ("poly", "sigmoid") else 0.0)
    found, _, expected = assert_same(model, *features(VECTORIZERS[vectorizer](), n_classes))
    assert 0 < len(expected.support_) <= N_FIT
    assert len(set(found.predict_fit())) == n_classes or kernel != "linear"


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced"},
        {"class_weight": {"a": 1, "b": 4}, "C": 0.2},
        {"C": 30.0, "shrinking": False},
        {"decision_function_shape": "ovo"},
        {"decision_function_shape": "ovr", "C": 0.05},
        {"degree": 2, "coef0": 1.0, "tol": 1e-5},
        {"degree": 5, "random_state": 3},
    ],
    ids=str,
)
def test_every_option_of_svc_has_its_effect(options, kernel, n_classes):
    assert_same(SVC(kernel=kernel, **options), *features(TfidfVectorizer(), n_classes))


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("vectorizer", VECTORIZERS)
def test_linear_decision_values_are_equal_to_the_last_bit(vectorizer, n_classes, shape):
    x_fit, labels, x_score = features(VECTORIZERS[vectorizer](), n_classes)
    model = SVC(kernel="linear", decision_function_shape=shape, class_weight="balanced")
    found, gram, expected = assert_same(model, x_fit, labels, x_score)
    np.testing.assert_array_equal(decision_values(found, gram), expected.decision_function(x_score))
    np.testing.assert_array_equal(inner(found).intercept_, expected.intercept_)
    np.testing.assert_array_equal(np.asarray(inner(found).dual_coef_), expected.dual_coef_.toarray())


def test_ties_are_broken_as_svc_breaks_them():
    model = SVC(kernel="rbf", break_ties=True, decision_function_shape="ovr", C=0.3)
    assert_same(model, *features(CountVectorizer(), 3))


# Hard features


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_texts_without_a_known_word_are_treated_as_svc_treats_them(kernel, n_classes):
    x_fit, labels, x_score = features(TfidfVectorizer(), n_classes)
    x_fit, x_score = x_fit.tolil(), x_score.tolil()
    for row in (0, 7, 8):
        x_fit[row] = 0
    x_score[4] = 0
    x_fit, x_score = x_fit.tocsr(), x_score.tocsr()
    assert x_fit[0].nnz == x_score[4].nnz == 0
    assert_same(SVC(kernel=kernel), x_fit, labels, x_score)


@pytest.mark.parametrize("kernel", KERNELS)
def test_features_that_are_all_zero_have_a_scaled_gamma_of_one(kernel):
    x_fit, x_score = sparse.csr_matrix((10, 4)), sparse.csr_matrix((3, 4))
    labels = np.array(["a", "b"] * 5)
    assert_same(SVC(kernel=kernel), x_fit, labels, x_score)


@pytest.mark.parametrize("kernel", KERNELS)
def test_stored_zeros_change_nothing(kernel):
    x_fit, labels, x_score = features(CountVectorizer())
    x_fit.data[::7] = 0
    assert_same(SVC(kernel=kernel), x_fit.astype(float), labels, x_score.astype(float))


def with_unsorted_indices(features: sparse.csr_matrix) -> sparse.csr_matrix:
    shuffled = features.copy()
    rng = np.random.default_rng(1)
    for start, end in zip(shuffled.indptr[:-1], shuffled.indptr[1:], strict=True):
        order = start + rng.permutation(end - start)
        shuffled.indices[start:end], shuffled.data[start:end] = shuffled.indices[order], shuffled.data[order]
    shuffled.has_sorted_indices = False
    return shuffled


@pytest.mark.parametrize("kernel", KERNELS)
def test_unsorted_indices_are_read_right_and_left_as_they_are(kernel):
    x_fit, labels, x_score = features(TfidfVectorizer())
    unsorted_fit, unsorted_score = with_unsorted_indices(x_fit), with_unsorted_indices(x_score)
    before = unsorted_fit.indices.copy(), unsorted_score.indices.copy()
    assert not np.array_equal(before[0], x_fit.indices)
    gram, expected = Gram.of(unsorted_fit, unsorted_score), Gram.of(x_fit, x_score)
    np.testing.assert_array_equal(unsorted_fit.indices, before[0])
    np.testing.assert_array_equal(unsorted_score.indices, before[1])
    np.testing.assert_array_equal(gram.fit, expected.fit)
    np.testing.assert_array_equal(gram.score, expected.score)
    assert_same(SVC(kernel=kernel), unsorted_fit, labels, unsorted_score)


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_matrix, sparse.csc_array, sparse.coo_matrix, sparse.coo_array]
)
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_other_sparse_formats_are_read_as_well(make, kernel):
    x_fit, labels, x_score = features(TfidfVectorizer())
    assert_same(SVC(kernel=kernel), make(x_fit), labels, make(x_score))


@pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")
def test_max_iter_ends_early_with_the_warning_of_svc():
    x_fit, labels, x_score = features(TfidfVectorizer())
    model = SVC(kernel="linear", max_iter=3)
    with pytest.warns(ConvergenceWarning):
        GramSVC(model, Gram.of(x_fit, x_score)).fit(labels)


def test_the_configured_model_stays_untouched_and_unfitted():
    x_fit, labels, x_score = features(TfidfVectorizer())
    model = SVC(kernel="rbf", C=3.0)
    before = model.get_params()
    GramSVC(model, Gram.of(x_fit, x_score)).fit(labels)
    assert model.get_params() == before
    assert not hasattr(model, "support_")


def test_models_that_share_products_do_not_change_them_for_each_other():
    x_fit, labels, x_score = features(CountVectorizer(), 3)
    gram = Gram.of(x_fit, x_score)
    before = gram.fit.copy(), gram.score.copy(), gram.score_norms.copy()
    for kernel in (*KERNELS, *KERNELS):
        model = SVC(kernel=kernel)
        found = GramSVC(model, gram).fit(labels)
        expected = clone(model).fit(x_fit.astype(float), labels)
        np.testing.assert_array_equal(found.predict_fit(), expected.predict(x_fit.astype(float)))
        np.testing.assert_array_equal(found.predict_score(), expected.predict(x_score.astype(float)))
    for left, right in zip(before, (gram.fit, gram.score, gram.score_norms), strict=True):
        np.testing.assert_array_equal(left, right)


@st.composite
def sparse_problems(draw: st.DrawFn) -> tuple[Any, np.ndarray[Any, Any], Any]:
    n_fit, n_score, n_columns = draw(st.integers(4, 14)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    cells = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=n_columns, max_size=n_columns)
    rows = draw(st.lists(cells, min_size=n_fit + n_score, max_size=n_fit + n_score))
    labels = draw(st.lists(st.integers(0, 2), min_size=n_fit, max_size=n_fit).filter(lambda drawn: len(set(drawn)) > 1))
    matrix = sparse.csr_matrix(np.array(rows, dtype=np.int64))
    return matrix[:n_fit], np.array(labels), matrix[n_fit:]


@given(sparse_problems(), st.sampled_from([0.1, 1.0, 10.0]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_linear_models_of_any_counts_are_equal_to_the_last_bit(problem, C):
    x_fit, labels, x_score = problem
    model = SVC(kernel="linear", C=C)
    gram = Gram.of(x_fit, x_score)
    found, expected = GramSVC(model, gram).fit(labels), clone(model).fit(x_fit, labels)
    np.testing.assert_array_equal(inner(found).support_, expected.support_)
    np.testing.assert_array_equal(decision_values(found, gram), expected.decision_function(x_score))
    np.testing.assert_array_equal(found.predict_fit(), expected.predict(x_fit))
    np.testing.assert_array_equal(found.predict_score(), expected.predict(x_score))


# The products


@given(sparse_problems())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_products_norms_and_variance_are_those_of_the_dense_features(problem):
    x_fit, _, x_score = problem
    gram, fit, score = Gram.of(x_fit, x_score), x_fit.toarray(), x_score.toarray()
    np.testing.assert_array_equal(gram.fit, fit @ fit.T)
    np.testing.assert_array_equal(gram.score, score @ fit.T)
    np.testing.assert_array_equal(gram.score_norms, (score**2).sum(axis=1))
    assert gram.n_features == fit.shape[1]
    assert gram.variance == pytest.approx(fit.var(), abs=1e-12)
    assert gram.fit.dtype == gram.score.dtype == gram.score_norms.dtype == np.float64


def test_the_size_is_known_before_the_products_are():
    x_fit, _, x_score = features(TfidfVectorizer())
    gram = Gram.of(x_fit, x_score)
    assert gram.n_bytes == gram.fit.nbytes + gram.score.nbytes + gram.score_norms.nbytes
    assert Gram.n_bytes_for(N_FIT, N_SCORE) == gram.fit.nbytes + gram.score.nbytes


# Which models it is for


class OwnSVC(SVC):
    """Whatever it does, it does it itself."""


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_svc_with_a_kernel_of_dot_products_fits(kernel):
    assert gram_svc.fits(SVC(kernel=kernel), sparse.csr_matrix((2, 2)))


@pytest.mark.parametrize(
    "model",
    [
        OwnSVC(),
        LinearSVC(),
        SVC(probability=True),
        SVC(kernel="precomputed"),
        SVC(kernel=lambda left, right: left @ right.T),
        SVC(kernel="lynear"),
        SVC(gamma="scal"),
        SVC(gamma=True),
        SVC(gamma=None),
    ],
    ids=[
        *("subclass", "LinearSVC", "probability", "precomputed", "callable", "misspelt"),
        *("misspelt gamma", "a truth as gamma", "no gamma"),
    ],
)
def test_any_other_model_keeps_its_own_code(model):
    assert not gram_svc.fits(model, sparse.csr_matrix((2, 2)))


def test_dense_features_keep_their_own_code():
    assert not gram_svc.fits(SVC(), np.zeros((2, 2)))
