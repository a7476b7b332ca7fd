"""Trials on a Dask cluster: as many at a time as it has threads, whatever workers come and go."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import dask
from distributed import Client, KilledWorker
from distributed import Future as Task

from sweeps.base.errors import ClusterError
from sweeps.base.redact import without_passwords
from sweeps.compose.search_space import Proposal
from sweeps.execution.child import pack
from sweeps.execution.dask_worker import (
    IgnoreInterrupts,
    Ticket,
    UnfitWorkerError,
    answer,
    end,
    enter,
    run_trial,
    unfitness,
    versions,
)
from sweeps.execution.outcome import TrialOutcome
from sweeps.execution.workers import Job, PruningCheck, TrialTimeoutError, WorkerDiedError, WorkerLostError

_LOOK_EVERY = 0.5  # seconds between two looks at the scheduler
_LOST_AFTER = 3.0  # seconds without a connection to it
_SILENT_AFTER = 30.0  # seconds that a call to it may take
_ENDED_WITHIN = 5.0  # seconds for the workers to end what runs; one that hangs holds nobody up
_HUNG_AFTER = 60.0  # seconds beyond trial_timeout, which the worker itself keeps
_PRIVATE = ("SWEEPS_", "MLFLOW_", "HYDRA_", "PG")  # the coordinator's alone; there are passwords in them
_QUIET = ("distributed", "distributed.client", "distributed.core", "distributed.comm", "tornado", "asyncio")


def connect(address: str) -> Client:
    """A client of a running cluster.

    Args:
        address: of its scheduler.

    Raises:
        ClusterError: nobody answers there.
    """
    _keep_quiet()
    try:
        return Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"hydra.launcher.address={address}: no Dask scheduler answers there ({error}). Start one: dask scheduler"
        ) from error


def start_cluster(make: Callable[[], Any]) -> tuple[Client, Any]:
    """A cluster of this process, and a client of it; its workers may start processes.

    Args:
        make: makes the cluster object.
    """
    dask.config.set({"distributed.worker.daemon": False})
    _keep_quiet()
    cluster = make()
    client = Client(cluster, set_as_default=False)
    client.register_plugin(IgnoreInterrupts())
    return client, cluster


def _keep_quiet() -> None:
    for name in _QUIET:  # what matters of it, the sweep says itself
        logging.getLogger(name).setLevel(logging.CRITICAL)


@dataclass
class _InFlight:
    """A trial that the cluster has.

    Attributes:
        worker: where it runs, empty before it has begun.
        begun_at: on the monotonic clock, in seconds.
    """

    number: int
    should_prune: PruningCheck | None
    future: Future[TrialOutcome]
    task: Task[Any] | None = None
    worker: str = ""
    begun_at: float = 0.0


class DaskWorkers:
    """Keeps a Dask cluster full. Dask places the trials; one that loses its worker is given up, and asked again.

    Args:
        client: of the cluster; closed at the end.
        cluster: closed at the end, or None for one that others run.
        prepare: called once in each process that runs trials.
        job: runs one trial; imported or unpickled there.
        n_jobs: trials at a time, None for as many as the cluster has threads.
        trial_timeout: seconds that a trial may take, or None.

    Raises:
        ClusterError: a worker cannot run trials; the message says which and why.
    """

    def __init__(
        self,
        client: Client,
        cluster: Any,
        prepare: Callable[[], None],
        job: Job,
        n_jobs: int | None,
        trial_timeout: float | None,
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._n_jobs = n_jobs
        self._timeout = trial_timeout
        self._scheduler: Any = client.scheduler
        self._sweep = f"sweeps-{uuid.uuid4().hex}"
        self._folder = str(Path.cwd())
        self._versions = versions()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
        self._packed = pack(partial(enter, self._folder, environment), prepare, job)
        self._lock = threading.Lock()
        self._in_flight: dict[str, _InFlight] = {}
        self._lost: ClusterError | None = None
        self._is_closed = threading.Event()
        self._answering = ThreadPoolExecutor(8, thread_name_prefix="answers")
        self._pruning = ThreadPoolExecutor(4, thread_name_prefix="pruning")
        try:
            self.capacity = self._capacity(self._check_workers())
        except ClusterError:
            self._disconnect()
            raise
        client.subscribe_topic(self._sweep, self._hear)
        threading.Thread(target=self._tend, name="cluster", daemon=True).start()

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        """Start a trial on whichever worker Dask chooses."""
        if any(value and without_passwords(value) != value for value in proposal.environment.values()):
            proposal = replace(
                proposal, environment={}
            )  # no password travels; what the app logs is its worker's affair
        trial = _InFlight(number, should_prune, Future())
        run = uuid.uuid4().hex
        reports_steps = should_prune is not None
        ticket = Ticket(self._sweep, run, number, reports_steps, self._timeout, self._versions, self._folder)
        trial.future.add_done_callback(partial(self._withdraw, run))
        with self._lock:
            self._in_flight[run] = trial
            lost = self._lost
        if lost is not None:
            self._give_up(run, lost)
            return trial.future
        try:
            trial.task = self._client.submit(run_trial, ticket, proposal, key=f"trial-{run}", pure=False)
            trial.task.add_done_callback(partial(self._finish, run))
        except (OSError, RuntimeError):
            self._lose_all()
        return trial.future

    def start(self) -> None:
        """Nothing waits for it."""

    def close(self) -> None:
        """End every trial at once, and leave the cluster as it was."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        with self._lock:
            in_flight, self._in_flight = self._in_flight, {}
        if self._lost is None:
            with suppress(Exception):  # a cluster that breaks now ends its trials as well
                self._client.cancel([trial.task for trial in in_flight.values() if trial.task is not None], force=True)
                wait([self._answering.submit(self._client.run, end, self._sweep, on_error="ignore")], _ENDED_WITHIN)
        self._answering.shutdown(wait=False, cancel_futures=True)
        self._pruning.shutdown(wait=False, cancel_futures=True)
        self._disconnect()

    def _disconnect(self) -> None:
        with suppress(Exception):  # the same
            self._client.close(timeout=2)
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close(timeout=10)

    def _check_workers(self) -> Mapping[str, int]:
        """Threads by worker, when each worker has been found fit."""
        found = self._client.run(unfitness, self._versions, self._folder, on_error="return")
        for worker, reason in found.items():
            if isinstance(reason, ImportError):
                reason = f"cannot import sweeps ({reason}); install it there, version {self._versions['sweeps']}"
            if reason is not None:
                raise _unfit(worker, str(reason))
        threads: Mapping[str, int] = self._client.nthreads()
        return threads

    def _capacity(self, threads: Mapping[str, int]) -> int:
        return self._n_jobs or max(1, sum(threads.values()))

    def _tend(self) -> None:
        """Follow the cluster: its size, workers that are lost or hang, and the loss of its scheduler."""
        last = time.monotonic()
        while not self._is_closed.wait(_LOOK_EVERY):
            try:
                if self._client.status == "running":
                    threads = self._client.sync(self._scheduler.ncores, callback_timeout=_SILENT_AFTER)
                    self.capacity = self._capacity(threads)
                    self._give_up_lost(threads)
                    last = time.monotonic()
            except Exception:  # noqa: BLE001, S110 - Dask has many for a lost connection; what counts is for how long
                pass
            if time.monotonic() - last > _LOST_AFTER and not self._is_closed.is_set():
                self._lose_all()
                return

    def _give_up_lost(self, threads: Mapping[str, int]) -> None:
        with self._lock:
            begun = {run: trial for run, trial in self._in_flight.items() if trial.worker}
        for run, trial in begun.items():
            if trial.worker not in threads:
                self._give_up(run, WorkerLostError(f"its Dask worker {trial.worker} was lost"))
            elif self._timeout is not None and time.monotonic() - trial.begun_at > self._timeout + _HUNG_AFTER:
                self._give_up(run, TrialTimeoutError(f"it ran longer than trial_timeout={self._timeout:g} s"))

    def _lose_all(self) -> None:
        error = ClusterError(
            f"The Dask scheduler at {self._scheduler.address} is gone, and the running trials with it. "
            f"Start the cluster, then resume the sweep."
        )
        with self._lock:
            self._lost = error
            runs = list(self._in_flight)
        for run in runs:
            self._give_up(run, error)

    def _give_up(self, run: str, error: Exception) -> None:
        with self._lock:
            trial = self._in_flight.get(run)
        if trial is not None:
            _set_once(trial.future, lambda future: future.set_exception(error))

    def _withdraw(self, run: str, future: Future[TrialOutcome]) -> None:
        """A trial has ended or was cancelled: nobody waits for its task any more."""
        with self._lock:
            trial = self._in_flight.pop(run, None)
        if trial is not None and trial.task is not None and not trial.task.done() and self._lost is None:
            trial.task.cancel(force=True)

    def _finish(self, run: str, task: Task[Any]) -> None:
        """A task of Dask has ended; called from a thread of its client."""
        if task.status == "finished":
            outcome: TrialOutcome | None = task.result()
            with self._lock:
                trial = self._in_flight.get(run)
            if trial is not None and outcome is not None:
                _set_once(trial.future, lambda future: future.set_result(outcome))
        elif task.status == "error":
            self._give_up(run, self._explained(task.exception()))

    def _explained(self, error: BaseException) -> Exception:
        if isinstance(error, UnfitWorkerError):
            return _unfit("that came later", str(error))
        if isinstance(error, KilledWorker):
            return WorkerDiedError("the Dask workers that ran it died")
        if isinstance(error, WorkerDiedError | TrialTimeoutError):
            return error
        return ClusterError(f"A Dask worker cannot run trials: {type(error).__name__}: {error}")

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """A worker asks; called in the client's event loop."""
        message = event[1]
        pool = self._pruning if message["what"] == "step" else self._answering
        with suppress(RuntimeError):  # closed
            pool.submit(self._answer, message)

    def _answer(self, message: Mapping[str, Any]) -> None:
        given: Any = None
        if message["what"] == "begin":
            given = self._begin(message)
        elif message["what"] == "step":
            given = self._check(message)
        with suppress(Exception):  # a worker that is lost needs no answer
            self._client.run(answer, message["question"], given, workers=[message["worker"]])

    def _begin(self, message: Mapping[str, Any]) -> tuple[bool, bytes | None]:
        """Whether a trial may begin, and the job where a worker lacks it. A trial begins once."""
        run = message["run"]
        with self._lock:
            trial = self._in_flight.get(run)
            is_again = trial is not None and bool(trial.worker)
            if trial is not None and not is_again:
                trial.worker, trial.begun_at = message["worker"], time.monotonic()
        if is_again:  # by Dask, elsewhere; but it may have reported steps
            self._give_up(run, WorkerLostError("its Dask worker was lost"))
        may_begin = False
        with suppress(RuntimeError):  # it has been given up meanwhile
            may_begin = trial is not None and not is_again and trial.future.set_running_or_notify_cancel()
        return may_begin, None if message["has_job"] or not may_begin else self._packed

    def _check(self, message: Mapping[str, Any]) -> bool:
        with self._lock:
            trial = self._in_flight.get(message["run"])
        if trial is None or trial.should_prune is None or trial.worker != message["worker"]:
            return True
        try:
            return trial.should_prune(message["scores"], message["step"])
        except Exception as error:  # noqa: BLE001 - of the study's database: the sweep's to handle
            self._give_up(message["run"], error)
            return True


def _unfit(worker: str, reason: str) -> ClusterError:
    return ClusterError(f"The Dask worker {worker} {reason}.")


def _set_once(future: Future[TrialOutcome], act: Callable[[Future[TrialOutcome]], None]) -> None:
    """Of two ends of one trial the first counts."""
    with suppress(InvalidStateError):
        act(future)
