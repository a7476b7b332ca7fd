"""Waiting for a sqlite store of MLflow that another process has locked."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from mlflow import MlflowClient
from sqlalchemy.exc import DBAPIError

_PATIENCE = 300.0  # seconds that another process may lock a store; each of MLflow's own tries waits twenty of them

T = TypeVar("T")


def patiently(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call, again and again while another process holds the lock of a sqlite store; what was locked did not happen."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            if not _is_locked(error) or time.monotonic() > deadline:
                raise
        time.sleep(1.0)


class PatientClient(MlflowClient):
    """A client that waits while another process holds the lock of a sqlite store."""

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        return partial(patiently, attribute) if callable(attribute) and not name.startswith("_") else attribute


def _is_locked(error: BaseException | None) -> bool:
    if isinstance(error, DBAPIError):
        error = error.orig
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return error is not None and _is_locked(error.__cause__)
