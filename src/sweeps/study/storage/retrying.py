"""Optuna's storage for databases, that outwaits a lock or a restart."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError

from sweeps.base.errors import StorageError, whole_text
from sweeps.base.redact import without_passwords
from sweeps.base.retry import pauses
from sweeps.study.storage.database_lock import database_lock

_log = logging.getLogger(__name__)
_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 10.0
_PATIENCE = 600.0  # seconds that a database may be locked or away
_DISK_FULL = "53100"  # of PostgreSQL, appendix A of its manual

T = TypeVar("T")
P = ParamSpec("P")


class RetryingStorage(BaseStorage):
    """A database of studies, called again with growing pauses while it is locked or away.

    Every method is Optuna's own of that name, and raises StorageError beside what that one raises: the database has not
    answered for ten minutes, is full, or refuses.

    Args:
        database: does the work.
        shown: its URL without passwords.

    Attributes:
        database: as given.
    """

    def __init__(self, database: RDBStorage, shown: str) -> None:
        self.database = database
        self._cached = get_storage(database)  # Optuna reads finished trials from memory
        self._shown = shown

    def lock(self, study_name: str) -> AbstractContextManager[None]:
        """Hold the lock of a study, which processes wherever they run have one after the other."""
        return database_lock(self.database.engine, f"study {study_name}", self._retry)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._retry(self._cached.create_new_study, directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self._retry(self._cached.delete_study, study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._retry(self._cached.set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._retry(self._cached.set_study_system_attr, study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._retry(self._cached.get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._retry(self._cached.get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._retry(self._cached.get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._retry(self._cached.get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._retry(self._cached.get_study_system_attrs, study_id)

    def get_all_studies(self) -> list[Any]:  # of optuna.study._frozen.FrozenStudy
        return self._retry(self._cached.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._retry(self._cached.create_new_trial, study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._retry(self._cached.set_trial_param, trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        is_again = False

        def write() -> bool:
            nonlocal is_again
            try:
                return self._cached.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                # The answer to an earlier try may have been lost; another process may have told the trial, too.
                found = self._cached.get_trial(trial_id)
                if is_again and found.state == state and found.values == (None if values is None else list(values)):
                    return True
                raise
            finally:
                is_again = True

        return self._retry(write)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._retry(self._cached.set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._retry(self._cached.set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._retry(self._cached.set_trial_system_attr, trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._retry(self._cached.get_trial, trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states == (TrialState.WAITING,):  # each ask looks for them; the cache would first read all that run
            return self._retry(self.database.get_all_trials, study_id, deepcopy, states)
        return self._retry(self._cached.get_all_trials, study_id, deepcopy, states)

    def remove_session(self) -> None:
        self._cached.remove_session()

    def _retry(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        waiting = pauses(_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE)
        is_again = False
        while True:
            try:
                return call(*args, **kwargs)
            except (StorageInternalError, SQLAlchemyError) as error:
                pause = next(waiting, None) if _may_pass(error) else None
                if pause is None:
                    raise refused(self._shown, error) from error
                if not is_again:
                    _log.warning("The study's database %s does not answer: %s; waiting.", self._shown, _reason(error))
            is_again = True
            time.sleep(pause)


def _may_pass(error: Exception) -> bool:
    """Whether an error is a lock or a lost connection."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):  # Optuna has outlived a lost connection, and asked it once more
        return True
    if not isinstance(cause, DBAPIError):
        return False
    if isinstance(cause.orig, sqlite3.Error):
        return "locked" in str(cause.orig)
    if getattr(cause.orig, "sqlstate", None) == _DISK_FULL:
        return False
    lost = sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError
    return cause.connection_invalidated or isinstance(cause, lost)


def refused(url: str, error: Exception, hint: str = "") -> StorageError:
    """The message for a database that does not answer, or refuses; a hint is its last sentence."""
    return StorageError(
        f"The study's database {without_passwords(url)} cannot be used: {_reason(error)}\n"
        f"The trials in it are kept. Check that the database runs, can be written and has space, then resume the "
        f"sweep.{hint}"
    )


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    return whole_text(getattr(cause, "orig", None) or cause)
