"""An object in a process of its own, whose methods are called with a time limit.

A thread cannot be stopped while compiled code holds the interpreter's lock, as `re` does; a process can.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeps.base.errors import ModelError, PredictionTimeoutError, SweepsError
from sweeps.tasks.stored_file import reason

_READY_WITHIN = 120.0  # seconds to start and to import what the object needs
_ORPHAN_ENDS_AFTER = 5.0  # seconds past the limit, where nobody is left to end the process


class Supervised:
    """An object whose methods are called in another process, by one thread at a time.

    The process starts with the first call, and anew with the next one after it had to be ended or has died.

    Args:
        subject: the object; it is pickled, and its class is importable.
        seconds: that a call may take.
    """

    def __init__(self, subject: object, seconds: float) -> None:
        self.seconds = seconds
        self._packed = pickle.dumps(subject)
        self._lock = threading.Lock()
        self._pipe: Connection | None = None
        self._end: Any = None  # ends the process, also when this object goes

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of a method.

        Raises:
            PredictionTimeoutError: it took too long, and its process was ended.
            ModelError: its process has died.
            SweepsError: what the method raises.
        """
        with self._lock:
            try:
                pipe = self._pipe or self._start()
                pipe.send((method, arguments, self.seconds + _ORPHAN_ENDS_AFTER))
                is_result, found = pipe.recv() if pipe.poll(self.seconds) else (False, self._timeout())
            except (EOFError, OSError) as error:
                self._stop()
                raise ModelError("The model's process died while it predicted.") from error
            except BaseException:  # also Ctrl-C: the answer would be taken for that of the next call
                self._stop()
                raise
        if not is_result:
            raise found
        return found

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        command = f"from sweeps.tasks.supervised import serve; serve({theirs.fileno()})"
        process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-c", command],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # predictions may be written to ours
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            process_group=0,  # Ctrl-C is for the one who waits
        )
        theirs.close()
        self._end = weakref.finalize(self, _end, process, ours)
        ours.send_bytes(self._packed)
        if not ours.poll(_READY_WITHIN):
            raise ModelError(f"The model's process was not ready within {_READY_WITHIN:g} s.")
        ours.recv()
        self._pipe = ours
        return ours

    def _timeout(self) -> PredictionTimeoutError:
        self._stop()
        return PredictionTimeoutError(f"The model did not answer within {self.seconds:g} s.")

    def _stop(self) -> None:
        self._pipe = None
        if self._end is not None:
            self._end()


def _end(process: subprocess.Popen[bytes], pipe: Connection) -> None:
    pipe.close()
    process.kill()
    process.wait()


def serve(handle: int) -> None:
    """Answer calls until nobody is there to ask; the other end of `Supervised`."""
    pipe = Connection(handle)
    with suppress(EOFError, OSError), open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a plain file for faulthandler
        subject = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from the process that started this one
        pipe.send("ready")
        while True:
            method, arguments, seconds = pipe.recv()
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
            try:
                answer = True, getattr(subject, method)(*arguments)
            except SweepsError as error:
                answer = False, error
            except Exception as error:  # noqa: BLE001 - it is given to who asked
                answer = False, ModelError(f"The model cannot predict: {reason(error)}.")
            faulthandler.cancel_dump_traceback_later()
            pipe.send(answer)
