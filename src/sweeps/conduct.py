"""A sweep from overrides to a promoted model: plan and check everything, then run, track and register each study."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from optuna import Study
from optuna.trial import FrozenTrial

from sweeps import console, results
from sweeps._hydra_compat import run_trial_job
from sweeps.composition import Combination, Request, StudyPlan, plan_study
from sweeps.config import SWEPT_GROUPS, Settings
from sweeps.console import say
from sweeps.errors import ConfigError, ModelError, SweepFailed, TrackingError
from sweeps.execution.in_process import InProcess
from sweeps.results import StudyFolder
from sweeps.samplers import SamplerFactory
from sweeps.search_space import Proposal, SearchSpace
from sweeps.sweep import Attribute, Budget, Outcome, SweepResult, run_sweep
from sweeps.tasks.base import Task
from sweeps.trial import TrialResult, candidate_of, load_task


@dataclass(frozen=True)
class _Study:
    """One planned and checked study."""

    name: str
    plan: StudyPlan
    settings: Settings
    metric: str
    samplers: SamplerFactory


def conduct(
    arguments: Sequence[str], master: DictConfig, hydra_context: HydraContext, task_function: TaskFunction
) -> list[SweepResult]:
    """Run the sweep that the overrides ask for, one study for each dataset.

    Args:
        arguments: override texts; of several with one key the last counts.
        master: the config that Hydra composed for the sweep.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.

    Raises:
        SweepsError: anything that the user can mend; before the first trial, nothing has been written.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed.
    """
    loader = hydra_context.config_loader
    request = Request.parse(arguments, loader)
    plans = [plan_study(request, dataset, master, loader) for dataset in request.datasets()]
    if master.dry_run:
        for plan in plans:
            say(describe_space(plan.space, plan.dataset))
        return []
    studies = [_check(plan, len(plans) > 1) for plan in plans]
    return [_conduct_study(study, master, hydra_context, task_function) for study in studies]


def describe_space(space: SearchSpace, dataset: str) -> str:
    """The search space as a table: name, distribution, default, condition, file."""
    rows = [
        [group, f"one of {', '.join(options)}", options[0], "", "command line"]
        for group, options in space.swept_groups().items()
    ]
    for leaf in space.all_leaves():
        when = ", ".join(f"{key.partition('.')[2]} is {' or '.join(map(str, values))}" for key, values in leaf.when.items())
        rows.append([leaf.name, _describe_distribution(leaf.distribution), str(leaf.default), when, leaf.source])
    fixed = ", ".join(f"{group}={options[0]}" for group, options in space.groups.items() if len(options) == 1)
    head = f"dataset={dataset}" + (f", {fixed}" if fixed else "")
    if not rows:
        return f"{head}: nothing to search."
    return f"{head}\n{console.table(rows, ['name', 'distribution', 'default', 'when', 'from'])}"


def _describe_distribution(distribution: optuna.distributions.BaseDistribution) -> str:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return f"one of {', '.join(map(str, distribution.choices))}"
    assert isinstance(  # noqa: S101 - for mypy: no third kind
        distribution, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution
    )
    kind = "int" if isinstance(distribution, optuna.distributions.IntDistribution) else "float"
    step = f" step {distribution.step:g}" if distribution.step is not None and not distribution.log else ""
    return f"{kind} {distribution.low:g} to {distribution.high:g}{' log' if distribution.log else ''}{step}"


def choose_metric(task: Task, settings: Settings) -> str:
    """The objective: `metric=`, or the task's default.

    Raises:
        ConfigError: a metric that the task does not offer as an objective.
    """
    metric = settings.metric or task.default_metric
    if metric not in task.directions:
        why = "test_ metrics are measured, never optimised" if metric.startswith("test_") else "unknown objective"
        raise ConfigError(f"metric={metric}: {why}. Choose one of: {', '.join(task.directions)}.")
    return metric


def _check(plan: StudyPlan, several_datasets: bool) -> _Study:
    """Everything that can be wrong is found here, before the first trial of any study."""
    settings = Settings.from_config(plan.config)
    sampler = OmegaConf.to_container(plan.config.sampler, resolve=True)
    if not isinstance(sampler, dict):
        raise ConfigError("sampler must be a mapping with `_target_`, such as sampler=tpe.")
    samplers = SamplerFactory({str(key): value for key, value in sampler.items()}, plan.space)
    task = load_task(plan.config)
    metric = choose_metric(task, settings)
    for combination in plan.combinations.values():
        _check_candidate(task, combination)
    name = settings.study_name or results.new_study_name(plan.dataset)
    if settings.study_name and several_datasets:
        name = f"{name}-{plan.dataset}"
    return _Study(name, plan, settings, metric, samplers)


def _check_candidate(task: Task, combination: Combination) -> None:
    try:
        task.check(candidate_of(combination.config))
    except (ConfigError, ModelError) as error:
        chosen = " ".join(f"{group}={choice}" for group, choice in combination.choices.items())
        raise type(error)(f"{chosen}: {error}") from error


def _conduct_study(
    study_plan: _Study, master: DictConfig, hydra_context: HydraContext, task_function: TaskFunction
) -> SweepResult:
    from sweeps.tracking import client as tracking
    from sweeps.tracking.runs import StudyRuns, command_tags

    plan, settings = study_plan.plan, study_plan.settings
    task = load_task(plan.config)
    client = tracking.connect()
    experiment = tracking.experiment_id(client, settings.experiment_name)
    folder = StudyFolder.create(Path(master.hydra.sweep.dir), study_plan.name)
    OmegaConf.save(plan.config, folder.config)
    study = _create_study(study_plan, folder, task)
    names = plan.parameter_names()

    def run_one(number: int, proposal: Proposal) -> TrialResult:
        config = plan.job_config(number, proposal, folder.path)
        result: TrialResult = run_trial_job(config, task_function, hydra_context)
        return result

    budget = Budget(settings.n_trials, settings.timeout, settings.max_failure_rate)
    runs = StudyRuns(
        client, experiment, study, folder, str(plan.config.dataset.name), names,
        command_tags(sys.argv[1:], task.fingerprint),
    )
    files = _Files(folder, study_plan.metric, names)
    _announce(study_plan, folder)
    progress = console.Progress(settings.n_trials, 0, study_plan.metric)
    result = run_sweep(
        study, plan.space, InProcess(run_one), budget, study_plan.samplers, study_plan.metric, [progress, files, runs]
    )
    _report(study, study_plan, result, names)
    try:
        if result.outcome is Outcome.COMPLETED and result.best is not None:
            _register_winner(study_plan, task, result.best, folder, runs)
    finally:
        _say_where(folder, runs.parent_id, settings)
    if result.outcome is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if result.outcome is Outcome.FAILED:
        raise SweepFailed(f"The sweep {study.study_name} failed: {result.reason}. {_first_error(study)}")
    return result


def _create_study(study_plan: _Study, folder: StudyFolder, task: Task) -> Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=study_plan.name,
        storage=folder.storage_url,
        direction=task.directions[study_plan.metric],
        sampler=study_plan.samplers.sampler_for(0),
    )
    study.set_user_attr("sweeps.dataset.fingerprint", task.fingerprint)
    study.set_user_attr("sweeps.names", study_plan.plan.parameter_names())
    return study


class _Files:
    """Keeps `trials.csv` up to date and writes the result; a callback of the sweep."""

    def __init__(self, folder: StudyFolder, metric: str, names: Mapping[str, str]) -> None:
        self._folder = folder
        self._metric = metric
        self._names = names

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Nothing: the study has the trial, and the table is written once at the end."""

    def on_end(self, study: Study, result: SweepResult) -> None:
        """Write both files."""
        results.write_trials(study, self._folder.trials, self._names)
        results.write_result(self._folder.result, results.describe_result(study, result, self._metric))


def _announce(study_plan: _Study, folder: StudyFolder) -> None:
    groups = study_plan.plan.space.groups
    what = ", ".join(f"{group} {' | '.join(options)}" for group, options in groups.items())
    say(f"Study {study_plan.name}: {study_plan.settings.n_trials} trials on {study_plan.plan.dataset}, {what}; in {folder.path}")
    if study_plan.samplers.warning:
        say(f"Note: {study_plan.samplers.warning}")


def _report(study: Study, study_plan: _Study, result: SweepResult, names: Mapping[str, str]) -> None:
    if result.reason:
        say(f"The sweep ended early: {result.reason}.")
    failed = [t for t in study.get_trials(deepcopy=False) if t.state.name == "FAIL"]
    if failed:
        say(f"{len(failed)} trials failed; their tracebacks are artifacts of their runs. {_first_error(study)}")
    if result.best is not None:
        say()
        say(console.summary_table(study, study_plan.metric, names))
        say()


def _first_error(study: Study) -> str:
    errors = [t.user_attrs[Attribute.ERROR] for t in study.get_trials(deepcopy=False) if Attribute.ERROR in t.user_attrs]
    return f"The first error: {errors[0].splitlines()[0]}" if errors else ""


def _register_winner(study_plan: _Study, task: Task, best: FrozenTrial, folder: StudyFolder, runs: object) -> None:
    from sweeps.tracking import registry
    from sweeps.tracking.client import connect
    from sweeps.tracking.runs import StudyRuns

    assert isinstance(runs, StudyRuns)  # noqa: S101 - for mypy: tracking is imported late
    name = study_plan.settings.registered_model_name
    child = runs.child_id(best.number)
    try:
        if child is None:
            raise TrackingError("its run could not be logged")
        say("Refitting the best trial on the training part ...")
        choices = best.user_attrs[Attribute.CHOICES]
        proposal = study_plan.plan.space.replay(best)
        candidate = candidate_of(study_plan.plan.job_config(best.number, proposal, folder.path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the trial has recorded what its fit warned of
            predictor = task.refit(candidate)
            scores = task.test_scores(predictor)
        metric = study_plan.metric.replace("val_", "test_", 1)
        winner = registry.Winner(
            predictor,
            candidate.trusted_types,
            scores,
            metric,
            task.directions[study_plan.metric],
            child,
            {
                "sweeps.study": study_plan.name,
                "sweeps.trial.number": str(best.number),
                f"sweeps.{study_plan.metric}": repr(best.values[0]),
                "sweeps.dataset.fingerprint": task.fingerprint,
                **{f"sweeps.{group}": choices[group] for group in SWEPT_GROUPS},
            },
        )
        decision = registry.register(connect(), task, winner, name, study_plan.settings.promote)
        say(f"Registered model {name}: {decision.message}.")
        runs.set_parent_tags(
            {"sweeps.registered_model": f"{name}/{decision.version}", "sweeps.promotion.reason": decision.message}
        )
    except Exception as error:
        # The sweep's results stand whatever happens here, and whoever reads the message gets the reason.
        raise TrackingError(
            f"The sweep is complete and kept, but its winner (trial {best.number}) could not be registered as {name}: {error}"
        ) from error


def _say_where(folder: StudyFolder, parent_id: str, settings: Settings) -> None:
    from sweeps.tracking.client import shown_uri

    uri = shown_uri()
    say(f"Trials:  {folder.trials}")
    say(f"MLflow:  experiment {settings.experiment_name}, run {parent_id}")
    if uri.startswith("http"):
        say(f"Look:    {uri}")
    else:
        say(f"Look:    mlflow ui --backend-store-uri {uri}")
    say(f"Predict: python -m sweeps.predict models:/{settings.registered_model_name}@champion input.csv -o output.csv")
