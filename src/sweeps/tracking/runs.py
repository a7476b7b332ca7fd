"""A sweep as MLflow runs: one parent for the study, one child for each trial, all of it read from the study."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.console import say
from sweeps.redact import without_passwords
from sweeps.results import StudyFolder
from sweeps.sweep import Attribute, Outcome, SweepResult
from sweeps.trial import TrialResult

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

PARENT_RUN = "sweeps.parent_run_id"  # user attribute of the study
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.PRUNED: "KILLED"}
_PARENT_STATUS = {Outcome.COMPLETED: "FINISHED", Outcome.INTERRUPTED: "KILLED", Outcome.FAILED: "FAILED"}
_UNFIT = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in the name of a param or a metric
_PAUSE = 60.0  # seconds before a server that failed is asked again, so that trials do not wait for it
_MAX_VALUE = 5_000  # characters of a param or a tag; MLflow refuses longer ones


class StudyRuns:
    """Projects a study into MLflow; a callback of the sweep.

    Trouble with the server does not stop a sweep: what could not be logged is tried again at the end.

    Args:
        client: connected.
        experiment: the experiment's id.
        study: the study; it remembers its parent run.
        folder: the study's files, logged with the parent.
        dataset: the dataset's name, a param of every child.
        names: how a hyperparameter is called, by config key.
        tags: of the parent run.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment: str,
        study: Study,
        folder: StudyFolder,
        dataset: str,
        names: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        self.client = client
        self._experiment = experiment
        self._folder = folder
        self._dataset = dataset
        self._names = names
        self._children: dict[int, str] = {}  # the run of each trial, from the moment it is made
        self._complete: set[int] = set()
        self._failed_at: float | None = None
        run = client.create_run(
            experiment, tags={**_identity("sweep"), "sweeps.study": study.study_name, **tags}, run_name=study.study_name
        )
        self.parent_id: str = run.info.run_id
        study.set_user_attr(PARENT_RUN, self.parent_id)

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Log a told trial as a child run."""
        if self._failed_at is not None and time.monotonic() < self._failed_at + _PAUSE:
            return
        try:
            self._log_child(trial)
        except Exception as error:  # noqa: BLE001 - a tracking server's trouble must not cost a trial
            if self._failed_at is None:
                say(f"MLflow: {_first_line(error)}; what is missing is logged at the end.")
            self._failed_at = time.monotonic()

    def on_end(self, study: Study, result: SweepResult) -> None:
        """Log what is missing, mark the best trial and end the parent run as the sweep ended."""
        finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        steps: list[Callable[[], None]] = [partial(self._log_child, trial) for trial in finished]
        steps += [partial(self._log_best, result), self._log_files, partial(self._log_outcome, result)]
        errors = []
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the study has everything; MLflow is its projection
                errors.append(error)
                if isinstance(error, MlflowException) and error.error_code == "INTERNAL_ERROR":
                    break  # the server does not answer; each further step would wait for it as long
        if errors:
            say(f"MLflow is incomplete: {_first_line(errors[0])}. Every trial is in {self._folder.trials}.")

    def child_id(self, number: int) -> str | None:
        """The run of a trial, None if it could not be logged."""
        return self._children.get(number) if number in self._complete else None

    def set_parent_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the parent run."""
        self.client.log_batch(self.parent_id, tags=_tags(tags))

    def log_figures(self, figures: Mapping[str, Figure]) -> None:
        """Add figures to the parent run's artifacts, under `plots`."""
        for name, figure in figures.items():
            self.client.log_figure(self.parent_id, figure, f"plots/{name}")

    def _log_child(self, trial: FrozenTrial) -> None:
        """Log a trial unless that is done, going on with its run if an earlier attempt was cut off."""
        if trial.number in self._complete:
            return
        attributes = trial.user_attrs
        choices = attributes.get(Attribute.CHOICES, {})
        tags = {
            **_identity("trial"),
            "mlflow.parentRunId": self.parent_id,
            "sweeps.trial.number": str(trial.number),
            "sweeps.trial.state": "INTERRUPTED" if Attribute.INTERRUPTED in attributes else trial.state.name,
            "sweeps.overrides": " ".join(attributes.get(Attribute.OVERRIDES, [])),
        }
        if Attribute.ERROR in attributes:
            tags["sweeps.error"] = attributes[Attribute.ERROR]
        if attributes.get(Attribute.WARNINGS):
            tags["sweeps.warnings"] = "; ".join(attributes[Attribute.WARNINGS])
        if trial.number not in self._children:
            run = self.client.create_run(
                self._experiment,
                start_time=_milliseconds(trial.datetime_start),
                tags={tag.key: tag.value for tag in _tags(tags)},
                run_name=" ".join([f"trial {trial.number}", *choices.values()]),
            )
            self._children[trial.number] = run.info.run_id
        run_id = self._children[trial.number]
        end = _milliseconds(trial.datetime_complete)
        params = params_of(choices, self._dataset, attributes.get(Attribute.HYPERPARAMETERS, {}), self._names)
        params |= shown(attributes.get(Attribute.PARAMS, {}))
        try:
            _log_measured(self.client, run_id, params, attributes.get(Attribute.METRICS, {}), end)
            if attributes.get(Attribute.TRACEBACK):
                self.client.log_text(run_id, attributes[Attribute.TRACEBACK], "traceback.txt")
        finally:
            self.client.set_terminated(run_id, _STATUS[trial.state], end_time=end)
        self._complete.add(trial.number)

    def _log_best(self, result: SweepResult) -> None:
        best = result.best
        if best is None:
            return
        self.client.set_tag(self._children[best.number], "sweeps.best", "true")
        attributes = best.user_attrs
        params = params_of(
            attributes[Attribute.CHOICES], self._dataset, attributes[Attribute.HYPERPARAMETERS], self._names
        )
        tags = {"sweeps.best.trial": str(best.number)} | {f"sweeps.best.{key}": value for key, value in params.items()}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in attributes[Attribute.METRICS].items()]
        self.client.log_batch(self.parent_id, metrics=metrics, tags=_tags(tags))

    def _log_outcome(self, result: SweepResult) -> None:
        tags = {"sweeps.outcome": result.outcome.value} | ({"sweeps.reason": result.reason} if result.reason else {})
        try:
            self.set_parent_tags(tags)
        finally:
            self.client.set_terminated(self.parent_id, _PARENT_STATUS[result.outcome])

    def _log_files(self) -> None:
        for file in (self._folder.config, self._folder.trials, self._folder.result):
            if file.exists():
                self.client.log_artifact(self.parent_id, str(file))


def log_single_run(
    client: MlflowClient,
    experiment: str,
    choices: Mapping[str, str],
    dataset: str,
    names: Mapping[str, str],
    result: TrialResult,
    tags: Mapping[str, str],
    started: datetime,
) -> str:
    """Log one finished run outside a sweep.

    Returns:
        The run's id.
    """
    run_id = _start_single_run(client, experiment, choices, tags, started)
    end = int(time.time() * 1000)
    params = params_of(choices, dataset, result.hyperparameters, names) | shown(result.params)
    try:
        _log_measured(client, run_id, params, result.metrics, end)
    finally:
        client.set_terminated(run_id, "FINISHED", end_time=end)
    return run_id


def log_failed_run(
    client: MlflowClient,
    experiment: str,
    choices: Mapping[str, str],
    tags: Mapping[str, str],
    started: datetime,
    traceback_text: str,
) -> str:
    """Log one run outside a sweep that raised.

    Returns:
        The run's id.
    """
    run_id = _start_single_run(client, experiment, choices, tags, started)
    client.log_text(run_id, traceback_text, "traceback.txt")
    client.set_terminated(run_id, "FAILED")
    return run_id


def params_of(
    choices: Mapping[str, str], dataset: str, hyperparameters: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, str]:
    """The params of a child run: the options, the dataset and every active hyperparameter under its name."""
    params = {f"{group}_type": choice for group, choice in choices.items()} | {"dataset": dataset}
    named = {names.get(key, key): key for key in hyperparameters}
    named = {(key if name in params else name): key for name, key in named.items()}
    return params | shown({name: hyperparameters[key] for name, key in named.items()})


def shown(params: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as MLflow keeps them: text of a limited length, and `_` for characters it refuses in a name."""
    return {_UNFIT.sub("_", name)[:250]: str(value)[:_MAX_VALUE] for name, value in params.items()}


def command_tags(fingerprint: str) -> dict[str, str]:
    """What made a run: the command, the data and the commit of the folder it was typed in."""
    tags = {"sweeps.command": without_passwords(_as_typed()), "sweeps.dataset.fingerprint": fingerprint}
    commit = _git_commit()
    return tags | ({"git.commit": commit} if commit else {})


def _start_single_run(
    client: MlflowClient, experiment: str, choices: Mapping[str, str], tags: Mapping[str, str], started: datetime
) -> str:
    run = client.create_run(
        experiment,
        start_time=_milliseconds(started),
        tags={tag.key: tag.value for tag in _tags({**_identity("run"), **tags})},
        run_name=" ".join(choices.values()),
    )
    run_id: str = run.info.run_id
    return run_id


def _log_measured(
    client: MlflowClient, run_id: str, params: Mapping[str, str], metrics: Mapping[str, float], timestamp: int
) -> None:
    values = [Metric(_UNFIT.sub("_", name), value, timestamp, 0) for name, value in metrics.items()]
    entries = [Param(key, value) for key, value in params.items()]
    client.log_batch(run_id, metrics=values, params=entries[:100])
    for start in range(100, len(entries), 100):  # MLflow takes a hundred params a request
        client.log_batch(run_id, params=entries[start : start + 100])


def _identity(kind: str) -> dict[str, str]:
    return {
        "sweeps.kind": kind,
        "mlflow.user": _user(),
        "mlflow.source.name": "sweeps",
        "mlflow.source.type": "LOCAL",
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as containers have
        return str(os.getuid())


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key, value[:_MAX_VALUE]) for key, value in tags.items()]


def _milliseconds(moment: datetime | None) -> int:
    return int((moment or datetime.now()).timestamp() * 1000)


def _first_line(error: Exception) -> str:
    return without_passwords((str(error).strip() or type(error).__name__).splitlines()[0])


def _as_typed() -> str:
    main = sys.modules["__main__"].__spec__  # of `python -m sweeps.rerun`; None for a script or a notebook
    return shlex.join([*(["python", "-m", main.name] if main else ["python", sys.argv[0]]), *sys.argv[1:]])


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
