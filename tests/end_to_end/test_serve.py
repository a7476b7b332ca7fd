"""`python -m sweeps.serve`: what it answers, what it refuses, and the next version."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sweeps.serve.__main__ import main
from sweeps.serve.app import make_app
from sweeps.serve.holder import ModelHolder
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.service import Service
from sweeps.tasks.text.model import SupervisedTextModel
from sweeps.tracking.models.load import load
from sweeps.tracking.models.versions import ModelSource

from .conftest import Workbench
from .forged import ENDLESS, HOPELESS, put_vectorizer
from .nursery import wait_until
from .serving import MODEL, serving

SMALL = Options(max_body=2_000, max_batch=3, max_text=100, follow_every=0.05)
TEXTS = ["a nice train", "an awful bus"]


def client_for(bench: Workbench, options: Options = SMALL) -> TestClient:
    holder = ModelHolder(ModelSource(bench.client, MODEL), options)
    return TestClient(make_app(Service(holder, options, Metrics())))


@pytest.fixture(scope="module")
def client(two_versions: Workbench) -> Iterator[TestClient]:
    with client_for(two_versions) as client:
        yield client


def test_answers_are_those_of_the_model(client: TestClient, two_versions: Workbench) -> None:
    labels, confidences = load(two_versions.client, "models:/comments/1").score(TEXTS)  # type: ignore[attr-defined]
    expected = [
        {"prediction": label, "confidence": confidence}
        for label, confidence in zip(labels.tolist(), confidences.tolist(), strict=True)
    ]
    model = {"name": "comments", "version": "1"}
    assert client.post("/predict/batch", json={"texts": TEXTS}).json() == {"predictions": expected, "model": model}
    singles = [client.post("/predict", json={"text": text}).json() for text in TEXTS]
    assert singles == [one | {"model": model} for one in expected]


@pytest.mark.parametrize("text", ["", " ", "😀👩‍👩‍👧", "ça va", "שלום", "\u0000", "a" * 100, "😀" * 100], ids=range(8))
def test_every_text_has_an_answer(client: TestClient, text: str) -> None:
    answer = client.post("/predict", json={"text": text})
    assert answer.status_code == 200
    assert answer.json()["prediction"] in ("fair", "hate")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/predict", {"text": "a" * 101}, 422, "text: String should have at most 100 characters"),
        ("/predict", {"text": None}, 422, "text: Input should be a valid string"),
        ("/predict", {"text": 3}, 422, "text: Input should be a valid string"),
        ("/predict", {}, 422, "text: Field required"),
        ("/predict", {"text": "a", "texts": []}, 422, "texts: Extra inputs are not permitted"),
        ("/predict/batch", {"texts": []}, 422, "texts: List should have at least 1 item"),
        ("/predict/batch", {"texts": ["a"] * 4}, 422, "texts: List should have at most 3 items"),
        ("/predict/batch", {"texts": ["a", "b" * 101]}, 422, "texts.1: String should have at most 100 characters"),
        ("/predict/batch", {"texts": ["a" * 3_000]}, 413, "2,000 bytes"),
        ("/recommend", {"user": 1}, 404, "Not Found"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    client: TestClient, path: str, body: Any, status: int, message: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status
    assert message in answer.json()["message"]
    assert set(answer.json()) == {"error", "message"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b"", "application/json", 422),
        (b'{"text": "\\ud800"}', "application/json", 422),
        (b"[" * 1_000, "application/json", 422),
        (b"text=a", "application/x-www-form-urlencoded", 415),
    ],
)
def test_a_body_that_is_no_json_is_refused(client: TestClient, content: bytes, kind: str, status: int) -> None:
    answer = client.post("/predict", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]


def test_a_body_without_declared_length_is_limited_too(client: TestClient) -> None:
    answer = client.post("/predict", content=iter([b" " * 1_500, b" " * 1_500]))
    assert answer.status_code == 413


def test_the_model_is_described(client: TestClient, two_versions: Workbench) -> None:
    about = client.get("/model").json()
    version = two_versions.client.get_model_version("comments", "1")
    assert (about["name"], about["version"], about["run_id"]) == ("comments", "1", version.run_id)
    assert about["metrics"]["test_f1"] == float(version.tags["sweeps.test_f1"])
    assert about["metrics"]["val_f1"] == two_versions.client.get_run(version.run_id).data.metrics["val_f1"]
    assert about["promoted"] == version.tags["sweeps.promoted_at"]
    assert about["positive_label"] == "hate"
    assert about["trouble"] is None


def test_requests_and_predictions_are_counted(client: TestClient) -> None:
    def count(name: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = count('sweeps_predictions_total{version="1"}'), count('sweeps_requests_total{path="/predict/batch"')
    client.post("/predict/batch", json={"texts": TEXTS})
    assert count('sweeps_predictions_total{version="1"}') == before[0] + 2
    assert count('sweeps_requests_total{path="/predict/batch"') == before[1] + 1
    client.post("/predict/batch", content=b" " * 10_000_000, headers={"Content-Type": "application/json"})
    assert count('sweeps_requests_total{path="/predict/batch",status="413"') >= 1
    client.get("/made/up")
    assert "/made" not in client.get("/metrics").text


def test_a_key_is_asked_for_where_there_is_one(two_versions: Workbench) -> None:
    with client_for(two_versions, replace(SMALL, api_key="sesame-ü")) as client:
        for headers in ({}, {"X-API-Key": "wrong"}):
            answer = client.post("/predict", json={"text": "a"}, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
            assert client.get("/model", headers=headers).status_code == 401
        good = {"X-API-Key": "sesame-ü".encode()}
        assert client.post("/predict", json={"text": "a"}, headers=good).status_code == 200
        assert client.get("/health").status_code == 200
        document = client.get("/openapi.json").json()
        assert "APIKeyHeader" in document["components"]["securitySchemes"]
        assert [
            path for path, verbs in document["paths"].items() for verb in verbs.values() if "security" not in verb
        ] == ["/health"]
    assert "sesame" not in repr(replace(SMALL, api_key="sesame-ü"))


def test_pages_of_other_origins_may_call_only_where_they_are_named(client: TestClient, two_versions: Workbench) -> None:
    page = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/predict", headers=page).headers
    with client_for(two_versions, replace(SMALL, origins=("https://a.example",))) as open_client:
        answer = open_client.options("/predict", headers=page)
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        other = open_client.options("/predict", headers=page | {"Origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


def test_an_answer_that_takes_too_long_is_given_up(two_versions: Workbench) -> None:
    with client_for(two_versions, replace(SMALL, timeout=1e-6)) as client:
        answer = client.post("/predict", json={"text": "a"})
        assert (answer.status_code, answer.json()["error"]) in ((504, "timeout"), (408, "body_timeout"))


@pytest.mark.slow
@pytest.mark.parametrize("route", ["/predict", "/predict/batch"])
def test_a_model_that_hangs_is_given_up_and_the_service_serves_on(
    two_versions: Workbench, tmp_path: Path, route: str
) -> None:
    artifacts = next(two_versions.folder.glob("mlruns/*/models/*/artifacts"))
    folder = shutil.copytree(artifacts, tmp_path / "endless")
    put_vectorizer(folder, token_pattern=ENDLESS)
    options = replace(SMALL, timeout=30.0)
    holder = ModelHolder(ModelSource(two_versions.client, str(folder)), options)
    assert isinstance(holder.current.predictor, SupervisedTextModel)
    assert holder.current.predictor.process.seconds == 10.0
    holder.current.predictor.process.seconds = 1.0

    def body(text: str) -> dict[str, Any]:
        return {"text": text} if route == "/predict" else {"texts": [text]}

    with TestClient(make_app(Service(holder, options, Metrics()))) as client, ThreadPoolExecutor(1) as thread:
        hopeless = thread.submit(client.post, route, json=body(HOPELESS))
        assert client.get("/health").status_code == 200  # the event loop is free
        answer = hopeless.result()
        assert (answer.status_code, answer.json()["error"]) == (504, "prediction_timeout")
        assert client.post(route, json=body("bb")).status_code == 200


def test_the_docs_need_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "http" not in page.replace("http://www.w3.org", "")
    assert client.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_the_next_version_is_taken_while_requests_run_and_each_is_answered_by_one(promoted_bench: Workbench) -> None:
    expected = {
        version: load(promoted_bench.client, f"models:/comments/{version}").score(TEXTS)[1].tolist()  # type: ignore[attr-defined]
        for version in ("1", "2")
    }
    seen: list[str] = []
    failures: list[Any] = []
    done = threading.Event()

    def ask(client: TestClient) -> None:
        while not done.is_set():
            many = client.post("/predict/batch", json={"texts": TEXTS}).json()
            one = client.post("/predict", json={"text": TEXTS[0]}).json()
            seen.append(many["model"]["version"])
            if [p["confidence"] for p in many["predictions"]] != expected[many["model"]["version"]]:
                failures.append(many)
            if one["confidence"] != expected[one["model"]["version"]][0]:
                failures.append(one)

    with client_for(promoted_bench) as client:
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for version in ("2", "1", "2"):
            promoted_bench.promote("comments", version)
            wait_until(lambda: client.get("/health").json()["version"] == version)  # noqa: B023 - called at once
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(seen) == {"1", "2"}


def test_a_version_that_does_not_load_leaves_the_old_one_serving(promoted_bench: Workbench) -> None:
    source = promoted_bench.folder / "empty"
    source.mkdir(exist_ok=True)
    (source / "MLmodel").write_text("flavors: {}\n")
    version = promoted_bench.client.create_model_version("comments", str(source))
    with client_for(promoted_bench) as client:
        promoted_bench.promote("comments", str(version.version))
        wait_until(lambda: client.get("/health").json()["trouble"] is not None)
        health = client.get("/health").json()
        assert (health["status"], health["version"]) == ("ok", "1")
        assert health["trouble"].startswith(f"version {version.version} is not taken: ")
        assert client.post("/predict", json={"text": "a"}).json()["model"]["version"] == "1"
        promoted_bench.promote("comments", "2")
        wait_until(lambda: client.get("/health").json()["version"] == "2")
        assert client.get("/model").json()["trouble"] is None


@pytest.mark.slow
def test_the_command_serves_follows_and_ends_in_order(promoted_bench: Workbench) -> None:
    with serving(promoted_bench, environ={"SWEEPS_API_KEY": "sesame"}) as service:
        key = {"X-API-Key": "sesame"}
        assert service.post("/predict", {"text": "a nice train"}, key).body["prediction"] == "fair"
        assert service.post("/predict", {"text": "a nice train"}).status == 401
        promoted_bench.promote("comments", "2")
        wait_until(lambda: service.version() == "2")
        assert service.post("/predict", {"text": "a nice train"}, key).body["model"]["version"] == "2"
        assert service.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in service.log
        assert "sesame" not in service.log


@pytest.mark.slow
def test_a_client_that_is_slow_with_its_headers_is_cut_off(promoted_bench: Workbench) -> None:
    whole = b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
    with serving(promoted_bench, "--timeout", "1") as service:
        address = ("127.0.0.1", int(service.address.rpartition(":")[2]))
        for first in (b"", whole[:25], whole + whole[:25]):
            with socket.create_connection(address, timeout=10) as connection:
                connection.sendall(first)
                answered = b""
                with suppress(ConnectionResetError):
                    while part := connection.recv(65536):
                        answered += part
                assert answered.count(b"200 OK") == first.count(whole)
        assert service.get("/health").status == 200


def test_an_empty_key_is_no_key_and_no_open_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWEEPS_API_KEY", " ")
    with pytest.raises(SystemExit) as ended:
        main(["models:/comments@champion"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("SWEEPS_API_KEY is empty: set it")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["models:/comments@emperor", "--port", "0"], "comments has no alias emperor"),
        (["models:/comments@champion", "--port", "{taken}"], "Choose another: --port 8001"),
        (["models:/comments@champion", "--max-batch", "0"], "more than 0"),
        (["models:/comments@champion", "--host", "203.0.113.1"], "Choose another: --host 127.0.0.1"),
        (["comments"], "comments is not a model address; type models:/comments@champion"),
    ],
)
def test_what_cannot_be_served_is_one_message(
    two_versions: Workbench, arguments: list[str], message: str, unused_port: int
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unused_port))
        taken.listen()
        finished = two_versions.serve(*(a.format(taken=unused_port) for a in arguments))
    assert finished.code in (1, 2)
    assert message in finished.err
    assert "Traceback" not in finished.err
