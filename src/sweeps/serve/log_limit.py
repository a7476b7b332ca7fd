"""Of log lines that clients can cause at will, the first of a kind is logged at once, and the rest as a number."""

from __future__ import annotations

import logging
import threading

_CAUSED_BY_CLIENTS = ("uvicorn.error", "asyncio", "sweeps.serve.guard")

_log = logging.getLogger(__name__)


class LogLimit(logging.Filter):
    """Lets the first record of a kind pass, and logs once in a while how many followed.

    Records are of a kind that share a message before its arguments are filled in, or the attribute `kind`.

    Args:
        seconds: for which records of a kind are counted.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._more: dict[tuple[str, str], int] = {}

    def install(self) -> None:
        """Limit what clients can cause to be logged."""
        for name in _CAUSED_BY_CLIENTS:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is the first of its kind for some time."""
        said = str(record.msg).partition("\n")[0][:200]
        kind = (record.name, getattr(record, "kind", said))
        with self._lock:
            if kind in self._more:
                self._more[kind] += 1
                return False
            self._more[kind] = 0
        timer = threading.Timer(self._seconds, self._sum_up, (kind,))
        timer.daemon = True
        timer.start()
        return True

    def close(self) -> None:
        """Log what has been counted so far."""
        for kind in list(self._more):
            self._sum_up(kind)

    def _sum_up(self, kind: tuple[str, str]) -> None:
        with self._lock:
            n_more = self._more.pop(kind, 0)
        if n_more:
            _log.warning("%s more like this within %g s: %s", f"{n_more:,}", self._seconds, kind[1])
