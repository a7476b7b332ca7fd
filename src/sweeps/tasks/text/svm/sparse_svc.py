"""scikit-learn's SVC on sparse features, fitted by the solver of `sweeps.tasks.text.svm.smo`.

Dual coefficients and offsets are those of scikit-learn to the last bit, for every kernel; decision values, too, except
for rbf, where LIBSVM predicts with another formula than it fits with: they agree to about 1e-12.
"""

from __future__ import annotations

import threading
import warnings
from copy import copy
from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

from sweeps.tasks.text.svm import smo
from sweeps.tasks.text.svm import sparse_kernels as kernels

_KERNELS = {"linear": kernels.LINEAR, "rbf": kernels.RBF, "poly": kernels.POLY, "sigmoid": kernels.SIGMOID}
_KEPT_BYTES = 2**30  # of kernel rows, while one pair of classes is fitted
_of_thread = threading.local()
_WORTH_IT = 1_000  # rows
_FEW = 5  # rows of each class for scikit-learn's own checks


def fits(model: Any, x_fit: Any) -> bool:
    """Whether a model is an SVC whose labels this reproduces, and the features are sparse.

    `probability=True` fits on random folds inside LIBSVM, `break_ties=True` compares sums of decision values, and a
    subclass may do anything: all keep their own code.
    """
    if type(model) is not SVC or not sparse.issparse(x_fit):
        return False
    is_number = isinstance(model.gamma, int | float) and not isinstance(model.gamma, bool)
    return (
        model.kernel in _KERNELS
        and model.probability in (False, "deprecated")
        and not model.break_ties
        and (is_number or model.gamma in ("scale", "auto"))
    )


def quickened(model: Any) -> Any:
    """A clone of a model; an SVC's fits with this solver where it can."""
    quick = clone(model)
    return _QuickSVC(**quick.get_params(deep=False)) if type(quick) is SVC else quick


def ordinary(model: Any) -> Any:
    """The model itself, but for a quickened SVC: scikit-learn's own, as its `fit` would have left it."""
    if type(model) is not _QuickSVC:
        return model
    svc = SVC(**model.get_params(deep=False))
    svc.__dict__.update(vars(model))
    return svc


class _QuickSVC(SVC):  # type: ignore[misc]  # scikit-learn ships no types
    """An SVC that `SparseSVC` fits, where it can; its attributes are those that scikit-learn would have left."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SVC:
        plain = SVC(**self.get_params(deep=False))
        # LIBSVM is done with few rows before the solver has been read from numba's cache.
        if sample_weight is not None or not fits(plain, X) or X.shape[0] < _WORTH_IT:
            super().fit(X, y, sample_weight)
        else:
            self.__dict__.update(vars(SparseSVC(plain).fit(X, np.asarray(y)).as_svc()))
        return self


class SparseSVC:
    """An SVC for which `fits` is true.

    Args:
        model: the configured, unfitted SVC, which stays untouched.

    Attributes:
        classes: in ascending order.
        support: rows that are support vectors, grouped by class, shape (n_support,).
        coefficients: dual coefficients times the sign, one column for each pair of classes, shape (n_support, n_pairs).
        offsets: LIBSVM's rho of each pair, shape (n_pairs,).
    """

    def __init__(self, model: SVC) -> None:
        self._model = model

    def fit(self, features: Any, labels: np.ndarray) -> SparseSVC:
        """Fit on sparse features, shape (n, n_features), and labels, shape (n,).

        Raises:
            ValueError: what scikit-learn refuses.
        """
        model, rows = self._model, _sorted(features)
        self.classes, codes = np.unique(labels, return_inverse=True)
        self._like = _fitted_on_few(model, rows, labels, codes)
        self._gamma = _gamma(model, rows)
        self._kernel = kernels.Kernel(_KERNELS[model.kernel], float(self._gamma), float(model.coef0), int(model.degree))
        self._class_weight = compute_class_weight(model.class_weight, classes=self.classes, y=labels)
        weights = model.C * self._class_weight
        members = [np.flatnonzero(codes == code) for code in range(len(self.classes))]
        pairs = list(combinations(range(len(self.classes)), 2))
        coefficients, offsets = np.zeros((rows.shape[0], len(pairs))), np.zeros(len(pairs))
        sizes = [len(members[one]) + len(members[other]) for one, other in pairs]
        store = _store(max(size * _n_kept(size) for size in sizes))
        self._n_iterations, self._ended_early = np.zeros(len(pairs), np.int32), False
        for place, (one, other) in enumerate(pairs):
            both = np.concatenate([members[one], members[other]])
            is_one = np.arange(len(both)) < len(members[one])
            n_kept = _n_kept(len(both))
            coefficients[both, place], offsets[place], self._n_iterations[place], ended_early = smo.solve(
                _rows_of(rows[both]),
                self._kernel,
                np.where(is_one, 1.0, -1.0),
                np.where(is_one, weights[one], weights[other]),
                float(model.tol),
                bool(model.shrinking),
                int(model.max_iter),
                store[: n_kept * len(both)].reshape(n_kept, len(both)),
            )
            self._ended_early |= ended_early
            if ended_early:
                warnings.warn(f"SVC ended early, after max_iter={model.max_iter}", ConvergenceWarning, stacklevel=2)
        if not (np.isfinite(coefficients).all() and np.isfinite(offsets).all()):
            raise ValueError("The dual coefficients of SVC are not finite: the features' values are too large.")
        in_order = np.concatenate(members)
        self.support = in_order[coefficients[in_order].any(axis=1)]
        self.coefficients, self.offsets, self._pairs = coefficients[self.support], offsets, pairs
        self._support_codes, self._shape = codes[self.support], rows.shape
        self._support_rows = rows[self.support]
        self._vectors = _rows_of(self._support_rows)
        return self

    def as_svc(self) -> SVC:
        """The fitted SVC as scikit-learn's own `fit` would have left it."""
        svc, n_classes = copy(self._like), len(self.classes)
        coefficients = np.zeros((n_classes - 1, len(self.support)))
        for place, (one, other) in enumerate(self._pairs):  # the rows of a class: the other classes, in order
            of_one, of_other = self._support_codes == one, self._support_codes == other
            coefficients[other - 1, of_one] = self.coefficients[of_one, place]
            coefficients[one, of_other] = self.coefficients[of_other, place]
        indices = np.tile(np.arange(len(self.support), dtype=np.int32), n_classes - 1)
        ends = np.arange(n_classes, dtype=np.int32) * len(self.support)
        dual = sparse.csr_matrix((coefficients.ravel(), indices, ends), coefficients.shape)
        is_binary = n_classes == 2  # LIBSVM's signs are those of the first class then, scikit-learn's of the second
        svc.support_ = self.support.astype(np.int32)
        svc.support_vectors_ = self._support_rows
        svc.dual_coef_, svc._dual_coef_ = -dual if is_binary else dual, dual
        svc.intercept_, svc._intercept_ = self.offsets if is_binary else -self.offsets, -self.offsets
        svc._n_support = np.bincount(self._support_codes, minlength=n_classes).astype(np.int32)
        svc._gamma, svc.shape_fit_ = self._gamma, self._shape
        svc.class_weight_ = self._class_weight
        svc.fit_status_ = int(self._ended_early)
        svc._num_iter = svc.n_iter_ = self._n_iterations
        return svc

    def predict(self, features: Any) -> np.ndarray:
        """Labels of sparse features, shape (m,): the class that wins most pairs, of equals the first."""
        is_one = self.decision_values(features) > 0
        votes = np.zeros((len(is_one), len(self.classes)), np.int64)
        for place, (one, other) in enumerate(self._pairs):
            votes[:, one] += is_one[:, place]
            votes[:, other] += ~is_one[:, place]
        predicted: np.ndarray = self.classes[votes.argmax(axis=1)]
        return predicted

    def decision_function(self, features: Any) -> np.ndarray:
        """Of two classes, positive for the second, shape (m,)."""
        return np.asarray(-self.decision_values(features)[:, 0])

    def decision_values(self, features: Any) -> np.ndarray:
        """LIBSVM's decision values, positive for the first class of a pair, shape (m, n_pairs)."""
        rows = _rows_of(_sorted(features))
        return kernels.decision_values(rows, self._kernel, self._vectors, self.coefficients, self.offsets)


def _store(size: int) -> np.ndarray:
    """Room for rows of the kernel, float32, which a thread keeps for its next fit.

    The system clears the memory that it hands out, which may take as long as the fit.
    """
    if not hasattr(_of_thread, "store") or _of_thread.store.size < size:
        _of_thread.store = np.empty(0, np.float32)  # the old one goes before the new one comes
        _of_thread.store = np.empty(size, np.float32)
    store: np.ndarray = _of_thread.store
    return store


def _n_kept(n_rows: int) -> int:
    """Rows of the kernel to keep."""
    return min(max(_KEPT_BYTES // (4 * n_rows), 2), n_rows)


def _sorted(features: Any) -> sparse.csr_matrix:
    """CSR of doubles with ascending ids; a copy, so that the features stay as they are."""
    rows = sparse.csr_matrix(features, dtype=np.float64, copy=True)
    rows.sort_indices()
    return rows


def _rows_of(rows: sparse.csr_matrix) -> kernels.SparseRows:
    columns = rows.tocsc()
    squares = kernels.squares_of(rows.indptr, rows.data)
    column_rows = columns.indices.view(np.uint32)  # numba looks whether an index is negative unless it cannot be
    return kernels.SparseRows(rows.indptr, rows.indices, rows.data, columns.indptr, column_rows, columns.data, squares)


def _fitted_on_few(model: SVC, rows: sparse.csr_matrix, labels: np.ndarray, codes: np.ndarray) -> SVC:
    """Let scikit-learn look at options, features and labels as it does, on a few rows."""
    few = np.concatenate([np.flatnonzero(codes == code)[:_FEW] for code in range(codes.max() + 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted: SVC = clone(model).fit(rows[few], labels[few])
    if not np.isfinite(rows.data).all():
        raise ValueError("Input X contains NaN or infinity.")
    return fitted


def _gamma(model: SVC, rows: sparse.csr_matrix) -> Any:
    if model.gamma == "scale":
        variance = rows.multiply(rows).mean() - rows.mean() ** 2
        return 1.0 / (rows.shape[1] * variance) if variance != 0 else 1.0
    return 1.0 / rows.shape[1] if model.gamma == "auto" else model.gamma
