"""What a running trial says of itself, and what it is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

import sweeps
from sweeps.base.reporting import CurrentTrial, begin_repeat, introduce, reporting_to

TRIAL = CurrentTrial(3, "study", 42, Path("multirun/study/3"))


class Heard:
    """Takes what a trial reports, and stops it at a step."""

    def __init__(self, last: int | None = None) -> None:
        self.steps: list[tuple[Mapping[str, float], int | None]] = []
        self._last = last

    def __call__(self, scores: Mapping[str, float], step: int | None = None) -> None:
        self.steps.append((dict(scores), step))
        if step is not None and step == self._last:
            raise sweeps.Pruned


def test_outside_of_a_sweep_a_report_does_nothing_and_there_is_no_trial() -> None:
    sweeps.report(math.nan, -1)
    assert sweeps.current_trial() is None


def test_a_report_has_the_objectives_name_and_its_own_step() -> None:
    heard = Heard()
    with reporting_to(heard):
        introduce(TRIAL, "accuracy")
        assert sweeps.current_trial() == TRIAL
        sweeps.report(0.5, 0)
        sweeps.report(0.75, 10)
    assert heard.steps == [({"accuracy": 0.5}, 0), ({"accuracy": 0.75}, 10)]
    assert sweeps.current_trial() is None


@pytest.mark.parametrize("step", [4, 3, -1, 4.5, True], ids=repr)
def test_steps_are_whole_numbers_that_rise(step: int) -> None:
    with reporting_to(Heard()):
        sweeps.report(0.5, 4)
        with pytest.raises(ValueError, match=r"steps must be whole numbers from 0 that rise; .* came after 4"):
            sweeps.report(0.5, step)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with reporting_to(Heard()), pytest.raises(ValueError, match=r"step 1 must be a finite number"):
        sweeps.report(value, 1)


def test_a_trial_that_swallows_that_it_is_hopeless_is_known_to_be_so() -> None:
    with reporting_to(Heard(last=1)) as running:
        sweeps.report(0.5, 0)
        assert not running.is_pruned
        with pytest.raises(sweeps.Pruned):
            sweeps.report(0.5, 1)
        assert running.is_pruned


def test_the_steps_of_a_repeated_run_follow_those_of_the_run_before() -> None:
    heard = Heard()
    with reporting_to(heard):
        introduce(TRIAL, "loss")
        for _ in range(3):
            sweeps.report(1.0, 0)
            sweeps.report(0.5, 4)
            begin_repeat()
    assert [step for _, step in heard.steps] == [0, 4, 5, 9, 10, 14]
