"""A supervised process that runs trials one after another, so that one which dies or hangs costs that trial alone."""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import connection, forkserver, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from sweeps.base import pickling
from sweeps.base.errors import ConfigError, first_line
from sweeps.base.pickling import by_value
from sweeps.base.reporting import Pruned, Report, no_report
from sweeps.base.temporary import in_folder_for_sockets
from sweeps.compose.search_space import Proposal
from sweeps.execution import threads
from sweeps.execution.main_module import MainModule, hidden_from_multiprocessing
from sweeps.execution.outcome import Failure, TrialOutcome, TrialResult, attempt
from sweeps.execution.surroundings import Surroundings
from sweeps.execution.workers import Job, PruningCheck, TrialTimeoutError, WorkerDiedError

_READY_WITHIN = 300.0  # seconds for a new process to import what it needs
_TAKEN_WITHIN = 60.0  # seconds for an idle process to take a trial


def prepare_server(preload: Sequence[str]) -> None:
    """Start the process that children are forked from, so that it imports what they share while others work.

    Args:
        preload: modules to import in it; their libraries see one thread for each process.
    """
    get_context("forkserver").set_forkserver_preload(["sweeps.execution.fork_server", __name__, *preload])
    ensure_server()


def ensure_server() -> None:
    """Start that process unless it runs."""
    with in_folder_for_sockets():
        forkserver.ensure_running()


def pack(enter: Callable[[], None], prepare: Callable[[], None], job: Job, main: MainModule | None = None) -> bytes:
    """A job for children to unpack.

    What the user's script defines is found there by its name, on this machine; in a notebook, or for another machine,
    it travels by value.

    Args:
        enter: called first in each child: sets up its surroundings.
        prepare: called once in each child, before the first trial.
        job: runs one trial.
        main: the script, executed in each child before anything else of it is needed; None for by value.

    Raises:
        ConfigError: something of it cannot be sent to another process.
    """
    try:
        with nullcontext() if main is not None else by_value():
            packed = pickling.dumps((enter, main, pickling.dumps((prepare, job))))
    except Exception as error:
        unfit = ", ".join(pickling.unfit_names(getattr(job, "task_function", job)))
        raise ConfigError(
            f"The app cannot be sent to worker processes{f' because of {unfit}' if unfit else ''}: "
            f"{type(error).__name__}: {first_line(error)}. Define what it needs inside its function or in a module, or "
            f"run trials in this process: hydra.sweeper.n_jobs=0"
        ) from error
    return packed


def copy_environment(environment: Mapping[str, str]) -> None:
    """Take over the environment variables of another process on this machine."""
    os.environ.clear()
    os.environ.update(environment)


class Child:
    """A process that runs trials, started on first use and replaced after it died. One trial at a time.

    Args:
        packed: the job, from `pack`.
    """

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._process: Any = None
        self._connection: Connection | None = None
        self._is_closed = False
        atexit.register(self.close)  # before multiprocessing waits for it

    def start(self) -> None:
        """Start the process and wait until it can take a trial.

        Raises:
            WorkerDiedError: it died before that.
        """
        if self._is_closed:
            raise WorkerDiedError("the sweep ended")
        if self._process is not None and self._process.is_alive():
            return
        context = get_context("forkserver")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._packed), daemon=False)
        with hidden_from_multiprocessing():
            self._process.start()
        theirs.close()
        self._connection = ours
        try:
            self._receive(time.monotonic() + _READY_WITHIN)
        except TimeoutError as error:
            self.kill()
            raise WorkerDiedError(f"its process was not ready after {_READY_WITHIN:g} s") from error
        if self._is_closed:  # meanwhile
            self.kill()

    def run(
        self, number: int, proposal: Proposal, should_prune: PruningCheck | None, timeout: float | None
    ) -> TrialOutcome:
        """Run one trial.

        Args:
            number: of the trial.
            proposal: what it is to run.
            should_prune: prunes it, None where nobody does.
            timeout: seconds until the process is ended, or None.

        Raises:
            WorkerDiedError: the process died.
            TrialTimeoutError: the trial took too long; the process was ended.
        """
        self._hand_over((number, proposal, should_prune is not None))
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                received = self._receive(deadline)
            except TimeoutError as error:
                self.kill()
                raise TrialTimeoutError(f"it ran longer than trial_timeout={timeout:g} s") from error
            if isinstance(received, Failure) and received.is_out_of_memory:
                self.kill()  # what it caches stays in its memory
                raise WorkerDiedError(f"its process ran out of memory: {received.error}")
            if not isinstance(received, _Step):
                outcome: TrialOutcome = received
                return outcome
            self._send(should_prune is not None and should_prune(received.scores, received.step))

    def close(self) -> None:
        """End the process for good."""
        self._is_closed = True
        self.kill()
        atexit.unregister(self.close)

    def kill(self) -> None:
        """End the process, and what it has started, at once; the next trial starts another."""
        if self._process is not None and self._process.is_alive():
            _kill_group(self._process.pid)
            self._process.join()

    def _hand_over(self, message: Any) -> None:
        """Give the process a trial. One that died or was stopped while it was idle is replaced, at no trial's cost."""
        for is_last in (False, False, True):
            self.start()
            try:
                self._send(message)
                self._receive(time.monotonic() + _TAKEN_WITHIN)
            except TimeoutError:
                self.kill()
            except WorkerDiedError:
                if is_last:
                    raise
            else:
                return
        raise WorkerDiedError("its process does not take trials")

    def _send(self, message: Any) -> None:
        assert self._connection is not None  # noqa: S101 - for mypy: set by start()
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._died() from error

    def _receive(self, deadline: float | None) -> Any:
        assert self._connection is not None  # noqa: S101 - for mypy: set by start()
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not connection.wait([self._connection, self._process.sentinel], left):
            raise TimeoutError
        try:
            return self._connection.recv()  # what it sent before it died still counts
        except (EOFError, OSError) as error:
            raise self._died() from error

    def _died(self) -> WorkerDiedError:
        self._process.join(5)
        code = self._process.exitcode
        self.kill()
        if code is None or code >= 0:
            return WorkerDiedError(f"its process ended with exit code {code}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = "; the system does that when memory runs out" if -code == signal.SIGKILL else ""
        return WorkerDiedError(f"its process was killed by {name}{hint}")


@dataclass(frozen=True)
class _Step:
    """What a child says in the middle of a trial: the scores of a step. It waits for whether to stop there."""

    scores: Mapping[str, float]
    step: int | None


def _serve(pipe: Connection, packed: bytes) -> None:
    """The life of a child: run trials until the coordinator is gone."""
    detach()
    load = cache(partial(_unpack, packed))
    with suppress(Exception, SystemExit):
        load()  # what it raises, the first trial raises again
    pipe.send(None)  # it is ready: the time that imports take is no trial's
    while True:
        try:
            number, proposal, reports_steps = pipe.recv()
        except EOFError:
            return
        pipe.send(None)  # it is taken
        report = partial(_report, pipe) if reports_steps else no_report
        outcome, is_clean = _attempt_alone(load, number, proposal, report)
        try:
            pipe.send(outcome)
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - a result with something in it that cannot be pickled
            pipe.send(Failure.of(error))
        if not is_clean:
            pipe.close()
            os._exit(0)  # the next trial has a process without the threads that this one left


def _attempt_alone(
    load: Callable[[], Job], number: int, proposal: Proposal, report: Report
) -> tuple[TrialOutcome, bool]:
    """A trial's outcome, and whether nothing of it is left in this process."""
    surroundings: Surroundings | None = None

    def run() -> TrialResult:
        nonlocal surroundings
        job = load()
        surroundings = Surroundings.now()
        return job(number, proposal)

    try:
        outcome = attempt(run, report)
    except BaseException as error:  # noqa: BLE001 - an app may raise KeyboardInterrupt; nobody types it here
        outcome = Failure.of(error)
    if surroundings is None:
        return outcome, True
    surroundings.restore()
    surroundings.end_processes()
    return outcome, not surroundings.are_spoiled()


def _unpack(packed: bytes) -> Job:
    enter, main, parts = cloudpickle.loads(packed)
    enter()
    threads.take_one_each()
    if main is not None:
        main.load()
    prepare, job = cloudpickle.loads(parts)
    prepare()
    loaded: Job = job
    return loaded


def _report(pipe: Connection, scores: Mapping[str, float], step: int | None = None) -> None:
    pipe.send(_Step({name: float(value) for name, value in scores.items()}, step))
    if pipe.recv():
        raise Pruned


def detach() -> None:
    """Leave the terminal's signals to the coordinator, and do not outlive it."""
    os.setpgid(0, 0)  # what a trial starts is ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    coordinator = parent_process()
    if coordinator is None:
        return
    if sys.platform == "linux":
        # The kernel ends the group when the pipe closes, even if a trial never lets go of the GIL.
        pipe = coordinator.sentinel
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_end_with, args=(coordinator,), daemon=True).start()


def _end_with(coordinator: BaseProcess) -> None:
    coordinator.join()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it died before it led a group of its own
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
