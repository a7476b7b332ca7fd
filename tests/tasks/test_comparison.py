"""The paired bootstrap, against scikit-learn and against drawing rows one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_predictions import LABELS, made_up
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    recall_score,
    root_mean_squared_error,
)

from sweeps.base.predictions import Predictions
from sweeps.tasks.bootstrap import strata_of
from sweeps.tasks.comparison import (
    Measured,
    compare,
    compare_measured,
    expected_highest,
    find_score,
    mean_score,
    same_rows,
)
from sweeps.tasks.scores_of_sums import ErrorScore, LabelScore, ScoreOfSums, known_scores

THEIRS: dict[str, Callable[..., float]] = {"f1": f1_score, "precision": precision_score, "recall": recall_score}


@st.composite
def labelled(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 12))
    rows = st.lists(st.sampled_from(LABELS), min_size=n, max_size=n)
    return np.array(draw(rows)), np.array(draw(rows))


@settings(deadline=None, max_examples=200)
@given(labelled(), st.sampled_from(sorted(THEIRS)), st.sampled_from(["macro", "weighted", *LABELS]))
def test_label_scores_are_scikit_learns(rows: tuple[np.ndarray, np.ndarray], name: str, of: str) -> None:
    truth, predicted = rows
    if of in LABELS:
        ours = LabelScore(name, LABELS, "one", of).of(truth, predicted)
        theirs = THEIRS[name](truth, predicted, labels=[of], average=None, zero_division=0)[0]  # type: ignore[index]
    else:
        ours = LabelScore(name, LABELS, of).of(truth, predicted)  # type: ignore[arg-type]
        theirs = THEIRS[name](truth, predicted, average=of, zero_division=0)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert LabelScore("accuracy", LABELS).of(truth, predicted) == pytest.approx(accuracy_score(truth, predicted))


def test_errors_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth, predicted = rng.normal(size=30), rng.normal(size=30)
    for name, theirs in (("rmse", root_mean_squared_error), ("mae", mean_absolute_error)):
        assert ErrorScore(name).of(truth, predicted) == pytest.approx(theirs(truth, predicted), abs=1e-12)


def drawn_by_rows(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], score: ScoreOfSums, n_draws: int
) -> np.ndarray:
    """The definition: rows, or groups of rows, are drawn and scored."""
    rng = np.random.default_rng(7)
    sign = 1.0 if score.direction == "maximize" else -1.0
    draws = []
    for _ in range(n_draws):
        parts: dict[str, list[float]] = {"val": [], "test": []}
        for one, other in zip(ours, theirs, strict=True):
            if one.groups is not None:
                known = np.unique(one.groups)
                taken = rng.choice(known, len(known))
                rows = np.concatenate([np.flatnonzero(one.groups == group) for group in taken])
            elif isinstance(score, ErrorScore):
                rows = rng.integers(0, len(one.y_true), len(one.y_true))
            else:
                of_class = [np.flatnonzero(one.y_true == label) for label in np.unique(one.y_true)]
                rows = np.concatenate([rng.choice(places, len(places)) for places in of_class])
            difference = score.of(one.y_true[rows], one.y_pred[rows]) - score.of(other.y_true[rows], other.y_pred[rows])
            parts[one.part].append(sign * difference)
        draws.append(0.5 * np.mean(parts["val"]) + 0.5 * np.mean(parts["test"]))
    return np.asarray(draws)


@pytest.mark.parametrize(
    ("score", "options"),
    [
        (LabelScore("f1", LABELS), {}),
        (LabelScore("f1", LABELS, "one", "c"), {}),
        (LabelScore("accuracy", LABELS), {"groups": True}),
        (ErrorScore("rmse"), {"numbers": True}),
        (ErrorScore("rmse"), {"numbers": True, "groups": True}),
        (ErrorScore("mae"), {"numbers": True, "groups": True}),
    ],
    ids=str,
)
def test_the_draws_are_those_of_rows(score: ScoreOfSums, options: dict[str, bool]) -> None:
    ours, theirs = made_up(0.75, 1, **options), made_up(0.7, 2, **options)
    found = compare(ours, theirs, score)
    sign = 1.0 if score.direction == "maximize" else -1.0
    by_part = {
        part: sign * (mean_score(score, ours, part) - mean_score(score, theirs, part)) for part in ("val", "test")
    }
    assert found.difference == pytest.approx(0.5 * by_part["val"] + 0.5 * by_part["test"], abs=1e-12)
    expected = drawn_by_rows(ours, theirs, score, 2_000)
    low, high = np.quantile(expected, [0.025, 0.975])
    noise = 0.15 * (high - low)  # of two seeds
    assert found.low == pytest.approx(low, abs=noise)
    assert found.high == pytest.approx(high, abs=noise)
    assert found.p_better == pytest.approx(np.mean(expected > 0), abs=0.05)
    assert compare(ours, theirs, score) == found, "the seed is fixed"
    assert compare(theirs, ours, score).difference == pytest.approx(-found.difference)


def test_a_model_is_no_better_than_itself() -> None:
    ours = made_up(0.7, 1)
    found = compare(ours, ours, LabelScore("f1", LABELS))
    assert (found.difference, found.low, found.high, found.p_better, found.p_better_on_test) == (0, 0, 0, 0.5, 0.5)


def test_much_better_is_sure_and_on_test_as_well() -> None:
    found = compare(made_up(0.95, 1), made_up(0.4, 2), LabelScore("f1", LABELS))
    assert found.low > 0
    assert (found.p_better, found.p_better_on_test) == (1.0, 1.0)


def test_the_training_part_weighs_by_its_share_of_the_rows_and_at_most_half() -> None:
    ours, theirs = made_up(0.9, 1), made_up(0.6, 2)
    score = LabelScore("accuracy", LABELS)
    val, test = (mean_score(score, ours, part) - mean_score(score, theirs, part) for part in ("val", "test"))
    few = [
        [replace(one, y_true=one.y_true[:10], y_pred=one.y_pred[:10]) if one.part == "val" else one for one in of]
        for of in (ours, theirs)
    ]
    val_few = mean_score(score, few[0], "val") - mean_score(score, few[1], "val")
    share = 30 / 150
    assert compare(few[0], few[1], score).difference == pytest.approx(share * val_few + (1 - share) * test)
    on_test = [[one for one in of if one.part == "test"] for of in (ours, theirs)]
    assert compare(on_test[0], on_test[1], score).difference == pytest.approx(test)
    assert compare(ours, theirs, score).difference == pytest.approx((val + test) / 2)


def test_rows_are_the_same_only_in_order_parts_and_groups() -> None:
    ours, theirs = made_up(0.7, 1, groups=True), made_up(0.6, 2, groups=True)
    assert same_rows(ours, theirs)
    assert not same_rows(ours, theirs[:-1])
    assert not same_rows(ours, [*theirs[:-1], replace(theirs[-1], groups=None)])
    assert not same_rows(ours, [*theirs[:-1], replace(theirs[-1], y_true=theirs[-1].y_true[::-1])])
    assert not same_rows(ours, [*theirs[:-1], replace(theirs[-1], part="val")])


def measured(predictions: list[Predictions], score: ScoreOfSums, name: str = "it") -> Measured:
    return Measured(name, {part: mean_score(score, predictions, part) for part in ("val", "test")}, predictions)


@pytest.mark.parametrize("score", list(known_scores([np.array(LABELS)], "b")), ids=str)
def test_the_score_is_found_by_what_was_reported(score: LabelScore) -> None:
    models = [measured(made_up(0.7, 1), score), measured(made_up(0.6, 2), score)]
    found = find_score(models, "test_whatever", "maximize", "b")
    assert found is not None
    for one in models:
        assert mean_score(found, one.predictions, "val") == pytest.approx(one.scores["val"], abs=1e-9)
    assert find_score(models, "test_whatever", "minimize", "b") is None
    other = replace(models[0], scores={**models[0].scores, "test": models[0].scores["test"] + 0.001})
    assert find_score([other, models[1]], "test_whatever", "maximize", "b") is None
    assert find_score([replace(other, scores={}), models[1]], "test_whatever", "maximize", "b") is None


@pytest.mark.parametrize("kind", ["macro", "weighted", "b"])
def test_of_a_sample_the_name_says_which_score_and_the_closest_mean_is_taken(kind: str) -> None:
    score = LabelScore("f1", LABELS, "one", "b") if kind == "b" else LabelScore("f1", LABELS, kind)  # type: ignore[arg-type] # a literal, by its parameter
    sample = [replace(one, is_sample=True) for one in made_up(0.6, 1)]
    whole = measured(sample, score)
    close = replace(whole, scores={part: value + 0.003 for part, value in whole.scores.items()})
    assert find_score([close], "test_f1", "maximize") == score
    assert find_score([close], "test_quality", "maximize") is None
    assert find_score([replace(close, scores={})], "test_f1", "maximize") is None


def test_what_cannot_be_compared_is_said_in_words() -> None:
    score = LabelScore("f1", LABELS)
    ours, theirs = measured(made_up(0.8, 1), score, "ours"), measured(made_up(0.5, 2), score, "theirs")
    found = compare_measured(ours, theirs, "test_f1", "maximize")
    assert found == compare(ours.predictions, theirs.predictions, score)
    none = replace(theirs, predictions=[])
    assert compare_measured(ours, none, "test_f1", "maximize") == "no predictions of theirs are kept"
    assert "of other rows" in str(compare_measured(ours, theirs.on("test"), "test_f1", "maximize"))
    assert "test_x does not follow" in str(
        compare_measured(ours, replace(theirs, scores={"val": 2}), "test_x", "maximize")
    )
    assert not isinstance(compare_measured(ours.on("test"), theirs.on("test"), "test_f1", "maximize"), str)


def test_what_choosing_from_more_adds_is_taken_off() -> None:
    score = LabelScore("f1", LABELS)
    ours, theirs = measured(made_up(0.75, 1), score, "ours"), measured(made_up(0.7, 2), score, "theirs")
    plain = compare(ours.predictions, theirs.predictions, score)
    of_50 = compare_measured(replace(ours, n_trials=50), replace(theirs, n_trials=1), "test_f1", "maximize")
    assert not isinstance(of_50, str)
    on_val = compare(ours.on("val").predictions, theirs.on("val").predictions, score)
    deviation = (on_val.high - on_val.low) / 3.92  # nearly normal
    assert of_50.selection == pytest.approx(0.5 * 2.249 * deviation / np.sqrt(2), rel=0.05)
    assert of_50.difference == pytest.approx(plain.difference - of_50.selection)
    assert of_50.p_better < plain.p_better
    assert of_50.p_better_on_test == plain.p_better_on_test
    assert "taken off" in of_50.shown()
    back = compare_measured(replace(theirs, n_trials=1), replace(ours, n_trials=50), "test_f1", "maximize")
    assert not isinstance(back, str)
    assert back.selection == pytest.approx(-of_50.selection, rel=0.05)
    assert "added for being chosen from fewer trials" in back.shown()
    for mine, others in ((20, 20), (None, 1), (5, None)):
        same = compare_measured(replace(ours, n_trials=mine), replace(theirs, n_trials=others), "test_f1", "maximize")
        assert same == plain


@pytest.mark.parametrize("n", [1, 2, 5, 20, 200])
def test_the_expected_highest_is_that_of_draws(n: int) -> None:
    drawn = np.random.default_rng(n).normal(size=(20_000, n)).max(axis=1).mean()
    assert expected_highest(n) == pytest.approx(drawn, abs=0.03)


def test_a_rare_class_varies_as_much_as_it_should() -> None:
    """Recall of a class with five rows: a draw of five would vary by four fifths of the variance."""
    truth = np.array(["a"] * 100 + ["b"] * 5)
    predicted = np.array(["a"] * 100 + ["b", "b", "b", "a", "a"])
    score = LabelScore("recall", ("a", "b"), "one", "b")
    (_, rare) = strata_of(score.terms(truth, predicted), truth)
    drawn = score.score(rare.draw(np.random.default_rng(0), 20_000))
    assert np.var(drawn) == pytest.approx(0.6 * 0.4 / 4, rel=0.05)
