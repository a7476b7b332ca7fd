"""How sure a text classifier is of its labels, and from where on a text is given the positive label.

Both follow from what it says of texts that it has not seen (out of fold). The probabilities are those of a multinomial
logistic regression on what it says. For two classes and a `decision_function` that is Platt's sigmoid (Probabilistic
outputs for support vector machines, 1999); for probabilities, which come with their log-odds, it is close to beta
calibration (Kull, Silva Filho and Flach, 2017), which a sigmoid of naive Bayes' extreme probabilities is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve
from sklearn.preprocessing import StandardScaler
from sklearn.utils.extmath import softmax

_LEAST = 1e-12  # a probability that is taken for this at least, so that its logarithm is finite


def says_something(model: Any) -> bool:
    """Whether a fitted classifier says more than labels."""
    return hasattr(model, "decision_function") or hasattr(model, "predict_proba")


def said_of(model: Any, features: Any) -> np.ndarray:
    """What a classifier says of texts, so that the first column grows with the second of two classes.

    Args:
        model: fitted.
        features: of n texts.

    Returns:
        Its decisions, or, where it has none, the log-odds of its probabilities and these: shape (n, m), float64.
    """
    if hasattr(model, "decision_function"):
        return as_columns(model.decision_function(features))
    probabilities = np.asarray(model.predict_proba(features), np.float64)
    if probabilities.shape[1] == 2:
        probabilities = probabilities[:, 1:]
    odds = np.log(np.clip(probabilities, _LEAST, None)) - np.log(np.clip(1.0 - probabilities, _LEAST, None))
    return np.hstack([odds, probabilities])


def as_columns(decisions: Any) -> np.ndarray:
    """Decisions of shape (n,) or (n, m) as (n, m), float64."""
    found = np.asarray(decisions, np.float64)
    return found[:, np.newaxis] if found.ndim == 1 else found


@dataclass(frozen=True, eq=False)
class Calibration:
    """Probabilities of the classes, in ascending order, from what a classifier says.

    Attributes:
        weights: shape (m, 1) for the second of two classes, (m, n_classes) for more.
        intercept: shape (1,) or (n_classes,).
    """

    weights: np.ndarray
    intercept: np.ndarray

    @classmethod
    def fit(cls, said: np.ndarray, labels: np.ndarray) -> Self:
        """Fit on what a classifier says of texts that it has not seen.

        Args:
            said: shape (n, m), see `said_of`.
            labels: the truth, shape (n,), at least two classes.

        Raises:
            ValueError: scikit-learn's, where what it says is not finite.
        """
        scaler = StandardScaler()
        fitted = LogisticRegression(max_iter=1_000).fit(scaler.fit_transform(said), labels)
        weights = fitted.coef_.T / scaler.scale_[:, np.newaxis]
        return cls(weights, fitted.intercept_ - scaler.mean_ @ weights)

    def probabilities(self, said: np.ndarray) -> np.ndarray:
        """Of each class, shape (n, n_classes)."""
        logits = said @ self.weights + self.intercept
        if logits.shape[1] > 1:
            return np.asarray(softmax(logits, copy=False))
        second = expit(logits)
        return np.hstack([1.0 - second, second])

    def as_data(self) -> dict[str, Any]:
        """For a file."""
        return {"weights": self.weights.tolist(), "intercept": self.intercept.tolist()}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Self:
        """What `as_data` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        weights, intercept = (np.array(data[name], np.float64) for name in ("weights", "intercept"))
        if weights.ndim != 2 or intercept.shape != weights.shape[1:]:
            raise ValueError(f"a calibration of shapes {weights.shape} and {intercept.shape}")
        return cls(weights, intercept)


@dataclass(frozen=True)
class Threshold:
    """From where on a text is given the positive one of two classes.

    Attributes:
        is_second: whether that is the second, in ascending order.
        value: of the first column of what the classifier says, in its sign for the positive class.
    """

    is_second: bool
    value: float

    @classmethod
    def best_f1(cls, said: Sequence[np.ndarray], labels: Sequence[np.ndarray], positive: Any) -> Self:
        """The threshold with the highest F1 of the positive class, of equals the lowest, midway to the next text below.

        Args:
            said: of texts that the classifier has not seen, a part for each fold, shape (n, m).
            labels: the truth, shape (n,) each; two classes.
            positive: one of them.
        """
        truth = np.concatenate(labels)
        is_second = bool(positive == truth.max())
        scores = np.concatenate([part[:, 0] for part in said]) * (1.0 if is_second else -1.0)
        precision, recall, thresholds = precision_recall_curve(truth == positive, scores)
        above, below = 2.0 * precision * recall, precision + recall
        f1 = np.divide(above, below, out=np.zeros_like(above), where=below > 0)[:-1]
        best = int(np.argmax(f1))
        lower = scores[scores < thresholds[best]].max(initial=-np.inf)
        return cls(is_second, float(thresholds[best] if np.isinf(lower) else (thresholds[best] + lower) / 2.0))

    def labels(self, said: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """The label of each text, shape (n,).

        Args:
            said: shape (n, m).
            classes: both, in ascending order.
        """
        is_positive = (said[:, 0] if self.is_second else -said[:, 0]) >= self.value
        found: np.ndarray = classes[(is_positive == self.is_second).astype(np.intp)]
        return found
