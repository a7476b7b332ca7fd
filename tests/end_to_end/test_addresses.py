"""One reading of a store's address in every command: query strings, `~`, folders of files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Workbench, text_csv, write_texts
from .serving import MODEL, serving

FILES = {"MLFLOW_TRACKING_URI": "./mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}
QUERY = {"MLFLOW_TRACKING_URI": "sqlite:///stores/mlflow.db?timeout=30"}
MODULES = ["run", "sync", "rerun", "predict", "promote", "serve"]


def arguments(module: str, texts: Path) -> list[str]:
    """What a command takes beside the store, after a sweep called `s`."""
    return {
        "run": ["-m", *text_csv(texts), "model=logistic", "n_trials=1", "n_jobs=0", "study_name=s"],
        "sync": ["multirun/s"],
        "rerun": ["multirun/s/0"],
        "predict": [MODEL, str(texts)],
        "promote": ["comments", "1"],
        "serve": [MODEL, "--port", "0"],
    }[module]


def misnamed(bench: Workbench) -> list[str]:
    """What an address that was taken for a name leaves."""
    return [path for path in bench.left() if any(part in path for part in ("?", "~", "sqlite:", "file:"))]


@pytest.mark.slow
@pytest.mark.parametrize("environ", [QUERY, FILES], ids=["query", "files"])
def test_every_command_finds_the_same_store(empty_bench: Workbench, texts: Path, environ: dict[str, str]) -> None:
    (empty_bench.folder / "stores").mkdir()
    for module in MODULES[:-1]:
        done = empty_bench.command(f"sweeps.{module}", *arguments(module, texts), environ=environ)
        assert done.code == 0, (module, done.err)
    with serving(empty_bench, environ=environ) as service:
        assert service.post("/predict", {"text": "good day"}).status == 200
        service.stop()
    assert misnamed(empty_bench) == []


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, texts: Path) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("swept"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    bench.sweep(*arguments("run", texts)[1:])
    return bench


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "uri"), [*((module, "sqlite:///~/x.db?timeout=3") for module in MODULES), ("run", "~/mlruns")]
)
def test_a_home_that_nobody_would_replace_is_refused_alike(
    swept: Workbench, texts: Path, module: str, uri: str
) -> None:
    before = swept.left()
    done = swept.command(f"sweeps.{module}", *arguments(module, texts), environ={"MLFLOW_TRACKING_URI": uri})
    assert done.code == 1
    (line,) = done.err.strip().splitlines()
    said, typed = line.split(". ")
    assert said == f"MLFLOW_TRACKING_URI={uri}: ~ is not replaced in an address"
    assert typed == f"Type the whole path: MLFLOW_TRACKING_URI={uri.replace('~', str(Path.home()))}"
    assert swept.left() == before


@pytest.mark.slow
def test_a_study_whose_address_has_a_query_is_resumed_and_synced(bench: Workbench, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "comments.csv")
    storage = "storage='sqlite:///studies.db?timeout=30'"
    done = bench.command("sweeps.run", *arguments("run", texts), storage)
    assert done.code == 0, done.err
    resumed = bench.command("sweeps.resume", "multirun/s", "n_trials=2")
    assert resumed.code == 0, resumed.err
    synced = bench.command("sweeps.sync", "multirun/s")
    assert synced.code == 0, synced.err
    assert len(bench.runs("trial")) == 2
    assert misnamed(bench) == []
