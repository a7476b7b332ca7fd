"""Two models on the same rows: the difference of a metric, its interval, and how sure it is, by a paired bootstrap.

The difference is D = w D_val + (1 - w) D_test, where each is taken as the score itself is: on `val` the mean over
folds, on `test` that of the refitted model; w is the share of the rows that are in the training part, at most 0.5.
A draw takes as many rows as there are, with replacement, within each part, fold and class, the same ones for both
models; where rows are in groups, such as those of one user, it takes whole groups within each part and fold (Efron
and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13). Where the same rows were parted into folds
more than once, D_val is the mean over all of them, and varies as that of the first repeat, since others bring no new
rows. It describes these two fitted models, and not how they were trained.

A model that was chosen from n by its `val` score has one that flatters: the highest of n equal ones is above their mean
by e(n) standard deviations, where e(n) is the expected highest of n standard normal numbers (Blom, Statistical
Estimates and Transformed Beta-Variables, 1958). What that makes of two models is taken off D_val.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from sweeps.base.predictions import PARTS, Predictions
from sweeps.tasks.bootstrap import N_DRAWS, SEED, classes_of, strata_of
from sweeps.tasks.metrics import Direction
from sweeps.tasks.scores_of_sums import ScoreOfSums, known_scores

_SAME = 1e-6  # how far a score may be from the one that was reported


@dataclass(frozen=True)
class Comparison:
    """How much better one model is than another, in the metric's units; above 0 it is better, whatever the direction.

    Attributes:
        difference: D.
        low: of the 95 % interval of D.
        high: of it.
        p_better: the share of draws in which it is better, and half of those that tie.
        p_better_on_test: the same of the test part alone.
        selection: what has been taken off, since it was chosen from more; below 0 it was chosen from fewer.
    """

    difference: float
    low: float
    high: float
    p_better: float
    p_better_on_test: float
    selection: float = 0.0

    def shown(self) -> str:
        """In words."""
        on_test = "" if math.isnan(self.p_better_on_test) else f" ({self.p_better_on_test:.3f} on test alone)"
        taken_off = ""
        if self.selection:
            how, than = ("taken off", "more") if self.selection > 0 else ("added", "fewer")
            taken_off = f", with {abs(self.selection):.2g} {how} for being chosen from {than} trials"
        return (
            f"Difference {self.difference:+.4g} (95 % interval {self.low:+.4g} to {self.high:+.4g}){taken_off}, "
            f"P(better) {self.p_better:.3f}{on_test}"
        )


def same_rows(ours: Sequence[Predictions], theirs: Sequence[Predictions]) -> bool:
    """Whether two models predicted the same rows, in parts, folds and an order that are the same."""

    def equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
        return (one is None) == (other is None) and (one is None or np.array_equal(one, np.asarray(other)))

    return len(ours) == len(theirs) and all(
        (one.part, one.repeat) == (other.part, other.repeat)
        and equal(one.y_true, other.y_true)
        and equal(one.groups, other.groups)
        for one, other in zip(ours, theirs, strict=True)
    )


def mean_score(score: ScoreOfSums, predictions: Sequence[Predictions], part: str) -> float:
    """A part's score: the mean over its folds."""
    return float(np.mean([score.of(one.y_true, one.y_pred) for one in predictions if one.part == part]))


@dataclass(frozen=True)
class Measured:
    """What is known of a model that is compared.

    Attributes:
        name: in messages.
        scores: that were reported of it, by part.
        predictions: of each fold and of the test part; empty where none are kept.
        n_trials: that it was chosen from by its score on `val`; None where that is not known.
    """

    name: str
    scores: Mapping[str, float]
    predictions: Sequence[Predictions]
    n_trials: int | None = None

    def on(self, only: str) -> Measured:
        """The same of one part alone."""
        scores = {part: score for part, score in self.scores.items() if part == only}
        return Measured(self.name, scores, [one for one in self.predictions if one.part == only], self.n_trials)


def compare_measured(
    ours: Measured, theirs: Measured, metric: str, direction: Direction, positive: str | None = None
) -> Comparison | str:
    """Compare two models, or say in words why that cannot be.

    Args:
        ours: one of them.
        theirs: the other.
        metric: its name, such as `test_f1`.
        direction: which way it is better.
        positive: the label, as text, that precision, recall and F1 are of, if it is known.
    """
    for one in (ours, theirs):
        if not one.predictions:
            return f"no predictions of {one.name} are kept"
    if not same_rows(ours.predictions, theirs.predictions):
        return "the predictions that are kept are of other rows"
    score = find_score((ours, theirs), metric, direction, positive)
    if score is None:
        return f"{metric} does not follow from the predictions that are kept"
    excess = 0.0
    if ours.n_trials is not None and theirs.n_trials is not None:
        excess = expected_highest(ours.n_trials) - expected_highest(theirs.n_trials)
    return compare(ours.predictions, theirs.predictions, score, excess)


def expected_highest(n: int) -> float:
    """Of n standard normal numbers, at least one, by Blom's approximation."""
    return float(ndtri((n - 0.375) / (n + 0.25)))


def find_score(
    models: Sequence[Measured], metric: str, direction: Direction, positive: str | None = None
) -> ScoreOfSums | None:
    """The metric by which predictions have the scores that were reported of them; None where none is known.

    Of a sample of the rows the scores are others, so the metric's name decides, and of several means the closest.

    Args:
        models: with predictions.
        metric: its name, such as `test_f1`.
        direction: which way it is better.
        positive: the label, as text, that precision, recall and F1 are of, if it is known.
    """
    all_predictions = [one for model in models for one in model.predictions]
    values = [array for one in all_predictions for array in (one.y_true, one.y_pred)]
    known = [score for score in known_scores(values, _label(values, positive)) if score.direction == direction]
    known.sort(key=lambda score: score.name != metric.partition("_")[2])
    if not all(model.scores for model in models):
        return None
    if any(one.is_sample for one in all_predictions):
        named = [score for score in known if score.name == metric.partition("_")[2]]
        return min(named, key=lambda score: _distance(score, models), default=None)
    return next((score for score in known if _distance(score, models) <= _SAME), None)


def is_score_of(score: ScoreOfSums, model: Measured) -> bool:
    """Whether a model's predictions, unless they are a sample, have its reported scores by this metric."""
    return any(one.is_sample for one in model.predictions) or _distance(score, [model]) <= _SAME


def _distance(score: ScoreOfSums, models: Sequence[Measured]) -> float:
    """How far the predictions' scores are from those that were reported, at most; of large ones as a share."""
    return max(
        abs(mean_score(score, model.predictions, part) - value) / max(1.0, abs(value))
        for model in models
        for part, value in model.scores.items()
    )


def compare(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], score: ScoreOfSums, excess: float = 0.0
) -> Comparison:
    """Compare two models.

    Args:
        ours: of each fold, and of the test part; at least one.
        theirs: of the same rows, see `same_rows`.
        score: the metric.
        excess: what selection adds to our score on `val` more than to theirs, in its standard deviations.
    """
    rng = np.random.default_rng(SEED)
    sign = 1.0 if score.direction == "maximize" else -1.0
    drawn: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    varied: dict[str, list[float]] = {part: [] for part in PARTS}  # the differences that the draws are about
    observed: dict[str, list[float]] = {part: [] for part in PARTS}
    n_rows = dict.fromkeys(PARTS, 0)
    for one, other in zip(ours, theirs, strict=True):
        terms = [score.terms(of.y_true, of.y_pred) for of in (one, other)]
        strata = strata_of(np.concatenate(terms, axis=1), classes_of(one, score), one.groups)
        whole = sum(stratum.whole() for stratum in strata)
        observed[one.part].append(float(sign * _differences(score, np.asarray(whole))))
        if one.repeat == 0:
            sums = sum(stratum.draw(rng, N_DRAWS) for stratum in strata)
            drawn[one.part].append(sign * _differences(score, np.asarray(sums)))
            varied[one.part].append(observed[one.part][-1])
            n_rows[one.part] += len(one.y_true)
    parts = [part for part in PARTS if n_rows[part]]
    means = {part: float(np.mean(observed[part])) for part in parts}
    draws_of = {part: np.mean(drawn[part], axis=0) + means[part] - np.mean(varied[part]) for part in parts}
    selection = 0.0
    if "val" in parts:  # the difference of two equal models varies by sqrt(2) as much as each of them
        selection = excess * float(np.std(draws_of["val"])) / math.sqrt(2.0)
        draws_of["val"] -= selection
        means["val"] -= selection
    weight = min(0.5, n_rows["val"] / sum(n_rows.values())) if n_rows["test"] else 1.0
    weights = {"val": weight, "test": 1.0 - weight}
    draws = np.asarray(sum(weights[part] * draws_of[part] for part in parts))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Comparison(
        difference=sum(weights[part] * means[part] for part in parts),
        low=float(low),
        high=float(high),
        p_better=_p_better(draws),
        p_better_on_test=_p_better(draws_of["test"]) if n_rows["test"] else float("nan"),
        selection=weights["val"] * selection,
    )


def _differences(score: ScoreOfSums, sums: np.ndarray) -> np.ndarray:
    ours, theirs = np.split(sums, 2, axis=-1)
    return np.asarray(score.score(ours) - score.score(theirs))


def _p_better(draws: np.ndarray) -> float:
    return float(np.mean(draws > 0) + np.mean(draws == 0) / 2)


def _label(values: Sequence[np.ndarray], text: str | None) -> Any:
    """The label that a text stands for."""
    if text is None:
        return None
    return next((label for array in values for label in np.unique(array).tolist() if str(label) == text), None)
