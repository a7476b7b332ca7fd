"""Where studies live: any database that Optuna takes, opened so that a lock or a restart costs a pause and no more."""

from __future__ import annotations

import copy
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from sweeps.errors import ConfigError, StorageError
from sweeps.locks import alone
from sweeps.redact import without_passwords

_log = logging.getLogger(__name__)
_DRIVERS = {"postgresql": ("postgresql+psycopg", "'psycopg[binary]'"), "mysql": ("mysql+pymysql", "pymysql")}
_PATIENCE = 600.0  # seconds that a database may be locked or away
_LOOK_EVERY = 1.0  # seconds between two looks for trials that other processes have enqueued
_LONGEST_PAUSE = 10.0  # seconds between two tries; the first is a tenth of one
_DISK_FULL = "53100"  # of PostgreSQL, appendix A of its manual
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
            with alone(str(Path(parsed.database or "").resolve())):
                inner = _connect(parsed.render_as_string(hide_password=False), _SQLITE)
        else:
            inner = _connect(parsed.render_as_string(hide_password=False), {"pool_pre_ping": True})
    except (ImportError, sqlalchemy.exc.NoSuchModuleError) as error:
        hint = f"pip install {package}" if package else "sqlite, postgresql and mysql are known"
        raise ConfigError(f"storage={without_passwords(url)}: its driver is missing: {hint}.") from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _refused(url, error) from error
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


def _patient(name: str) -> Callable[..., Any]:
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(name, *args, **kwargs)

    return call


class PatientStorage(BaseStorage):
    """A storage that waits with growing pauses while its database is locked or restarts.

    Args:
        database: does the work, behind Optuna's cache.
        shown: its URL without passwords.
    """

    locals().update({name: _patient(name) for name in BaseStorage.__abstractmethods__})

    def __init__(self, database: RDBStorage, shown: str) -> None:
        self._database = database
        self._inner = get_storage(database)
        self._shown = shown

    def patiently(self, name: str, *args: Any, of_database: bool = False, **kwargs: Any) -> Any:
        """Call a method of the inner storage until the database answers.

        Args:
            name: of the method; what it takes follows.
            of_database: whether to pass by Optuna's cache.

        Raises:
            StorageError: it does not answer in ten minutes, is full, or refuses.
        """
        source = self._database if of_database else self._inner
        started, pause, is_again = time.monotonic(), 0.1, False
        while True:
            try:
                return getattr(source, name)(*args, **kwargs)
            except UpdateFinishedTrialError:
                if is_again and name == "set_trial_state_values":
                    return True  # the first call had arrived, and its answer was lost
                raise
            except (StorageInternalError, SQLAlchemyError) as error:
                if not _may_pass(error) or time.monotonic() - started > _PATIENCE:
                    raise _refused(self._shown, error) from error
                if not is_again:
                    _log.warning("The study's database %s does not answer: %s; waiting.", self._shown, _reason(error))
            is_again = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def remove_session(self) -> None:
        """Close this thread's connection."""
        self._inner.remove_session()


class RememberingStorage(PatientStorage):
    """A storage that does not read from its database what it has written there itself.

    Optuna reads a trial from the database, with some milliseconds of queries, whenever it looks at it. Those that this
    process asked are remembered until they have been told. That another process has told one is found out by the next
    write, which the database refuses.
    """

    def __init__(self, database: RDBStorage, shown: str) -> None:
        super().__init__(database, shown)
        self._own: dict[int, FrozenTrial | None] = {}  # None until it is read for the first time
        self._lock = threading.Lock()  # pruners are asked in threads of their own
        self._looked_for_waiting = -_LOOK_EVERY

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial, and remember it."""
        trial_id: int = self.patiently("create_new_trial", study_id, template_trial)
        if template_trial is None:
            self._own[trial_id] = None
        else:
            self._looked_for_waiting = -_LOOK_EVERY
        return trial_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study. Those that wait, for which every ask looks, are looked for once a second.

        They are looked for in the database, as Optuna's cache would first read all in flight.
        """
        if states != (TrialState.WAITING,):
            return list(self.patiently("get_all_trials", study_id, deepcopy, states))
        now = time.monotonic()
        if now < self._looked_for_waiting + _LOOK_EVERY:
            return []
        found: list[FrozenTrial] = self.patiently("get_all_trials", study_id, deepcopy, states, of_database=True)
        if not found:
            self._looked_for_waiting = now
        return found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is."""
        trial = self._own.get(trial_id)
        if trial is None:
            trial = self.patiently("get_trial", trial_id)
            if trial_id in self._own:
                self._own[trial_id] = trial
        with self._lock:
            return copy.deepcopy(trial)  # Optuna's Trial writes into its own

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Write a parameter."""

        def remember(own: FrozenTrial) -> None:
            own.distributions[param_name] = distribution
            own.params[param_name] = distribution.to_external_repr(param_value_internal)

        self._write("set_trial_param", remember, trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Write the state and the values; the trial is read again, as the database sets the time."""
        self._own.pop(trial_id, None)
        return bool(self.patiently("set_trial_state_values", trial_id, state, values))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Write what was reported at a step."""

        def remember(own: FrozenTrial) -> None:
            own.intermediate_values[step] = intermediate_value

        self._write("set_trial_intermediate_value", remember, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write a user attribute."""

        def remember(own: FrozenTrial) -> None:
            own.user_attrs[key] = json.loads(json.dumps(value))  # as the database gives it back

        self._write("set_trial_user_attr", remember, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of a sampler."""

        def remember(own: FrozenTrial) -> None:
            own.system_attrs[key] = json.loads(json.dumps(value))

        self._write("set_trial_system_attr", remember, trial_id, key, value)

    def _write(self, name: str, remember: Callable[[FrozenTrial], None], trial_id: int, *args: Any) -> None:
        try:
            self.patiently(name, trial_id, *args)
        except BaseException:  # whether it was written is not known: the trial is read again
            self._own.pop(trial_id, None)
            raise
        with self._lock:
            own = self._own.get(trial_id)
            if own is not None:
                remember(own)


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


def _refused(url: str, error: Exception) -> StorageError:
    return StorageError(
        f"The study's database {without_passwords(url)} cannot be used: {_reason(error)}\n"
        f"The trials in it are kept. Check that it runs, can be written and has space, then go on with the sweep."
    )


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    lines = str(getattr(cause, "orig", None) or cause).strip().splitlines()
    return without_passwords(lines[0]) if lines else type(cause).__name__
