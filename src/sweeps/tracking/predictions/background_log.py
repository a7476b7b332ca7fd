"""Prediction logs that never keep a prediction waiting: memory, then disk, then MLflow from another process."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from sweeps.tracking.predictions.batch import PredictionBatch
from sweeps.tracking.predictions.spool import Spool

SINGLE = "predict"  # the source of predictions asked for one by one
_WRITE_EVERY = 0.2  # seconds
_RESTART_AFTER = 30.0  # seconds before a sender that has died is started again
_IN_MEMORY = 1_000

_log = logging.getLogger(__name__)


class BackgroundLog:
    """Takes batches in microseconds and sees to it that each is logged once.

    A batch becomes a run of its own; predictions asked for one by one are gathered for `gather` seconds, in a file that
    grows, and become a run together. Where too much waits, in memory or on disk, batches of the same version and source
    are merged, so that no prediction goes uncounted and nothing grows. What is on disk outlives the process.

    Args:
        spool: the folder on disk.
        gather: seconds for which single predictions are gathered.
        flush: seconds that `close` waits for MLflow to have everything.
        on_merged: told of every merge for want of room.
    """

    def __init__(
        self, spool: Spool, gather: float = 10.0, flush: float = 10.0, on_merged: Callable[[], None] = lambda: None
    ) -> None:
        self._spool = spool
        self._gather = gather
        self._flush = flush
        self._on_merged = on_merged
        self._lock = threading.Lock()
        self._incoming: deque[PredictionBatch] = deque()
        self._singles: dict[tuple[str, ...], PredictionBatch] = {}
        self._gathered_since = time.monotonic()
        self._crowded: dict[tuple[str, ...], PredictionBatch] = {}  # merged, since there was no room
        self._disk_refuses = False
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="write prediction logs", daemon=True)
        self._sender: subprocess.Popen[bytes] | None = None
        self._sender_started = 0.0

    def start(self) -> None:
        """Begin to write and to send.

        Raises:
            ConfigError: the folder cannot be made.
        """
        self._spool.make()
        self._start_sender()
        self._writer.start()

    def add(self, batch: PredictionBatch) -> None:
        """Take a batch; from any thread."""
        with self._lock:
            if len(self._incoming) < _IN_MEMORY:
                self._incoming.append(batch)
            else:
                self._crowd(batch)

    def waiting(self) -> int:
        """How many are not logged yet, about."""
        return len(self._incoming) + len(self._singles) + len(self._crowded) + self._spool.usage()[0]

    def close(self) -> None:
        """Write everything to disk, and give MLflow `flush` seconds to take it."""
        self._closing.set()
        self._writer.join()
        self._spool.close()
        if self._sender is None or self._sender.stdin is None:
            return
        with suppress(OSError):  # it has died: the next one will send
            self._sender.stdin.close()
        try:
            self._sender.wait(self._flush)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            self._sender.wait()
        left = len(self._spool.waiting())
        if left:
            _log.warning("%s prediction logs are waiting in %s; the next service sends them", left, self._spool.folder)

    def _write(self) -> None:
        last = False
        while not last:
            last = self._closing.wait(_WRITE_EVERY)
            self._write_incoming(always=last)
            if last or time.monotonic() > self._gathered_since + self._gather:
                self._write_merged(always=last)
                self._gathered_since = time.monotonic()
            if self._sender is not None and self._sender.poll() is not None and not last:
                self._start_sender()

    def _write_incoming(self, *, always: bool) -> None:
        with self._lock:
            taken, self._incoming = self._incoming, deque()
        grown = set()
        for batch in taken:
            if batch.source == SINGLE:
                _merge_into(self._singles, batch)
                grown.add(batch.key)
            elif not self._put(batch, always=always):
                with self._lock:
                    self._crowd(batch)
        for key in grown:
            with suppress(OSError):  # it is in memory
                self._spool.hold(self._singles[key])

    def _write_merged(self, *, always: bool) -> None:
        with self._lock:
            crowded, self._crowded = self._crowded, {}
        left = [batch for batch in [*self._singles.values(), *crowded.values()] if not self._put(batch, always=always)]
        self._singles = {}
        with self._lock:
            for batch in left:
                _merge_into(self._crowded, batch)
            crowded = dict(self._crowded)
        for batch in crowded.values():
            with suppress(OSError):  # it is in memory
                self._spool.hold(batch)

    def _put(self, batch: PredictionBatch, *, always: bool) -> bool:
        """Write to disk; a disk that refuses is as good as a full folder."""
        try:
            kept = self._spool.put(batch, always=always)
        except OSError as error:
            if not self._disk_refuses or always:
                _log.warning("prediction logs cannot be written to %s: %s", self._spool.folder, error)
            self._disk_refuses = True
            return False
        self._disk_refuses = False
        return kept

    def _crowd(self, batch: PredictionBatch) -> None:
        _merge_into(self._crowded, batch.without_inputs())
        self._on_merged()

    def _start_sender(self) -> None:
        if self._sender is not None and time.monotonic() < self._sender_started + _RESTART_AFTER:
            return
        self._sender_started = time.monotonic()
        self._sender = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "sweeps.tracking.predictions.sender", str(self._spool.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


def _merge_into(batches: dict[tuple[str, ...], PredictionBatch], batch: PredictionBatch) -> None:
    before = batches.get(batch.key)
    batches[batch.key] = batch if before is None else before.merged(batch)
