"""The connection to MLflow."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from sweeps.base.errors import SweepsError, TrackingError, whole_text
from sweeps.base.full_disk import is_about_temporary_files, is_disk_full, what_to_do
from sweeps.base.locks import machine_lock
from sweeps.base.redact import without_passwords
from sweeps.base.working_directory import is_writable
from sweeps.study.storage import absolute_address, misread, sqlite_file
from sweeps.tracking.new_store import make_store

_MAY_PASS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "ABORTED")
DEFAULT_URI = "sqlite:///mlflow.db"
_WAIT_FOR_A_LOCK = "PRAGMA busy_timeout = 60000"  # milliseconds; a signal is handled when the wait is over


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, or a sqlite file in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def absolute_uri() -> str:
    """The tracking URI as it is understood in any working directory."""
    uri = tracking_uri()
    folder = _store_folder(uri)
    return absolute_address(uri) if folder is None else folder.as_uri()


def _store_folder(uri: str) -> Path | None:
    """The folder of a store of files, as an absolute path; None for any other store."""
    address = urlsplit(uri)
    if address.scheme not in ("", "file") or uri == "databricks":
        return None
    return Path(url2pathname(address.path if address.scheme else uri)).resolve()


def shown_uri() -> str:
    """The tracking URI as it may be printed."""
    return without_passwords(tracking_uri())


def connect(*, must_exist: bool = False) -> MlflowClient:
    """Connect to the tracking server and make sure that it answers; a new sqlite store gets its tables here.

    Args:
        must_exist: refuse to make a new sqlite store: who reads from a registry is in the wrong folder then.

    Raises:
        TrackingError: the server or store is out of reach, or missing.
    """
    # A server that is down shall cost seconds, not MLflow's four minutes; whoever set these knows better.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # they would hold the URI's password
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for noisy in ("alembic", "psycopg", "urllib3", "mlflow.utils.requirements_utils", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # what it logs, it raises, too
    uri = tracking_uri()
    said = misread("MLFLOW_TRACKING_URI", uri)
    if said is not None:
        raise TrackingError(said)
    file = sqlite_file(uri)
    if file is not None:
        _set_up_sqlite(file)
    store = file or _store_folder(uri)
    if must_exist and store is not None and not store.exists():
        raise TrackingError(
            f"There is no MLflow store {store}. Change to the folder of the sweep, or set MLFLOW_TRACKING_URI."
        )
    if file is not None and not must_exist and not is_writable(file):
        raise TrackingError(
            f"The MLflow store {file} cannot be made or written to. Set MLFLOW_TRACKING_URI to another, such as "
            f"sqlite:////FOLDER/mlflow.db"
        )
    try:
        with _impatient() if file is None else machine_lock(str(file)):
            if file is not None and not file.exists():
                make_store(file)
            mlflow.set_tracking_uri(uri)
            client = MlflowClient()
            client.search_experiments(max_results=1)
    except SweepsError:
        raise
    except Exception as error:  # every store raises what its driver raises
        raise unreachable(error) from error
    return client


@cache
def _set_up_sqlite(database: Path) -> None:
    """Have MLflow's connections to a sqlite store write ahead, and wait for who has locked it.

    With a write-ahead log (https://sqlite.org/wal.html) a run takes a fifth of the time, and what is committed still
    outlives any death of this process.
    """

    @event.listens_for(Engine, "connect")
    def set_pragmas(connection: Any, record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        cursor = connection.cursor()
        files = [row[2] for row in cursor.execute("PRAGMA database_list") if row[1] == "main"]
        if files and files[0] and Path(files[0]) == database:
            with suppress(sqlite3.OperationalError):  # somebody else has it open in the old mode
                cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute(_WAIT_FOR_A_LOCK)
        cursor.close()

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def wait_longer(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> tuple[str, Any]:
        is_wait = statement.startswith("PRAGMA busy_timeout")  # MLflow sets twenty seconds in each session
        return _WAIT_FOR_A_LOCK if is_wait else statement, parameters


@contextmanager
def _impatient() -> Iterator[None]:
    """Wait seconds, not minutes, for the first answer of a server."""
    name = MLFLOW_HTTP_REQUEST_TIMEOUT.name
    before = os.environ.get(name)
    os.environ.setdefault(name, "5")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextmanager
def filing_in(experiment: str) -> Iterator[None]:
    """Have MLflow file models in an experiment, without a run, and this process's next sweep choose its own."""
    name = "MLFLOW_EXPERIMENT_ID"  # which `set_experiment` sets
    before = os.environ.get(name)
    mlflow.set_experiment(experiment_id=experiment)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            mlflow.set_experiment(experiment_id=before)


def is_refusal(error: Exception) -> bool:
    """Whether the server has answered and will not change its mind, so that trying again is of no use."""
    return isinstance(error, MlflowException) and error.error_code not in _MAY_PASS


def unreachable(error: Exception) -> TrackingError:
    """The message for a tracking server that does not answer, or refuses, or that a full disk keeps from its work."""
    reason = whole_text(error)
    if is_disk_full(error):
        file = sqlite_file(tracking_uri())
        return TrackingError(f"a disk is full: {reason}\n{what_to_do({'MLflow': file.parent if file else Path.cwd()})}")
    if is_about_temporary_files(error):
        return TrackingError(
            f"temporary files cannot be written: {reason}\nName a folder for them that can: TMPDIR=FOLDER"
        )
    return TrackingError(
        f"MLflow at {shown_uri()} cannot be used: {reason}\n"
        f"Check MLFLOW_TRACKING_URI, and that the server runs; without the variable a sqlite file in the working "
        f"directory is used."
    )


def experiment_name(client: MlflowClient, typed: str | None, default: str) -> str:
    """The name of an experiment: as typed, else as MLflow's variables say, which `mlflow.set_experiment` sets, too.

    Raises:
        TrackingError: MLFLOW_EXPERIMENT_ID is that of no experiment.
    """
    number = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if typed is not None:
        return typed
    if not number:
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or default
    try:
        return str(client.get_experiment(number).name)
    except MlflowException as error:
        raise unreachable(error) from error


def experiment_id(client: MlflowClient, name: str) -> str:
    """The id of an experiment, made on first use.

    Raises:
        TrackingError: the experiment is deleted, or MLflow refuses the name.
    """
    try:
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name))
            except MlflowException:  # another process may just have made it
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    except Exception as error:
        raise unreachable(error) from error
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"The MLflow experiment {name!r} is deleted. Restore it (mlflow experiments restore --experiment-id "
            f"{found.experiment_id}), or choose another: experiment_name=NAME"
        )
    return str(found.experiment_id)
