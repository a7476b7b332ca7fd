"""The service as tests use it: inside this process, or in one of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .conftest import Workbench
from .nursery import user_environment, wait_until

MODEL = "models:/comments@champion"


@dataclass(frozen=True)
class Answer:
    """An answer of the service."""

    status: int
    body: Any


class Serving:
    """`python -m sweeps.serve` in a process of its own."""

    def __init__(self, bench: Workbench, process: subprocess.Popen[str], log: Path) -> None:
        self.bench = bench
        self.process = process
        self._log = log
        wait_until(lambda: "serving at" in self.log or process.poll() is not None)
        assert process.poll() is None, self.log
        self.address = self.log.partition("serving at ")[2].split()[0]

    @property
    def log(self) -> str:
        """All that it wrote to the screen."""
        return self._log.read_text()

    def get(self, path: str) -> Answer:
        return self._ask(urllib.request.Request(self.address + path))

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        return self._ask(urllib.request.Request(self.address + path, data, headers))

    def version(self) -> str:
        return str(self.get("/health").body["version"])

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, _parsed(response.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _parsed(error.read()))


@contextmanager
def serving(
    bench: Workbench, *arguments: str, environ: Mapping[str, str] | None = None, most_files: int | None = None
) -> Iterator[Serving]:
    """A service of the bench's champion on a free port; killed at the end unless the test has stopped it."""
    limit = [] if most_files is None else ["prlimit", f"--nofile={most_files}"]
    log = bench.folder / f"serve-{os.urandom(4).hex()}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*limit, sys.executable, "-m", "sweeps.serve", MODEL, "--port", "0", *arguments],
            cwd=bench.folder,
            env=user_environment(environ),
            stdout=stream,
            stderr=stream,
            text=True,
            preexec_fn=_hear_ctrl_c,
        )
    try:
        yield Serving(bench, process, log)
    finally:
        process.kill()
        process.wait()


def _hear_ctrl_c() -> None:
    """As in a terminal: what a shell starts in the background ignores it, and so does all that is started there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def tracking_server(bench: Workbench) -> Iterator[tuple[str, Callable[..., None]]]:
    """The address of an `mlflow server` on the bench's store, and a function that kills it, or sends another signal."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--backend-store-uri", bench.uri, "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *arguments],
        cwd=bench.folder,
        env=user_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def die(number: signal.Signals = signal.SIGKILL) -> None:
        os.killpg(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    try:
        wait_until(answers)
        yield f"http://127.0.0.1:{port}", die
    finally:
        if process.poll() is None:
            die()


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()
