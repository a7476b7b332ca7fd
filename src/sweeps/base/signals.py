"""Ctrl-C and SIGTERM while a sweep runs: the first is noted, so that everything in flight can be closed in order."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sweeps.base.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Catches SIGINT and SIGTERM inside a `with` block; the second one raises `Interrupted` where the program stands.

    Args:
        wake: called when a signal is noted; it runs inside the handler, so it must be reentrant.

    Attributes:
        received: the first signal, None before it.
        received_at: when it came, on the monotonic clock, in seconds.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._before: dict[int, Any] = {}
        self.received: signal.Signals | None = None
        self.received_at = 0.0

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(signal.Signals(number))
        self.received = signal.Signals(number)
        self.received_at = time.monotonic()
        self._wake()


@contextmanager
def time_limit(seconds: float, error: Exception) -> Iterator[None]:
    """Raise an error in the main thread if what is inside takes too long; in any other thread nothing is limited.

    Python raises between two steps of its own, and so do `re` and what else asks for signals while it works; other
    compiled code is not interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def raise_interrupts() -> None:
    """Let SIGINT and SIGTERM raise `Interrupted` from here on, for everything that needs no closing in order."""
    show = sys.unraisablehook

    def send_again(lost: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised in a destructor or a weak reference's callback: there it must come once more."""
        if not isinstance(lost.exc_value, Interrupted):
            show(lost)
            return
        arguments = threading.main_thread().ident, lost.exc_value.received
        is_sent = False
        while not is_sent:
            with suppress(Interrupted):  # a busy machine may deliver it here, while the timer starts
                threading.Timer(0.05, signal.pthread_kill, arguments).start()
                is_sent = True

    sys.unraisablehook = send_again
    for number in _SIGNALS:  # also SIGINT: a shell's background jobs start with it ignored
        signal.signal(number, _raise_interrupted)


def _raise_interrupted(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number))
