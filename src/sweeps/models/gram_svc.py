"""scikit-learn's SVC on a shared Gram matrix.

libsvm spends nearly all its time on dot products of sparse rows, the same ones for every C, kernel and gamma. One
linear Gram matrix replaces them: the other kernels follow from it (scikit-learn, "Kernel functions" of the SVM guide):

    rbf      exp(-gamma (<x,x> + <y,y> - 2 <x,y>))
    poly     (gamma <x,y> + coef0)^degree
    sigmoid  tanh(gamma <x,y> + coef0)

scipy adds a product's terms in the order libsvm does, so for the linear kernel every float is the same, and with it
the support vectors and the predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.svm import SVC

_KERNELS = ("linear", "rbf", "poly", "sigmoid")


@dataclass(frozen=True)
class Gram:
    """Dot products of sparse rows.

    Attributes:
        fit: among the rows to fit on, shape (n_fit, n_fit), float64.
        score: of the rows to score with those, shape (n_score, n_fit).
        score_norms: of each row to score with itself, shape (n_score,).
        n_features: columns of the feature matrix.
        variance: of all its entries, zeros included; `gamma="scale"` needs it.
    """

    fit: np.ndarray
    score: np.ndarray
    score_norms: np.ndarray
    n_features: int
    variance: float

    @classmethod
    def of(cls, x_fit: sparse.csr_matrix, x_score: sparse.csr_matrix) -> Gram:
        """Compute the products of two sparse feature matrices with the same columns."""
        x_fit, x_score = x_fit.tocsr().astype(np.float64), x_score.tocsr().astype(np.float64)
        for features in (x_fit, x_score):
            features.sort_indices()
        variance = x_fit.multiply(x_fit).mean() - x_fit.mean() ** 2
        return cls(
            (x_fit @ x_fit.T).toarray(),
            (x_score @ x_fit.T).toarray(),
            np.asarray(x_score.multiply(x_score).sum(axis=1)).ravel(),
            x_fit.shape[1],
            float(variance),
        )

    @staticmethod
    def n_bytes_for(n_fit: int, n_score: int) -> int:
        """The size of the products of so many rows, in bytes; while they are made, about twice as much is in use."""
        return 8 * n_fit * (n_fit + n_score)

    @property
    def n_bytes(self) -> int:
        """The size in bytes."""
        return self.fit.nbytes + self.score.nbytes + self.score_norms.nbytes


def fits(model: Any, x_fit: Any) -> bool:
    """Whether a model is an SVC whose kernel follows from dot products, and the features are sparse.

    `probability=True` fits on random folds inside libsvm, and a subclass may do anything: both keep their own code.
    """
    if type(model) is not SVC or not sparse.issparse(x_fit):
        return False
    is_number = isinstance(model.gamma, int | float) and not isinstance(model.gamma, bool)
    return (
        model.kernel in _KERNELS
        and model.probability in (False, "deprecated")
        and (is_number or model.gamma in ("scale", "auto"))
    )


class GramSVC:
    """An SVC that is fitted and scored on a `Gram` instead of features.

    Args:
        model: the configured, unfitted SVC, which stays untouched.
        gram: the products of the part it is fitted and scored on.
    """

    def __init__(self, model: SVC, gram: Gram) -> None:
        self._model = model
        self._gram = gram
        self._gamma = self._resolve_gamma()
        self._svc: SVC = clone(model).set_params(kernel="precomputed")

    def fit(self, labels: np.ndarray) -> GramSVC:
        """Fit on the rows to fit on; `labels` has shape (n_fit,)."""
        norms = np.diagonal(self._gram.fit)
        self._kernel_fit = self._kernel(self._gram.fit, norms)
        self._svc.fit(self._kernel_fit, labels)
        return self

    def predict_fit(self) -> np.ndarray:
        """Predicted labels of the rows it was fitted on, shape (n_fit,)."""
        predicted: np.ndarray = self._svc.predict(self._kernel_fit)
        return predicted

    def predict_score(self) -> np.ndarray:
        """Predicted labels of the rows to score, shape (n_score,)."""
        predicted: np.ndarray = self._svc.predict(self._kernel(self._gram.score, self._gram.score_norms))
        return predicted

    def _kernel(self, products: np.ndarray, norms: np.ndarray) -> np.ndarray:
        model = self._model
        if model.kernel == "linear":
            return products
        if model.kernel == "rbf":
            kernel: np.ndarray = norms[:, None] + np.diagonal(self._gram.fit)[None, :] - 2.0 * products
            kernel *= -self._gamma
            np.exp(kernel, out=kernel)
            return kernel
        kernel = self._gamma * products
        kernel += model.coef0
        if model.kernel == "sigmoid":
            np.tanh(kernel, out=kernel)
        else:
            np.power(kernel, model.degree, out=kernel)
        return kernel

    def _resolve_gamma(self) -> float:
        gamma = self._model.gamma
        if gamma == "scale":
            return 1.0 / (self._gram.n_features * self._gram.variance) if self._gram.variance != 0 else 1.0
        return 1.0 / self._gram.n_features if gamma == "auto" else float(gamma)
