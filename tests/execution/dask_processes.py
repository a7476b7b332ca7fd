"""`dask scheduler` and `dask worker` as processes on loopback, as one types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from distributed import Client


class DaskProcesses:
    """A scheduler and workers; each has a session of its own, so that it can be killed with all it has started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start_scheduler(self, environ: Mapping[str, str] | None = None) -> str:
        """Start a scheduler and return its address."""
        file = self._folder / "scheduler.json"
        file.unlink(missing_ok=True)
        arguments = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        self.scheduler = self._start(*arguments, environ=environ)
        self._wait_for(file)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            self.address = client.scheduler.address
        return self.address

    def start_worker(
        self, *options: str, n_threads: int = 1, environ: Mapping[str, str] | None = None, n_in_all: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker with its nanny and wait until it is there."""
        arguments = ("worker", self.address, "--host", "127.0.0.1", "--nthreads", str(n_threads), "--no-dashboard")
        local = ("--local-directory", str(self._folder))
        environ = {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"} if environ is None else environ
        process = self._start(*arguments, *local, *options, environ=environ)
        self.workers.append(process)
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(n_in_all or len(self.workers), timeout=120)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        """Leave nothing."""
        for process in (*self.workers, self.scheduler):
            if process is not None:
                self.kill(process)
        self.workers = []

    def _start(self, *arguments: str, environ: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        log = (self._folder / f"dask-{time.monotonic_ns()}.log").open("wb")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=self._folder,
                env={**os.environ, **(environ or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_for(self, file: Path) -> None:
        until = time.monotonic() + 60
        while not file.exists() or not file.stat().st_size:
            assert time.monotonic() < until, "the scheduler did not start"
            time.sleep(0.05)
