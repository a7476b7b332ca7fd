"""One checked study: run it or go on with it, track it, report it, and register its winner."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.atomic_file import write_text, write_yaml
from sweeps.base.errors import ClusterError, StorageError, SweepFailedError
from sweeps.base.redact import without_passwords
from sweeps.base.say import say
from sweeps.compose.search_space import Proposal
from sweeps.compose.settings import Settings
from sweeps.execution.trial import hyperparameters, load_task
from sweeps.execution.workers import Workers
from sweeps.study import command_file
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import Attribute, is_counted
from sweeps.study.folder import StudyFolder
from sweeps.study.identity import DEFINITION, check_same
from sweeps.study.lease import Lease
from sweeps.study.loop import Callback, StudyLoop, StudyResult
from sweeps.study.stopping import Budget, Outcome
from sweeps.study.storage import open_storage
from sweeps.study.trial_record import Record
from sweeps.sweep.preflight import CheckedStudy
from sweeps.sweep.progress import Progress
from sweeps.sweep.study_files import describe_result, write_trials
from sweeps.sweep.tables import profile_table, summary_table
from sweeps.sweep.winner import candidate_of_trial, register_winner
from sweeps.tasks.base import Task, Tried
from sweeps.tracking import client as tracking
from sweeps.tracking.entries import command_tags
from sweeps.tracking.study.parent import END, PARENT_RUN, STUDY_ID, TRACKING, StudyRuns

_LOOK_AGAIN = 0.2  # seconds


def run_study(checked: CheckedStudy, workers: Workers) -> StudyResult:
    """Run a study to its end: trials, runs in MLflow, files, summary, and the winner in the registry.

    Args:
        checked: what to run; a study that has trials is gone on with.
        workers: where trials run; closed at the end.

    Raises:
        TrackingError: MLflow is out of reach (before the first trial), or the winner could not be registered.
        StorageError: the study's database is out of reach or full, or another process is at work on the study.
        SweepFailedError: no trial completed, or too many failed.
        KeyboardInterrupt: interrupted; everything is told and logged.
    """
    plan, settings, metric, folder = checked.plan, checked.settings, checked.metric, checked.folder
    task = load_task(plan.config)
    client = tracking.connect()
    experiment = tracking.experiment_id(client, settings.experiment_name)
    with _opened(checked, task) as (study, lease):
        _announce(checked, study)
        runs = StudyRuns(client, experiment, study, folder)
        names = plan.parameter_names()
        progress = Progress(study, settings.n_trials, metric)
        callbacks: list[Callback] = [progress, _Files(folder, metric, names), runs]

        def describe(proposal: Proposal) -> dict[str, Any]:
            active = hyperparameters(plan.trial_config(proposal))
            described: dict[str, Any] = json.loads(json.dumps(active, default=str))
            return described

        queue = TrialQueue(study, plan.space, checked.samplers, lease.holder, describe)
        try:
            result = StudyLoop(study, queue, workers, _budget(settings), metric, callbacks, lease).run()
        except (StorageError, ClusterError):
            _say_how_to_go_on(folder)
            raise
        with suppress(StorageError):
            study.set_user_attr(END, [result.outcome.value, result.reason])
        _report(study, metric, result, names)
        if settings.profile:
            say(profile_table(study, {"tracking": runs.seconds}) + "\n")
        if result.outcome is Outcome.COMPLETED and not result.is_last:
            say("Other processes are still at work on this study; the last of them registers its winner.")
            return result
        if runs.is_answered:
            _log_plots(study, checked, task, runs)
        _say_where(checked, runs)
        if result.outcome is Outcome.COMPLETED and result.best is not None:
            register_winner(checked, task, result.best, runs)
    if result.outcome is not Outcome.COMPLETED:
        _say_how_to_go_on(folder)
    if result.interrupt is not None:
        raise result.interrupt
    if result.outcome is Outcome.FAILED:
        raise SweepFailedError(f"The sweep {study.study_name} failed: {result.reason}. {_first_error(study)}")
    return result


@contextmanager
def _opened(checked: CheckedStudy, task: Task) -> Iterator[tuple[Study, Lease]]:
    """Open the study, or make it with its folder, and hold it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan, folder, settings = checked.plan, checked.folder, checked.settings
    folder.make()
    storage = open_storage(checked.storage)
    study = optuna.create_study(
        study_name=checked.name,
        storage=storage,
        direction=task.directions[checked.metric],
        sampler=checked.samplers.sampler_for(0),
        pruner=checked.pruner,
        load_if_exists=True,
    )
    lease = Lease(study, storage)
    lease.acquire(join=settings.join)
    try:
        while PARENT_RUN not in study.user_attrs and not lease.is_first():
            time.sleep(_LOOK_AGAIN)  # of processes that begin a study together, one defines it and makes its runs
        check_same(study, checked.definition)
        command_file.remember(folder, plan.dataset, settings.storage)  # anew each time: n_trials may have grown
        if DEFINITION not in study.user_attrs:
            write_text(folder.config, without_passwords(OmegaConf.to_yaml(plan.config)))
            study.set_user_attr(TRACKING, _tracking(checked, task))
            study.set_user_attr(DEFINITION, dict(checked.definition))  # last: now everything is there to go on with
        yield study, lease
    finally:
        with suppress(StorageError):  # a lease of a dead process holds nobody up
            lease.release()


def _tracking(checked: CheckedStudy, task: Task) -> dict[str, Any]:
    """What the runs in MLflow show of a study beside its trials."""
    return {
        "experiment": checked.settings.experiment_name,
        "dataset": str(checked.plan.config.dataset.name),
        "metric": checked.metric,
        "names": checked.plan.parameter_names(),
        "tags": {**command_tags(task.fingerprint), STUDY_ID: uuid.uuid4().hex},
    }


def _budget(settings: Settings) -> Budget:
    return Budget(
        settings.n_trials,
        settings.timeout,
        settings.max_failure_rate,
        settings.patience,
        settings.target,
        settings.max_retries,
        settings.grace_period,
    )


class _Files:
    """Writes `trials.csv` and `sweep_result.yaml` at the end; a callback of the sweep."""

    def __init__(self, folder: StudyFolder, metric: str, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._metric = metric
        self._names = names

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Nothing to do: the study itself keeps the trial."""

    def on_end(self, study: Study, result: StudyResult) -> None:
        """Write both files."""
        write_trials(study, self._folder.trials, self._names)
        write_yaml(self._folder.result, describe_result(study, result, self._metric))


def _log_plots(study: Study, checked: CheckedStudy, task: Task, runs: StudyRuns) -> None:
    if type(task).plots is Task.plots:
        return
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    tried = [Tried(candidate_of_trial(checked, trial), Record.of(trial).metrics) for trial in complete]
    try:
        runs.log_figures(task.plots(tried))
    except Exception as error:  # noqa: BLE001 - a figure must not cost the sweep
        say(f"Plots could not be made or logged: {error}")


def _announce(checked: CheckedStudy, study: Study) -> None:
    what = ", ".join(f"{group} {' | '.join(options)}" for group, options in checked.plan.space.groups.items())
    n_trials, dataset = checked.settings.n_trials, checked.plan.dataset
    say(f"Study {checked.name}: {n_trials} trials on {dataset}, {what}; in {checked.folder.path}")
    n_before = sum(is_counted(trial) for trial in study.get_trials(deepcopy=False))
    if n_before:
        say(f"Going on: {n_before} of {n_trials} trials are done.")
    if checked.samplers.warning:
        say(f"Note: {checked.samplers.warning}")


def _report(study: Study, metric: str, result: StudyResult, names: Mapping[str, str]) -> None:
    if result.reason:
        say(f"The sweep ended early: {result.reason}.")
    trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    n_failed = sum(is_counted(trial) for trial in trials)
    if n_failed:
        say(f"{n_failed} trials failed; their tracebacks are artifacts of their runs. {_first_error(study)}")
    if result.best is not None:
        say(f"\n{summary_table(study, metric, names)}\n")


def _first_error(study: Study) -> str:
    for trial in study.get_trials(deepcopy=False):
        if is_counted(trial) and trial.user_attrs.get(Attribute.ERROR):
            return f"The first error: {trial.user_attrs[Attribute.ERROR].splitlines()[0]}"
    return ""


def _say_how_to_go_on(folder: StudyFolder) -> None:
    say(f"Go on:   python -m sweeps.resume {folder.path}")


def _say_where(checked: CheckedStudy, runs: StudyRuns) -> None:
    uri, settings = tracking.shown_uri(), checked.settings
    say(f"Trials:  {checked.folder.trials}")
    say(f"MLflow:  experiment {settings.experiment_name}, run {runs.parent_id}")
    say(f"Look:    {uri if uri.startswith('http') else f'mlflow ui --backend-store-uri {uri}'}")
