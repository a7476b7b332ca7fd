"""The metrics of a trial, and which way each is better."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

Direction = Literal["maximize", "minimize"]


def is_better(score: float, than: float, direction: Direction) -> bool:
    """Whether a score beats another strictly."""
    return score > than if direction == "maximize" else score < than


def classification_scores(truth: np.ndarray, predicted: np.ndarray, positive_label: Any) -> dict[str, float]:
    """Accuracy, precision, recall and F1 as scikit-learn defines them; 0 where a ratio has no denominator.

    Args:
        truth: labels, shape (n,).
        predicted: labels of the same kind, shape (n,).
        positive_label: the class that precision, recall and F1 are of; None for the unweighted mean over the classes
            (macro).

    Returns:
        `accuracy`, `precision`, `recall` and `f1`.
    """
    average, labels = ("macro", None) if positive_label is None else (None, [positive_label])
    scores = precision_recall_fscore_support(truth, predicted, average=average, labels=labels, zero_division=0)
    precision, recall, f1 = (float(np.ravel(score)[0]) for score in scores[:3])
    return {"accuracy": float(accuracy_score(truth, predicted)), "precision": precision, "recall": recall, "f1": f1}


def rating_errors(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Root mean squared error and mean absolute error, as `surprise.accuracy` defines them.

    Args:
        truth: ratings, shape (n,).
        predicted: estimates of them, shape (n,).
    """
    errors = truth - predicted
    return {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}
