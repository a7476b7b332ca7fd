"""How sure a score is, and whether two of them differ, for tables: a 95 % interval of each.

An interval of one score is that of a bootstrap of its rows, or of whole groups of them (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 13). That of a difference over folds is the normal one with the variance by
the infinitesimal jackknife (chapter 21), which many trials are compared by in the time of a few bootstraps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sweeps.base.predictions import Predictions
from sweeps.tasks.bootstrap import N_DRAWS, SEED, classes_of, strata_of
from sweeps.tasks.metrics import over_folds, stderr_of
from sweeps.tasks.scores_of_sums import ScoreOfSums

_Z = 1.959964  # of the normal distribution, 95 %
_STEP = 1e-4  # of a sum, as a share of the rows: the score's slope


def score_interval(score: ScoreOfSums, one: Predictions, reported: float) -> tuple[float, float]:
    """The 95 % interval of a score; that of a sample of the rows is about the score of all, and wider than theirs.

    Args:
        score: the metric.
        one: predictions of the test part, say; at least one.
        reported: the score of all rows.
    """
    (stratum,) = strata_of(score.terms(one.y_true, one.y_pred), groups=one.groups)
    draws = score.score(stratum.draw(np.random.default_rng(SEED), N_DRAWS))
    low, high = np.quantile(draws, [0.025, 0.975]) + reported - score.of(one.y_true, one.y_pred)
    return float(low), float(high)


def shown_uncertainty(score: ScoreOfSums, of_part: Sequence[Predictions], reported: float) -> str:
    """Behind a score: its standard error over several folds, or the 95 % interval of a part that is one.

    Args:
        score: the metric.
        of_part: predictions of `val` or of `test`; at least one.
        reported: the score.
    """
    if len(of_part) == 1:
        low, high = score_interval(score, of_part[0], reported)
        return f"({low:.4f} to {high:.4f})"
    if any(one.is_sample for one in of_part):
        return ""
    folds = [{"x": score.of(one.y_true, one.y_pred)} for one in of_part]
    error = over_folds(folds, 1 + max(one.repeat for one in of_part)).get(stderr_of("val_x"))
    return "" if error is None else f"± {error:.4f}"


def difference_interval(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], score: ScoreOfSums
) -> tuple[float, float]:
    """The 95 % interval of the difference of two models' mean scores over folds.

    Args:
        ours: of each fold.
        theirs: of the same rows.
        score: the metric.
    """
    differences, variances = [], []
    for one, other in zip(ours, theirs, strict=True):
        mine, others = score.terms(one.y_true, one.y_pred), score.terms(other.y_true, other.y_pred)
        differences.append(float(score.score(mine.sum(axis=0)) - score.score(others.sum(axis=0))))
        if one.repeat == 0:
            influence = _influence(score, mine) - _influence(score, others)
            variances.append(_variance(influence, classes_of(one, score), one.groups))
    mean, margin = float(np.mean(differences)), _Z * math.sqrt(sum(variances)) / len(variances)
    return mean - margin, mean + margin


def _influence(score: ScoreOfSums, terms: np.ndarray) -> np.ndarray:
    """How the score changes with the weight of each row, shape (n,)."""
    sums = terms.sum(axis=0)
    step = _STEP * len(terms)
    shifts = step * np.eye(len(sums))
    slopes = (score.score(sums + shifts) - score.score(sums - np.minimum(shifts, sums))) / (
        step + np.minimum(step, sums)
    )
    return np.asarray((terms - terms.mean(axis=0)) @ slopes)


def _variance(influence: np.ndarray, classes: np.ndarray | None, groups: np.ndarray | None) -> float:
    """Of the sum over rows drawn with replacement within each class, or over whole groups."""
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        influence, classes = np.bincount(codes, weights=influence), None
    if classes is None:
        return float(np.sum((influence - influence.mean()) ** 2))
    of_classes = (influence[classes == label] for label in np.unique(classes))
    return float(sum(np.sum((of_one - of_one.mean()) ** 2) for of_one in of_classes))
