"""Metrics as functions of sums over rows, so that a bootstrap draws how often rows count, and not the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sweeps.tasks.metrics import Direction

_MOST_LABELS, _FEW_LABELS = 200, 10

Average = Literal["macro", "weighted", "one"]


class ScoreOfSums(ABC):
    """A metric that follows from what each row adds to some sums.

    Attributes:
        name: as in `test_<name>`.
        direction: which way it is better.
    """

    name: str
    direction: ClassVar[Direction]

    @abstractmethod
    def terms(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """What each row adds, shape (n, m), float64.

        Args:
            truth: shape (n,).
            predicted: shape (n,).
        """

    @abstractmethod
    def score(self, sums: np.ndarray) -> np.ndarray:
        """The metric of sums, shape (..., m), as an array of shape (...)."""

    def of(self, truth: np.ndarray, predicted: np.ndarray) -> float:
        """The metric of rows."""
        return float(self.score(self.terms(truth, predicted).sum(axis=0)))


@dataclass(frozen=True)
class LabelScore(ScoreOfSums):
    """Accuracy, or precision, recall or F1 as scikit-learn defines them, 0 where a ratio has no denominator.

    Attributes:
        name: `accuracy`, `precision`, `recall` or `f1`.
        labels: all that rows have or are given, in any order.
        average: over the labels that rows have or are given: their plain mean (`macro`), weighted by how many rows have
            them, or `one` label's.
        positive: that label.
    """

    name: str
    labels: tuple[Any, ...]
    average: Average = "macro"
    positive: Any = None
    direction: ClassVar[Direction] = "maximize"

    def terms(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """See `ScoreOfSums`: hits, predictions and rows of each label, shape (n, 3 * n_labels)."""
        has = np.stack([truth == label for label in self.labels], axis=1)
        given = np.stack([predicted == label for label in self.labels], axis=1)
        return np.concatenate([has & given, given, has], axis=1).astype(np.float64)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """See `ScoreOfSums`."""
        hits, given, has = np.split(sums, 3, axis=-1)
        if self.name == "accuracy":
            return np.asarray(_ratio(hits.sum(axis=-1), has.sum(axis=-1)))
        of_label = {
            "precision": lambda: _ratio(hits, given),
            "recall": lambda: _ratio(hits, has),
            "f1": lambda: _ratio(2.0 * hits, given + has),
        }[self.name]()
        if self.average == "one":
            return np.asarray(of_label[..., self.labels.index(self.positive)])
        weights = has if self.average == "weighted" else (given + has > 0).astype(np.float64)
        return np.asarray(_ratio((of_label * weights).sum(axis=-1), weights.sum(axis=-1)))


@dataclass(frozen=True)
class ErrorScore(ScoreOfSums):
    """`rmse`, `mse` or `mae` of numbers."""

    name: str
    direction: ClassVar[Direction] = "minimize"

    def terms(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """See `ScoreOfSums`: the error and one, shape (n, 2)."""
        errors = truth.astype(np.float64) - predicted.astype(np.float64)
        return np.stack([np.abs(errors) if self.name == "mae" else errors**2, np.ones(len(errors))], axis=1)

    def score(self, sums: np.ndarray) -> np.ndarray:
        """See `ScoreOfSums`."""
        mean = _ratio(sums[..., 0], sums[..., 1])
        return np.asarray(np.sqrt(mean) if self.name == "rmse" else mean)


def known_scores(values: Sequence[np.ndarray], positive: Any = None) -> Iterator[ScoreOfSums]:
    """The metrics that values could have been scored by, the likelier first.

    Args:
        values: truths and predictions.
        positive: the label that precision, recall and F1 are of; None where each of a few may be it.
    """
    if all(array.dtype.kind in "biuf" for array in values):
        for name in ("rmse", "mae", "mse"):
            yield ErrorScore(name)
    labels = tuple(dict.fromkeys(label for array in values for label in np.unique(array).tolist()))
    if len(labels) > _MOST_LABELS:
        return
    yield LabelScore("accuracy", labels)
    ones = [positive] if positive in labels else labels if len(labels) <= _FEW_LABELS else ()
    for name in ("f1", "precision", "recall"):
        yield from (LabelScore(name, labels, "one", one) for one in ones)
        yield LabelScore(name, labels)
        yield LabelScore(name, labels, "weighted")


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0))
