"""Predictions become MLflow runs, once each, whatever the tracking server does."""

from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Run

from sweeps.tracking.predictions.background_log import SINGLE, BackgroundLog
from sweeps.tracking.predictions.batch import MAX_INPUT_CHARACTERS, PredictionBatch
from sweeps.tracking.predictions.runs import log_predictions, send_waiting
from sweeps.tracking.predictions.spool import FOLDER, Spool

from .conftest import Workbench
from .nursery import wait_until
from .serving import MODEL, serving, tracking_server

TEXTS = ["a nice train", "an awful bus", "an ugly car"]


def batch(n: int = 3, source: str = "batch", inputs: list[str] | None = None) -> PredictionBatch:
    labels = ["hate" if number % 3 else "fair" for number in range(n)]
    return PredictionBatch.of(
        labels,
        [0.5] * n,
        model="comments",
        version="1",
        run_id="abc",
        source=source,
        seconds=0.25,
        positive_label="hate",
        inputs=inputs,
    )


def logged(bench: Workbench) -> list[Run]:
    return bench.runs("predictions")


def waiting(bench: Workbench) -> int:
    return len(list((bench.folder / FOLDER).glob("*.json")))


@pytest.fixture
def promoted_bench(promoted_bench: Workbench) -> Iterator[Workbench]:
    yield promoted_bench
    shutil.rmtree(promoted_bench.folder / FOLDER, ignore_errors=True)


@given(st.lists(st.tuples(st.sampled_from(["fair", "hate"]), st.floats(0, 1) | st.just(math.nan)), max_size=30))
def test_merged_batches_count_as_one_would(pairs: list[tuple[str, float]]) -> None:
    def of(some: list[tuple[str, float]]) -> PredictionBatch:
        return PredictionBatch.of(
            [label for label, _ in some],
            [confidence for _, confidence in some],
            model="m",
            version=None,
            run_id=None,
            source=SINGLE,
            seconds=1.0,
            positive_label="hate",
            inputs=[label for label, _ in some],
        )

    whole, parts = of(pairs), of(pairs[:10]).merged(of(pairs[10:]))
    assert (parts.n_predictions, parts.n_positive, parts.n_confident) == (
        len(pairs),
        whole.n_positive,
        whole.n_confident,
    )
    assert whole.n_positive == sum(label == "hate" for label, _ in pairs)
    assert parts.sum_confidence == pytest.approx(whole.sum_confidence)
    assert parts.inputs == whole.inputs
    assert (parts.seconds, parts.n_calls) == (2.0, 2)
    assert PredictionBatch.from_json(parts.to_json()) == parts


def test_inputs_are_kept_up_to_a_limit_and_the_rest_counted() -> None:
    long = "x" * (MAX_INPUT_CHARACTERS // 3)
    one = batch(4, inputs=[long] * 4)
    assert (len(one.inputs), one.n_inputs_left_out) == (2, 2)
    both = one.merged(one)
    assert (len(both.inputs), both.n_inputs_left_out, both.n_predictions) == (2, 6, 8)


def test_a_batch_becomes_a_run_with_counts_and_origin(bench: Workbench) -> None:
    run = bench.client.get_run(log_predictions(bench.client, batch()))
    assert bench.client.get_experiment(run.info.experiment_id).name == "comments-predictions"
    assert run.data.params == {"model": "comments", "version": "1", "trial_run_id": "abc", "source": "batch"}
    expected = {"n_predictions": 3, "n_positive": 2, "mean_confidence": 0.5, "duration_seconds": 0.25, "n_calls": 1}
    assert run.data.metrics == expected
    assert (run.info.status, run.info.end_time - run.info.start_time) == ("FINISHED", 250)


def test_a_batch_cut_off_while_it_was_sent_is_completed_and_not_doubled(bench: Workbench, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.make()
    spool.put(batch())
    (file,) = spool.waiting()
    log_predictions(bench.client, batch_of(file))  # and killed before the file was removed
    send_waiting(bench.client, spool, tried={file.name})
    assert len(logged(bench)) == 1
    assert spool.waiting() == []


def batch_of(file: Path) -> PredictionBatch:
    return PredictionBatch.from_json(file.read_text())


def test_what_mlflow_will_never_take_is_set_aside_and_the_rest_sent(bench: Workbench, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.make()
    (spool.folder / "0-torn.json").write_text('{"model": "comm')
    spool.put(batch())
    send_waiting(bench.client, spool, set())
    assert len(logged(bench)) == 1
    assert [path.name for path in spool.folder.iterdir()] == ["0-torn.refused"]


def test_a_full_folder_bounds_what_waits_and_no_prediction_goes_uncounted(tmp_path: Path) -> None:
    merged = []
    spool = Spool(tmp_path / "spool", max_files=5)
    log = BackgroundLog(spool, flush=0.1, on_merged=lambda: merged.append(1))
    with sending_process(spool):  # so that the log's own sends nothing
        log.start()
        for _ in range(3_000):
            log.add(batch(inputs=["a", "b", "c"]))
        wait_until(lambda: not log._incoming)
        assert len(spool.waiting()) <= 5
        assert log.waiting() <= 6
        log._gathered_since = -60.0
        wait_until(lambda: len(held(spool)) == 1)  # what the folder has no room for outlives the process, too
        log.close()
    kept = [batch_of(file) for file in spool.waiting()]
    assert sum(one.n_predictions for one in kept) == 9_000
    assert sum(one.n_calls for one in kept) == 3_000
    assert sum(len(one.inputs) + one.n_inputs_left_out for one in kept) == 9_000
    assert len(merged) >= 2_990
    assert not held(spool)


@contextmanager
def sending_process(spool: Spool) -> Iterator[None]:
    spool.make()
    with spool.sending() as is_ours:
        assert is_ours
        yield


def test_single_predictions_are_gathered_and_the_folder_is_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    log = BackgroundLog(spool, gather=60, flush=0.1)
    with sending_process(spool):
        log.start()
        for _ in range(10):
            log.add(batch(1, SINGLE))
        log.close()
    (file,) = spool.waiting()
    assert batch_of(file).n_predictions == 10
    assert oct(spool.folder.stat().st_mode)[-3:] == "700"


def test_what_a_killed_process_had_gathered_is_adopted_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    log = BackgroundLog(spool, gather=60, flush=0.1)
    with sending_process(spool):
        log.start()
        log.add(batch(1, SINGLE))
        wait_until(lambda: len(held(spool)) == 1)
        code = (
            "import os, signal; from pathlib import Path; from sweeps.tracking.predictions.spool import Spool;"
            "from sweeps.tracking.predictions.batch import PredictionBatch;"
            f"batch = PredictionBatch.from_json({batch(1, SINGLE).to_json()!r});"
            f"spool = Spool(Path({str(spool.folder)!r})); spool.hold(batch); spool.hold(batch.merged(batch));"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", code], check=False)
        assert len(held(spool)) == 2
        (reclaimed,) = Spool(spool.folder).reclaim()
        assert [file.name for file in spool.waiting()] == [reclaimed]
        assert batch_of(spool.folder / reclaimed).n_predictions == 2
        log.close()
    assert sorted(batch_of(file).n_predictions for file in spool.waiting()) == [1, 2]
    assert [file.name for file in spool.folder.iterdir() if file.name.startswith(".")] == [".lock"]


def test_a_folder_that_somebody_removes_is_made_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.make()
    spool.hold(batch(1, SINGLE))
    shutil.rmtree(spool.folder)
    spool.hold(batch(2, SINGLE))
    shutil.rmtree(spool.folder)
    assert spool.put(batch(3))
    assert [batch_of(file).n_predictions for file in spool.waiting()] == [3]
    spool.close()


def held(spool: Spool) -> list[Path]:
    return list(spool.folder.glob(".*.held"))


def test_a_disk_that_refuses_loses_nothing_while_the_process_lives(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    log = BackgroundLog(spool, flush=0.1)
    with sending_process(spool):
        log.start()
        moved = spool.folder.rename(tmp_path / "moved")
        spool.folder.touch()  # a file where the folder should be
        log.add(batch())
        wait_until(lambda: bool(log._crowded))
        spool.folder.unlink()
        moved.rename(spool.folder)
        log.close()
    assert [batch_of(file).n_predictions for file in spool.waiting()] == [3]


def test_the_last_logs_are_sent_although_an_earlier_service_is_not_done_with_its_own(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", bench.uri)
    spool = Spool(tmp_path / "spool")
    log = BackgroundLog(spool, flush=60)
    with ExitStack() as earlier:
        earlier.enter_context(sending_process(spool))
        log.start()
        log.add(batch())
        wait_until(lambda: bool(spool.waiting()))
        threading.Timer(2.0, earlier.pop_all().close).start()
    log.close()
    assert spool.waiting() == []
    assert len(logged(bench)) == 1


@pytest.mark.slow
def test_the_service_logs_batches_and_singles_and_flushes_when_it_ends(promoted_bench: Workbench) -> None:
    with serving(promoted_bench, "--log-inputs") as service:
        for _ in range(2):
            assert service.post("/predict/batch", {"texts": TEXTS}).status == 200
        for text in TEXTS:
            assert service.post("/predict", {"text": text}).status == 200
        service.stop()
    runs = logged(promoted_bench)
    assert sorted(run.data.params["source"] for run in runs) == ["batch", "batch", "predict"]
    trial = promoted_bench.client.get_model_version("comments", "1").run_id
    for run in runs:
        assert run.data.metrics["n_predictions"] == 3
        assert run.data.metrics["n_positive"] == 2
        assert 0.5 <= run.data.metrics["mean_confidence"] <= 1
        assert run.data.params["trial_run_id"] == trial
        lines = promoted_bench.client.download_artifacts(run.info.run_id, "inputs.jsonl")
        assert [json.loads(line)["input"] for line in Path(lines).read_text().splitlines()] == TEXTS
    assert waiting(promoted_bench) == 0


@pytest.mark.slow
def test_a_killed_service_loses_no_prediction_and_texts_are_not_kept_unasked(promoted_bench: Workbench) -> None:
    """With a server that has died, the logs wait on disk; the next service sends them, each once."""
    with (
        tracking_server(promoted_bench) as (address, die),
        serving(promoted_bench, environ={"MLFLOW_TRACKING_URI": address}) as service,
    ):
        die()
        for _ in range(20):
            assert service.post("/predict/batch", {"texts": TEXTS}).status == 200
        assert service.post("/predict", {"text": TEXTS[0]}).status == 200
        wait_until(lambda: waiting(promoted_bench) == 20)
        wait_until(lambda: any((promoted_bench.folder / FOLDER).glob(".*.held")))
        assert service.get("/health").body["status"] == "ok"
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    content = "".join(file.read_text() for file in (promoted_bench.folder / FOLDER).glob("*.json"))
    assert "nice" not in content
    assert logged(promoted_bench) == []
    with serving(promoted_bench) as service:
        wait_until(lambda: waiting(promoted_bench) == 0)
    assert sorted(run.data.metrics["n_predictions"] for run in logged(promoted_bench)) == [1] + [3] * 20


def test_a_server_that_never_answers_keeps_nobody_waiting_and_loses_nothing(
    promoted_bench: Workbench, tmp_path: Path
) -> None:
    """The log goes to a port that accepts and stays silent."""
    spool = Spool(tmp_path / "spool")
    log = BackgroundLog(spool, flush=0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        log.start()
        for _ in range(500):
            log.add(batch())
        log.close()
    assert sum(batch_of(file).n_calls for file in spool.waiting()) == 500


def test_predict_logs_when_asked(promoted_bench: Workbench) -> None:
    file = promoted_bench.folder / "to_log.csv"
    file.write_text("text\n" + "\n".join(TEXTS) + "\n")
    assert promoted_bench.predict(MODEL, str(file)).code == 0
    assert logged(promoted_bench) == []
    finished = promoted_bench.predict(MODEL, str(file), "--log")
    assert (finished.code, finished.err) == (0, "")
    (run,) = logged(promoted_bench)
    assert run.data.params["source"] == "sweeps.predict"
    assert run.data.params["version"] == "1"
    assert run.data.metrics["n_positive"] == 2
    assert promoted_bench.client.list_artifacts(run.info.run_id) == []
