"""Everything that can be wrong is found here, before the first trial of any study and before anything is written."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from optuna.pruners import BasePruner, NopPruner

from sweeps.base.build import TARGET
from sweeps.base.errors import ConfigError
from sweeps.base.say import say
from sweeps.base.working_directory import is_writable
from sweeps.compose.choice import Choice
from sweeps.compose.composed_space import check_values, has_key
from sweeps.compose.option_file import naming_its_file
from sweeps.compose.plan import StudyPlan
from sweeps.compose.settings import Settings
from sweeps.compose.target import by_metric
from sweeps.execution.objective import Objective, objective_class
from sweeps.study.folder import StudyFolder, new_study_name
from sweeps.study.identity import check_same, identity_of
from sweeps.study.pruning import build_pruner
from sweeps.study.sampler_node import in_our_words
from sweeps.study.samplers import GRID, SamplerFactory
from sweeps.study.starting_points import STARTING_POINTS, StartingPoints
from sweeps.study.storage import find_study, parse_storage

_LONGEST_PATH = 4_095 if os.uname().sysname == "Linux" else 1_023  # bytes
_NUMBERED = ("${hydra.job.num}", "${hydra:job.num}")  # Hydra's own default of `hydra.sweep.subdir`


@dataclass(frozen=True)
class CheckedStudy:
    """A study that is ready to run.

    Attributes:
        name: of the study and its folder.
        objective: what its trials run, with its composed configs and search space.
        settings: of the sweep.
        samplers: the sampler of each trial.
        pruner: stops hopeless trials.
        identity: what must not change while the study lasts.
        folder: its files.
        storage: the URL of its database.
        starting_points: what it tries after the defaults: parameters by Optuna name.
        target: the values at which it stops, by metric.
    """

    name: str
    objective: Objective
    settings: Settings
    samplers: SamplerFactory
    pruner: BasePruner
    identity: Mapping[str, str]
    folder: StudyFolder
    storage: str
    starting_points: Sequence[Mapping[str, Any]]
    target: Mapping[str, float]

    @property
    def plan(self) -> StudyPlan:
        """The composed configs and the search space."""
        return self.objective.plan


def check_study(plan: StudyPlan, *, several_studies: bool) -> CheckedStudy:
    """Check settings, sampler, objective, and that every combination of options can run.

    Args:
        plan: the composed study.
        several_studies: whether the sweep has more than one, each named after its subject.

    Raises:
        ConfigError: a value, a sampler or a candidate is wrong, or the study was started with something else.
        StorageError: the study's database is out of reach.
        DataError: data are missing, unreadable or unfit.
        ModelError: a model could not be stored as plain data.
    """
    kind = objective_class(plan.config)
    settings = Settings.from_config(plan.config.hydra.sweeper, kind.prefix)
    base = _base(plan, settings)
    with naming_its_file(plan.config.hydra.runtime):
        pruner = build_pruner(_mapping(plan, "pruner", "median"))
        objective = kind(plan, settings)
        samplers = _samplers(plan, settings, len(objective.directions))
    for constraint in settings.constraints:
        if objective.measured is not None and constraint.metric not in objective.measured:
            raise ConfigError(
                f"{settings.prefix}constraints: nothing measures {constraint.metric}. Choose from: "
                f"{', '.join(objective.measured)}."
            )
    if settings.repeat is not None:
        _check_repeat(plan, *settings.repeat)
    target = by_metric(settings.target, tuple(objective.directions), f"{settings.prefix}target")
    _check_several(objective, settings, pruner, samplers)
    objective.check()
    name = settings.study_name or new_study_name(plan.subject)
    if settings.study_name and several_studies:
        name = f"{name}-{plan.subject}"
    folder = StudyFolder(base / name)
    _check_lengths(plan, folder)
    storage = settings.storage or folder.storage_url
    parse_storage(storage)
    identity = identity_of(objective, settings)
    study = find_study(storage, name) if settings.study_name else None
    if study is None:
        folder.check_new()
        starts = StartingPoints(objective, base, settings.storage).read(settings.start_with)
    else:
        check_same(study, identity)
        starts = study.user_attrs.get(STARTING_POINTS, [])
    return CheckedStudy(name, objective, settings, samplers, pruner, identity, folder, storage, starts, target)


def _samplers(plan: StudyPlan, settings: Settings, n_objectives: int) -> SamplerFactory:
    """The samplers that the config names; a space that is small enough is gone through instead."""
    config = in_our_words(_mapping(plan, "sampler", "tpe"), settings.seed)
    space = plan.space
    if space.is_finite() and settings.custom_search_space is None:
        n_points = sum(1 for _ in itertools.islice(space.grid(), settings.n_trials + 1))
        if n_points <= settings.n_trials and config.get(TARGET) != GRID:
            say(f"The search space has {n_points} configurations: each is run once, and no sampler is needed.")
            config = {TARGET: GRID, "seed": settings.seed}
    return SamplerFactory(config, space, n_objectives)


def _check_repeat(plan: StudyPlan, key: str, values: Sequence[Any]) -> None:
    """Have every config take the values under which each of them is to run, and which nothing else sets."""
    searched = next((leaf.key for leaf in plan.space.searched_leaves() if f"{leaf.key}.".startswith(f"{key}.")), None)
    if searched is not None:
        raise ConfigError(f"hydra.sweeper.repeat: {key} cannot be repeated, since {searched} is searched.")
    if len(set(map(repr, values))) < len(values):
        raise ConfigError(f"hydra.sweeper.repeat: the values of {key} must differ; they are {list(values)}.")
    for combination in plan.combinations.values():
        if not has_key(combination.config, key):
            raise ConfigError(f"hydra.sweeper.repeat: the config has no key {key!r}; the keys are shown by --cfg job.")
        check_values(copy.deepcopy(combination.config), key, values, "hydra.sweeper.repeat")


def _check_several(objective: Objective, settings: Settings, pruner: BasePruner, samplers: SamplerFactory) -> None:
    """Refuse what needs one value to compare trials by where there are several, and the reverse."""
    metrics = tuple(objective.directions)
    if len(metrics) == 1:
        if settings.choose != Choice():
            raise ConfigError(
                f"{settings.prefix}choose says how the winner is chosen where several metrics are optimised, and there "
                f"is one, {metrics[0]}: the best wins. Leave it out, or name more with {settings.prefix}metric."
            )
        return
    if settings.choose.metric is not None and settings.choose.metric not in metrics:
        raise ConfigError(
            f"{settings.prefix}choose={settings.choose.metric}: this is not optimised. Choose one of: "
            f"{', '.join(metrics)}."
        )
    unfit = {
        "patience": settings.patience is not None,
        "pruner": not isinstance(pruner, NopPruner),
        "sampler (CmaEsSampler)": samplers.is_for_one_value,
    }
    found = [f"{settings.prefix}{name}" for name, is_set in unfit.items() if is_set]
    if found:
        raise ConfigError(
            f"{', '.join(found)}: with several objectives no trial is better than all others; leave it out."
        )


def _base(plan: StudyPlan, settings: Settings) -> Path:
    """The folder of all studies."""
    base = str(plan.config.hydra.sweep.dir)
    if not is_writable(Path(base)) and not plan.config.hydra.sweeper.dry_run:
        raise ConfigError(
            f"{Path(base).absolute()} cannot be made or written to. Change to a folder that can be written, or choose "
            f"other places: hydra.sweep.dir=FOLDER for the study, MLFLOW_TRACKING_URI for MLflow's runs."
        )
    sweep = OmegaConf.to_container(plan.config.hydra.sweep, resolve=False)
    assert isinstance(sweep, dict)  # noqa: S101 - for mypy: Hydra's schema has it so
    if str(sweep["subdir"]) not in _NUMBERED:
        say(f"Note: hydra.sweep.subdir={sweep['subdir']} has no effect: the folder of a trial is its number.")
    written = str(sweep["dir"])
    if "${now" in written and settings.study_name is not None and settings.storage is None:
        say(
            f"Note: hydra.sweep.dir={written} is another folder at each start, so the study {settings.study_name} is "
            f"new each time. To resume it by its name: hydra.sweep.dir=multirun, or a {settings.prefix}storage"
        )
    return Path(base)


def _check_lengths(plan: StudyPlan, folder: StudyFolder) -> None:
    """Refuse names that no file system takes: each trial would find out."""
    hydra = plan.config.hydra
    for key, name in (("hydra.output_subdir", hydra.output_subdir), ("hydra.job.name", f"{hydra.job.name}.log")):
        whole = folder.path.absolute() / "99999" / str(name) / "overrides.yaml"
        if len(os.fsencode(whole)) > _LONGEST_PATH or any(len(os.fsencode(part)) > 255 for part in whole.parts):
            raise ConfigError(
                f"hydra.sweep.dir, {key}: the path of a trial's files, {str(whole)[:100]}…, is too long: a name may "
                f"have 255 bytes, and a path {_LONGEST_PATH:,}."
            )


def _mapping(plan: StudyPlan, group: str, example: str) -> dict[str, Any]:
    node = plan.config.hydra.sweeper[group]
    config = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    if not isinstance(config, dict):
        typed = f"hydra/sweeper/{group}" if objective_class(plan.config).prefix else group
        raise ConfigError(f"{group} must be a mapping with `_target_`, such as {typed}={example} chooses.")
    return {str(key): value for key, value in config.items()}
