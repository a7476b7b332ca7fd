"""Sends prediction logs to MLflow from a process of its own: `python -m sweeps.tracking.predictions.sender FOLDER`.

MLflow's client takes milliseconds of Python for each run. In a process of its own that time is not taken from
predictions, whatever the server does. It ends when its standard input does, after a last round, or when the server has
taken nothing for some seconds.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

from sweeps.base.errors import SweepsError
from sweeps.base.redact import without_passwords
from sweeps.base.retry import pauses
from sweeps.tracking.predictions.spool import Spool

_PAUSE = 0.5  # seconds between two looks into the folder
_LONGEST_PAUSE = 30.0  # after failures
_PATIENCE = 3.0  # seconds for a server that takes nothing, at the end
_NICENESS = 10

_is_ready = threading.Event()  # everything that sending takes is imported

_log = logging.getLogger("sweeps.tracking.predictions.sender")


def main() -> None:
    """Send until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are meant for the parent, which then closes our input
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    ending = threading.Event()
    spool = Spool(Path(sys.argv[1]))
    threading.Thread(target=_wait_for_the_end, args=(ending, spool), daemon=True).start()
    until = math.inf
    while time.monotonic() < until:
        with spool.sending() as is_ours:
            if is_ours:
                _send(spool, ending, _NICENESS)
                return
        if ending.is_set():  # another service's sender takes our logs, or ends and leaves them to us
            if not spool.waiting():
                return
            until = min(until, time.monotonic() + _LONGEST_PAUSE)
            time.sleep(_PAUSE)
        ending.wait(_PAUSE)


def _send(spool: Spool, ending: threading.Event, niceness: int = 0) -> None:
    from sweeps.tracking.client import connect
    from sweeps.tracking.predictions.runs import send_waiting

    if niceness:
        os.nice(niceness)  # now that what takes seconds on a busy machine has been imported
    _is_ready.set()
    tried = {file.name for file in spool.waiting()}  # an earlier process may have begun to send them
    client = None
    after_failures = None
    while True:
        last = ending.is_set()
        try:
            tried |= spool.reclaim()
            if spool.waiting():
                client = client or connect()
                send_waiting(client, spool, tried)
            pause, after_failures = _PAUSE, None
        except Exception as error:  # noqa: BLE001 - whatever the server does, the logs wait on disk
            if after_failures is None:
                after_failures = pauses(2 * _PAUSE, _LONGEST_PAUSE)
                _log.warning("%s prediction logs wait in %s: %s", len(spool.waiting()), spool.folder, _reason(error))
            pause = next(after_failures)
        if last:
            return
        ending.wait(pause)


def send_soon(spool: Spool, patience: float) -> bool:
    """Send what waits from this process, for some seconds.

    Returns:
        Whether nothing waits any more.
    """
    ending = threading.Event()
    ending.set()

    def send() -> None:
        while spool.waiting():
            with spool.sending() as is_ours:
                if is_ours:
                    _send(spool, ending)
                    return
            time.sleep(_PAUSE)  # a service in this folder is at it

    thread = threading.Thread(target=send, daemon=True)  # a server that hangs shall not keep the process
    thread.start()
    thread.join(patience)
    return not spool.waiting()


def _wait_for_the_end(ending: threading.Event, spool: Spool) -> None:
    """Have the last round begin, and see to it that it ends: a server that is dead keeps a request for many seconds."""
    sys.stdin.buffer.read()
    ending.set()
    _is_ready.wait()
    left, since = len(spool.waiting()), time.monotonic()
    while time.monotonic() < since + _PATIENCE:
        time.sleep(0.1)
        if len(spool.waiting()) < left:
            left, since = len(spool.waiting()), time.monotonic()
    os._exit(1)  # what waits is on disk


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, SweepsError) else f"{type(error).__name__}: {error}"
    return without_passwords(text).splitlines()[0]


if __name__ == "__main__":
    main()
