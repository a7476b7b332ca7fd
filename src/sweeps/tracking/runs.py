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

from sweeps.attribute import Attribute
from sweeps.console import say
from sweeps.errors import TrackingError
from sweeps.record import Record
from sweeps.redact import without_passwords
from sweeps.results import StudyFolder
from sweeps.stopping import Outcome
from sweeps.sweep import SweepResult
from sweeps.tracking.client import is_refusal, unreachable
from sweeps.tracking.queue import LoggingQueue
from sweeps.trial import TrialResult

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

# User attributes of the study
PARENT_RUN = "sweeps.parent_run_id"
TRACKING = "sweeps.tracking"  # its experiment, its dataset's name, how hyperparameters are called, the parent's tags
END = "sweeps.end"  # outcome and reason

STUDY_ID = "sweeps.study.id"  # tag of the parent run: finds the one of a sweep that died before its study knew it

_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.PRUNED: "KILLED"}
_PARENT_STATUS = {Outcome.COMPLETED: "FINISHED", Outcome.INTERRUPTED: "KILLED", Outcome.FAILED: "FAILED"}
_UNFIT = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in the name of a param or a metric
_MAX_VALUE = 5_000  # characters of a param or a tag; MLflow refuses longer ones


class StudyRuns:
    """Projects a study into MLflow; a callback of the sweep.

    Trials are logged by a thread, so that no trial waits for the server, and one that is down does not stop a sweep:
    what could not be logged is tried again, and once more at the end. The parent run is remembered by the study, and a
    child is known by its parent and its trial's number, so nothing is there twice, however often a study
    is gone on with.

    Args:
        client: connected.
        experiment: the experiment's id.
        study: the study.
        folder: the study's files, logged with the parent.

    Attributes:
        parent_id: the parent run.
        is_answered: whether the server answered to the end.
    """

    def __init__(self, client: MlflowClient, experiment: str, study: Study, folder: StudyFolder) -> None:
        self.client = client
        self._experiment = experiment
        self._folder = folder
        described = study.user_attrs[TRACKING]
        self._dataset: str = described["dataset"]
        self._names: Mapping[str, str] = described["names"]
        self._metric = study.user_attrs.get("sweeps.metric", "objective")
        self._children: dict[int, str] = {}  # the run of each trial, from the moment it is made
        self._complete: set[int] = set()
        self.parent_id = self._parent_of(study, described["tags"])
        self.is_answered = True
        self._queue = LoggingQueue(self._log_child)

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Have a told trial logged as a child run."""
        self._queue.put(trial)

    def on_end(self, study: Study, result: SweepResult) -> bool:
        """Log what is missing, mark the best trial and end the parent run as the sweep ended.

        Returns:
            Whether MLflow has everything.
        """
        self.is_answered = self._queue.close()
        if not result.is_last:  # the last process logs what is missing, and ends the parent run
            return self.is_answered
        errors: list[Exception] = [] if self.is_answered else [TrackingError("the server does not answer")]
        finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        steps: list[Callable[[], None]] = []
        if any(trial.number not in self._complete for trial in finished):
            steps += [partial(self._find_children, self.parent_id)]  # other processes may have logged theirs
            steps += [partial(self._log_child, trial) for trial in finished]
        steps += [partial(self._log_best, result), self._log_files, partial(self._log_outcome, result)]
        for step in steps if self.is_answered else ():
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the study has everything; MLflow is its projection
                errors.append(error)
                if not is_refusal(error):
                    self.is_answered = False
                    break  # each further step would wait for the server as long
        if errors:
            say(
                f"MLflow is incomplete: {_first_line(errors[0])}. Every trial is in {self._folder.trials}; when the "
                f"server is back: python -m sweeps.sync {self._folder.path}"
            )
        return not errors

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

    def _parent_of(self, study: Study, tags: Mapping[str, str]) -> str:
        """The study's parent run, RUNNING again, with its children; a new one where the server does not know it."""
        known = study.user_attrs.get(PARENT_RUN) or self._parent_tagged(tags.get(STUDY_ID, ""))
        if known is not None:
            try:
                is_there = self.client.get_run(known).info.lifecycle_stage == "active"
            except MlflowException as error:
                if not is_refusal(error):
                    raise unreachable(error) from error
                is_there = False
            if is_there:
                study.set_user_attr(PARENT_RUN, known)
                self.client.update_run(known, status="RUNNING")
                self._find_children(str(known))
                return str(known)
        everything = {**identity_tags("sweep"), "sweeps.study": study.study_name, **tags}
        run = self.client.create_run(self._experiment, tags=everything, run_name=study.study_name)
        study.set_user_attr(PARENT_RUN, run.info.run_id)
        return str(run.info.run_id)

    def _parent_tagged(self, study_id: str) -> str | None:
        found = self.client.search_runs([self._experiment], f"tags.`{STUDY_ID}` = '{study_id}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _find_children(self, parent: str) -> None:
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self._experiment],
                f"tags.mlflow.parentRunId = '{parent}'",
                order_by=["attributes.start_time ASC"],
                max_results=1000,
                page_token=token,
            )
            for run in page:
                number = int(run.data.tags.get("sweeps.trial.number", -1))
                if (
                    self._children.get(number, run.info.run_id) != run.info.run_id
                ):  # made twice, as the answer to the first was lost
                    self.client.delete_run(run.info.run_id)
                    continue
                self._children[number] = run.info.run_id
                if run.info.status != "RUNNING":
                    self._complete.add(number)
            token = page.token
            if not token:
                return

    def _log_child(self, trial: FrozenTrial) -> None:
        """Log a trial unless that is done, going on with its run if an earlier attempt was cut off."""
        if trial.number in self._complete:
            return
        started = time.monotonic()
        record = Record.of(trial)
        if trial.number not in self._children:
            run = self.client.create_run(
                self._experiment,
                start_time=_milliseconds(trial.datetime_start),
                tags={tag.key: tag.value for tag in _tags(self._tags_of(trial, record))},
                run_name=" ".join([f"trial {trial.number}", *record.choices.values()]),
            )
            self._children[trial.number] = run.info.run_id
        run_id = self._children[trial.number]
        end = _milliseconds(trial.datetime_complete)
        params = params_of(record.choices, self._dataset, record.hyperparameters, self._names) | shown(record.params)
        try:
            _log_params(self.client, run_id, params)
            steps = [
                Metric(_UNFIT.sub("_", f"fold_{self._metric}"), value, end, step)
                for step, value in trial.intermediate_values.items()
            ]
            metrics = _metrics({**record.metrics, **_named_seconds(record.seconds)}, end)
            # This one differs each time a trial is logged, and MLflow refuses models of runs with two values at a time.
            tracking = _metrics(_named_seconds({"tracking": time.monotonic() - started}), _milliseconds(None))
            self.client.log_batch(run_id, metrics=[*metrics, *tracking, *steps])
            if record.traceback:
                self.client.log_text(run_id, record.traceback, "traceback.txt")
        except MlflowException as error:
            if not is_refusal(error):
                raise
            say(f"MLflow refuses something of trial {trial.number}: {_first_line(error)}")
        self.client.set_terminated(run_id, _STATUS[trial.state], end_time=end)
        self._complete.add(trial.number)

    def _tags_of(self, trial: FrozenTrial, record: Record) -> dict[str, str]:
        tags = {
            **identity_tags("trial"),
            "mlflow.parentRunId": self.parent_id,
            "sweeps.trial.number": str(trial.number),
            "sweeps.trial.state": "INTERRUPTED" if record.interrupted else trial.state.name,
            "sweeps.overrides": " ".join(record.overrides),
        }
        optional = {
            "sweeps.error": record.error,
            "sweeps.warnings": "; ".join(record.warnings),
            "sweeps.retry_of": str(trial.user_attrs.get(Attribute.RETRY_OF, "")),
        }
        return tags | {key: value for key, value in optional.items() if value}

    def _log_best(self, result: SweepResult) -> None:
        best = result.best
        if best is None:
            return
        marked = self.client.search_runs(
            [self._experiment], f"tags.mlflow.parentRunId = '{self.parent_id}' and tags.`sweeps.best` = 'true'"
        )
        for run in marked:  # the best of this study before it was gone on with
            if run.info.run_id != self._children[best.number]:
                self.client.delete_tag(run.info.run_id, "sweeps.best")
        self.client.set_tag(self._children[best.number], "sweeps.best", "true")
        record = Record.of(best)
        params = params_of(record.choices, self._dataset, record.hyperparameters, self._names)
        tags = {"sweeps.best.trial": str(best.number)} | {f"sweeps.best.{key}": value for key, value in params.items()}
        metrics = _metrics(record.metrics, int(time.time() * 1000))
        self.client.log_batch(self.parent_id, metrics=metrics, tags=_tags(tags))

    def _log_outcome(self, result: SweepResult) -> None:
        self.set_parent_tags({"sweeps.outcome": result.outcome.value, "sweeps.reason": result.reason})
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
    run_id = start_single_run(client, experiment, choices, tags, started)
    end = int(time.time() * 1000)
    params = params_of(choices, dataset, result.hyperparameters, names) | shown(result.params)
    try:
        _log_params(client, run_id, params)
        client.log_batch(run_id, metrics=_metrics({**result.metrics, **_named_seconds(result.seconds)}, end))
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
    run_id = start_single_run(client, experiment, choices, tags, started)
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


def log_measured(
    client: MlflowClient, run_id: str, params: Mapping[str, str], metrics: Mapping[str, float], timestamp: int
) -> None:
    """Log params and metrics to a run; `timestamp` in milliseconds."""
    _log_params(client, run_id, params)
    client.log_batch(run_id, metrics=_metrics(metrics, timestamp))


def start_single_run(
    client: MlflowClient, experiment: str, choices: Mapping[str, str], tags: Mapping[str, str], started: datetime
) -> str:
    """Begin a run outside a sweep, named by its choices.

    Returns:
        The run's id.
    """
    run = client.create_run(
        experiment,
        start_time=_milliseconds(started),
        tags={tag.key: tag.value for tag in _tags({**identity_tags("run"), **tags})},
        run_name=" ".join(choices.values()),
    )
    run_id: str = run.info.run_id
    return run_id


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    entries = [Param(key, value) for key, value in params.items()]
    for start in range(0, len(entries), 100):  # MLflow takes a hundred params a request
        client.log_batch(run_id, params=entries[start : start + 100])


def _metrics(metrics: Mapping[str, float], timestamp: int) -> list[Metric]:
    return [Metric(_UNFIT.sub("_", name), value, timestamp, 0) for name, value in metrics.items()]


def _named_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    return {f"seconds_{phase}": value for phase, value in seconds.items()}


def identity_tags(kind: str) -> dict[str, str]:
    """What every run says of itself."""
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
