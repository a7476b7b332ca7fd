"""Trials in batches, by any launcher that Hydra has: a batch begins when it is full, and the next when it has ended."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import TaskFunction
from omegaconf import DictConfig

from sweeps.base.errors import first_line
from sweeps.base.reporting import no_report
from sweeps.compose._hydra_compat import redact_folder, value_of
from sweeps.compose.search_space import Proposal
from sweeps.execution.job import TrialJob
from sweeps.execution.outcome import TrialOutcome, TrialResult, UnusableResultError, attempt
from sweeps.execution.workers import PruningCheck, WorkerDiedError


class NotExiting:
    """A task function whose `sys.exit` is its own trial's failure: launchers pass it on, and end with it.

    Args:
        task_function: the app's.
    """

    def __init__(self, task_function: TaskFunction) -> None:
        self._task_function = task_function

    def __call__(self, config: DictConfig) -> Any:
        """Run it.

        Raises:
            UnusableResultError: it exits.
        """
        try:
            return self._task_function(config)
        except SystemExit as error:
            raise UnusableResultError(f"SystemExit: {error.code}") from None


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

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        """Put a trial into the next batch; nobody can prune it there."""
        future: Future[TrialOutcome] = Future()
        self._batch.append((number, proposal, future))
        return future

    def start(self) -> None:
        """Run the batch to its end. Where the launcher itself raises, no trial of the batch has a result."""
        batch, self._batch = [trial for trial in self._batch if trial[2].set_running_or_notify_cancel()], []
        if not batch:
            return
        overrides = [self._job.override_texts(number, proposal) for number, proposal, _ in batch]
        try:
            returned = self._launcher.launch(overrides, initial_job_idx=batch[0][0])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - each launcher raises its own when a job of the batch dies
            reason = f"its launcher failed: {type(error).__name__}: {first_line(error)}"
            for _, _, future in batch:
                future.set_exception(WorkerDiedError(reason))
            return
        finally:
            for number, _, _ in batch:
                redact_folder(self._job.folder / str(number) / (self._job.plan.config.hydra.output_subdir or ""))
        for (_, _, future), job in zip(batch, returned, strict=True):
            future.set_result(attempt(partial(self._read, job), no_report))

    def _read(self, job: JobReturn) -> TrialResult:
        return self._job.read(value_of(job))

    def close(self) -> None:
        """Nothing runs between two batches."""
