"""A storage that does not read back what it has written, and writes what belongs together at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, make_transient_to_detached

from sweeps.study.storage.patient import PatientStorage

_LOOK_EVERY = 1.0  # seconds between two looks for trials that other processes have enqueued


@contextmanager
def together(study: Study) -> Iterator[None]:
    """Write what a `with` block writes of a new trial as one transaction, when the trial is told or the block ends.

    That is its parameters, once the database has checked one of the name, its user attributes, state and values. If the
    process dies before that, or the block raises, nothing of these is written. Each write of its own would cost a
    transaction: a millisecond with sqlite, a round trip with a server.
    """
    storage = study._storage  # Optuna has no other way to it
    if not isinstance(storage, RememberingStorage):
        yield
        return
    with storage.together():
        yield


@dataclass
class _Writes:
    """What a `with` block writes of one trial.

    Attributes:
        own: the trial as it is remembered.
        is_told: whether all of it has been written, with the trial's end.
    """

    own: FrozenTrial
    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)  # as JSON
    is_told: bool = False

    def write(self, database: RDBStorage, trial_id: int) -> bool:
        """Write all of it into the tables of Optuna; true.

        Raises:
            UpdateFinishedTrialError: another process has told the trial.
        """
        rows: dict[Any, list[dict[str, Any]]] = {
            models.TrialParamModel: [
                {"param_name": name, "param_value": value, "distribution_json": distribution_to_json(distribution)}
                for name, (value, distribution) in self.params.items()
            ],
            models.TrialUserAttributeModel: [
                {"key": key, "value_json": content} for key, content in self.attributes.items()
            ],
            models.TrialValueModel: [
                dict(zip(("value", "value_type"), models.TrialValueModel.value_to_stored_repr(value), strict=True))
                | {"objective": objective}
                for objective, value in enumerate(self.own.values or () if self.is_told else ())
            ],
        }
        is_running = (models.TrialModel.trial_id == trial_id) & (models.TrialModel.state == TrialState.RUNNING)
        touch = update(models.TrialModel).where(is_running).values(state=TrialState.RUNNING)
        with Session(database.engine) as session, session.begin():
            connection = session.connection()
            if not connection.execute(touch).rowcount:  # it changes nothing, but from here on nobody else can tell it
                raise UpdateFinishedTrialError(f"Trial {trial_id} has been told by another process.")
            for table, of_table in rows.items():
                if of_table:
                    connection.execute(insert(table), [{"trial_id": trial_id, **row} for row in of_table])
            if self.is_told:
                trial: Any = models.TrialModel(trial_id=trial_id)
                make_transient_to_detached(trial)
                session.add(trial)  # as if it had been read
                trial.state, trial.datetime_complete = self.own.state, self.own.datetime_complete
        return True

    def is_in(self, found: FrozenTrial) -> bool:
        """Whether a trial that was told is told as it is here."""
        return found.state == self.own.state and self.attributes.keys() <= found.user_attrs.keys()


class RememberingStorage(PatientStorage):
    """A storage that does not read from its database what it has written there itself.

    Optuna reads a trial from the database, with some milliseconds of queries, whenever it looks at it. Those that this
    process asked are remembered until they have been told. That another process has told one is found out by the next
    write, which the database refuses.
    """

    def __init__(self, database: RDBStorage, shown: str) -> None:
        super().__init__(database, shown)
        self._own: dict[int, FrozenTrial] = {}
        self._lock = threading.Lock()  # pruners are asked in threads of their own
        self._checked: dict[str, BaseDistribution] = {}  # by parameter, what the database has accepted of it
        self._block = threading.local()
        self._looked_for_waiting = -_LOOK_EVERY

    @contextmanager
    def together(self) -> Iterator[None]:
        """See the function of this name."""
        writes: dict[int, _Writes] = {}
        self._block.writes = writes
        try:
            yield
            for trial_id, of_trial in writes.items():
                if not of_trial.is_told:
                    self._write_all(trial_id, of_trial)
        except BaseException:  # whether it was written is not known: these trials are read again
            self._forget(writes)
            raise
        finally:
            self._block.writes = None
        self._forget(trial_id for trial_id, of_trial in writes.items() if of_trial.is_told)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial, and remember it."""
        trial_id: int = self._ask("create_new_trial", study_id, template_trial)
        if template_trial is None:
            self._own[trial_id] = self.patiently(partial(_begun, self.database, trial_id))
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
            return list(self._ask("get_all_trials", study_id, deepcopy, states))
        now = time.monotonic()
        if now < self._looked_for_waiting + _LOOK_EVERY:
            return []
        found = self.patiently(partial(self.database.get_all_trials, study_id, deepcopy, states))
        if not found:
            self._looked_for_waiting = now
        return found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is."""
        with self._lock:
            own = self._own.get(trial_id)
            if own is not None:
                return _copy(own)  # Optuna's Trial writes into its own
        found: FrozenTrial = self._ask("get_trial", trial_id)
        return found

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Write a parameter."""

        def remember(own: FrozenTrial) -> None:
            own.distributions[param_name] = distribution
            own.params[param_name] = distribution.to_external_repr(param_value_internal)

        writes = self._writes_of(trial_id)
        if writes is not None and self._checked.get(param_name) == distribution:
            writes.params[param_name] = param_value_internal, distribution
            self._change(writes.own, remember)
            return
        self._write("set_trial_param", remember, trial_id, param_name, param_value_internal, distribution)
        self._checked[param_name] = distribution

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Write the state and the values."""

        def remember(own: FrozenTrial) -> None:
            own.state, own.values, own.datetime_complete = state, values, datetime.now()

        writes = self._writes_of(trial_id)
        if writes is not None and state.is_finished():
            self._change(writes.own, remember)
            writes.is_told = True
            self._write_all(trial_id, writes)
            return True
        self._forget([trial_id])  # it is read again, as the database sets the time
        return super().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Write what was reported at a step."""

        def remember(own: FrozenTrial) -> None:
            own.intermediate_values[step] = intermediate_value

        self._write("set_trial_intermediate_value", remember, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write a user attribute."""
        content = json.dumps(value)

        def remember(own: FrozenTrial) -> None:
            own.user_attrs[key] = json.loads(content)  # as the database gives it back

        writes = self._writes_of(trial_id)
        if writes is not None and (key in writes.attributes or key not in writes.own.user_attrs):
            writes.attributes[key] = content
            self._change(writes.own, remember)
            return
        self._write("set_trial_user_attr", remember, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Write an attribute of a sampler."""

        def remember(own: FrozenTrial) -> None:
            own.system_attrs[key] = json.loads(json.dumps(value))

        self._write("set_trial_system_attr", remember, trial_id, key, value)

    def _ask(self, name: str, *args: Any) -> Any:
        return self.patiently(partial(getattr(self.inner, name), *args))

    def _write(self, name: str, remember: Callable[[FrozenTrial], None], trial_id: int, *args: Any) -> None:
        try:
            self._ask(name, trial_id, *args)
        except BaseException:  # whether it was written is not known
            self._forget([trial_id])
            raise
        self._remember(trial_id, remember)

    def _write_all(self, trial_id: int, writes: _Writes) -> None:
        arrived = (UpdateFinishedTrialError, IntegrityError) if writes.is_told else (IntegrityError,)
        answer = self.patiently(partial(writes.write, self.database, trial_id), arrived)
        if answer is None and writes.is_told and not writes.is_in(self._ask("get_trial", trial_id)):
            raise UpdateFinishedTrialError(f"Trial {trial_id} has been told by another process.")

    def _writes_of(self, trial_id: int) -> _Writes | None:
        """Where to put what this thread writes of a trial, None where it is to be written at once."""
        block: dict[int, _Writes] | None = getattr(self._block, "writes", None)
        if block is None:
            return None
        if trial_id not in block:
            with self._lock:
                own = self._own.get(trial_id)
            if own is None:
                return None
            block[trial_id] = _Writes(own)
        return None if block[trial_id].is_told else block[trial_id]

    def _remember(self, trial_id: int, remember: Callable[[FrozenTrial], None]) -> None:
        own = self._own.get(trial_id)
        if own is not None:
            self._change(own, remember)

    def _change(self, own: FrozenTrial, remember: Callable[[FrozenTrial], None]) -> None:
        with self._lock:
            remember(own)

    def _forget(self, trial_ids: Iterable[int]) -> None:
        with self._lock:
            for trial_id in trial_ids:
                self._own.pop(trial_id, None)


def _begun(database: RDBStorage, trial_id: int) -> FrozenTrial:
    """A trial that was just made."""
    with Session(database.engine) as session:
        trial: Any = session.get_one(models.TrialModel, trial_id)
        return FrozenTrial(
            number=trial.number,
            state=trial.state,
            value=None,
            datetime_start=trial.datetime_start,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=trial_id,
        )


def _copy(trial: FrozenTrial) -> FrozenTrial:
    """A trial whose entries may be set without changing the other's."""
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=trial.values,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs=dict(trial.user_attrs),
        system_attrs=dict(trial.system_attrs),
        intermediate_values=dict(trial.intermediate_values),
        trial_id=trial._trial_id,
    )
