"""A study that was begun earlier: look at it, resume it, register its winner."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial

from sweeps.api.begin import Call, begin, begin_own_app, function_at
from sweeps.api.settings_text import overrides_of
from sweeps.base.atomic_file import write_text
from sweeps.base.errors import ConfigError, SweepFailedError, SweepsError
from sweeps.base.say import say
from sweeps.compose.override_text import to_text
from sweeps.study.attribute import METRICS, is_counted
from sweeps.study.best import best_trial, front_of, least_violated
from sweeps.study.command_file import STORAGE, arguments_again, recall, storage_of
from sweeps.study.folder import StudyFolder
from sweeps.study.storage import find_study
from sweeps.study.trial_record import Record
from sweeps.sweep.study_files import trial_rows
from sweeps.sweep.tables import as_shown

if TYPE_CHECKING:  # pandas is slow to import
    import pandas as pd

_OWN_APP = ("sweeps.run", "sweeps.cli.run")


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that completed.

    Attributes:
        number: in its study.
        params: what ran, by config key: the options of swept groups, and every hyperparameter.
        values: of the metrics that were optimised, by name.
        metrics: everything that was measured.
    """

    number: int
    params: Mapping[str, Any]
    values: Mapping[str, float]
    metrics: Mapping[str, float]

    @property
    def value(self) -> float:
        """Of the metric that was optimised; of the first of several."""
        return next(iter(self.values.values()))


class Study:
    """One study, read from its storage each time it is asked: it may run in another process meanwhile.

    `sweeps.optimize`, `sweeps.run_sweep` and `sweeps.open_study` make one.

    Args:
        path: its folder.
        storage: the URL of its database; None for the file in its folder.
        function: what its trials run, where this process knows it.

    Attributes:
        path: its folder, absolute.
    """

    def __init__(self, path: Path, storage: str | None = None, function: Callable[..., Any] | None = None) -> None:
        self.path = path.absolute()
        self._folder = StudyFolder(self.path)
        self._storage = storage or self._folder.storage_url
        self._function = function

    @property
    def name(self) -> str:
        """The study's name, in its storage and in MLflow."""
        return self.path.name

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are optimised."""
        return tuple(self._study.user_attrs[METRICS])

    @property
    def metric(self) -> str:
        """The metric that is optimised; the first of several."""
        return self.metrics[0]

    @property
    def directions(self) -> tuple[str, ...]:
        """Which way each metric is better: `minimize` or `maximize`."""
        return tuple(direction.name.lower() for direction in self._study.directions)

    @property
    def direction(self) -> str:
        """Which way the metric is better; the first of several."""
        return self.directions[0]

    @property
    def best(self) -> FinishedTrial:
        """The completed trial with the best value that keeps to the constraints, the earliest of equals.

        Where several metrics are optimised, the one of `front` that the setting `choose` chooses.

        Raises:
            SweepFailedError: no trial has completed, or none keeps to the constraints.
        """
        best = best_trial(self._study)
        if best is None:
            nearest = least_violated(self._study)
            why = "no trial has completed yet" if nearest is None else "no completed trial keeps to the constraints"
            raise SweepFailedError(f"{self.name}: {why}.")
        return self._finished(best)

    @property
    def front(self) -> list[FinishedTrial]:
        """The completed trials that no other beats in every metric: the Pareto front, in their order."""
        return [self._finished(trial) for trial in front_of(self._study)]

    def trials(self) -> pd.DataFrame:
        """Every finished trial, a row for each: `number`, `state`, `value` (with several metrics `value_0` and so on),
        the options of swept groups and the hyperparameters by config key, the metrics, `seconds_*` by phase, `start`,
        `end`, `warnings` and `error`. What a trial has not is missing (NaN).
        """
        import pandas as pd

        rows = trial_rows(self._study, {})
        return pd.DataFrame(rows, columns=None if rows else ["number", "state", "value"])

    def resume(self, n_trials: int | None = None, **settings: Any) -> Study:
        """Run the study on: what was interrupted first, then new trials.

        A study that a script has begun is resumed by its command, in a process of its own, as by
        `python -m sweeps.resume`.

        Args:
            n_trials: the study's new total; None for the one it was begun with.
            settings: more, as of `sweeps.optimize`.

        Returns:
            This study.

        Raises:
            ConfigError: what it is of has changed, or its function cannot be found from here.
            SweepsError: anything else that the user can mend.
        """
        prefix = str(recall(self._folder)["prefix"])
        more = {} if n_trials is None else {"n_trials": n_trials}
        self.resume_with(overrides_of({**more, **settings}, prefix))
        return self

    def register(self, name: str) -> str:
        """Make the best trial's model a version of a registered model, by the rules of a sweep's end. No trial is run.

        Args:
            name: of the registered model.

        Returns:
            The version's address, such as `models:/reviews/3`.

        Raises:
            ConfigError: there is no model to register.
            SweepFailedError: no trial has completed.
            TrackingError: the registry is out of reach, or refuses.
        """
        number, n_trials = self.best.number, sum(map(is_counted, self._study.get_trials(deepcopy=False)))
        record = self._folder.command
        kept = record.read_text(encoding="utf-8")
        try:
            self.resume(n_trials=n_trials, registered_model_name=name)
        finally:
            write_text(record, kept)  # whoever resumes the study later has its own n_trials

        from sweeps.tracking.client import connect
        from sweeps.tracking.models.versions import version_of_trial

        with self._at_home():
            return version_of_trial(connect(), name, self.name, number)

    def resume_with(self, overrides: Sequence[str]) -> None:
        """Resume with overrides as one types them."""
        command = recall(self._folder)
        arguments = arguments_again(command, overrides)
        if self._storage != self._folder.storage_url:
            key = f"{command['prefix']}storage"
            arguments = [text for text in arguments if not text.startswith(f"{key}=")]
            arguments.append(f"{key}={to_text(self._storage)}")
        with self._at_home():
            if command.get("call"):
                call = Call(**command["call"])
                begin(call, self._function or self._found(call), arguments)
                return
            own = _own_app_arguments(arguments) if command.get("module") in _OWN_APP else None
            if own is None:
                self._in_its_own_process(overrides)
            else:
                begin_own_app(*own)

    def __repr__(self) -> str:
        """Its name, how far it is, and its best."""
        try:
            said = self._described()
        except SweepsError as error:
            said = str(error)
        return f"<Study {self.name}: {said}; in {self.path}>"

    def _described(self) -> str:
        trials = self._study.get_trials(deepcopy=False)
        n_trials = f"{sum(map(is_counted, trials))} trials"
        if len(self.metrics) > 1:
            aims = ", ".join(f"{way} {name}" for name, way in zip(self.metrics, self.directions, strict=True))
            return f"{n_trials}, {aims}, {len(self.front)} on the front"
        if best_trial(self._study) is None:
            none = "none complete" if least_violated(self._study) is None else "none keeps to the constraints"
            return f"{n_trials}, {none}, {self.direction} {self.metric}"
        best = self.best
        params = ", ".join(f"{key}={as_shown(value)}" for key, value in best.params.items())
        return f"{n_trials}, {self.direction} {self.metric}, best {best.value:g} (trial {best.number}: {params})"

    @cached_property
    def _study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = find_study(self._storage, self.name)
        if study is None or METRICS not in study.user_attrs:
            raise ConfigError(f"{self.path} has no study {self.name} that was begun.")
        return study

    def _finished(self, trial: FrozenTrial) -> FinishedTrial:
        record = Record.of(trial)
        values = dict(zip(self.metrics, trial.values, strict=True))
        return FinishedTrial(trial.number, {**record.choices, **record.hyperparameters}, values, record.metrics)

    def _at_home(self) -> Any:
        """The directory where the sweep was begun, if it is still there: relative paths are relative to it."""
        directory = Path(str(recall(self._folder).get("directory", ".")))
        return chdir(directory) if directory.is_dir() else nullcontext()

    def _found(self, call: Call) -> Callable[..., Any]:
        if call.function is None:
            what = "sweeps.run_sweep" if call.space is None else "sweeps.optimize"
            setting = f"'hydra.sweeper.study_name={self.name}'" if call.space is None else f"study_name='{self.name}'"
            raise ConfigError(
                f"{self.path}: the function of this study is one of a script or a notebook, and cannot be found from "
                f"here. Call {what} there again, with {setting}."
            )
        return function_at(call.function)

    def _in_its_own_process(self, overrides: Sequence[str]) -> None:
        """Type `python -m sweeps.resume`: the app's script is made for a process of its own."""
        command = [sys.executable, "-m", "sweeps.resume", str(self.path), *overrides]
        is_own_file = self._storage == self._folder.storage_url
        environment = {**os.environ, **({} if is_own_file else {STORAGE: self._storage})}
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
            subprocess.Popen(  # noqa: S603 - our own command
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - for mypy: a pipe
            try:
                for line in process.stdout:
                    say(line.rstrip("\n"))
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                for line in process.stdout:
                    say(line.rstrip("\n"))
                raise
            if process.wait() != 0:
                errors.seek(0)
                raise SweepsError(errors.read().strip() or f"{self.path} could not be resumed.")


def open_study(path: str | Path, *, storage: str | None = None) -> Study:
    """Open a study by its folder, whether a command or Python began it.

    >>> import sweeps
    >>> def train(x=1.0):
    ...     return x**2
    >>> space = {"x": {"type": "float", "low": -1.0, "high": 1.0}}
    >>> _ = sweeps.optimize(train, space, n_trials=2, n_jobs=0, study_name="squares")
    Study squares...
    >>> study = sweeps.open_study("multirun/squares")
    >>> study.metric, study.direction, len(study.trials())
    ('objective', 'minimize', 2)

    Args:
        path: such as `multirun/reviews-20261121-120000-1`.
        storage: the URL of its database, where it is behind a password; `SWEEPS_STORAGE` does as well.

    Raises:
        ConfigError: it is not the folder of a study, or its database needs a password.
        StorageError: the database is out of reach.
    """
    folder = StudyFolder(Path(path).absolute())
    study = Study(folder.path, storage_of(recall(folder), folder, storage))
    study.metrics  # noqa: B018 - raises where there is no such study
    return study


def _own_app_arguments(arguments: Sequence[str]) -> tuple[list[str], Path | None] | None:
    """The overrides and the folder of `python -m sweeps.run -m`; None for what else is typed there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd", type=Path)
    known, overrides = parser.parse_known_args(list(arguments))
    return None if any(text.startswith("-") for text in overrides) else (overrides, known.config_dir)
