"""The child runs of a study: one for each trial, known by its parent and its trial's number."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import whole_text
from sweeps.study.attribute import Attribute
from sweeps.study.best import is_feasible
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
from sweeps.tracking.own_runs import OWN_RUN, OWN_RUN_ELSEWHERE, own_run, trial_of

_NUMBER, _STATE = "sweeps.trial.number", "sweeps.trial.state"  # tags; a run without the second is not complete
_PARENT, _OWN_STORE = "mlflow.parentRunId", "sweeps.own_store"  # tags
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
    """Makes child runs, takes over those that an app has made, and completes what an earlier attempt left unfinished.

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
        self._said: set[str] = set()

    def find(self) -> None:
        """Look up the runs that MLflow has."""
        found: dict[int, list[Run]] = {}
        for run in self._search(f"tags.`{_PARENT}` = '{self.parent.run_id}'"):
            tags = run.data.tags
            number = trial_of(tags[OWN_RUN]) if OWN_RUN in tags else int(tags.get(_NUMBER, -1))
            found.setdefault(number, []).append(run)
        for number, runs in found.items():
            child = self._choose(number, runs)
            if child.info.status != "RUNNING" and _STATE in child.data.tags:
                self.complete.add(number)
        self.is_in_doubt = False

    def log(self, trial: FrozenTrial) -> Logged:
        """Log a finished trial, in the run that it has if it has one.

        Raises:
            Exception: whatever MLflow raises when it does not answer; a second call resumes it.
        """
        started = time.monotonic()
        record, note = Record.of(trial), ""
        if self.is_in_doubt:
            self.find()
        tags, end = self._tags_of(trial, record), milliseconds(trial.datetime_complete)
        own: Run | None = None
        if record.uses_mlflow or trial.state != TrialState.COMPLETE:
            own = self._own_run(trial)
            if record.own_store:
                tags[_OWN_STORE] = record.own_store
                note = self._once(
                    f"MLflow: the app logs its trials to a store of its own, {record.own_store}; they stay there."
                )
            elif own is None and (record.uses_mlflow or trial.state == TrialState.FAIL):
                link, note = self._link_elsewhere(trial)
                tags |= link
        if trial.number not in self.run_ids:
            self._create(trial, tags, record)
        run_id = self.run_ids[trial.number]
        params, metrics = self._measured(trial, record, end)
        # This one differs each time a trial is logged, and MLflow refuses models of runs with two values at a time.
        metrics += metrics_of(named_seconds({"tracking": time.monotonic() - started}), milliseconds(None))
        if own is not None:
            self._client.set_terminated(run_id, _STATUS[trial.state], end_time=end)  # before the tag of its state
            params = {name: value for name, value in params.items() if name not in own.data.params}
            metrics = self._after(own, metrics)
            tags = {name: value for name, value in tags.items() if not name.startswith("mlflow.")}
        try:
            log_entries(self._client, run_id, params, metrics, None if own is None else tags)
            if record.traceback:
                self._client.log_text(run_id, record.traceback, "traceback.txt")
        except MlflowException as error:
            if not is_refusal(error):
                raise
            note = f"MLflow does not accept something of trial {trial.number}: {whole_text(error)}"
        if own is None:
            self._client.set_terminated(run_id, _STATUS[trial.state], end_time=end)
        self.complete.add(trial.number)
        return Logged(run_id, time.monotonic() - started, note)

    def _search(self, condition: str, experiments: Sequence[str] | None = None) -> Iterator[Run]:
        """Runs by their start, of the study's experiment unless others are named."""
        token: str | None = None
        while True:
            page = self._client.search_runs(
                list(experiments or [self.parent.experiment]),
                condition,
                order_by=["attributes.start_time ASC"],
                max_results=1000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _choose(self, number: int, runs: Sequence[Run]) -> Run:
        """The run of a trial: the first that its app has made, if it has.

        The app's others become its children. One of ours made twice, as the answer to the first was lost, is deleted.
        """
        by_worth = sorted(runs, key=lambda run: (run.info.run_id != self.run_ids.get(number), not _is_own(run)))
        child, *others = by_worth
        self.run_ids[number] = child.info.run_id
        for run in others:
            if _is_own(run):
                self._client.set_tag(run.info.run_id, _PARENT, child.info.run_id)
            else:
                self._client.delete_run(run.info.run_id)
        return child

    def _own_run(self, trial: FrozenTrial) -> Run | None:
        """The run that a trial's app has made, with those below it ended; None if it has made none."""
        below_study = self._end_own_runs(trial)
        return self._choose(trial.number, below_study) if below_study else None

    def _link_elsewhere(self, trial: FrozenTrial) -> tuple[dict[str, str], str]:
        """A tag that links to the run that an app has made in another experiment, and a line about it, said once."""
        runs = self._end_own_runs(trial, [found.experiment_id for found in self._client.search_experiments()])
        for run in runs:
            self._client.delete_tag(run.info.run_id, _PARENT)
        if not runs:
            return {}, ""
        experiment = self._client.get_experiment(runs[0].info.experiment_id).name
        return {OWN_RUN_ELSEWHERE: runs[0].info.run_id}, self._once(_elsewhere(experiment))

    def _once(self, note: str) -> str:
        """A note, unless it was given before."""
        if note in self._said:
            return ""
        self._said.add(note)
        return note

    def _end_own_runs(self, trial: FrozenTrial, experiments: Sequence[str] | None = None) -> list[Run]:
        """End the runs that a trial's app has made, and give those that are below the study's, by their start."""
        tag = own_run(self.parent.run_id, trial.number)
        runs = list(self._search(f"tags.`{OWN_RUN}` = '{tag}'", experiments))
        for run in runs:
            if run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, _STATUS[trial.state])
        return [run for run in runs if run.data.tags.get(_PARENT) == self.parent.run_id]

    def _create(self, trial: FrozenTrial, tags: Mapping[str, str], record: Record) -> None:
        self.is_in_doubt = True
        run = self._client.create_run(
            self.parent.experiment,
            start_time=milliseconds(trial.datetime_start),
            tags={tag.key: tag.value for tag in tags_of(tags)},
            run_name=run_name(trial.number, record.choices),
        )
        self.run_ids[trial.number] = run.info.run_id
        self.is_in_doubt = False

    def _measured(self, trial: FrozenTrial, record: Record, end: int) -> tuple[dict[str, str], list[Metric]]:
        """The params and the metrics of a trial."""
        parent = self.parent
        params = params_of(
            record.choices, parent.choice_params, parent.dataset, record.hyperparameters, parent.names
        ) | shown(record.params)
        steps = [
            Metric(fit_name(f"step_{parent.metric}"), value, end, step)
            for step, value in trial.intermediate_values.items()
        ]
        return params, [*metrics_of({**record.metrics, **named_seconds(record.seconds)}, end), *steps]

    def _after(self, own: Run, metrics: Sequence[Metric]) -> list[Metric]:
        """The metrics that an app's run lacks; one that it has with another value becomes its last step."""
        added = []
        for metric in metrics:
            if metric.key not in own.data.metrics:
                added.append(metric)
            elif own.data.metrics[metric.key] != metric.value:
                history = self._client.get_metric_history(own.info.run_id, metric.key)
                step = max(logged.step for logged in history) + 1
                added.append(Metric(metric.key, metric.value, metric.timestamp, step))
        return added

    def _tags_of(self, trial: FrozenTrial, record: Record) -> dict[str, str]:
        tags = {
            **identity_tags("trial"),
            _PARENT: self.parent.run_id,
            _NUMBER: str(trial.number),
            _STATE: "INTERRUPTED" if record.interrupted else trial.state.name,
            "sweeps.overrides": " ".join(record.overrides),
        }
        optional = {
            "sweeps.error": record.error,
            "sweeps.warnings": "; ".join(record.warnings),
            "sweeps.feasible": str(is_feasible(trial)).lower() if trial.constraints else "",
            "sweeps.retry_of": str(trial.user_attrs.get(Attribute.RETRY_OF, "")),
        }
        return tags | {key: value for key, value in optional.items() if value}


def run_name(number: int, choices: Mapping[str, str]) -> str:
    """What a trial's run is called: `trial 3 mlp`."""
    return " ".join([f"trial {number}", *choices.values()])


def _is_own(run: Run) -> bool:
    """Whether an app has made a run."""
    return OWN_RUN in run.data.tags


def _elsewhere(experiment: str) -> str:
    return (
        f"MLflow: the app logs its trials to the experiment {experiment!r}; its runs stay there, and the study's link "
        f"to them (tag {OWN_RUN_ELSEWHERE}). To have all in one: hydra.sweeper.experiment_name='{experiment}'"
    )
