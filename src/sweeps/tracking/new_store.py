"""A sqlite store for MLflow that is there with all of its tables, or not at all.

MLflow makes its tables in dozens of steps. Where it is stopped halfway, by a full disk say, it refuses what is left
from then on ("table spans already exists").
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.environment_variables import (
    MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW,
    MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE,
    MLFLOW_SQLALCHEMYSTORE_POOL_SIZE,
    MLFLOW_SQLALCHEMYSTORE_POOLCLASS,
)

from sweeps.base.errors import TrackingError, whole_text

_OF_POOLS = (
    MLFLOW_SQLALCHEMYSTORE_POOL_SIZE,
    MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW,
    MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE,
)
_BESIDE = ("-journal", "-wal", "-shm")  # https://sqlite.org/tempfiles.html


def make_store(file: Path) -> None:
    """Have MLflow make its tables under another name, and give the file its own name when it is complete.

    Args:
        file: absent, and its lock held (`machine_lock`); one that another program makes meanwhile is left as it is.

    Raises:
        TrackingError: it cannot be made, as when the disk is full; nothing is left of it.
    """
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")
    try:
        with _no_connection_kept():
            MlflowClient(f"sqlite:///{partial}").search_experiments(max_results=1)
        if not file.exists():
            partial.rename(file)
    except Exception as error:  # MLflow's, SQLAlchemy's and sqlite's
        raise TrackingError(
            f"The MLflow store {file} cannot be made: {whole_text(error)}. Check that there is "
            f"space and that the folder may be written to, then try again; or set MLFLOW_TRACKING_URI."
        ) from error
    finally:
        for ending in ("", *_BESIDE):
            partial.with_name(partial.name + ending).unlink(missing_ok=True)


@contextmanager
def _no_connection_kept() -> Iterator[None]:
    """Have MLflow close each connection after use: the file is about to get another name."""
    before = {variable.name: os.environ.pop(variable.name, None) for variable in _OF_POOLS}
    before[MLFLOW_SQLALCHEMYSTORE_POOLCLASS.name] = os.environ.get(MLFLOW_SQLALCHEMYSTORE_POOLCLASS.name)
    os.environ[MLFLOW_SQLALCHEMYSTORE_POOLCLASS.name] = "NullPool"
    try:
        yield
    finally:
        os.environ.pop(MLFLOW_SQLALCHEMYSTORE_POOLCLASS.name)
        os.environ.update({name: value for name, value in before.items() if value is not None})
