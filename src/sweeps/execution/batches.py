"""Trials in batches, by any launcher that Hydra has: a batch begins when it is full, and the next when it has ended."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import Any

from hydra.plugins.launcher import Launcher

from sweeps.execution import Judge
from sweeps.job import TrialJob
from sweeps.search_space import Proposal
from sweeps.tasks.base import no_report
from sweeps.trial import TrialOutcome, attempt


class Batches:
    """Hands batches to a Hydra launcher. Nothing is told of a trial before its whole batch has ended.

    Args:
        launcher: set up.
        job: says which overrides a trial is.
        capacity: trials in a batch.
    """

    def __init__(self, launcher: Launcher, job: TrialJob, capacity: int) -> None:
        self.capacity = capacity
        self._launcher = launcher
        self._job = job
        self._batch: list[tuple[int, Proposal, Future[TrialOutcome]]] = []

    def submit(self, number: int, proposal: Proposal, judge: Judge | None) -> Future[TrialOutcome]:
        """Put a trial into the next batch; nobody can prune it there."""
        future: Future[TrialOutcome] = Future()
        self._batch.append((number, proposal, future))
        return future

    def start(self) -> None:
        """Run the batch to its end."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        overrides = [self._job.override_texts(number, proposal) for number, proposal, _ in batch]
        returned = self._launcher.launch(overrides, initial_job_idx=batch[0][0])
        for (_, _, future), job_return in zip(batch, returned, strict=True):
            future.set_result(attempt(partial(_value_of, job_return), no_report))

    def close(self) -> None:
        """Nothing runs between two batches."""


def _value_of(job_return: Any) -> Any:
    return job_return.return_value  # raises what the job raised
