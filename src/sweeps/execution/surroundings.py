"""What a trial may change of its process, put back before the next one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of a trial: working directory, environment, import path, signal handlers, threads."""

    directory: str
    environment: Mapping[str, str]
    path: tuple[str, ...]
    handlers: Mapping[int, Any]
    threads: frozenset[int | None]
    children: frozenset[int]

    @classmethod
    def now(cls) -> Surroundings:
        """As they are."""
        return cls(
            os.getcwd(),  # noqa: PTH109 - a text is what chdir takes
            dict(os.environ),
            tuple(sys.path),
            {number: signal.getsignal(number) for number in _SIGNALS},
            frozenset(thread.ident for thread in threading.enumerate()),
            frozenset(child.pid for child in psutil.Process().children()),
        )

    def restore(self) -> bool:
        """Put them back, and end the processes that the trial has left.

        Returns:
            Whether nothing of the trial is left; threads cannot be ended.
        """
        with suppress(OSError):  # somebody has removed it
            os.chdir(self.directory)
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        sys.path[:] = self.path
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        for child in psutil.Process().children(recursive=True):
            if child.pid not in self.children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        return {thread.ident for thread in threading.enumerate()} <= self.threads
