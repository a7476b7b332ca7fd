"""The best trial, the front and the rule, against their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.compose.choice import Choice
from sweeps.study.attribute import METRICS, Attribute
from sweeps.study.best import best_of, best_trial, front_of, remember_choice

FEW = st.integers(-2, 2).map(float)  # so that there are equals
STDERR = 1.0


def study_of(values: Sequence[Sequence[float]], signs: Sequence[int], violations: Sequence[float]) -> optuna.Study:
    """A study whose trials have these values: of each the sign says whether the lowest (1) or the highest is best."""
    names = [f"m{index}" for index in range(len(signs))]
    study = optuna.create_study(directions=["minimize" if sign == 1 else "maximize" for sign in signs])
    study.set_user_attr(METRICS, names)
    for of_trial, violation in zip(values, violations, strict=True):
        result = {"metrics": {**dict(zip(names, of_trial, strict=True)), "m0_stderr": STDERR}}
        trial = study.ask()
        trial.set_user_attr(Attribute.RESULT, result)
        trial.set_constraint("c", violation)
        study.tell(trial, of_trial)
    study.add_trial(create_trial(state=TrialState.PRUNED))
    return study


@st.composite
def studies(draw: Any, most_values: int = 3) -> tuple[optuna.Study, list[int]]:
    signs = draw(st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=most_values))
    row = st.lists(FEW, min_size=len(signs), max_size=len(signs))
    values = draw(st.lists(row, max_size=7))
    violations = draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=len(values), max_size=len(values)))
    return study_of(values, signs, violations), signs


def losses(trial: FrozenTrial, signs: Sequence[int]) -> list[float]:
    return [sign * value for sign, value in zip(signs, trial.values, strict=True)]


def feasible(study: optuna.Study) -> list[FrozenTrial]:
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    return [trial for trial in complete if all(violation <= 0 for violation in trial.constraints.values())]


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


@settings(deadline=None, max_examples=150)
@given(studies())
def test_the_front_is_what_nothing_feasible_beats(drawn: tuple[optuna.Study, list[int]]) -> None:
    study, signs = drawn
    may = feasible(study)
    expected = [
        trial.number for trial in may if not any(beats(losses(other, signs), losses(trial, signs)) for other in may)
    ]
    assert [trial.number for trial in front_of(study)] == expected


@settings(deadline=None, max_examples=300)
@given(studies(), st.sampled_from([None, 0.0, 1.0, 2.5]), st.integers(-1, 2))
def test_the_winner_is_the_rules(drawn: tuple[optuna.Study, list[int]], margin: float | None, extreme: int) -> None:
    study, signs = drawn
    first = extreme if extreme < len(signs) else -1
    remember_choice(study, Choice(metric=f"m{first}") if first >= 0 else Choice(within=margin))
    best = best_trial(study)
    front = front_of(study)
    if len(signs) == 1:
        order = sorted(feasible(study), key=lambda trial: (losses(trial, signs), trial.number))
    elif first >= 0:
        order = sorted(
            front, key=lambda t: (losses(t, signs)[first], losses(t, signs)[first + 1 :], losses(t, signs), t.number)
        )
    else:
        bound = min((losses(trial, signs)[0] for trial in front), default=0.0) + (STDERR if margin is None else margin)
        near = [trial for trial in front if losses(trial, signs)[0] <= bound]
        order = sorted(near, key=lambda trial: (losses(trial, signs)[1:], losses(trial, signs)[0], trial.number))
    assert (best and best.number) == (order[0].number if order else None)


def test_why_it_wins_is_said() -> None:
    study = study_of([[0.9, 3.0], [0.8, 1.0], [0.5, 0.5], [0.4, 2.0]], [-1, 1], [0.0] * 4)
    for choice, number, why in (
        (
            Choice(within=0.1),
            1,
            "the lowest m1 of the 2 trials on the Pareto front within 0.1, the margin, of the best m0, 0.9",
        ),
        (
            Choice(),
            2,
            "the lowest m1 of the 3 trials on the Pareto front within 1, one standard error, of the best m0, 0.9",
        ),
        (
            Choice(within=0.0),
            0,
            "the lowest m1 of the one trial on the Pareto front within 0, the margin, of the best m0, 0.9",
        ),
        (Choice(metric="m0"), 0, "the highest m0 of the 3 trials on the Pareto front"),
    ):
        remember_choice(study, choice)
        best = best_of(study)
        assert best is not None
        assert (best.trial.number, best.why) == (number, why)


@pytest.mark.parametrize("directions", [["minimize"], ["minimize", "maximize"]])
def test_where_no_trial_completed_none_wins(directions: list[str]) -> None:
    study = optuna.create_study(directions=directions)
    study.set_user_attr(METRICS, ["a", "b"][: len(directions)])
    assert best_of(study) is None
    assert front_of(study) == []


def test_without_a_standard_error_the_best_first_value_wins() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_user_attr(METRICS, ["m0", "m1"])
    for values in ([0.9, 3.0], [0.8, 1.0]):
        study.tell(study.ask(), values)
    best = best_of(study)
    assert best is not None
    assert best.trial.number == 0
    assert best.why == "the highest m0 of the 2 trials on the Pareto front, since its standard error is not known"
