"""What runs inside a Dask worker: trials in supervised processes, for a coordinator that is asked before each.

A worker asks by an event, which the scheduler passes on to the coordinator, and is answered by a call. So nothing is
kept in the scheduler, and neither side needs a way to the other than the one that Dask has. A trial begins when the
coordinator says so, and a worker that gets no more answers ends what it runs: it never works for one that is gone.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker
from distributed.worker import Worker

from sweeps.compose.search_space import Proposal
from sweeps.execution.child import Child, prepare_server
from sweeps.execution.outcome import TrialOutcome
from sweeps.execution.workers import PruningCheck, WorkerDiedError

_PACKAGES = ("hydra-sweeps", "optuna", "scikit-learn", "scikit-surprise")
_ASK_EVERY = 10.0  # seconds between two looks whether the coordinator is there
_GONE_AFTER = 30.0  # seconds without an answer
_PRELOAD = ("sweeps.execution.job",)

_lock = threading.Lock()
_answers: dict[str, Future[Any]] = {}  # by question
_sweeps: dict[str, _Trials] = {}


class IgnoreInterrupts(WorkerPlugin):
    """For workers that the coordinator has started: a terminal's Ctrl-C reaches them, but is not meant for them."""

    def setup(self, worker: Worker) -> None:
        """Called in the worker; where it is a thread of the coordinator, there is nothing to do."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class UnfitWorkerError(Exception):
    """A worker that cannot run the trials of this sweep; the message says why."""


@dataclass(frozen=True)
class Ticket:
    """A trial on its way to a worker.

    Attributes:
        sweep: stands for the sweep, and is the topic of its questions.
        run: stands for this trial.
        number: of the trial.
        reports_steps: whether it reports its steps.
        timeout: seconds that it may take, or None.
        versions: what the worker must have, from `versions`.
        folder: where the coordinator runs.
    """

    sweep: str
    run: str
    number: int
    reports_steps: bool
    timeout: float | None
    versions: Mapping[str, str]
    folder: str


def versions() -> dict[str, str]:
    """What has to be the same in the coordinator and in every worker."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def unfitness(expected: Mapping[str, str], folder: str) -> str | None:
    """Why this process cannot run the trials of a sweep, None if it can.

    Args:
        expected: the coordinator's `versions`.
        folder: where the coordinator runs; made if it is not there.
    """
    here = versions()
    other = [f"{name} {here[name]} instead of {version}" for name, version in expected.items() if here[name] != version]
    if other:
        return f"has {', '.join(other)}; install the same versions as here"
    if multiprocessing.current_process().daemon:
        return (
            "may not start processes for its trials; start it with DASK_DISTRIBUTED__WORKER__DAEMON=False in its "
            "environment"
        )
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"has no folder {folder} ({error.strerror}); start the sweep in one that the workers have, too"
    return None


def enter(folder: str, environment: Mapping[str, str]) -> None:
    """Called once in a process that runs trials: go where the coordinator is, and take over what is not set here."""
    os.chdir(folder)
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def run_trial(ticket: Ticket, proposal: Proposal) -> TrialOutcome | None:
    """Run a trial in a process of its own; the task that the coordinator submits.

    Returns:
        Its outcome; None if the coordinator does not want it any more.

    Raises:
        UnfitWorkerError: it cannot run here.
        WorkerDiedError: its process died.
        TrialTimeoutError: it took too long; its process was ended.
    """
    reason = unfitness(ticket.versions, ticket.folder)
    if reason is not None:
        raise UnfitWorkerError(reason)
    trials = _trials_of(ticket.sweep, get_worker())
    return trials.run(ticket, proposal)


def answer(question: str, given: Any) -> None:
    """Called by the coordinator."""
    with _lock:
        asked = _answers.pop(question, None)
    if asked is not None:
        asked.set_result(given)


def end(sweep: str) -> None:
    """End all trials of a sweep at once; called by the coordinator."""
    with _lock:
        trials = _sweeps.pop(sweep, None)
    if trials is not None:
        trials.end()


def _trials_of(sweep: str, worker: Worker) -> _Trials:
    with _lock:
        if sweep not in _sweeps:
            _sweeps[sweep] = _Trials(sweep, worker)
        return _sweeps[sweep]


class _Trials:
    """The processes that run one sweep's trials in this worker."""

    def __init__(self, sweep: str, worker: Worker) -> None:
        self._sweep = sweep
        self._worker = worker
        self._packed: bytes | None = None
        self._idle: list[Child] = []
        self._children: list[Child] = []
        self._ended = threading.Event()
        prepare_server(_PRELOAD)
        threading.Thread(target=self._watch, name="sweeps", daemon=True).start()

    def run(self, ticket: Ticket, proposal: Proposal) -> TrialOutcome | None:
        may_begin, packed = self._ask("begin", ticket.run, has_job=self._packed is not None)
        if not may_begin:
            return None
        child = self._take_child(packed)

        def should_prune(scores: Mapping[str, float], step: int | None) -> bool:
            plain = {name: float(score) for name, score in scores.items()}
            return bool(self._ask("step", ticket.run, scores=plain, step=step))

        try:
            check: PruningCheck | None = should_prune if ticket.reports_steps else None
            return child.run(ticket.number, proposal, check, ticket.timeout)
        finally:
            with _lock:
                self._idle.append(child)

    def end(self) -> None:
        """Nothing of the sweep is left here."""
        self._ended.set()
        with _lock:
            children = tuple(self._children)
        for child in children:
            child.close()

    def _take_child(self, packed: bytes | None) -> Child:
        with _lock:
            self._packed = packed or self._packed
            if self._packed is None or self._ended.is_set():
                raise WorkerDiedError("the sweep ended")
            if self._idle:
                return self._idle.pop()
            child = Child(self._packed)
            self._children.append(child)
            return child

    def _ask(self, what: str, run: str = "", within: float = math.inf, **more: Any) -> Any:
        """Ask the coordinator; the answer to a step may take as long as the study's database is away."""
        question, asked = uuid.uuid4().hex, Future[Any]()
        with _lock:
            _answers[question] = asked
        message = {"what": what, "run": run, "question": question, "worker": self._worker.address, **more}
        self._worker.log_event(self._sweep, message)
        until = time.monotonic() + within
        while not self._ended.is_set() and time.monotonic() < until:
            if wait([asked], 1.0).done:
                return asked.result()
        with _lock:
            _answers.pop(question, None)
        raise WorkerDiedError("its coordinator is gone")

    def _watch(self) -> None:
        while not self._ended.wait(_ASK_EVERY):
            try:
                self._ask("alive", within=_GONE_AFTER)
            except WorkerDiedError:
                end(self._sweep)
