"""Trials in worker processes on this machine, each refilled when its trial ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

from sweeps.compose.search_space import Proposal
from sweeps.execution.child import Child, copy_environment, pack, prepare_server
from sweeps.execution.devices import visible_devices
from sweeps.execution.main_module import MainModule
from sweeps.execution.outcome import TrialOutcome
from sweeps.execution.workers import Job, PruningCheck, WorkerDiedError


class Pool:
    """`n_jobs` long-lived processes; one that dies or is ended costs its own trial, and is replaced.

    A thread supervises each process. Pools of other libraries share a queue, and with it the fate of all tasks in
    flight, between their processes; see docs/decisions/0012.

    Args:
        prepare: called once in each worker, before its first trial.
        job: runs one trial, in a worker.
        n_jobs: how many workers.
        trial_timeout: seconds that a trial may take, or None.
        preload: modules that workers need and that take long to import.
    """

    def __init__(
        self,
        prepare: Callable[[], None],
        job: Job,
        n_jobs: int,
        trial_timeout: float | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self.capacity = n_jobs
        self._timeout = trial_timeout
        prepare_server(preload)
        devices = visible_devices()
        self._children = []
        for index in range(n_jobs):
            device = {"CUDA_VISIBLE_DEVICES": devices[index % len(devices)]} if devices else {}
            enter = partial(copy_environment, {**os.environ, **device})
            self._children.append(Child(pack(enter, prepare, job, MainModule.here())))
        self._idle: SimpleQueue[Child] = SimpleQueue()
        self._threads = ThreadPoolExecutor(n_jobs, thread_name_prefix="worker")
        for child in self._children:
            self._threads.submit(self._warm_up, child)

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        """Start a trial in an idle worker."""
        return self._threads.submit(self._run, number, proposal, should_prune)

    def start(self) -> None:
        """Nothing waits for it."""

    def close(self) -> None:
        """End every worker at once."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.close()
        self._threads.shutdown(wait=True)

    def _warm_up(self, child: Child) -> None:
        try:
            child.start()
        except WorkerDiedError:
            pass  # its first trial starts it again, and tells
        finally:
            self._idle.put(child)

    def _run(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> TrialOutcome:
        child = self._idle.get()
        try:
            return child.run(number, proposal, should_prune, self._timeout)
        finally:
            self._idle.put(child)
