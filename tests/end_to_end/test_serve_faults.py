"""`python -m sweeps.serve` with clients that mean it no good, and told to end at the wrong moment."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from sweeps.tracking.predictions.spool import FOLDER

from .conftest import Workbench
from .nursery import wait_until
from .serving import Serving, serving, tracking_server
from .youtube_stand_in import KEY, youtube_stand_in

pytestmark = pytest.mark.slow
VIDEO = "dQw4w9WgXcQ"
HEALTH = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
ENDLESS = b"POST /predict HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(path: str, body: bytes, *headers: str, declared: int | None = None) -> bytes:
    """The bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body) if declared is None else declared}"]
    return "\r\n".join([*lines, *(headers or ["Content-Type: application/json"]), "", ""]).encode() + body


def connect(service: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.address.rpartition(":")[2])), timeout=30)


def answered(connection: socket.socket) -> bytes:
    """All that comes until the service has ended the connection."""
    content = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            content += part
    return content


def status_of(service: Serving, *parts: bytes) -> int:
    """Send something, and read no further than the status of the answer."""
    with connect(service) as connection:
        with suppress(ConnectionError):  # it may have heard enough
            for part in parts:
                connection.sendall(part)
        return int(connection.recv(4_096).split()[1])


def peak_memory(service: Serving) -> float:
    """MiB that the process has had at most."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


@pytest.fixture(scope="module")
def service(two_versions: Workbench) -> Iterator[Serving]:
    """A service that is still well when all tests of this module are over."""
    with serving(two_versions, "--no-log", "--timeout", "3") as service:
        yield service
        assert service.get("/health").status == 200
        assert service.post("/predict", {"text": "a nice train"}).status == 200
        assert peak_memory(service) < 1_500
        assert "Traceback" not in service.log, service.log


def test_who_hangs_up_does_no_harm(service: Serving) -> None:
    many = json.dumps({"texts": ["some words here"] * 1_000}).encode()
    requests = [
        post("/predict", b"{", declared=100),
        post("/predict", b'{"text": "a"}'),
        post("/predict/batch", many),
        b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\n\r\n",
        HEALTH * 50,
        post("/predict/batch", many) + HEALTH * 2,
        HEALTH[:20],
    ]
    for request in requests * 20:
        for reset in (False, True):
            with connect(service) as connection:
                connection.sendall(request)
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert service.post("/predict", {"text": "a nice train"}).status == 200
    assert service.log.count("\n") < 10, service.log


def test_invalid_requests_are_summed_up_and_what_else_is_logged_is_not_hidden(promoted_bench: Workbench) -> None:
    upgrade = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with serving(promoted_bench, "--no-log") as service:
        for number in range(303):
            garbage = random.Random(number).randbytes(50) + b"\r\n\r\n"
            with connect(service) as connection:
                connection.sendall(b"\0" + garbage if number % 3 else upgrade)
                connection.recv(4_096)
        promoted_bench.promote("comments", "2")
        wait_until(lambda: service.version() == "2")
        service.stop()
    assert service.log.count("\n") < 15, service.log
    assert "201 more like this within 60 s: Invalid HTTP request received." in service.log
    assert "models:/comments@champion is version 2 now" in service.log


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([HEALTH[:-2], *(b"X-%d: %s\r\n" % (number, b"v" * 20) for number in range(10_000)), b"\r\n"], 431),
        ([HEALTH[:-2] + b"X: ", *[b"v" * 2**20] * 100, b"\r\n\r\n"], 431),
        ([b"GET /", *[b"a" * 2**20] * 10, b" HTTP/1.1\r\n\r\n"], 431),
        ([ENDLESS + b"0\r\n", *[b"a: b\r\n" * 100_000] * 10], 431),
        ([post("/predict", b"", declared=100 * 2**20), *[b" " * 2**20] * 100], 413),
        ([ENDLESS, *[b"100000\r\n" + b" " * 2**20 + b"\r\n"] * 100], 413),
        ([post("/predict", b"", declared=10**18)], 413),
        ([b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n"], 400),
        ([b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\naaaaaa"], 400),
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], 400),
        ([b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n"], 400),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], 400),
        ([b"CONNECT there:443 HTTP/1.1\r\nHost: there\r\n\r\n"], 400),
        ([HEALTH * 100_000], 400),
        ([post("/predict", b"[" * 100_000 + b"]" * 100_000)], 422),
        ([post("/predict", b'{"text": ' * 100_000)], 422),
        ([post("/predict", b'{"text": NaN}')], 422),
        ([post("/predict", b'{"text": -Infinity}')], 422),
        ([post("/predict", b'{"text": 1e999}')], 422),
        ([post("/predict", b'{"text": ' + b"9" * 4_000 + b"}")], 422),
        ([post("/predict", b'{"text": ' + b"9" * 100_000 + b"}")], 422),
        ([post("/predict", b'{"text": "a", "text": "b"}')], 422),
        ([post("/predict", b'{"text": "a", "\\ud800": "b"}')], 422),
        ([post("/predict", b'{"text": "\xff\xfe"}')], 422),
        ([post("/predict/batch", b'{"texts": [' + b"[]," * 2_600_000 + b"[]]}")], 422),
        ([post("/predict/batch", b"{" + b",".join(b'"%x":1' % number for number in range(800_000)) + b"}")], 422),
        ([post("/predict", b'{"text": "a"}', "Content-Type: text/plain")], 415),
        ([post("/predict", b'{"text": "a"}', "Content-Type:")], 415),
        ([post("/predict", b'{"text": "a"}', "Content-Type: application/json, text/html")], 415),
        ([post("/predict", b'{"text": "a"}', "Content-Type: multipart/form-data; boundary=x")], 415),
    ],
    ids=range(30),
)
def test_what_makes_no_sense_is_refused_in_bounded_time(service: Serving, parts: list[bytes], status: int) -> None:
    assert status_of(service, *parts) == status
    assert service.get("/health").status == 200


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (post("/predict", b"", declared=100), b" "),  # answered with 408
        (post("/predict", b"", "Content-Type: text/plain", declared=10**7), b" "),  # answered at once
        (b"GET /health HTTP/1.1\r\nHost: here\r\nContent-Length: 10000000\r\n\r\n", b" "),
        (b"GET /health HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (HEALTH[:-2], b"a: b\r\n"),
        (b"", b"\r\n"),
        (b"nonsense", b"more"),
    ],
    ids=range(7),
)
def test_no_trickle_holds_a_connection_for_ever(service: Serving, first: bytes, again: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(first)
        deadline = time.monotonic() + 60
        with suppress(ConnectionError):
            while time.monotonic() < deadline:
                connection.sendall(again)
                time.sleep(0.1)
        assert time.monotonic() < deadline, "it never happened"


def test_who_takes_no_answers_is_cut_off(service: Serving) -> None:
    page = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\n\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", int(service.address.rpartition(":")[2])))
        connection.sendall(page * 20)
        process, ours = psutil.Process(service.process.pid), connection.getsockname()
        wait_until(lambda: ours in [one.raddr for one in process.net_connections()])
        wait_until(lambda: ours not in [one.raddr for one in process.net_connections()], 60)


def test_connections_that_say_nothing_do_not_use_up_the_files(two_versions: Workbench) -> None:
    with serving(two_versions, "--no-log", "--timeout", "2", most_files=200) as service:
        silent = [connect(service) for _ in range(400)]
        wait_until(lambda: _health_or_none(service) == 200, 60)
        for connection in silent:
            connection.close()
        assert "Traceback" not in service.log, service.log


def _health_or_none(service: Serving) -> int | None:
    with suppress(OSError):
        return service.get("/health").status
    return None


def test_bodies_that_do_not_arrive_take_bounded_memory_together(two_versions: Workbench) -> None:
    with serving(two_versions, "--no-log", "--max-body", "100000", "--timeout", "60") as service:
        held = [connect(service) for _ in range(33)]
        for connection in held:
            connection.sendall(post("/predict", b" " * 99_000, declared=100_000))
        assert held[-1].recv(4_096).startswith(b"HTTP/1.1 503")
        for connection in held:
            connection.close()
        wait_until(lambda: service.post("/predict", {"text": "a nice train"}).status == 200, 60)
        assert "Traceback" not in service.log, service.log


def test_what_is_counted_does_not_grow_with_what_is_asked(service: Serving) -> None:
    def ask(made_up: str) -> None:
        paths = (f"/{made_up}", f"/predict/{made_up}", f"/models/{made_up}@{made_up}", f"/predict?version={made_up}")
        for path in (*paths, f"/static-offline-docs/{made_up}", "/docs", "/redoc", "/openapi.json", f"/%2f{made_up}"):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH"):
                request = f"{method} {path} HTTP/1.1\r\nHost: {made_up}\r\nX-Model: {made_up}\r\nOrigin: {made_up}\r\n"
                status_of(service, request.encode() + b"Content-Length: 2\r\n\r\n{}")
        for key in ("version", "alias", "model", made_up):
            service.post("/predict", {"text": "a", key: made_up}, {"X-API-Key": made_up, "User-Agent": made_up})

    def series() -> set[str]:
        lines = service.get("/metrics").body.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    ask("first")
    known = series() | series()
    for number in range(3):
        ask(f"made-up-{number}")
    assert series() - known == set()
    assert "first" not in "".join(known)


def test_requests_in_flight_are_answered_before_it_ends(two_versions: Workbench) -> None:
    body = b'{"text": "a nice train"}'
    with youtube_stand_in() as stand_in:
        stand_in.videos[VIDEO] = ["a nice train"]
        stand_in.delay = 7
        youtube = {"YOUTUBE_API_KEY": KEY, "SWEEPS_YOUTUBE_URL": stand_in.address}
        with (
            serving(two_versions, "--no-log", environ=youtube) as service,
            ThreadPoolExecutor(9) as threads,
            connect(service) as sending,
        ):
            slow = [threads.submit(service.post, "/analyze/youtube", {"video": VIDEO}) for _ in range(8)]
            sending.sendall(post("/predict", body[:5], declared=len(body)))
            wait_until(lambda: len(stand_in.requests) == 8)
            end = threads.submit(service.stop)
            time.sleep(6)
            sending.sendall(body[5:])
            assert answered(sending).startswith(b"HTTP/1.1 200")
            assert [future.result().status for future in slow] == [200] * 8
            assert end.result() in (0, -signal.SIGTERM)
        assert "Traceback" not in service.log, service.log


def test_a_second_ctrl_c_answers_what_is_in_flight_with_a_refusal(two_versions: Workbench) -> None:
    with youtube_stand_in() as stand_in:
        stand_in.videos[VIDEO] = ["a nice train"]
        stand_in.delay = 20
        youtube = {"YOUTUBE_API_KEY": KEY, "SWEEPS_YOUTUBE_URL": stand_in.address}
        with serving(two_versions, "--no-log", environ=youtube) as service, ThreadPoolExecutor(1) as threads:
            slow = threads.submit(service.post, "/analyze/youtube", {"video": VIDEO})
            wait_until(lambda: len(stand_in.requests) == 1)
            service.process.send_signal(signal.SIGINT)
            time.sleep(2)
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(15) == 128 + signal.SIGINT
            assert slow.result().status == 503
        assert "Exception in ASGI application" not in service.log


def test_under_load_connections_are_answered_or_not_taken(two_versions: Workbench) -> None:
    """Of those that the system takes while the port closes, one may be lost."""
    body = post("/predict/batch", json.dumps({"texts": ["some words here and there"] * 100}).encode())
    outcomes: Counter[str] = Counter()

    def ask(service: Serving, *, keep: bool) -> None:
        while True:
            try:
                connection = connect(service)
            except ConnectionRefusedError:
                return
            with closing(connection):
                for _ in range(20 if keep else 1):
                    try:
                        connection.sendall(body)
                        head = connection.recv(2**20)
                    except ConnectionError:
                        head = b""
                    outcomes[head[9:12].decode() or "nothing"] += 1
                    if b"connection: close" in head or not head:
                        break
                    while not head.endswith(b"}}"):
                        head += connection.recv(2**20)

    with serving(two_versions, "--no-log") as service:
        threads = [threading.Thread(target=ask, args=(service,), kwargs={"keep": n % 2 == 0}) for n in range(30)]
        for thread in threads:
            thread.start()
        wait_until(lambda: outcomes["200"] > 200)
        service.stop()
        for thread in threads:
            thread.join()
    assert set(outcomes) <= {"200", "nothing"}
    assert outcomes["nothing"] <= 2, outcomes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "silent"])
def test_a_tracking_server_that_is_gone_does_not_keep_it_from_ending(
    promoted_bench: Workbench, number: signal.Signals
) -> None:
    folder = promoted_bench.folder / FOLDER
    with (
        tracking_server(promoted_bench) as (address, die),
        serving(promoted_bench, environ={"MLFLOW_TRACKING_URI": address}) as service,
    ):
        assert service.post("/predict/batch", {"texts": ["a"]}).status == 200
        wait_until(lambda: len(promoted_bench.runs("predictions")) == 1)
        die(number)
        for _ in range(3):
            assert service.post("/predict/batch", {"texts": ["a"]}).status == 200
        wait_until(lambda: len(list(folder.glob("*.json"))) >= 3)
        time.sleep(2.5)  # it looks where the alias points, and sends
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) in (0, -signal.SIGTERM)
        assert "prediction logs are waiting" in service.log
        assert "Traceback" not in service.log, service.log
    for file in folder.glob("*"):
        os.unlink(file)  # noqa: PTH108 - of this test alone
