"""The story of a sweep, from the first trial to the last. No Hydra and no MLflow in it."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol

from optuna import Study, Trial
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.execution import Workers
from sweeps.redact import without_passwords
from sweeps.samplers import SamplerFactory
from sweeps.search_space import DEFAULT_TRIAL, INTERRUPTED, Proposal, SearchSpace
from sweeps.trial import TrialResult

_MIN_TRIALS_TO_JUDGE = 5
_MAX_ERROR = 2_000  # characters kept of an error message
_MAX_TRACEBACK = 20_000  # characters kept of a failure, the end of it


class Outcome(Enum):
    """How a sweep ended."""

    COMPLETED = "COMPLETED"
    INTERRUPTED = "INTERRUPTED"
    FAILED = "FAILED"


_Stop = tuple[Outcome, str]


class Attribute:
    """User attributes of a trial: all that is shown of it is in the study before the trial is told."""

    METRICS = "sweeps.metrics"
    HYPERPARAMETERS = "sweeps.hyperparameters"
    PARAMS = "sweeps.params"
    CHOICES = "sweeps.choices"
    OVERRIDES = "sweeps.overrides"
    SECONDS = "sweeps.seconds"
    WARNINGS = "sweeps.warnings"
    ERROR = "sweeps.error"
    TRACEBACK = "sweeps.traceback"
    INTERRUPTED = INTERRUPTED


@dataclass(frozen=True)
class Budget:
    """When to stop.

    Attributes:
        n_trials: trials in all that count: complete, pruned, and failed by raising.
        timeout: seconds after which no new trial starts, or None.
        max_failure_rate: share of failed trials, judged after five, above which the sweep stops.
    """

    n_trials: int
    timeout: float | None = None
    max_failure_rate: float = 1.0


@dataclass(frozen=True)
class SweepResult:
    """How a sweep ended.

    Attributes:
        reason: why it ended early, empty otherwise.
        best: the best trial, if any completed.
        interrupt: what interrupted it, for the caller to raise when it has cleaned up.
    """

    outcome: Outcome
    reason: str
    best: FrozenTrial | None
    interrupt: KeyboardInterrupt | None = None


class Callback(Protocol):
    """Told what happens; must not raise for trouble of its own."""

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """A trial has been told."""

    def on_end(self, study: Study, result: SweepResult) -> None:
        """The sweep is over, whatever ended it."""


def run_sweep(
    study: Study,
    space: SearchSpace,
    workers: Workers,
    budget: Budget,
    samplers: SamplerFactory,
    metric: str,
    callbacks: Sequence[Callback],
    describe: Callable[[Proposal], Mapping[str, Any]] = lambda proposal: proposal.values,
) -> SweepResult:
    """Run a study to its end.

    Args:
        study: where trials are asked and told.
        space: what a trial is drawn from; the first trials are its defaults.
        workers: where trials run.
        budget: when to stop.
        samplers: the sampler of each trial.
        metric: the metric that is told.
        callbacks: told of every trial and of the end.
        describe: every active hyperparameter of a proposal, known before it runs, so that a failed trial shows them.

    Returns:
        How it ended. An interrupt (`KeyboardInterrupt`) is an outcome, too; any other exception is raised after the
        trials in flight have been failed and the callbacks told.
    """
    if not study.trials:
        for parameters in space.defaults():
            study.enqueue_trial(parameters, user_attrs={DEFAULT_TRIAL: True})
    deadline = math.inf if budget.timeout is None else time.monotonic() + budget.timeout
    in_flight: dict[Future[TrialResult], Trial] = {}
    asked: dict[int, Trial] = {}
    tally = _Tally.of(study.trials)
    stop: _Stop | None = None
    interrupt: KeyboardInterrupt | None = None
    end: _Stop = Outcome.FAILED, "an error of the sweep itself"
    try:
        while True:
            if not _is_final(stop):
                stop = tally.reason_to_stop(budget, len(in_flight), deadline)
            while stop is None and len(in_flight) < workers.capacity:
                study.sampler = samplers.sampler_for(tally.accepted + len(in_flight))
                if samplers.exhausted(study):
                    stop = Outcome.COMPLETED, "every point of the grid has run"
                    break
                trial = study.ask()
                asked[trial.number] = trial
                proposal = space.suggest(trial)
                trial.set_user_attr(Attribute.CHOICES, dict(proposal.choices))
                trial.set_user_attr(Attribute.OVERRIDES, proposal.override_texts())
                trial.set_user_attr(Attribute.HYPERPARAMETERS, dict(describe(proposal)))
                in_flight[workers.submit(trial.number, proposal)] = trial
                stop = tally.reason_to_stop(budget, len(in_flight), deadline)
            if not in_flight:
                break
            done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                told = _tell(study, in_flight.pop(future), future, metric)
                tally.add(told)
                if not _is_final(stop):  # judged after each: of several at once, a later one may hide a failure rate
                    stop = tally.reason_to_stop(budget, len(in_flight), deadline)
                for callback in callbacks:
                    callback.on_trial(study, told)
                del asked[told.number]
        end = stop or (Outcome.COMPLETED, "")
    except KeyboardInterrupt as error:
        interrupt = error
        end = Outcome.INTERRUPTED, "interrupted"
    finally:
        result = _close(study, asked, end, interrupt, callbacks)
    return result


def best_trial(study: Study) -> FrozenTrial | None:
    """The completed trial with the best value, the earliest of equals."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    return min(complete, key=lambda trial: (sign * trial.values[0], trial.number), default=None)


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards `n_trials`: finished, not cut off from outside, and not while it was drawn."""
    attributes = trial.user_attrs
    return trial.state.is_finished() and Attribute.INTERRUPTED not in attributes and Attribute.CHOICES in attributes


@dataclass
class _Tally:
    """Finished trials that count, and how many of them failed."""

    accepted: int = 0
    failed: int = 0

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> _Tally:
        tally = cls()
        for trial in trials:
            tally.add(trial)
        return tally

    def add(self, trial: FrozenTrial) -> None:
        self.accepted += is_counted(trial)
        self.failed += is_counted(trial) and trial.state == TrialState.FAIL

    def reason_to_stop(self, budget: Budget, n_in_flight: int, deadline: float) -> _Stop | None:
        if self.accepted >= _MIN_TRIALS_TO_JUDGE and self.failed > budget.max_failure_rate * self.accepted:
            return (
                Outcome.FAILED,
                f"{self.failed} of {self.accepted} trials failed, more than max_failure_rate={budget.max_failure_rate}",
            )
        if self.accepted + n_in_flight >= budget.n_trials:
            return Outcome.COMPLETED, ""
        if time.monotonic() >= deadline:
            return Outcome.COMPLETED, f"timeout={budget.timeout:g} s is over"
        return None


def _is_final(stop: _Stop | None) -> bool:
    """Whether a reason to stop holds whatever the trials in flight still bring."""
    return stop is not None and stop[0] is Outcome.FAILED


def _close(
    study: Study,
    asked: Mapping[int, Trial],
    end: _Stop,
    interrupt: KeyboardInterrupt | None,
    callbacks: Sequence[Callback],
) -> SweepResult:
    """Leave nothing RUNNING, and tell every callback, even where one of them raises."""
    outcome, reason = end
    calls = [
        partial(callback.on_trial, study, told) for told in _fail_unfinished(study, asked) for callback in callbacks
    ]
    best = best_trial(study)
    if outcome is Outcome.COMPLETED and best is None:
        outcome, reason = Outcome.FAILED, ", and ".join(part for part in (reason, "no trial completed") if part)
    result = SweepResult(outcome, reason, best, interrupt)
    calls += [partial(callback.on_end, study, result) for callback in callbacks]
    errors = []
    for call in calls:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - raised below, when all have been told
            errors.append(error)
    if errors:
        raise errors[0]
    return result


def _tell(study: Study, trial: Trial, future: Future[TrialResult], metric: str) -> FrozenTrial:
    """Put everything about a finished trial into the study, then its value or its failure."""
    error = future.exception()
    if error is not None:
        text = "".join(traceback.format_exception(error))
        return _tell_failure(study, trial, f"{type(error).__name__}: {error}", text)
    result = future.result()
    try:
        metrics = {name: float(value) for name, value in result.metrics.items()}
        attributes: Mapping[str, Any] = {
            Attribute.HYPERPARAMETERS: dict(result.hyperparameters),
            Attribute.PARAMS: dict(result.params),
            Attribute.METRICS: {name: value for name, value in metrics.items() if math.isfinite(value)},
            Attribute.SECONDS: dict(result.seconds),
            Attribute.WARNINGS: [without_passwords(message) for message in result.warnings],
        }
        json.dumps(attributes)
    except (TypeError, ValueError, OverflowError) as problem:
        return _tell_failure(study, trial, f"the trial's result cannot be recorded: {problem}", "")
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    score = metrics.get(metric)
    if score is None or not math.isfinite(score):
        found = "missing" if score is None else f"{score}"
        return _tell_failure(study, trial, f"the objective {metric} is {found}", "")
    return study.tell(trial, score)


def _tell_failure(study: Study, trial: Trial, error: str, text: str) -> FrozenTrial:
    trial.set_user_attr(Attribute.ERROR, without_passwords(error)[:_MAX_ERROR])
    trial.set_user_attr(Attribute.TRACEBACK, without_passwords(text)[-_MAX_TRACEBACK:])
    return study.tell(trial, state=TrialState.FAIL)


def _fail_unfinished(study: Study, asked: Mapping[int, Trial]) -> list[FrozenTrial]:
    """Tell trials that were asked and never finished, so that none stays RUNNING.

    Returns:
        The trials that callbacks have not heard of.
    """
    for running in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        trial = asked.get(running.number)
        if trial is not None:  # otherwise it was cut off while it was asked
            trial.set_user_attr(Attribute.INTERRUPTED, True)
            trial.set_user_attr(Attribute.ERROR, "interrupted before it finished")
        study.tell(running.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    return [trials[number] for number in asked]
