"""Trials one after another in this process: for debuggers, and where nothing else is asked for."""

from __future__ import annotations

from concurrent.futures import Future

from sweeps.execution import Job
from sweeps.search_space import Proposal
from sweeps.trial import TrialResult


class InProcess:
    """Runs a trial when it is submitted and returns a finished future.

    Args:
        job: runs one trial.
    """

    capacity = 1

    def __init__(self, job: Job) -> None:
        self._job = job

    def submit(self, number: int, proposal: Proposal) -> Future[TrialResult]:
        """Run a trial to its end; an interrupt passes through, any other exception goes into the future."""
        future: Future[TrialResult] = Future()
        try:
            future.set_result(self._job(number, proposal))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a trial raises is the trial's result
            future.set_exception(error)
        return future
