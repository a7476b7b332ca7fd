"""One checked study: run it, track it, report it, and register its winner."""

from __future__ import annotations

import json
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from hydra.types import HydraContext, TaskFunction
from omegaconf import OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps import console, results
from sweeps._hydra_compat import run_trial_job
from sweeps.checks import CheckedStudy
from sweeps.config import SWEPT_GROUPS
from sweeps.console import say
from sweeps.errors import SweepFailedError, TrackingError
from sweeps.execution.in_process import InProcess
from sweeps.redact import without_passwords
from sweeps.results import StudyFolder
from sweeps.search_space import Proposal
from sweeps.sweep import Attribute, Budget, Callback, Outcome, SweepResult, is_counted, run_sweep
from sweeps.tasks.base import Candidate, Task, Tried
from sweeps.tracking import client as tracking
from sweeps.tracking import registry
from sweeps.tracking.runs import StudyRuns, command_tags
from sweeps.trial import TrialResult, candidate_of, hyperparameters, load_task


def run_study(
    checked: CheckedStudy, base: Path, hydra_context: HydraContext, task_function: TaskFunction
) -> SweepResult:
    """Run a study to its end: trials, runs in MLflow, files, summary, and the winner in the registry.

    Args:
        checked: what to run.
        base: the folder of all studies.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.

    Raises:
        TrackingError: MLflow is out of reach (before the first trial), or the winner could not be registered.
        SweepFailedError: no trial completed, or too many failed.
        KeyboardInterrupt: interrupted; everything is told and logged.
    """
    plan, settings, metric = checked.plan, checked.settings, checked.metric
    task = load_task(plan.config)
    client = tracking.connect()
    experiment = tracking.experiment_id(client, settings.experiment_name)
    folder = StudyFolder.create(base, checked.name)
    folder.config.write_text(without_passwords(OmegaConf.to_yaml(plan.config)), encoding="utf-8")
    names = plan.parameter_names()
    study = _create_study(checked, folder, task, names)

    def run_one(number: int, proposal: Proposal) -> TrialResult:
        config = plan.job_config(number, proposal, folder.path)
        result: TrialResult = run_trial_job(config, task_function, hydra_context)
        return result

    _announce(checked, folder)
    tags = command_tags(task.fingerprint)
    runs = StudyRuns(client, experiment, study, folder, str(plan.config.dataset.name), names, tags)
    callbacks: list[Callback] = [console.Progress(settings.n_trials, metric), _Files(folder, metric, names), runs]
    budget = Budget(settings.n_trials, settings.timeout, settings.max_failure_rate)

    def describe(proposal: Proposal) -> dict[str, Any]:
        active = hyperparameters(plan.job_config(0, proposal, folder.path))
        described: dict[str, Any] = json.loads(json.dumps(active, default=str))
        return described

    result = run_sweep(study, plan.space, InProcess(run_one), budget, checked.samplers, metric, callbacks, describe)
    _report(study, metric, result, names)
    _log_plots(study, checked, task, folder, runs)
    _say_where(checked, folder, runs)
    if result.outcome is Outcome.COMPLETED and result.best is not None:
        _register_winner(checked, task, result.best, folder, runs)
    if result.interrupt is not None:
        raise result.interrupt
    if result.outcome is Outcome.FAILED:
        raise SweepFailedError(f"The sweep {study.study_name} failed: {result.reason}. {_first_error(study)}")
    return result


def _create_study(checked: CheckedStudy, folder: StudyFolder, task: Task, names: Mapping[str, str]) -> Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=checked.name,
        storage=folder.storage_url,
        direction=task.directions[checked.metric],
        sampler=checked.samplers.sampler_for(0),
    )
    study.set_user_attr("sweeps.metric", checked.metric)
    study.set_user_attr("sweeps.dataset.fingerprint", task.fingerprint)
    study.set_user_attr("sweeps.names", dict(names))
    return study


class _Files:
    """Writes `trials.csv` and `sweep_result.yaml` at the end; a callback of the sweep."""

    def __init__(self, folder: StudyFolder, metric: str, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._metric = metric
        self._names = names

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Nothing to do: the study itself keeps the trial."""

    def on_end(self, study: Study, result: SweepResult) -> None:
        """Write both files."""
        results.write_trials(study, self._folder.trials, self._names)
        results.write_result(self._folder.result, results.describe_result(study, result, self._metric))


def _register_winner(
    checked: CheckedStudy, task: Task, best: FrozenTrial, folder: StudyFolder, runs: StudyRuns
) -> None:
    name = checked.settings.registered_model_name
    say("Model:   refitting the best trial on the training part ...")
    try:
        winner = _refit(checked, task, best, folder, runs)
        decision = registry.register(runs.client, task, winner, name, checked.settings.promote)
        runs.set_parent_tags(
            {"sweeps.registered_model": f"{name}/{decision.version}", "sweeps.promotion.reason": decision.message}
        )
    except Exception as error:
        # Whatever happens here, the sweep's results stand.
        raise TrackingError(
            f"The sweep is complete and kept, but its winner, trial {best.number}, could not be registered as {name}: "
            f"{error}"
        ) from error
    say(f"Model:   {name} version {decision.version} registered; {decision.message}")
    address = shlex.quote(f"models:/{name}@champion")
    say(f"Predict: python -m sweeps.predict {address} input.csv -o output.csv")


def _log_plots(study: Study, checked: CheckedStudy, task: Task, folder: StudyFolder, runs: StudyRuns) -> None:
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    tried = [Tried(_candidate(checked, trial, folder), trial.user_attrs[Attribute.METRICS]) for trial in complete]
    try:
        runs.log_figures(task.plots(tried))
    except Exception as error:  # noqa: BLE001 - a figure must not cost the sweep
        say(f"Plots could not be made or logged: {error}")


def _candidate(checked: CheckedStudy, trial: FrozenTrial, folder: StudyFolder) -> Candidate:
    return candidate_of(checked.plan.job_config(trial.number, checked.plan.space.replay(trial), folder.path))


def _refit(
    checked: CheckedStudy, task: Task, best: FrozenTrial, folder: StudyFolder, runs: StudyRuns
) -> registry.Winner:
    candidate = _candidate(checked, best, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial has recorded what its fit warned of
        predictor = task.refit(candidate)
        scores = task.test_scores(predictor)
    metric = checked.metric.replace("val_", "test_", 1)
    if metric not in scores:
        raise TrackingError(f"the gate needs {metric}, and {type(task).__name__} measures {', '.join(scores)}")
    child = runs.child_id(best.number)
    if child is None:
        raise TrackingError("its MLflow run could not be logged")
    choices = best.user_attrs[Attribute.CHOICES]
    tags = {
        "sweeps.study": checked.name,
        "sweeps.trial.number": str(best.number),
        f"sweeps.{checked.metric}": repr(best.values[0]),
        "sweeps.dataset.fingerprint": task.fingerprint,
        **{f"sweeps.{group}": choices[group] for group in SWEPT_GROUPS},
    }
    direction = task.directions[checked.metric]
    return registry.Winner(predictor, candidate.trusted_types, scores, metric, direction, child, tags)


def _announce(checked: CheckedStudy, folder: StudyFolder) -> None:
    what = ", ".join(f"{group} {' | '.join(options)}" for group, options in checked.plan.space.groups.items())
    say(f"Study {checked.name}: {checked.settings.n_trials} trials on {checked.plan.dataset}, {what}; in {folder.path}")
    if checked.samplers.warning:
        say(f"Note: {checked.samplers.warning}")


def _report(study: Study, metric: str, result: SweepResult, names: Mapping[str, str]) -> None:
    if result.reason:
        say(f"The sweep ended early: {result.reason}.")
    trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    n_failed = sum(is_counted(trial) for trial in trials)
    if n_failed:
        say(f"{n_failed} trials failed; their tracebacks are artifacts of their runs. {_first_error(study)}")
    if result.best is not None:
        say(f"\n{console.summary_table(study, metric, names)}\n")


def _first_error(study: Study) -> str:
    for trial in study.get_trials(deepcopy=False):
        if Attribute.ERROR in trial.user_attrs:
            return f"The first error: {trial.user_attrs[Attribute.ERROR].splitlines()[0]}"
    return ""


def _say_where(checked: CheckedStudy, folder: StudyFolder, runs: StudyRuns) -> None:
    uri, settings = tracking.shown_uri(), checked.settings
    say(f"Trials:  {folder.trials}")
    say(f"MLflow:  experiment {settings.experiment_name}, run {runs.parent_id}")
    say(f"Look:    {uri if uri.startswith('http') else f'mlflow ui --backend-store-uri {uri}'}")
