"""The registered model as MLflow's generic `python_function`: plain data, loaded by this installed module.

An artifact holds no code and no pickle. What it says of itself (its task, the types in it) is compared with what this
package allows, plus what whoever loads it names in `SWEEPS_TRUST` (comma-separated) or with `--trust`.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sweeps.base.build import locate_class
from sweeps.base.errors import ModelError
from sweeps.tasks.base import Predictor, Task
from sweeps.tasks.stored_file import as_model_error, read_json

_DESCRIPTION = "sweeps_model.json"
_FILES = "files"
_FORMAT = 1
_BUILT_IN = "sweeps.tasks."


def save_predictor(predictor: Predictor, task: type[Task], directory: Path, trusted: Sequence[str]) -> None:
    """Write a fitted model and the name of the task that reads it.

    Raises:
        ModelError: it holds a type that is neither built in nor among `trusted`.
    """
    directory.mkdir(parents=True)
    predictor.save(directory / _FILES, trusted)
    described = {"format": _FORMAT, "task": f"{task.__module__}.{task.__qualname__}"}
    (directory / _DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")


def load_predictor(directory: Path, trusted: Sequence[str] = ()) -> Predictor:
    """Read a model back without running code of its artifact.

    Args:
        directory: what `save_predictor` wrote.
        trusted: names of types, and of tasks outside this package, that may be used.

    Raises:
        ModelError: not a model of ours, of a newer format, or in need of more trust.
    """
    trusted = [*trusted, *_trusted_by_environment()]
    with as_model_error(f"{directory} holds no model that a sweep has stored"):
        described = read_json(directory / _DESCRIPTION)
        name, version = str(described["task"]), int(described["format"])
    if version > _FORMAT:
        raise ModelError(f"The model was stored by a newer version of sweeps (format {version}); upgrade sweeps.")
    if not name.startswith(_BUILT_IN) and name not in trusted:
        raise ModelError(
            f"The model is read by {name}, which is not part of sweeps. If you trust that code: --trust {name}, or "
            f"SWEEPS_TRUST={name} in the environment."
        )
    with as_model_error(f"{directory} holds a model that cannot be loaded"):
        task = locate_class(name, "the model's task")
        if not issubclass(task, Task) or inspect.isabstract(task):
            raise ModelError(f"The model names {name} as its task, but that is not a task.")
        return task.load(directory / _FILES, trusted)


def _trusted_by_environment() -> list[str]:
    return [name.strip() for name in os.environ.get("SWEEPS_TRUST", "").split(",") if name.strip()]


class _PyfuncModel:
    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self._predictor.predict(model_input)


def _load_pyfunc(path: str) -> _PyfuncModel:
    """MLflow's entry point for `loader_module` (mlflow.pyfunc documentation, "Creating custom Pyfunc models")."""
    return _PyfuncModel(load_predictor(Path(path)))
