"""What a trial may change of its process, put back before the next one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

import psutil

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
_OF_LIBRARIES = ("MLflow", "GetTelemetryConfig", "tqdm_monitor")  # threads that a process keeps, whoever began them
_ENDED_WITHIN = 5.0  # seconds for a process that was killed


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of a trial: directory, environment, import path, signals, streams, threads, processes."""

    directory: str
    environment: Mapping[str, str]
    path: tuple[str, ...]
    handlers: Mapping[int, Any]
    streams: tuple[TextIO, TextIO, TextIO]
    threads: frozenset[int | None]
    descendants: frozenset[int]

    @classmethod
    def now(cls) -> Surroundings:
        """As they are."""
        return cls(
            os.getcwd(),  # noqa: PTH109 - a text is what chdir takes
            dict(os.environ),
            tuple(sys.path),
            {number: signal.getsignal(number) for number in _SIGNALS},
            (sys.stdin, sys.stdout, sys.stderr),
            frozenset(thread.ident for thread in threading.enumerate()),
            frozenset(child.pid for child in _descendants()),
        )

    def restore(self) -> None:
        """Put back directory, environment, import path, standard streams and signal handlers."""
        with suppress(OSError):  # somebody has removed it
            os.chdir(self.directory)
        for name in os.environ.keys() - self.environment.keys():
            del os.environ[name]
        os.environ.update(self.environment)
        sys.path[:] = self.path
        sys.stdin, sys.stdout, sys.stderr = self.streams
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    def end_processes(self) -> None:
        """End the processes that the trial has left; for a process that starts none of its own meanwhile."""
        left = [child for child in _descendants() if child.pid not in self.descendants]
        for child in left:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(left, _ENDED_WITHIN)  # until it is gone, the next trial finds its port or its device taken

    def are_spoiled(self) -> bool:
        """Whether the trial has left threads, which cannot be ended, or closed a standard stream."""
        if any(getattr(stream, "closed", False) for stream in self.streams):
            return True
        new = [thread for thread in threading.enumerate() if thread.ident not in self.threads]
        return any(not (thread.daemon and thread.name.startswith(_OF_LIBRARIES)) for thread in new)


def _descendants() -> list[psutil.Process]:
    """The processes that this one has started, and those that they have started."""
    if sys.platform == "linux":
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return []  # it has none; to look through all of the machine's takes milliseconds a trial
    return psutil.Process().children(recursive=True)
