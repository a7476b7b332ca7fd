"""Intervals of scores and of differences, against drawing rows one by one, and how often they hold the truth."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from made_up_predictions import LABELS, made_up
from scipy.stats import sem

from sweeps.base.predictions import Predictions
from sweeps.tasks.comparison import compare
from sweeps.tasks.scores_of_sums import ErrorScore, LabelScore, ScoreOfSums
from sweeps.tasks.uncertainty import difference_interval, score_interval, shown_uncertainty

SCORES = [
    (LabelScore("f1", LABELS), {}),
    (LabelScore("f1", LABELS, "one", "c"), {}),
    (LabelScore("precision", LABELS, "weighted"), {}),
    (LabelScore("accuracy", LABELS), {"groups": True}),
    (ErrorScore("rmse"), {"numbers": True}),
    (ErrorScore("rmse"), {"numbers": True, "groups": True}),
    (ErrorScore("mae"), {"numbers": True, "groups": True}),
]


@pytest.mark.parametrize(("score", "options"), SCORES, ids=str)
def test_an_interval_of_a_difference_is_that_of_the_paired_bootstrap(
    score: ScoreOfSums, options: dict[str, bool]
) -> None:
    ours, theirs = (
        [one for one in made_up(quality, seed, n=600, **options) if one.part == "val"]
        for quality, seed in ((0.75, 1), (0.7, 2))
    )
    low, high = difference_interval(ours, theirs, score)
    drawn = compare(ours, theirs, score)
    sign = 1.0 if score.direction == "maximize" else -1.0
    assert (low + high) / 2 == pytest.approx(sign * drawn.difference, abs=1e-12)
    assert high - low == pytest.approx(drawn.high - drawn.low, rel=0.12)
    assert difference_interval(ours, ours, score) == (0.0, 0.0)


def test_other_folds_of_the_same_rows_bring_no_new_rows() -> None:
    score = LabelScore("accuracy", LABELS)
    ours, theirs = ([one for one in made_up(q, seed) if one.part == "val"] for q, seed in ((0.8, 1), (0.7, 2)))
    low, high = difference_interval(ours, theirs, score)
    again = [[*of, *(replace(one, repeat=1) for one in of)] for of in (ours, theirs)]
    assert difference_interval(again[0], again[1], score) == pytest.approx((low, high))
    once, twice = compare(ours, theirs, score), compare(again[0], again[1], score)
    assert astuple(twice)[:4] == astuple(once)[:4]
    better = [*ours, *(replace(one, repeat=1, y_pred=one.y_true) for one in ours)]
    shifted = compare(better, again[1], score)
    assert shifted.high - shifted.low == pytest.approx(once.high - once.low)
    assert shifted.difference > once.difference


@pytest.mark.parametrize("name", ["f1", "precision", "accuracy"])
@pytest.mark.parametrize("n", [200, 500])
def test_intervals_of_a_test_score_hold_the_truth_in_95_of_100_test_parts(name: str, n: int) -> None:
    score = LabelScore(name, ("a", "b"), "one" if name != "accuracy" else "macro", "b")
    rng = np.random.default_rng(n)
    truth = np.where(rng.random(100_000) < 0.3, "b", "a")
    predicted = np.where(
        rng.random(100_000) < np.where(truth == "b", 0.7, 0.9), truth, np.where(truth == "b", "a", "b")
    )
    whole = score.of(truth, predicted)
    holds = []
    for _ in range(1_000):
        rows = rng.integers(0, len(truth), n)
        part = Predictions("test", truth[rows], predicted[rows])
        low, high = score_interval(score, part, score.of(part.y_true, part.y_pred))
        holds.append(low <= whole <= high)
    assert 0.92 <= np.mean(holds) <= 0.98


def test_intervals_of_a_rating_error_hold_the_truth_where_users_differ() -> None:
    rng = np.random.default_rng(3)
    spread = rng.lognormal(0.0, 0.5, 2_000)  # how far each user's ratings are from the estimates
    score = ErrorScore("rmse")
    whole = float(np.sqrt(np.mean(spread**2)))
    holds = []
    for _ in range(300):
        users = np.repeat(rng.integers(0, 2_000, 150), 20)
        errors = np.repeat(spread[users[::20]], 20) * rng.normal(size=len(users))
        of_groups = np.repeat(np.arange(150), 20)
        part = Predictions("test", errors, np.zeros(len(errors)), of_groups)
        low, high = score_interval(score, part, score.of(part.y_true, part.y_pred))
        holds.append(low <= whole <= high)
    assert 0.90 <= np.mean(holds) <= 0.99


def test_the_interval_of_a_sample_is_about_the_score_of_all_rows() -> None:
    score = LabelScore("accuracy", LABELS)
    (part,) = [one for one in made_up(0.7, 1, n=400) if one.part == "test"]
    whole = score.of(part.y_true, part.y_pred)
    half = replace(part, y_true=part.y_true[:200], y_pred=part.y_pred[:200], is_sample=True)
    low, high = score_interval(score, half, whole)
    assert (low + high) / 2 == pytest.approx(whole, abs=0.005)
    of_all = score_interval(score, part, whole)
    assert (high - low) / (of_all[1] - of_all[0]) == pytest.approx(np.sqrt(2), rel=0.1)
    assert shown_uncertainty(score, [half], whole) == f"({low:.4f} to {high:.4f})"
    assert shown_uncertainty(score, [half, half], whole) == "", "the folds' scores are not known"


def test_a_standard_error_is_that_of_the_folds() -> None:
    score = LabelScore("f1", LABELS)
    folds = [one for one in made_up(0.7, 1) if one.part == "val"]
    error = sem([score.of(one.y_true, one.y_pred) for one in folds])
    assert shown_uncertainty(score, folds, 0.0) == f"± {error:.4f}"
