"""What a running trial says and knows: its scores step by step, whether to stop, and which trial it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Pruned(Exception):  # noqa: N818 - not an error: the trial is hopeless, and that is its outcome
    """The trial is hopeless and stops here; let it pass."""


class Report(Protocol):
    """Takes the scores of a step, and raises `Pruned` when the trial shall stop."""

    def __call__(self, scores: Mapping[str, float], step: int | None = None) -> None:
        """Report.

        Args:
            scores: by metric.
            step: of an objective that is what it is at each step; None for one that becomes the mean of all steps, such
                as folds.
        """


def no_report(scores: Mapping[str, float], step: int | None = None) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class CurrentTrial:
    """The trial that runs in this process.

    Attributes:
        number: in its study.
        study: the study's name.
        seed: the sweep's.
        folder: the trial's own, where its log is.
        device: what `CUDA_VISIBLE_DEVICES` gives its process, None where there are no devices.
    """

    number: int
    study: str
    seed: int
    folder: Path
    device: str | None = None


@dataclass
class _Running:
    """A trial that runs, and where its scores go.

    Attributes:
        report: from whoever supervises it.
        is_pruned: whether it was told to stop; one that swallows `Pruned` is pruned all the same.
        trial: None for a job that is not told which it is.
        metric: the name that `report` gives its values.
        last_step: of `report`, in this run of the trial.
        first_step: what the steps of this run count from.
        measured_on: the trial's evaluation id.
        own_store: the MLflow store that its app has logged to, where that is not the sweep's.
    """

    report: Report
    is_pruned: bool = False
    trial: CurrentTrial | None = None
    metric: str = ""
    last_step: int = -1
    first_step: int = 0
    measured_on: str = ""
    own_store: str = ""


_RUNNING: ContextVar[_Running | None] = ContextVar("running", default=None)
"""A Hydra job is given its config alone; what else it may know stands here."""


@contextmanager
def reporting_to(report: Report) -> Iterator[_Running]:
    """Run a trial inside a `with` block, its scores going to `report`."""
    running = _Running(report)
    token = _RUNNING.set(running)
    try:
        yield running
    finally:
        _RUNNING.reset(token)


def introduce(trial: CurrentTrial, metric: str) -> None:
    """Tell the running trial which one it is; `metric` is the name of what it reports."""
    running = _RUNNING.get()
    if running is not None:
        running.trial, running.metric = trial, metric


def begin_repeat() -> None:
    """The running trial runs once more, under another seed: what it reports follows the steps of the run before."""
    running = _RUNNING.get()
    if running is not None:
        running.first_step += running.last_step + 1
        running.last_step = -1


def report_scores(scores: Mapping[str, float], step: int | None = None) -> None:
    """Report the scores of a step of the running trial; see `Report`.

    Raises:
        Pruned: the trial shall stop.
    """
    running = _RUNNING.get()
    if running is None:
        return
    try:
        running.report(scores, step)
    except Pruned:
        running.is_pruned = True
        raise


def report(value: float, step: int) -> None:
    """Report the objective at a step, such as an epoch, for the pruner to judge; outside of a sweep it does nothing.

    >>> def train(lr=0.1):
    ...     loss = 1.0
    ...     for epoch in range(10):
    ...         loss -= lr * loss
    ...         report(loss, step=epoch)
    ...     return loss
    >>> round(train(), 4)
    0.3487

    Args:
        value: of the objective, finite.
        step: a whole number, larger than that of the report before.

    Raises:
        Pruned: the trial is hopeless; let it pass.
        ValueError: the value is not finite, or the step does not rise.
    """
    running = _RUNNING.get()
    if running is None:
        return
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"sweeps.report: the value at step {step} must be a finite number; it is {value}.")
    if isinstance(step, bool) or int(step) != step or step <= running.last_step:
        raise ValueError(
            f"sweeps.report: steps must be whole numbers from 0 that rise; {step!r} came after {running.last_step}."
        )
    running.last_step = int(step)
    report_scores({running.metric: number}, running.first_step + int(step))


def evaluation_id(text: str) -> str:
    """Say what the running trial's `test_` metrics are measured on, so that registered models are compared on it alone.

    Args:
        text: names the data, its version, the split and whatever else the scores depend on; any text.

    Returns:
        The id: the first 16 hexadecimal digits of the text's SHA-256.

    >>> evaluation_id("iris 1.0, test part of seed 0")
    '8e4cf32045f7a2a4'
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    running = _RUNNING.get()
    if running is not None:
        running.measured_on = digest
    return digest


def measured_on() -> str:
    """The evaluation id that the running trial has named; empty for none."""
    running = _RUNNING.get()
    return "" if running is None else running.measured_on


def note_own_store(uri: str) -> None:
    """The running trial's app has logged to an MLflow store of its own."""
    running = _RUNNING.get()
    if running is not None:
        running.own_store = uri


def own_store() -> str:
    """That store; empty for none."""
    running = _RUNNING.get()
    return "" if running is None else running.own_store


def current_trial() -> CurrentTrial | None:
    """The trial that runs in this process; None outside of a sweep.

    >>> def train(lr=0.1):
    ...     trial = current_trial()
    ...     folder = "." if trial is None else trial.folder
    ...     return f"checkpoints go to {folder}"
    >>> train()
    'checkpoints go to .'
    """
    running = _RUNNING.get()
    return None if running is None else running.trial
