"""Our solver of support vector machines on sparse features against scikit-learn's."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
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

from sweeps.base.jit import kernel as compiled
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.svm import kept_rows, sparse_kernels, sparse_svc
from sweeps.tasks.text.svm.sparse_svc import SparseSVC

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
    for repeat, original in [(3, 0), (4, 0), (20, 21), (N_FIT + 5, N_FIT), (N_FIT + 6, 1)]:
        texts[repeat] = texts[original]  # the labels stay, so that some duplicates contradict one another
    return texts, np.array(["a", "b", "c"], dtype=object)[labels]


def features(vectorizer: Any, n_classes: int = 2) -> tuple[Any, np.ndarray[Any, Any], Any]:
    texts, labels = corpus(n_classes)
    return vectorizer.fit_transform(texts[:N_FIT]), labels[:N_FIT], vectorizer.transform(texts[N_FIT:])


def expected_values(expected: SVC, x: Any) -> np.ndarray[Any, Any]:
    """scikit-learn's decision values of each pair, with LIBSVM's signs."""
    values = copy(expected).set_params(decision_function_shape="ovo").decision_function(x)
    return -values[:, None] if values.ndim == 1 else values


def assert_same(model: SVC, x_fit: Any, labels: np.ndarray[Any, Any], x_score: Any) -> tuple[SparseSVC, SVC]:
    """Coefficients, offsets and labels are scikit-learn's."""
    expected = clone(model).fit(x_fit.copy(), labels)
    found = SparseSVC(model).fit(x_fit, labels)
    np.testing.assert_array_equal(found.support, expected.support_)
    binary = len(found.classes) == 2
    np.testing.assert_array_equal(-found.offsets if not binary else found.offsets, expected.intercept_)
    if binary:
        np.testing.assert_array_equal(-found.coefficients.T, expected.dual_coef_.toarray())
    assert_equal_objects(found.as_svc(), expected)
    np.testing.assert_array_equal(found.predict(x_fit), expected.predict(x_fit))
    np.testing.assert_array_equal(found.predict(x_score), expected.predict(x_score))
    for x in (x_fit, x_score):
        np.testing.assert_allclose(found.decision_values(x), expected_values(expected, x), rtol=1e-10, atol=1e-11)
    return found, expected


def assert_equal_objects(found: SVC, expected: SVC) -> None:
    """Attribute by attribute, private ones included."""
    assert type(found) is type(expected)
    assert vars(found).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        own = vars(found)[name]
        assert type(own) is type(value), name
        if sparse.issparse(value):
            assert own.shape == value.shape
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(getattr(own, part), getattr(value, part), name)
        elif isinstance(value, np.ndarray):
            assert own.dtype == value.dtype, name
            np.testing.assert_array_equal(own, value, name)
        else:
            assert own == value, name


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
    x_fit, labels, x_score = features(VECTORIZERS[vectorizer](), n_classes)
    found, expected = assert_same(model, x_fit, labels, x_score)
    assert 0 < len(expected.support_) <= N_FIT
    assert len(set(found.predict(x_fit))) == n_classes or kernel != "linear"


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


@pytest.mark.parametrize("kernel", ["linear", "poly", "sigmoid"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("vectorizer", VECTORIZERS)
def test_decision_values_are_equal_to_the_last_bit(vectorizer, n_classes, kernel):
    x_fit, labels, x_score = features(VECTORIZERS[vectorizer](), n_classes)
    found, expected = assert_same(SVC(kernel=kernel, class_weight="balanced"), x_fit, labels, x_score)
    np.testing.assert_array_equal(found.decision_values(x_score), expected_values(expected, x_score))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_kept", [2, 7])
def test_rows_that_are_not_kept_are_computed_again(monkeypatch, kernel, n_kept):
    monkeypatch.setattr(sparse_svc, "_KEPT_BYTES", n_kept * 4 * N_FIT)
    assert_same(SVC(kernel=kernel, C=10), *features(TfidfVectorizer()))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "options", [{"C": 0.3}, {"C": 30.0}, {"C": 3.0, "class_weight": "balanced", "tol": 1e-4}], ids=str
)
def test_what_shrinking_leaves_out_comes_back_as_in_libsvm(kernel, options):
    """Enough rows and steps that LIBSVM leaves some out, and brings them back."""
    reviews = load_reviews()
    vectorizer = CountVectorizer(max_features=300)
    x = vectorizer.fit_transform(reviews.texts[:900]).astype(float)
    assert_same(SVC(kernel=kernel, max_iter=20_000, **options), x[:700], reviews.labels[:700], x[700:])


@st.composite
def options_and_sizes(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "kernel": draw(st.sampled_from(KERNELS)),
        "C": draw(st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e4])),
        "gamma": draw(st.sampled_from([1e-3, 0.1, 2.0, 100.0])),
        "class_weight": draw(st.sampled_from([None, "balanced", {0: 5.0}])),
        "shrinking": draw(st.sampled_from([True, True, False])),
        "max_iter": draw(st.sampled_from([30, 4_000])),
        "tol": draw(st.sampled_from([1e-3, 1e-6])),
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(options_and_sizes(), st.integers(0, 2**32), st.integers(10, 300), st.integers(2, 4), st.integers(2, 40))
@settings(max_examples=300, deadline=None)
def test_steps_are_those_of_libsvm_whatever_the_problem(options, seed, n_rows, n_classes, n_kept):
    """Few columns and levels, so that rows are often equal, gains too, and labels contradict one another."""
    rng = np.random.default_rng(seed)
    density = rng.choice([0.1, 0.4])
    dense = rng.integers(1, 4, (n_rows, rng.integers(2, 30))) * (rng.random((n_rows, 1)) < 0.95)
    x = sparse.csr_matrix(dense * (rng.random(dense.shape) < density) / rng.choice([1.0, 3.0, 7.0]))
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    model = SVC(degree=2, coef0=0.3, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_svc, "_KEPT_BYTES", n_kept * 4 * n_rows)
        found = SparseSVC(model).fit(x, labels)
    assert_equal_objects(found.as_svc(), clone(model).fit(x, labels))


def test_a_list_of_swaps_that_is_nearly_full_starts_anew_with_the_rows_that_are_up_to_date():
    def kept(n_swaps: int) -> kept_rows.KeptRows:
        slot_of, owner_of, n_followed = np.array([2, -1, 0, 1]), np.array([2, 3, 0, -1]), np.array([9, 8, 9, 0])
        swaps, counts = np.zeros((10, 2), np.uint32), [np.array([count]) for count in (3, 2, n_swaps)]
        return kept_rows.KeptRows(
            *(np.ones((4, 4), np.float32), slot_of, owner_of, np.array([True, True, True, False])),
            *(counts[0], counts[1], swaps, counts[2], n_followed, np.empty(4)),
        )

    with_room = kept(8)
    assert kept_rows.room_for_swaps(with_room) == 8
    np.testing.assert_array_equal(with_room.slot_of, [2, -1, 0, 1])
    np.testing.assert_array_equal(with_room.n_followed, [9, 8, 9, 0])
    full = kept(9)
    assert kept_rows.room_for_swaps(full) == 0
    np.testing.assert_array_equal(full.slot_of, [2, -1, 0, -1])
    np.testing.assert_array_equal(full.owner_of, [2, -1, 0, -1])
    np.testing.assert_array_equal(full.is_used, [True, False, True, False])
    np.testing.assert_array_equal(full.n_followed, 0)
    assert full.n_swaps[0] == 0


def test_the_room_that_a_thread_keeps_serves_any_size():
    x_fit, labels, x_score = features(TfidfVectorizer(), 3)
    for n_rows in (40, N_FIT, 90, N_FIT):
        assert_same(SVC(C=3.0), x_fit[:n_rows], labels[:n_rows], x_score)


def test_threads_fit_at_the_same_time():
    x_fit, labels, _ = features(TfidfVectorizer(), 3)
    models = [SVC(C=C, kernel=kernel) for kernel in KERNELS for C in (0.1, 1.0, 10.0, 100.0)]
    with ThreadPoolExecutor(4) as threads:
        fitted = list(threads.map(lambda model: SparseSVC(model).fit(x_fit, labels).as_svc(), models))
    for model, found in zip(models, fitted, strict=True):
        assert_equal_objects(found, model.fit(x_fit, labels))


# exp


@compiled
def exponentials(powers: np.ndarray) -> np.ndarray:
    out = np.empty(powers.size)
    for place in range(powers.size):
        out[place] = math.exp(powers[place])
    return out


def rbf_of(powers: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """exp of numbers as the rows of the kernel and the decision values get it: float32 and float64."""
    none, no_values, starts = np.empty(0, np.int32), np.empty(0), np.zeros(1, np.int32)
    rows = sparse_kernels.SparseRows(starts, none, no_values, starts, none.view(np.uint32), no_values, -powers)
    of = sparse_kernels.Kernel(sparse_kernels.RBF, 1.0, 0.0, 3)
    floats, doubles = np.empty(powers.size, np.float32), np.empty(powers.size)
    sparse_kernels.kernel_floats(none, no_values, 0.0, of, rows, doubles, floats)
    sparse_kernels.kernel_row(none, no_values, 0.0, of, rows, doubles)
    return floats, doubles


def assert_exponentials(powers: np.ndarray[Any, Any]) -> None:
    floats, doubles = rbf_of(powers)
    expected = exponentials(powers)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(floats, expected.astype(np.float32))
    np.testing.assert_allclose(doubles, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.0), (-20.0, 0.0), (-110.0, -80.0), (-1e-3, 1e-3), (-760.0, 720.0)])
def test_exp_is_rounded_as_that_of_the_c_library(low, high):
    rng = np.random.default_rng(1)
    for _ in range(4):
        assert_exponentials(rng.uniform(low, high, 1_000_000))
    assert_exponentials(-(10.0 ** rng.uniform(-320, 308, 1_000_000)))


def test_exp_is_rounded_right_where_a_float_is_nearly_between_two():
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 0x3F800000, 2_000_000)  # all positive floats up to 1 are as likely, subnormal ones, too
    bits[:500_000] = rng.integers(0, 0x00800000, 500_000)
    bits[500_000:1_500_000] = rng.integers(0x3A000000, 0x3F800000, 1_000_000)
    below, above = bits.astype(np.uint32).view(np.float32), (bits + 1).astype(np.uint32).view(np.float32)
    powers = np.log((below.astype(float) + above.astype(float)) / 2)
    for _ in range(3):
        assert_exponentials(powers)
        assert_exponentials(-powers)
        powers = np.nextafter(powers, -np.inf)


def test_exp_of_extremes_is_that_of_the_c_library():
    extremes = [0.0, -0.0, -np.inf, np.inf, np.nan, -5e-324, -1e-300, -1e300, -745.2, -708.4, 709.7, 710.0, 88.8, 1e300]
    extremes += [-103.97207708399179, -103.9720770839918, -87.33654475055310, -199.9, -200.1, 700.0, -700.0]
    powers = np.array(extremes)
    floats, doubles = rbf_of(powers)
    expected = exponentials(powers)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(floats, expected.astype(np.float32))
    np.testing.assert_array_equal(doubles, expected)  # one of a block is extreme, so all are computed by libm
    for power in extremes:
        assert_exponentials(np.array([power]))
        assert_exponentials(np.full(200, power))
        assert_exponentials(np.append(np.linspace(-5, 0, 300), power))
    assert doubles[0] == 1.0
    assert floats[2] == 0.0
    finite = [power for power in extremes if power < 709]
    np.testing.assert_array_equal(exponentials(np.array(finite)), [math.exp(power) for power in finite])


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
    SparseSVC(SVC(kernel=kernel)).fit(unsorted_fit, labels).predict(unsorted_score)
    np.testing.assert_array_equal(unsorted_fit.indices, before[0])
    np.testing.assert_array_equal(unsorted_score.indices, before[1])
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
    with pytest.warns(ConvergenceWarning):
        assert_same(SVC(kernel="linear", max_iter=3), x_fit, labels, x_score)


def test_the_configured_model_stays_untouched_and_unfitted():
    x_fit, labels, _ = features(TfidfVectorizer())
    model = SVC(kernel="rbf", C=3.0)
    before = model.get_params()
    SparseSVC(model).fit(x_fit, labels)
    assert model.get_params() == before
    assert not hasattr(model, "support_")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"C": -1.0}, "C"), ({"tol": 0}, "tol"), ({"class_weight": "even"}, "class_weight"), ({"degree": -1}, "degree")],
)
def test_options_that_scikit_learn_refuses_are_refused(options, message):
    x_fit, labels, _ = features(TfidfVectorizer())
    with pytest.raises(ValueError, match=message):
        SparseSVC(SVC(**options)).fit(x_fit, labels)


def test_features_and_labels_that_scikit_learn_refuses_are_refused():
    x_fit, labels, _ = features(TfidfVectorizer())
    with pytest.raises(ValueError, match="class"):
        SparseSVC(SVC()).fit(x_fit, np.full(N_FIT, "a"))
    x_fit.data[-1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SparseSVC(SVC()).fit(x_fit, labels)


def test_a_kernel_beyond_4_byte_floats_is_refused_as_by_scikit_learn():
    x_fit, labels, _ = features(CountVectorizer())
    model = SVC(kernel="poly", degree=60, gamma=10.0)
    for one in (SparseSVC(model), model):
        with pytest.raises(ValueError, match="not finite"):
            one.fit(x_fit * 1e3, labels)


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
    found, expected = assert_same(SVC(kernel="linear", C=C), x_fit.astype(float), labels, x_score.astype(float))
    np.testing.assert_array_equal(found.decision_values(x_score), expected_values(expected, x_score.astype(float)))


# Which models it is for


class OwnSVC(SVC):
    """Whatever it does, it does it itself."""


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_svc_with_a_kernel_of_dot_products_fits(kernel):
    assert sparse_svc.fits(SVC(kernel=kernel), sparse.csr_matrix((2, 2)))


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
        SVC(break_ties=True),
    ],
    ids=[
        *("subclass", "LinearSVC", "probability", "precomputed", "callable", "misspelt"),
        *("misspelt gamma", "a truth as gamma", "no gamma", "ties"),
    ],
)
def test_any_other_model_keeps_its_own_code(model):
    assert not sparse_svc.fits(model, sparse.csr_matrix((2, 2)))


def test_dense_features_keep_their_own_code():
    assert not sparse_svc.fits(SVC(), np.zeros((2, 2)))


def test_a_fit_without_memory_costs_that_fit_alone() -> None:
    with pytest.raises(MemoryError):
        sparse_svc._store(2**50)
    assert sparse_svc._store(10).size >= 10
