"""A new sqlite store for MLflow: whole or absent, whatever stops its making and however many begin at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sweeps.study.storage import sqlite_file
from sweeps.tracking.client import connect

CONNECT = """
import resource, sys
from sweeps.base.errors import TrackingError
from sweeps.tracking.client import connect
if int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
try:
    connect()
except TrackingError as error:
    sys.exit(str(error))
"""


def start(folder: Path, uri: str = "sqlite:///mlflow.db", largest_file: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONNECT, str(largest_file)],
        cwd=folder,
        env={**ENVIRONMENT, "MLFLOW_TRACKING_URI": uri},
        stderr=subprocess.PIPE,
        text=True,
    )


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


def experiments(file: Path) -> list[str]:
    with sqlite3.connect(file) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [name for (name,) in store.execute("SELECT name FROM experiments")]


@pytest.mark.parametrize("largest_file", [4_096, 100_000, 200_000, 300_000, 400_000, 600_000, 700_000])
def test_a_store_that_cannot_be_finished_is_one_message_and_leaves_nothing(tmp_path: Path, largest_file: int) -> None:
    process = start(tmp_path, largest_file=largest_file)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.startswith(f"The MLflow store {tmp_path / 'mlflow.db'} cannot be made: ")
    assert "space" in said
    assert len(said.splitlines()) == 1, said
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without the space for all of the tables."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_and_the_store_is_made_when_there_is_space(small_disk: Path) -> None:
    process = start(small_disk)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, list(small_disk.iterdir())) == (1, [])
    assert "database or disk is full" in said
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    process = start(small_disk)
    assert process.communicate(timeout=120) == (None, "")
    assert experiments(small_disk / "mlflow.db") == ["Default"]


@pytest.mark.slow
def test_eight_first_processes_make_one_store(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(8)]
    assert [process.communicate(timeout=300)[1] for process in processes] == [""] * 8
    assert experiments(tmp_path / "mlflow.db") == ["Default"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("partial")] == []


@pytest.mark.parametrize("uri", ["sqlite:///{}/new/m.db", "sqlite:///{}/m.db?timeout=30", "sqlite+pysqlite:///{}/m.db"])
def test_a_store_is_made_at_its_address_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(tmp_path))
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "3")
    experiment = connect().create_experiment("mine")
    file = sqlite_file(uri.format(tmp_path))
    assert file is not None
    assert sorted(experiments(file)) == ["Default", "mine"]
    assert MlflowClient(f"sqlite:///{file}").get_experiment(experiment).artifact_location.startswith("/")
    assert connect(must_exist=True).get_experiment(experiment).name == "mine"


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////tmp/b.db", "/tmp/b.db"),
        ("sqlite:///b.db?timeout=3", "b.db"),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("sqlite:///file:b.db?mode=ro&uri=true", None),
        ("postgresql://user:word@host/name", None),
        ("http://host:5000", None),
        ("./mlruns", None),
        ("databricks", None),
        ("", None),
    ],
)
def test_the_file_of_an_address(uri: str, file: str | None) -> None:
    assert sqlite_file(uri) == (None if file is None else Path(file).resolve())
