"""The examples in docstrings run in an empty folder, with an MLflow store of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

collect_ignore = ["conftest.py"]  # it has no examples, and tests/ has another of this name


@pytest.fixture(scope="session")
def store_of_examples(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made by the first example that needs it."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(autouse=True)
def folder_of_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_of_examples: str) -> None:
    """Nothing that an example writes stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_of_examples)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
