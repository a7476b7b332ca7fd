"""Where studies live: sqlite, PostgreSQL or MySQL, opened so that a lock or a restart costs a pause and no more."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from typing import Any

import optuna
from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, create_engine
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from sweeps.base.errors import ConfigError
from sweeps.base.redact import without_passwords
from sweeps.study.storage.address import absolute_address, misread, parse_storage, sqlite_file
from sweeps.study.storage.database_lock import BACKENDS, database_lock
from sweeps.study.storage.retrying import RetryingStorage, refused

__all__ = [
    "RetryingStorage",
    "absolute_address",
    "find_study",
    "misread",
    "open_storage",
    "parse_storage",
    "sqlite_file",
]

_ENCODED_PERCENT = " A % of the password itself is written as %25 in the URL."
_DRIVERS = {"postgresql": ("postgresql+psycopg", "'psycopg[binary]'"), "mysql": ("mysql+pymysql", "pymysql")}


def open_storage(url: str) -> RetryingStorage:
    """Connect to a database of studies; a new one gets its tables.

    Args:
        url: as SQLAlchemy writes it: `sqlite:///file.db`, `postgresql://user:password@host/name`, `mysql://...`.

    Raises:
        ConfigError: not such a URL, another kind of database, or its driver is not installed.
        StorageError: the database is out of reach, or refuses.
    """
    logging.getLogger("optuna.storages").setLevel(logging.ERROR)  # of a lost connection we say so ourselves
    parsed = parse_storage(url)
    backend = parsed.get_backend_name()
    if backend not in BACKENDS:
        raise ConfigError(f"storage={without_passwords(url)}: use sqlite, postgresql or mysql.")
    driver, package = _DRIVERS.get(backend, (parsed.drivername, ""))
    if parsed.drivername == backend:
        parsed = parsed.set(drivername=driver)
    try:
        database = _connect(parsed, _sqlite_kwargs(parsed) if backend == "sqlite" else _SERVER)
    except (ImportError, NoSuchModuleError) as error:
        hint = f"pip install {package}" if package else "use sqlite, postgresql or mysql"
        raise ConfigError(f"storage={without_passwords(url)}: its driver is not installed: {hint}.") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise refused(url, error, hint=_ENCODED_PERCENT if "%" in url.rpartition("@")[0] else "") from error
    return RetryingStorage(database, without_passwords(url))


def find_study(url: str, name: str) -> Study | None:
    """A study of an earlier sweep, None if there is none; a sqlite file is not made.

    Raises:
        ConfigError, StorageError: see `open_storage`.
    """
    parse_storage(url)
    file = sqlite_file(url)
    if file is not None and not file.exists():
        return None
    try:
        return optuna.load_study(study_name=name, storage=open_storage(url))
    except KeyError:
        return None


def _connect(url: URL, engine_kwargs: Mapping[str, Any]) -> RDBStorage:
    """Open a database under its lock, as processes that make its tables at once would fail each other."""
    engine = create_engine(url, **engine_kwargs)
    try:
        with database_lock(engine, "tables"):
            return RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=dict(engine_kwargs))
    finally:
        engine.dispose()


class _Connection(sqlite3.Connection):
    """A sqlite connection whose commits outlive any death of this process, without waiting for the disk each time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL").close()
        self.execute("PRAGMA synchronous=NORMAL").close()


_SERVER: dict[str, Any] = {"pool_pre_ping": True}  # else the first call after a restart fails


def _sqlite_kwargs(url: URL) -> dict[str, Any]:
    wait = {} if "timeout" in url.query else {"timeout": 5.0}  # seconds for a lock
    return {"connect_args": {"factory": _Connection, **wait}}
