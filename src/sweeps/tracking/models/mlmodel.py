"""The file `MLmodel` of an artifact, read before MLflow reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from mlflow.models import Model

from sweeps.base.errors import ModelError
from sweeps.tasks.stored_file import as_model_error

_FILE = "MLmodel"
_MOST_BYTES = 2**20  # those that a sweep writes have some two thousand
_DEEPEST = 50


def read_flavor(folder: Path, model_uri: str) -> Mapping[str, Any]:
    """What an artifact says of its `python_function` flavor; empty where it has none.

    Raises:
        ModelError: the file is missing, no YAML, or made to take all memory.
    """
    with as_model_error(f"{model_uri}: its file {_FILE} cannot be read"):
        _check(folder / _FILE)
        flavor = Model.load(str(folder)).flavors.get("python_function", {})
        return dict(flavor)


def _check(file: Path) -> None:
    """Refuse what takes much more to build than to write down: aliases (of aliases of ...), and nesting without end."""
    if (size := file.stat().st_size) > _MOST_BYTES or not file.is_file():
        raise ModelError(f"{file} has {size:,} bytes; at most {_MOST_BYTES:,} are read.")
    depth = 0
    for event in yaml.parse(file.read_text(encoding="utf-8"), yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ModelError(f"{file} has an anchor or an alias; none is read.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ModelError(f"{file} is nested more than {_DEEPEST} deep.")
