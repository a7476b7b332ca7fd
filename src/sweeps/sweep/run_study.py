"""One checked study: run or resume it, track it, report it, and register its winner."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from optuna import Study
from optuna.trial import TrialState

from sweeps.base.errors import ClusterError, StorageError, SweepFailedError, TrackingError, whole_text
from sweeps.base.say import say
from sweeps.compose.search_space import Proposal
from sweeps.compose.settings import AppLogs, Settings
from sweeps.execution.custom_space import custom_space
from sweeps.execution.objective import Objective
from sweeps.execution.workers import Workers
from sweeps.figures.of_objective import figures_of
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import END
from sweeps.study.command_file import Command
from sweeps.study.folder import StudyFolder
from sweeps.study.lease import Lease
from sweeps.study.loop import StudyLoop, no_environment
from sweeps.study.result import Callback, StudyResult
from sweeps.study.starting_points import STARTING_POINTS
from sweeps.study.stopping import Budget, Outcome
from sweeps.sweep.kept_predictions import KeptPredictions
from sweeps.sweep.open_study import open_study
from sweeps.sweep.preflight import CheckedStudy
from sweeps.sweep.printed import announce, first_error, report, say_how_to_resume, say_where
from sweeps.sweep.progress import Progress
from sweeps.sweep.study_files import StudyFiles
from sweeps.sweep.tables import profile_table
from sweeps.sweep.winner import register_winner
from sweeps.tracking import client as tracking
from sweeps.tracking.study.parent import StudyRuns


def run_study(checked: CheckedStudy, workers: Workers, command: Command) -> StudyResult:
    """Run a study to its end: trials, runs in MLflow, files, summary, and the winner in the registry.

    Args:
        checked: what to run; a study that has trials is resumed.
        workers: where trials run; closed at the end.
        command: that began the sweep.

    Raises:
        TrackingError: MLflow is out of reach (before the first trial), or the winner could not be registered.
        StorageError: the study's database is out of reach or full, or another process is at work on the study.
        SweepFailedError: no trial completed, or too many failed.
        KeyboardInterrupt: interrupted; everything is told and logged.
    """
    objective, settings, folder, plan = checked.objective, checked.settings, checked.folder, checked.plan
    metrics, names = tuple(objective.directions), objective.names()
    client = tracking.connect()
    experiment_name = tracking.experiment_name(client, settings.experiment_name, objective.dataset or plan.subject)
    experiment = tracking.experiment_id(client, experiment_name)
    with open_study(checked, experiment_name, command) as (study, lease):
        announce(checked, study)
        with _saying_how_to_resume(folder):
            runs = StudyRuns(client, experiment, study, folder)
        loop = _loop(checked, study, lease, workers, runs)
        with _saying_how_to_resume(folder):
            result = loop.run()
        with suppress(StorageError):
            study.set_user_attr(END, [result.outcome.value, result.reason])
        report(study, metrics, result, names, folder)
        if settings.profile:
            say(profile_table(study, {"tracking": runs.seconds}) + "\n")
        if result.outcome is Outcome.COMPLETED and not result.is_last:
            say("Other processes are still at work on this study; the last of them registers its winner.")
            return result
        if runs.is_answered:
            _log_figures(study, objective, runs)
        say_where(checked, experiment_name, runs.parent_id)
        if result.outcome is Outcome.COMPLETED and result.best is not None:
            n_complete = len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
            register_winner(checked, result.best, n_complete, runs)
    if result.outcome is not Outcome.COMPLETED:
        say_how_to_resume(folder)
    if result.interrupt is not None:
        raise result.interrupt
    if result.outcome is Outcome.FAILED:
        raise SweepFailedError(f"The study {study.study_name} failed: {result.reason}. {first_error(study)}")
    return result


def _loop(checked: CheckedStudy, study: Study, lease: Lease, workers: Workers, runs: StudyRuns) -> StudyLoop:
    objective, settings, folder = checked.objective, checked.settings, checked.folder
    metrics = tuple(objective.directions)
    listeners: list[Callback] = [
        Progress(study, settings.n_trials, metrics),
        KeptPredictions(study, folder),
        StudyFiles(folder, metrics, objective.names()),
        runs,
    ]
    return StudyLoop(
        study,
        _queue(checked, study, lease),
        workers,
        _budget(settings, checked.target),
        metrics,
        listeners,
        lease,
        runs.environment if settings.mlflow is AppLogs.inside else no_environment,
        objective.n_reports,
        settings.constraints,
    )


def _queue(checked: CheckedStudy, study: Study, lease: Lease) -> TrialQueue:
    describe = partial(_describe, checked.objective)
    more = custom_space(checked.settings.custom_search_space, checked.plan)
    starts = study.user_attrs.get(STARTING_POINTS, [])
    return TrialQueue(study, checked.plan.space, checked.samplers, lease.holder, describe, more, starts)


@contextmanager
def _saying_how_to_resume(folder: StudyFolder) -> Iterator[None]:
    try:
        yield
    except (StorageError, ClusterError, TrackingError):
        say_how_to_resume(folder)
        raise


def _describe(objective: Objective, proposal: Proposal) -> dict[str, Any]:
    """The hyperparameters of a proposal, as plain data."""
    values = {key.lstrip("+"): value for key, value in proposal.values.items()}
    active = {**objective.hyperparameters(objective.plan.trial_config(proposal)), **values}
    described: dict[str, Any] = json.loads(json.dumps(active, default=str))
    return described


def _budget(settings: Settings, target: Mapping[str, float]) -> Budget:
    return Budget(
        settings.n_trials,
        settings.timeout,
        settings.max_failure_rate,
        settings.patience,
        target,
        settings.max_retries,
        settings.grace_period,
    )


def _log_figures(study: Study, objective: Objective, runs: StudyRuns) -> None:
    try:
        runs.log_figures(figures_of(study, objective))
    except Exception as error:  # noqa: BLE001 - a figure must not cost the results
        say(f"The figures could not be drawn or logged: {whole_text(error)}")
