"""Whether a process that holds a lease is alive, whatever the clocks of the machines say meanwhile."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

STALE = 60.0  # seconds without a sign of life after which a process on another machine counts as dead
_HOST = socket.gethostname()


class SignsOfLife:
    """Follows the processes of other machines by whether their signs change; those of this one are looked up."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}  # by holder: the last sign, and when it came, on our clock

    def is_alive(self, holder: str, lease: Mapping[str, Any]) -> bool:
        """Whether the process lives that has written a lease.

        Args:
            holder: stands for it.
            lease: its last sign of life, with what `this_process` gives.
        """
        if lease["host"] == _HOST:
            started = start_of(int(lease["pid"]))
            return started is not None and abs(started - float(lease["started"])) < 1.0
        now, beat = time.monotonic(), float(lease["beat"])
        if holder not in self._seen:
            # Two clocks are compared here alone, as there is nothing else yet.
            is_fresh = abs(time.time() - beat) < STALE
            self._seen[holder] = beat, now if is_fresh else now - STALE
        elif self._seen[holder][0] != beat:
            self._seen[holder] = beat, now
        return now - self._seen[holder][1] < STALE


def start_of(pid: int) -> float | None:
    """When a process of this machine started, in seconds; None if it is dead. On Linux since the machine's own start.

    There psutil counts from a moment that moves when the clock is set, and takes a process for another one then.
    """
    if sys.platform != "linux":
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).create_time()
        return None
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5)


def this_process() -> dict[str, Any]:
    """What others know this process by."""
    return {"host": _HOST, "pid": os.getpid(), "started": start_of(os.getpid())}
