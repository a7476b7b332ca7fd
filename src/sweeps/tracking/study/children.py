"""The child runs of a study: one for each trial, known by its parent and its trial's number."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import first_line
from sweeps.study.attribute import Attribute
from sweeps.study.trial_record import Record
from sweeps.tracking.client import is_refusal
from sweeps.tracking.entries import (
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

_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.PRUNED: "KILLED"}


@dataclass(frozen=True)
class Parent:
    """What the runs of all trials of a study share.

    Attributes:
        experiment: the experiment's id.
        run_id: the parent run's.
        dataset: its name; None where there is none.
        choice_params: how the params are called that show the options of groups.
        metric: of the study.
        names: how each hyperparameter is called, by config key.
    """

    experiment: str
    run_id: str
    dataset: str | None
    choice_params: Mapping[str, str]
    metric: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Logged:
    """A trial that has been logged.

    Attributes:
        run_id: its run.
        seconds: that it took.
        note: what MLflow refused of it, empty if nothing.
    """

    run_id: str
    seconds: float
    note: str


class ChildRuns:
    """Makes child runs, and completes those that an earlier attempt left unfinished.

    Args:
        client: connected.
        parent: of the runs.

    Attributes:
        run_ids: the run of each trial, from the moment it is made.
        complete: the trials whose run has all of it.
        is_in_doubt: whether MLflow may have a run that is not known here, as the answer to its making was lost.
    """

    def __init__(self, client: MlflowClient, parent: Parent) -> None:
        self._client = client
        self.parent = parent
        self.run_ids: dict[int, str] = {}
        self.complete: set[int] = set()
        self.is_in_doubt = False

    def find(self) -> None:
        """Look up the runs that MLflow has. One made twice, as the answer to the first was lost, is deleted."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self.parent.experiment],
                f"tags.mlflow.parentRunId = '{self.parent.run_id}'",
                order_by=["attributes.start_time ASC"],
                max_results=1000,
                page_token=token,
            )
            for run in page:
                number = int(run.data.tags.get("sweeps.trial.number", -1))
                if self.run_ids.get(number, run.info.run_id) != run.info.run_id:
                    self._client.delete_run(run.info.run_id)
                    continue
                self.run_ids[number] = run.info.run_id
                if run.info.status != "RUNNING":
                    self.complete.add(number)
            token = page.token
            if not token:
                break
        self.is_in_doubt = False

    def log(self, trial: FrozenTrial) -> Logged:
        """Log a finished trial, in the run that it has if it has one.

        Raises:
            Exception: whatever MLflow raises when it does not answer; a second call resumes it.
        """
        started = time.monotonic()
        record, parent, note = Record.of(trial), self.parent, ""
        if self.is_in_doubt:
            self.find()
        if trial.number not in self.run_ids:
            self.is_in_doubt = True
            run = self._client.create_run(
                parent.experiment,
                start_time=milliseconds(trial.datetime_start),
                tags={tag.key: tag.value for tag in tags_of(self._tags_of(trial, record))},
                run_name=" ".join([f"trial {trial.number}", *record.choices.values()]),
            )
            self.run_ids[trial.number] = run.info.run_id
            self.is_in_doubt = False
        run_id = self.run_ids[trial.number]
        end = milliseconds(trial.datetime_complete)
        params = params_of(
            record.choices, parent.choice_params, parent.dataset, record.hyperparameters, parent.names
        ) | shown(record.params)
        steps = [
            Metric(fit_name(f"step_{parent.metric}"), value, end, step)
            for step, value in trial.intermediate_values.items()
        ]
        metrics = metrics_of({**record.metrics, **named_seconds(record.seconds)}, end)
        # This one differs each time a trial is logged, and MLflow refuses models of runs with two values at a time.
        tracking = metrics_of(named_seconds({"tracking": time.monotonic() - started}), milliseconds(None))
        try:
            log_entries(self._client, run_id, params, [*metrics, *tracking, *steps])
            if record.traceback:
                self._client.log_text(run_id, record.traceback, "traceback.txt")
        except MlflowException as error:
            if not is_refusal(error):
                raise
            note = f"MLflow does not accept something of trial {trial.number}: {first_line(error)}"
        self._client.set_terminated(run_id, _STATUS[trial.state], end_time=end)
        self.complete.add(trial.number)
        return Logged(run_id, time.monotonic() - started, note)

    def _tags_of(self, trial: FrozenTrial, record: Record) -> dict[str, str]:
        tags = {
            **identity_tags("trial"),
            "mlflow.parentRunId": self.parent.run_id,
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
