"""Logs trials from a process of its own, where the sweep's own is busy enough with asking and telling them.

MLflow's client takes some 17 ms of Python for each run of a sqlite store, and holds up whatever else the process does.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from optuna.trial import FrozenTrial

from sweeps.base.errors import TrackingError, whole_text
from sweeps.execution.child import copy_environment, detach, ensure_server
from sweeps.tracking.client import connect
from sweeps.tracking.study.children import ChildRuns, Logged, Parent

_NICENESS = 10  # trials come first


class LoggingProcessDiedError(Exception):
    """The process has died; whether it has made the run of a trial is not known."""


class LoggingProcess:
    """A process that logs trials one after another, and does not outlive this one.

    Args:
        parent: of the runs.
        folder: that a relative tracking URI is meant from.
        environment: its environment variables.
    """

    def __init__(self, parent: Parent, folder: Path, environment: Mapping[str, str]) -> None:
        ensure_server()
        context = get_context("forkserver")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, environment, str(folder), tempfile.gettempdir(), parent)
        self._process = context.Process(target=_serve, args=arguments, name="tracking", daemon=True)
        self._process.start()
        theirs.close()
        self._is_ready = False
        atexit.register(self.end)  # before multiprocessing asks it politely

    def is_ready(self) -> bool:
        """Whether it has imported what it needs and reached MLflow.

        Raises:
            LoggingProcessDiedError: it has died.
        """
        if not self._is_ready and self._pipe.poll():
            self._receive()
            self._is_ready = True
        return self._is_ready

    def log(self, trial: FrozenTrial, run_id: str | None) -> Logged:
        """Log a trial.

        Args:
            trial: a finished one.
            run_id: its run, if it has one.

        Raises:
            TrackingError: MLflow does not answer.
            LoggingProcessDiedError: the process has died.
        """
        try:
            self._pipe.send((trial, run_id))
        except OSError as error:
            raise LoggingProcessDiedError from error
        answer = self._receive()
        if isinstance(answer, str):
            raise TrackingError(answer)
        return answer

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        atexit.unregister(self.end)

    def _receive(self) -> Logged | str:
        try:
            answer: Logged | str = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LoggingProcessDiedError from error
        return answer


def _serve(pipe: Connection, environment: Mapping[str, str], folder: str, temporary: str, parent: Parent) -> None:
    detach()
    copy_environment(environment)
    os.chdir(folder)
    os.nice(_NICENESS)
    tempfile.tempdir = temporary
    try:
        runs = ChildRuns(connect(), parent)
    except TrackingError:  # the sweep itself will say so
        return
    pipe.send("")  # ready
    while True:
        try:
            trial, run_id = pipe.recv()
        except EOFError:
            return
        if run_id is not None:
            runs.run_ids[trial.number] = run_id
        try:
            answer: Logged | str = runs.log(trial)
        except Exception as error:  # noqa: BLE001 - a tracking server's trouble must not cost a trial
            answer = whole_text(error)
        pipe.send(answer)
