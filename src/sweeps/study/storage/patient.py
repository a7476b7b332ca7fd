"""A storage that outwaits its database."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, overload

import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sweeps.base.errors import StorageError
from sweeps.base.redact import without_passwords

_log = logging.getLogger(__name__)
_PATIENCE = 600.0  # seconds that a database may be locked or away
_LONGEST_PAUSE = 10.0  # seconds between two tries; the first is a tenth of one
_DISK_FULL = "53100"  # of PostgreSQL, appendix A of its manual

T = TypeVar("T")


def _patient(name: str) -> Callable[..., Any]:
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(partial(getattr(self.inner, name), *args, **kwargs))

    return call


class PatientStorage(BaseStorage):
    """A storage that waits with growing pauses while its database is locked or restarts.

    Args:
        database: does the work.
        shown: its URL without passwords.

    Attributes:
        database: as given.
        inner: the same behind Optuna's cache.
    """

    locals().update({name: _patient(name) for name in BaseStorage.__abstractmethods__})

    def __init__(self, database: RDBStorage, shown: str) -> None:
        self.database = database
        self.inner = get_storage(database)
        self._shown = shown

    @overload
    def patiently(self, call: Callable[[], T]) -> T: ...

    @overload
    def patiently(self, call: Callable[[], T], arrived: tuple[type[Exception], ...]) -> T | None: ...

    def patiently(self, call: Callable[[], T], arrived: tuple[type[Exception], ...] = ()) -> T | None:
        """Call until the database answers.

        Args:
            call: reads or writes.
            arrived: what it raises if an earlier try had arrived and only the answer to it was lost.

        Returns:
            What the call gives; None where an earlier try had arrived.

        Raises:
            StorageError: the database does not answer in ten minutes, is full, or refuses.
        """
        started, pause, is_again = time.monotonic(), 0.1, False
        while True:
            try:
                return call()
            except (UpdateFinishedTrialError, StorageInternalError, SQLAlchemyError) as error:
                if is_again and isinstance(error, arrived):
                    return None
                if isinstance(error, UpdateFinishedTrialError):
                    raise
                if not _may_pass(error) or time.monotonic() - started > _PATIENCE:
                    raise refused(self._shown, error) from error
                if not is_again:
                    _log.warning("The study's database %s does not answer: %s; waiting.", self._shown, _reason(error))
            is_again = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Write the state and the values of a trial."""
        write = partial(self.inner.set_trial_state_values, trial_id, state, values)
        return self.patiently(write, (UpdateFinishedTrialError,)) is not False

    def remove_session(self) -> None:
        """Close this thread's connection."""
        self.inner.remove_session()


def _may_pass(error: Exception) -> bool:
    """Whether an error is a lock or a lost connection."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, DBAPIError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return "locked" in str(cause.orig)
    if getattr(cause.orig, "sqlstate", None) == _DISK_FULL:
        return False
    lost = sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError
    return cause.connection_invalidated or isinstance(cause, lost)


def refused(url: str, error: Exception) -> StorageError:
    """The message for a database that does not answer, or refuses."""
    return StorageError(
        f"The study's database {without_passwords(url)} cannot be used: {_reason(error)}\n"
        f"The trials in it are kept. Check that it runs, can be written and has space, then resume the sweep."
    )


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    lines = str(getattr(cause, "orig", None) or cause).strip().splitlines()
    return without_passwords(lines[0]) if lines else type(cause).__name__
