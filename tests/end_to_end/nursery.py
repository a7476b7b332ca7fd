"""Commands in processes of their own that start in a moment: forked from one that has imported the slow libraries.

A forked process runs `python -m MODULE` as a user's does, from the project's own first line on; it can be killed like
any other. Run as a script, this file is the process that forks: `nursery.py SOCKET`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIBRARIES = [
    *("IPython.display", "cloudpickle", "git", "matplotlib.figure", "pandas", "psutil", "tqdm", "yaml"),
    *("hydra.main", "hydra._internal.hydra", "hydra._internal.callbacks"),
    *("mlflow.models", "mlflow.pyfunc", "mlflow.tracing.provider"),
    *("mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store"),
    *("optuna.storages._rdb.storage", "scipy.stats", "sklearn.metrics", "sklearn.model_selection"),
    *("sqlalchemy", "sqlalchemy.dialects.sqlite"),
]


@dataclass
class Command:
    """A command that runs, or ran."""

    pid: int
    out_file: Path
    err_file: Path
    connection: socket.socket

    @property
    def out(self) -> str:
        return self.out_file.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.err_file.read_text(encoding="utf-8")

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = 300) -> int:
        """Its exit code, negative for the signal that ended it."""
        self.connection.settimeout(timeout)
        with self.connection:  # without it, the command is killed
            return int(_line(self.connection))


class Nursery:
    """Starts commands.

    Args:
        folder: for its socket and the commands' output.
        path: more folders for `sys.path`.

    Attributes:
        python_path: the commands' `PYTHONPATH`.
    """

    def __init__(self, folder: Path, path: Sequence[Path]) -> None:
        self._folder = folder
        self._address = str(folder / "socket")
        self._count = 0
        self.python_path = os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")])
        environ = {**os.environ, "PYTHONPATH": self.python_path}
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def start(
        self,
        module: str,
        *arguments: str,
        folder: Path,
        environ: Mapping[str, str],
        kill: str = "",
    ) -> Command:
        """Start `python -m MODULE ARGUMENTS`, or a script.

        Args:
            module: such as `sweeps.run`, or `app.py` for a script in the folder.
            arguments: of the command.
            folder: to run it in.
            environ: its whole environment, but for `PYTHONPATH`.
            kill: `before MODULE:NAME N` or `after MODULE:NAME N`: it kills itself at the N-th call of that function.
        """
        self._count += 1
        out, err = (self._folder / f"{self._count}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        request = {
            "module": module,
            "arguments": arguments,
            "folder": str(folder),
            "environ": {**environ, "PYTHONPATH": self.python_path},
            "kill": kill,
            "out": str(out),
            "err": str(err),
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        connection.sendall(json.dumps(request).encode() + b"\n")
        return Command(int(_line(connection)), out, err, connection)

    def close(self) -> None:
        """End the process that forks; commands that still run are left alone."""
        self._process.kill()
        self._process.communicate()


def user_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without what steers MLflow, Hydra and sweeps."""
    ours = ("MLFLOW_", "HYDRA_", "SWEEPS_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | dict(more or {})


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def _line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            raise EOFError("the nursery is gone")
        received += part
    return received


def _serve(address: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            with contextlib.suppress(ModuleNotFoundError):  # then a command will not need it
                importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:  # who started us is gone
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _watch(connection)
        connection.close()


def _watch(connection: socket.socket) -> None:
    """Fork the command and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(_line(connection))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request)
        return  # not reached: it exits
    connection.sendall(b"%d\n" % pid)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        if select.select([connection], [], [], 0.05)[0]:  # who started it is gone
            os.killpg(pid, signal.SIGKILL)
            os._exit(0)


def _become(request: Mapping[str, Any]) -> None:
    os.setpgid(0, 0)  # as a shell does with a command
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(request["environ"])
    if request["kill"]:
        _arm(*request["kill"].split())
    sys.argv = [request["module"], *request["arguments"]]
    if request["module"].endswith(".py"):
        script = Path(request["folder"], request["module"]).absolute()  # as Python has it
        sys.path[0] = str(script.parent)
        runpy.run_path(str(script), run_name="__main__")
    else:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    sys.exit(0)


def _arm(moment: str, function: str, count: str) -> None:
    """Have this process kill itself at a call of a function."""
    module, _, name = function.partition(":")
    holder: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    original = getattr(holder, last)
    left = int(count)

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        returned = original(*args, **kwargs)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return returned

    setattr(holder, last, call)


if __name__ == "__main__":
    _serve(sys.argv[1])
