"""A sweep as MLflow runs: one parent for the study, one child for each trial, all of it read from the study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.attribute import Attribute
from sweeps.console import say
from sweeps.errors import TrackingError
from sweeps.record import Record
from sweeps.results import StudyFolder
from sweeps.stopping import Outcome
from sweeps.sweep import SweepResult
from sweeps.tracking.client import is_refusal, unreachable
from sweeps.tracking.entries import (
    first_line,
    fit_name,
    identity_tags,
    log_entries,
    metrics_of,
    milliseconds,
    named_seconds,
    params_of,
    shown,
    tags_of,
)
from sweeps.tracking.queue import LoggingQueue

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

# User attributes of the study
PARENT_RUN = "sweeps.parent_run_id"
TRACKING = "sweeps.tracking"  # its experiment, its dataset's name, how hyperparameters are called, the parent's tags
END = "sweeps.end"  # outcome and reason

STUDY_ID = "sweeps.study.id"  # tag of the parent run: finds the one of a sweep that died before its study knew it

_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.PRUNED: "KILLED"}
_PARENT_STATUS = {Outcome.COMPLETED: "FINISHED", Outcome.INTERRUPTED: "KILLED", Outcome.FAILED: "FAILED"}


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
        seconds: spent on logging trials.
    """

    def __init__(self, client: MlflowClient, experiment: str, study: Study, folder: StudyFolder) -> None:
        self.client = client
        self._experiment = experiment
        self._folder = folder
        described = study.user_attrs[TRACKING]
        self._dataset: str = described["dataset"]
        self._names: Mapping[str, str] = described["names"]
        self._metric: str = described["metric"]
        self._children: dict[int, str] = {}  # the run of each trial, from the moment it is made
        self._complete: set[int] = set()
        self.parent_id = self._parent_of(study, described["tags"])
        self.is_answered = True
        self.seconds = 0.0
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
                f"MLflow is incomplete: {first_line(errors[0])}. Every trial is in {self._folder.trials}; when the "
                f"server is back: python -m sweeps.sync {self._folder.path}"
            )
        return not errors

    def child_id(self, number: int) -> str | None:
        """The run of a trial, None if it could not be logged."""
        return self._children.get(number) if number in self._complete else None

    def set_parent_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags to the parent run."""
        self.client.log_batch(self.parent_id, tags=tags_of(tags))

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
                start_time=milliseconds(trial.datetime_start),
                tags={tag.key: tag.value for tag in tags_of(self._tags_of(trial, record))},
                run_name=" ".join([f"trial {trial.number}", *record.choices.values()]),
            )
            self._children[trial.number] = run.info.run_id
        run_id = self._children[trial.number]
        end = milliseconds(trial.datetime_complete)
        params = params_of(record.choices, self._dataset, record.hyperparameters, self._names) | shown(record.params)
        steps = [
            Metric(fit_name(f"fold_{self._metric}"), value, end, step)
            for step, value in trial.intermediate_values.items()
        ]
        metrics = metrics_of({**record.metrics, **named_seconds(record.seconds)}, end)
        # This one differs each time a trial is logged, and MLflow refuses models of runs with two values at a time.
        tracking = metrics_of(named_seconds({"tracking": time.monotonic() - started}), milliseconds(None))
        try:
            log_entries(self.client, run_id, params, [*metrics, *tracking, *steps])
            if record.traceback:
                self.client.log_text(run_id, record.traceback, "traceback.txt")
        except MlflowException as error:
            if not is_refusal(error):
                raise
            say(f"MLflow refuses something of trial {trial.number}: {first_line(error)}")
        self.client.set_terminated(run_id, _STATUS[trial.state], end_time=end)
        self._complete.add(trial.number)
        self.seconds += time.monotonic() - started

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
        metrics = metrics_of(record.metrics, milliseconds(None))
        self.client.log_batch(self.parent_id, metrics=metrics, tags=tags_of(tags))

    def _log_outcome(self, result: SweepResult) -> None:
        self.set_parent_tags({"sweeps.outcome": result.outcome.value, "sweeps.reason": result.reason})
        self.client.set_terminated(self.parent_id, _PARENT_STATUS[result.outcome])

    def _log_files(self) -> None:
        for file in (self._folder.config, self._folder.trials, self._folder.result):
            if file.exists():
                self.client.log_artifact(self.parent_id, str(file))
