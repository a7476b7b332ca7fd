"""Where studies live: any database that Optuna takes, opened so that a lock or a restart costs a pause and no more."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from sweeps.base.errors import ConfigError
from sweeps.base.locks import machine_lock
from sweeps.base.redact import without_passwords
from sweeps.study.storage.patient import refused
from sweeps.study.storage.remembering import RememberingStorage, together

__all__ = ["find_study", "open_storage", "together"]

_DRIVERS = {"postgresql": ("postgresql+psycopg", "'psycopg[binary]'"), "mysql": ("mysql+pymysql", "pymysql")}
_OPENINGS = 5  # processes that open an empty database at once fail each other; one of them makes the tables


def open_storage(url: str) -> BaseStorage:
    """Connect to a database of studies; a new one gets its tables.

    Args:
        url: as SQLAlchemy writes it: `sqlite:///file.db`, `postgresql://user:password@host/name`, `mysql://...`.

    Raises:
        ConfigError: not such a URL, or its driver is not installed.
        StorageError: the database is out of reach, or refuses.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            f"storage={without_passwords(url)}: write it as a URL, such as sqlite:///studies.db or "
            f"postgresql://user@host/name."
        ) from error
    backend = parsed.get_backend_name()
    driver, package = _DRIVERS.get(backend, (parsed.drivername, ""))
    if parsed.drivername in (backend, "postgres"):
        parsed = parsed.set(drivername=driver)
    try:
        if backend == "sqlite":
            with machine_lock(str(Path(parsed.database or "").resolve())):
                inner = _connect(parsed.render_as_string(hide_password=False), _SQLITE)
        else:
            inner = _connect(parsed.render_as_string(hide_password=False), {"pool_pre_ping": True})
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        hint = f"pip install {package}" if package else "use sqlite, postgresql or mysql"
        raise ConfigError(f"storage={without_passwords(url)}: its driver is not installed: {hint}.") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise refused(url, error) from error
    return RememberingStorage(inner, without_passwords(url))  # type: ignore[abstract]  # they are made in a loop


def find_study(url: str, name: str) -> Study | None:
    """A study of an earlier sweep, None if there is none; a sqlite file is not made.

    Raises:
        ConfigError, StorageError: see `open_storage`.
    """
    _, is_file, path = url.partition("sqlite:///")
    if is_file and not Path(path).exists():
        return None
    try:
        return optuna.load_study(study_name=name, storage=open_storage(url))
    except KeyError:
        return None


def _connect(url: str, engine_kwargs: dict[str, Any]) -> RDBStorage:
    for opening in range(_OPENINGS):
        try:
            return RDBStorage(url, engine_kwargs=dict(engine_kwargs))
        except (IntegrityError, sqlalchemy.exc.ProgrammingError):  # another process has just made a table
            if opening == _OPENINGS - 1:
                raise
            time.sleep(0.2 * 2**opening)
    raise AssertionError


class _Connection(sqlite3.Connection):
    """A sqlite connection whose commits outlive any death of this process, without waiting for the disk each time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL").close()
        self.execute("PRAGMA synchronous=NORMAL").close()


_SQLITE: dict[str, Any] = {"connect_args": {"factory": _Connection, "timeout": 5.0}}
