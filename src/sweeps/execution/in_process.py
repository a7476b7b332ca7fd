"""Trials one after another in this process (`n_jobs=0`): for debuggers."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial

from sweeps.base.reporting import Pruned, Report, no_report
from sweeps.base.temporary import in_shared_folder
from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import TrialOutcome, attempt
from sweeps.execution.surroundings import Surroundings
from sweeps.execution.workers import Job, PruningCheck


class InProcess:
    """Runs a trial when it is submitted and returns a finished future; `KeyboardInterrupt` passes through.

    Args:
        job: runs one trial.
    """

    capacity = 1

    def __init__(self, job: Job) -> None:
        self._job = job

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        """Run a trial to its end."""
        future: Future[TrialOutcome] = Future()
        surroundings = Surroundings.now()
        try:
            with in_shared_folder():
                future.set_result(attempt(partial(self._job, number, proposal), _report_to(should_prune)))
        finally:
            surroundings.restore()
        return future

    def start(self) -> None:
        """Nothing waits for it."""

    def close(self) -> None:
        """Nothing runs."""


def _report_to(should_prune: PruningCheck | None) -> Report:
    if should_prune is None:
        return no_report

    def report(scores: Mapping[str, float], step: int | None = None) -> None:
        if should_prune(scores, step):
            raise Pruned

    return report
