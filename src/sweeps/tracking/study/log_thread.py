"""A thread that logs trials one after another and waits out a server that is down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from optuna.trial import FrozenTrial

from sweeps.base.errors import whole_text
from sweeps.base.retry import pauses
from sweeps.base.say import say

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0  # seconds before a server that failed is asked again
_LAST_CALL = 60.0  # seconds that one trial may take at the end; a call that takes longer hangs


class LogThread:
    """Logs trials in the order they come.

    Args:
        log: logs one trial; whatever it raises, the trial is tried again later.
    """

    def __init__(self, log: Callable[[FrozenTrial], None]) -> None:
        self._log = log
        self._queue: SimpleQueue[FrozenTrial | None] = SimpleQueue()
        self._is_closing = threading.Event()
        self._is_failing = False
        self._n_logged = 0
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def put(self, trial: FrozenTrial) -> None:
        """Have a trial logged."""
        self._queue.put(trial)

    def close(self) -> bool:
        """End the thread; if the server is down, trials stay unlogged.

        Returns:
            Whether the thread could be ended; if not, a call to the server hangs.
        """
        self._queue.put(None)
        self._is_closing.set()
        n_logged, deadline = self._n_logged, time.monotonic() + _LAST_CALL
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(1.0)
            if self._n_logged > n_logged:
                n_logged, deadline = self._n_logged, time.monotonic() + _LAST_CALL
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (trial := self._queue.get()) is not None:
            self._log_patiently(trial)
            if self._is_closing.is_set() and self._is_failing:
                return

    def _log_patiently(self, trial: FrozenTrial) -> None:
        for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE):
            try:
                self._log(trial)
            except Exception as error:  # noqa: BLE001 - a tracking server's trouble must not cost a trial
                if not self._is_failing:
                    say(f"MLflow: {whole_text(error)}; missing trials are logged later.")
                self._is_failing = True
            else:
                self._is_failing = False
                self._n_logged += 1
                return
            if self._is_closing.wait(pause):
                return
