"""The metrics of a trial, and which way each is better."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from statistics import stdev
from typing import Any, Literal

import numpy as np

Direction = Literal["maximize", "minimize"]
SCORES = ("f1", "accuracy", "precision", "recall")
"""Those of `classification_scores`."""
TIMINGS = frozenset({"fit_seconds", "predict_ms"})
"""Metrics that differ each time they are measured."""
_STDERR = "_stderr"


def is_better(score: float, than: float, direction: Direction) -> bool:
    """Whether a score beats another strictly."""
    return score > than if direction == "maximize" else score < than


def on_test(metric: str) -> str:
    """The name of a metric's counterpart on the test part: `test_f1` of `val_f1`."""
    return f"test_{metric.removeprefix('val_')}"


def gated_metric(metrics: Iterable[str], measured: Container[str]) -> str | None:
    """The first `val_` metric whose counterpart on the test part is measured, which the gate compares; None if none."""
    return next((name for name in metrics if name.startswith("val_") and on_test(name) in measured), None)


def over_folds(scores: Sequence[Mapping[str, float]], n_repeats: int = 1) -> dict[str, float]:
    """Scores of folds as a trial's metrics: every mean as `val_<name>`, its standard error as `val_<name>_stderr`.

    >>> over_folds([{"f1": 0.8}, {"f1": 0.9}])
    {'val_f1': 0.8500000000000001, 'val_f1_stderr': 0.04999999999999999}

    Args:
        scores: of each fold, by name; of one fold no standard error is known.
        n_repeats: how often the same rows are in them, repeat after repeat. The standard error is then that of one
            repeat, in the quadratic mean: other folds of the same rows bring no new rows.
    """
    by_name = {f"val_{name}": np.array([of_fold[name] for of_fold in scores]) for name in scores[0]}
    found = {name: float(np.mean(values)) for name, values in by_name.items()}
    if len(scores) > n_repeats:
        for name, values in by_name.items():
            errors = [standard_error(repeat.tolist()) for repeat in np.split(values, n_repeats)]
            found[stderr_of(name)] = math.sqrt(sum(error**2 for error in errors) / n_repeats)
    return found


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of n values, at least 2: s / sqrt(n), with the sample's standard deviation s."""
    return stdev(values) / math.sqrt(len(values))


def stderr_of(metric: str) -> str:
    """The name of a metric's standard error."""
    return f"{metric}{_STDERR}"


def is_stderr(name: str, metrics: Mapping[str, float]) -> bool:
    """Whether a name is that of another metric's standard error."""
    return name.endswith(_STDERR) and name.removesuffix(_STDERR) in metrics


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
    # It takes a second to import, and most commands measure nothing.
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    average, labels = ("macro", None) if positive_label is None else (None, [positive_label])
    scores = precision_recall_fscore_support(truth, predicted, average=average, labels=labels, zero_division=0)
    precision, recall, f1 = (float(np.ravel(score)[0]) for score in scores[:3])
    return {"accuracy": float(accuracy_score(truth, predicted)), "precision": precision, "recall": recall, "f1": f1}


def confidence_scores(hits: np.ndarray, confidences: np.ndarray, n_bins: int = 10) -> dict[str, float]:
    """How well confidences tell how often a label is right; nothing where one is missing.

    Args:
        hits: whether each label is right, shape (n,).
        confidences: of each label, shape (n,); NaN where there is none.
        n_bins: of equally many confidences each, the lowest first.

    Returns:
        `brier`, the mean square of what the confidence misses the hit (0 or 1) by: of two classes the Brier score; and
        `ece`, the expected calibration error: by how much the bins' mean confidence misses their share of hits, in the
        mean over the rows (Naeini, Cooper and Hauskrecht, 2015, with bins of equal mass).
    """
    if not len(hits) or np.isnan(confidences).any():
        return {}
    misses = confidences - hits.astype(np.float64)
    bins = np.array_split(misses[np.argsort(confidences, kind="stable")], n_bins)
    return {"brier": float(np.mean(misses**2)), "ece": float(sum(abs(one.sum()) for one in bins) / len(misses))}


def rating_errors(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Root mean squared error and mean absolute error, as `surprise.accuracy` defines them.

    Args:
        truth: ratings, shape (n,).
        predicted: estimates of them, shape (n,).
    """
    errors = truth - predicted
    return {"rmse": float(np.sqrt(np.mean(errors**2))), "mae": float(np.mean(np.abs(errors)))}
