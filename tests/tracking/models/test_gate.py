"""The gate's rules, on made-up contenders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweeps.base.predictions import Predictions
from sweeps.compose.settings import Promote
from sweeps.tasks.comparison import mean_score
from sweeps.tasks.scores_of_sums import ErrorScore, LabelScore, ScoreOfSums
from sweeps.tracking.models.gate import Contender, Gate, Verdict, figures_as_tags

LABELS = ("fair", "hate")
F1 = LabelScore("f1", LABELS, "one", "hate")


def predictions(right: float, seed: int, n: int = 200) -> list[Predictions]:
    """Of two folds and a test part, this share of them right."""
    of_rows, of_model = np.random.default_rng(0), np.random.default_rng(seed)
    found = []
    for part in ("val", "val", "test"):
        truth = of_rows.choice(LABELS, n)
        other = np.where(truth == "fair", "hate", "fair")
        found.append(Predictions(part, truth, np.where(of_model.random(n) < right, truth, other)))
    return found


def contender(version: str, kept: list[Predictions], score: ScoreOfSums = F1, **more: object) -> Contender:
    scores = {part: mean_score(score, kept, part) for part in ("val", "test")}
    made = Contender(version, scores["test"], scores["val"], "evaluation", "selection", kept, 20)
    return replace(made, **more)  # type: ignore[arg-type]


def gate(rule: Promote) -> Gate:
    return Gate(rule, "test_f1", "val_f1", "maximize", "hate")


GOOD, BETTER, BAD = (
    contender("2", predictions(0.8, 1)),
    contender("2", predictions(0.97, 2)),
    contender("2", predictions(0.5, 3)),
)
CHAMPION = contender("1", predictions(0.8, 4))


def shifted(of: Contender, val: float, test: float) -> Contender:
    """With these scores more than the champion's, and no predictions."""
    assert CHAMPION.val is not None
    assert CHAMPION.test is not None
    return replace(of, val=CHAMPION.val + val, test=CHAMPION.test + test, predictions=())


@pytest.mark.parametrize(
    ("val", "test", "promoted", "why"),
    [
        (0.01, 0.01, True, "better inside the training part and not worse on test"),
        (0.01, 0.0, True, "better inside the training part and not worse on test"),
        (0.01, -0.001, False, "it is better on test"),
        (0.0, 0.01, False, "a tie keeps it"),
        (-0.01, 0.01, False, "it is better inside the training part"),
    ],
)
def test_auto_wants_better_inside_the_training_part_and_not_worse_on_test(
    val: float, test: float, promoted: bool, why: str
) -> None:
    verdict = gate(Promote.auto).decide(shifted(GOOD, val, test), CHAMPION)
    assert (verdict.promoted, verdict.comparison) == (promoted, None)
    assert verdict.why.startswith(why)
    assert verdict.figures() == ""


@pytest.mark.parametrize(("val", "test", "promoted"), [(-0.01, 0.0, True), (0.01, 0.0, False), (-0.01, 0.01, False)])
def test_of_errors_less_is_better(val: float, test: float, promoted: bool) -> None:
    of_errors = Gate(Promote.auto, "test_rmse", "val_rmse", "minimize")
    assert of_errors.decide(shifted(GOOD, val, test), CHAMPION).promoted is promoted


@pytest.mark.parametrize(("mine", "promoted"), [(BETTER, True), (GOOD, False), (BAD, False), (CHAMPION, False)])
def test_evidence_wants_a_probability_of_95_percent(mine: Contender, promoted: bool) -> None:
    verdict = gate(Promote.evidence).decide(mine, CHAMPION)
    assert verdict.promoted is promoted
    assert verdict.comparison is not None
    assert (verdict.comparison.p_better >= 0.95) is promoted
    assert f"P(better) is {'at least' if promoted else 'below'} 0.95" in verdict.why
    assert verdict.figures().startswith(f"Difference {verdict.comparison.difference:+.4g} (95 % interval ")
    tags = figures_as_tags(verdict, CHAMPION, 3)
    assert tags["sweeps.gate.p_better"] == repr(verdict.comparison.p_better)
    assert (tags["sweeps.gate.comparisons"], tags["sweeps.incumbent.n_trials"]) == ("3", "20")


def test_the_figures_are_there_whatever_the_rule() -> None:
    by_scores = gate(Promote.auto).decide(BETTER, CHAMPION)
    assert by_scores.promoted
    assert by_scores.comparison == gate(Promote.evidence).decide(BETTER, CHAMPION).comparison


@pytest.mark.parametrize("rule", [Promote.auto, Promote.evidence])
@pytest.mark.parametrize(("mine", "promoted"), [(BETTER, True), (GOOD, False)])
def test_where_folds_differ_test_rows_decide(rule: Promote, mine: Contender, promoted: bool) -> None:
    verdict = gate(rule).decide(replace(mine, selection_id="another", val=0.0), CHAMPION)
    assert verdict.promoted is promoted
    assert verdict.comparison is not None
    assert verdict.comparison.p_better == verdict.comparison.p_better_on_test
    assert "on test alone, as the two were not selected on the same folds" in verdict.why


@pytest.mark.parametrize(("test", "promoted"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_where_folds_differ_and_nothing_is_kept_auto_compares_scores(test: float, promoted: bool) -> None:
    mine = replace(shifted(GOOD, -0.5, test), selection_id="another")
    assert gate(Promote.auto).decide(mine, CHAMPION).promoted is promoted
    kept = gate(Promote.evidence).decide(mine, CHAMPION)
    assert not kept.promoted
    assert "no predictions of version 2 are kept" in kept.why


def broken(kind: str) -> tuple[Contender, Contender]:
    if kind == "no predictions of version 1 are kept":
        return BETTER, replace(CHAMPION, predictions=())
    if kind == "of other rows":
        return replace(
            BETTER, predictions=[replace(one, y_true=one.y_true[::-1]) for one in BETTER.predictions]
        ), CHAMPION
    return replace(BETTER, test=0.5), CHAMPION


@pytest.mark.parametrize("kind", ["no predictions of version 1 are kept", "of other rows", "does not follow from the"])
def test_without_predictions_that_say_what_the_scores_say_there_is_no_evidence(kind: str) -> None:
    mine, theirs = broken(kind)
    verdict = gate(Promote.evidence).decide(mine, theirs)
    assert not verdict.promoted
    assert kind in verdict.why


@pytest.mark.parametrize("rule", [Promote.auto, Promote.evidence])
@pytest.mark.parametrize(
    "theirs",
    [replace(CHAMPION, evaluation_id="another"), replace(CHAMPION, test=None), replace(CHAMPION, evaluation_id="")],
)
def test_what_was_measured_on_something_else_is_not_compared(rule: Promote, theirs: Contender) -> None:
    mine = replace(BETTER, evaluation_id=theirs.evaluation_id) if not theirs.evaluation_id else BETTER
    verdict: Verdict = gate(rule).decide(mine, theirs)
    assert (verdict.promoted, verdict.is_comparable, verdict.comparison) == (False, False, None)
    assert "measured on other data, another split or another metric" in verdict.why


def test_ratings_are_compared_by_their_users() -> None:
    rng = np.random.default_rng(0)
    truth, users = rng.integers(1, 6, 300).astype(float), rng.integers(0, 40, 300)
    kept = [
        [Predictions(part, truth, truth + rng.normal(scale=scale, size=300), users) for part in ("val", "test")]
        for scale in (0.8, 1.2)
    ]
    mine, theirs = (contender(version, of, ErrorScore("rmse")) for version, of in zip("21", kept, strict=True))
    verdict = Gate(Promote.evidence, "test_rmse", "val_rmse", "minimize").decide(mine, theirs)
    assert verdict.promoted
