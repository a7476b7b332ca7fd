"""Logs trials in the thread that calls it, or by a process of its own where that would take too much of its time."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

from optuna.trial import FrozenTrial

from sweeps.base.say import say
from sweeps.tracking.study.children import ChildRuns, Logged
from sweeps.tracking.study.logging_process import LoggingProcess, LoggingProcessDiedError

_RECENT = 20  # trials
_LOOK_EVERY = 0.02  # seconds
_BUSY = 0.5  # of the time of the recent trials; a process takes seconds to start


class TrialLog:
    """Logs each trial once.

    Args:
        children: the runs of the study's trials.

    Attributes:
        seconds: spent on it.
        process: that logs, if there is one.
        is_sweep_over: whether nobody but the log is busy any more.
    """

    def __init__(self, children: ChildRuns) -> None:
        self._children = children
        self._folder, self._environment = Path.cwd(), dict(os.environ)  # a trial in this process may change them
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)  # when logging a trial began and ended
        self._may_have_process = True
        self.seconds = 0.0
        self.process: LoggingProcess | None = None
        self.is_sweep_over = False

    def log(self, trial: FrozenTrial) -> None:
        """Log a trial unless that is done.

        Raises:
            Exception: whatever MLflow raises when it does not answer; a second call resumes it.
        """
        if trial.number in self._children.complete:
            return
        started = time.monotonic()
        logged = self._by_process(trial) or self._children.log(trial)
        self._recent.append((started, time.monotonic()))
        self.seconds += logged.seconds
        if logged.note:
            say(logged.note)

    def end_process(self) -> None:
        """End the process at once, and have no other."""
        self._may_have_process = False
        process, self.process = self.process, None
        if process is not None:
            process.end()

    def _by_process(self, trial: FrozenTrial) -> Logged | None:
        """Log a trial by the process; None while there is none, or it is not ready."""
        if self._may_have_process and self.process is None and self._is_busy():
            self.process = self._started()
        process = self.process
        try:
            if process is not None and self._wait_for(process):
                logged = process.log(trial, self._children.run_ids.get(trial.number))
                self._children.run_ids[trial.number] = logged.run_id
                self._children.complete.add(trial.number)
                return logged
        except LoggingProcessDiedError:
            if not self._may_have_process:  # it was ended while it waited for a server that hangs
                raise
            self.process, self._may_have_process = None, False
            self._children.is_in_doubt = True
        return None

    def _started(self) -> LoggingProcess | None:
        try:
            return LoggingProcess(self._children.parent, self._folder, self._environment)
        except Exception:  # noqa: BLE001 - as a daemon, or without memory; this thread logs as well
            self._may_have_process = False
            return None

    def _wait_for(self, process: LoggingProcess) -> bool:
        """Wait for a process that starts: what this thread logged meanwhile would hold up the trials, if they go on."""
        while not process.is_ready():
            if self.is_sweep_over:
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def _is_busy(self) -> bool:
        if len(self._recent) < _RECENT:
            return False
        spent = sum(ended - started for started, ended in self._recent)
        return spent > _BUSY * (time.monotonic() - self._recent[0][0])
