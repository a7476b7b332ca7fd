"""When a sweep ends: its budget, and the tally of its trials that is held against it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.attribute import is_counted
from sweeps.study.best import is_feasible, sign_of

_MIN_TRIALS_TO_JUDGE = 5
EVERY_POINT = "every point of the grid has run"  # why a study ended


class Outcome(Enum):
    """How a sweep ended."""

    COMPLETED = "COMPLETED"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"


Stop = tuple[Outcome, str]


@dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes:
        n_trials: trials in all that count: complete, pruned, and failed by raising.
        timeout: seconds after which no new trial starts, or None.
        max_failure_rate: share of failed trials, judged after five, above which the sweep stops.
        patience: trials without a better value after which the sweep stops, or None.
        target: the values, by metric, at which the sweep stops when one trial has reached them all; empty for none.
        max_retries: how often the parameters of a trial whose process died are tried again.
        grace_period: seconds that an interrupted sweep gives the trials in flight.
    """

    n_trials: int
    timeout: float | None = None
    max_failure_rate: float = 1.0
    patience: int | None = None
    target: Mapping[str, float] = field(default_factory=dict)
    max_retries: int = 1
    grace_period: float = 30.0


class Tally:
    """Finished trials that count, those that failed, the best value, and whether the target was reached.

    Args:
        directions: of each metric; where there are several, no value is the best.
        metrics: that are optimised.
        budget: when to stop.

    Attributes:
        accepted: how many trials count.
    """

    def __init__(self, directions: Sequence[StudyDirection], metrics: Sequence[str], budget: Budget) -> None:
        self._signs = [sign_of(direction) for direction in directions]
        self._target = [budget.target.get(metric) for metric in metrics]
        self._budget = budget
        self._deadline = None if budget.timeout is None else time.monotonic() + budget.timeout
        self.recount(())

    def recount(self, trials: Iterable[FrozenTrial]) -> None:
        """Begin anew with these trials."""
        self.accepted = 0
        self._failed = 0
        self._best: float | None = None
        self._since_best = 0
        self._has_reached_target = False
        finished = [trial for trial in trials if trial.datetime_complete is not None]
        for trial in sorted(finished, key=lambda trial: (trial.datetime_complete, trial.number)):
            self.add(trial)

    def add(self, trial: FrozenTrial) -> None:
        """Count a trial that was told."""
        if not is_counted(trial):
            return
        self.accepted += 1
        self._failed += trial.state == TrialState.FAIL
        self._since_best += 1
        if trial.state != TrialState.COMPLETE or not is_feasible(trial):
            return
        self._has_reached_target |= bool(self._budget.target) and self._reaches_target(trial)
        value = self._signs[0] * trial.values[0]
        if len(self._signs) == 1 and (self._best is None or value < self._best):
            self._best, self._since_best = value, 0

    def _reaches_target(self, trial: FrozenTrial) -> bool:
        reached = zip(self._signs, trial.values, self._target, strict=True)
        return all(bound is None or sign * value <= sign * bound for sign, value, bound in reached)

    def reason_to_stop(self, n_in_flight: int) -> Stop | None:
        """Why no further trial may start, None if one may."""
        budget, accepted = self._budget, self.accepted
        if accepted >= _MIN_TRIALS_TO_JUDGE and self._failed > budget.max_failure_rate * accepted:
            rate = f"{self._failed} of {accepted} trials failed, more than max_failure_rate={budget.max_failure_rate}"
            return Outcome.FAILED, rate
        if accepted + n_in_flight >= budget.n_trials:
            return Outcome.COMPLETED, ""
        if self._has_reached_target:
            return Outcome.COMPLETED, f"target={self._shown_target()} was reached"
        if budget.patience is not None and self._best is not None and self._since_best >= budget.patience:
            return Outcome.COMPLETED, f"the last {self._since_best} trials were no better (patience)"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return Outcome.COMPLETED, f"timeout={budget.timeout:g} s has passed"
        return None

    def _shown_target(self) -> str:
        if len(self._signs) == 1:
            return f"{self._target[0]:g}"
        return f"{{{', '.join(f'{metric}: {bound:g}' for metric, bound in self._budget.target.items())}}}"
