"""Everything that can be wrong is found here, before the first trial of any study and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.pruners import BasePruner

from sweeps.base.errors import ConfigError, ModelError
from sweeps.compose.option_file import naming_its_file
from sweeps.compose.plan import Combination, StudyPlan
from sweeps.compose.settings import Settings
from sweeps.execution.trial import candidate_of, load_task
from sweeps.study.folder import StudyFolder, new_study_name
from sweeps.study.identity import check_same, identity_of
from sweeps.study.pruning import build_pruner
from sweeps.study.samplers import SamplerFactory
from sweeps.study.storage import find_study
from sweeps.tasks.base import Task


@dataclass(frozen=True)
class CheckedStudy:
    """A study that is ready to run.

    Attributes:
        name: of the study and its folder.
        plan: its composed configs and search space.
        settings: its top-level values.
        metric: the objective.
        samplers: the sampler of each trial.
        pruner: stops hopeless trials.
        identity: what must not change while the study lasts.
        folder: its files.
        storage: the URL of its database.
    """

    name: str
    plan: StudyPlan
    settings: Settings
    metric: str
    samplers: SamplerFactory
    pruner: BasePruner
    identity: Mapping[str, str]
    folder: StudyFolder
    storage: str


def check_study(plan: StudyPlan, base: Path, *, several_datasets: bool) -> CheckedStudy:
    """Check settings, sampler, data, objective, and that every combination of options builds and can be stored.

    Args:
        plan: the composed study.
        base: the folder of all studies.
        several_datasets: whether the sweep has a study for each of several datasets, each named after its own.

    Raises:
        ConfigError: a value, a sampler or a candidate is wrong, or the study was begun with something else.
        StorageError: the study's database is out of reach.
        DataError: the dataset is missing, unreadable or unfit.
        ModelError: a model could not be stored as plain data.
    """
    settings = Settings.from_config(plan.config)
    with naming_its_file(plan.config.hydra.runtime):
        samplers = SamplerFactory(_mapping(plan, "sampler", "tpe"), plan.space)
        pruner = build_pruner(_mapping(plan, "pruner", "median"))
        task = load_task(plan.config)
    metric = choose_metric(task, settings)
    for combination in plan.combinations.values():
        _check_candidate(task, combination)
    name = settings.study_name or new_study_name(plan.dataset)
    if settings.study_name and several_datasets:
        name = f"{name}-{plan.dataset}"
    folder = StudyFolder(base / name)
    storage = settings.storage or folder.storage_url
    identity = identity_of(plan, task, metric, settings.seed)
    study = find_study(storage, name) if settings.study_name else None
    if study is None:
        folder.check_new()
    else:
        check_same(study, identity)
    return CheckedStudy(name, plan, settings, metric, samplers, pruner, identity, folder, storage)


def _mapping(plan: StudyPlan, group: str, example: str) -> dict[str, Any]:
    config = OmegaConf.to_container(plan.config[group], resolve=True)
    if not isinstance(config, dict):
        raise ConfigError(f"{group} must be a mapping with `_target_`, such as {group}={example}.")
    return {str(key): value for key, value in config.items()}


def choose_metric(task: Task, settings: Settings) -> str:
    """The objective: `metric=`, or the task's default.

    Raises:
        ConfigError: a metric that the task does not offer as an objective.
    """
    metric = settings.metric or task.default_metric
    if metric not in task.directions:
        why = (
            "test_ metrics are reported, and cannot be optimised"
            if metric.startswith("test_")
            else "this is not a metric of the task"
        )
        raise ConfigError(f"metric={metric}: {why}. Choose one of: {', '.join(task.directions)}.")
    return metric


def _check_candidate(task: Task, combination: Combination) -> None:
    try:
        with naming_its_file(combination.config.hydra.runtime):
            task.check(candidate_of(combination.config))
    except (ConfigError, ModelError) as error:
        chosen = " ".join(f"{group}={choice}" for group, choice in combination.choices.items())
        raise type(error)(f"{chosen}: {error}") from error
