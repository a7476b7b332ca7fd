"""Our own app's objective: a task evaluates a model and a vectorizer on a dataset."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweeps.base.build import TARGET
from sweeps.base.errors import ConfigError, ModelError, TrackingError, first_line
from sweeps.base.predictions import Predictions
from sweeps.base.redact import without_passwords
from sweeps.base.say import say
from sweeps.compose import space_yaml
from sweeps.compose._hydra_compat import hydra_config_of
from sweeps.compose.constraint import FROM_TEST
from sweeps.compose.option_file import naming_its_file
from sweeps.compose.override_text import as_typed
from sweeps.compose.plan import StudyPlan, names_of
from sweeps.compose.scope import Scope
from sweeps.compose.settings import Settings
from sweeps.execution.objective import FittedWinner, Objective
from sweeps.execution.outcome import TrialResult
from sweeps.execution.trial import GROUPS, candidate_of, hyperparameters, load_task, task_options
from sweeps.tasks.base import Task, Tried
from sweeps.tasks.metrics import gated_metric, on_test

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMPORTED_AHEAD = ("sweeps.", "sklearn.", "surprise.")


class TaskObjective(Objective):
    """Sweeps over the groups `model` and `vectorizer`, with a study for each `dataset`, whose YAML names the task."""

    prefix: ClassVar[str] = ""
    scope: ClassVar[Scope] = Scope(groups=GROUPS, study_group="dataset", lead="model")

    def __init__(self, plan: StudyPlan, settings: Settings) -> None:
        super().__init__(plan, settings)
        _refuse_long_spelling(plan.config)
        self.task = load_task(plan.config)
        may_be = {**self.task.directions, **self.task.on_demand}
        self.directions = {metric: may_be[metric] for metric in _metrics(self.task, settings.metric)}
        self.dataset = str(plan.config.dataset.name)
        self.n_reports = self.task.n_reports
        self.measured = tuple(may_be)
        self.choice_params = {group: f"{group}_type" for group in GROUPS}

    def check(self) -> None:
        """See `Objective`."""
        for combination in self.plan.combinations.values():
            _resolve(combination.config)
            try:
                with naming_its_file(combination.config.hydra.runtime):
                    self.task.check(candidate_of(combination.config))
            except (ConfigError, ModelError) as error:
                chosen = " ".join(f"{group}={choice}" for group, choice in combination.choices.items())
                raise type(error)(f"{chosen}: {error}") from error

    def identity(self) -> Mapping[str, str]:
        """See `Objective`: the data, the split, and what is fixed of the options."""
        lines = {"dataset content": self.task.fingerprint}
        lines |= {f"dataset.{name}": str(value) for name, value in task_options(self.plan.config).items()}
        searched = {leaf.name for leaf in self.plan.space.searched_leaves()}
        for combination in self.plan.combinations.values():
            for group, choice in combination.choices.items():
                option = combination.option(group)
                for name, value in {TARGET: option.get(TARGET), **space_yaml.flatten(option)}.items():
                    if f"{group}/{choice}.{name}" not in searched:
                        lines[f"{group}/{choice}.{name}"] = str(value)
        return lines

    def hyperparameters(self, config: DictConfig) -> Mapping[str, Any]:
        """See `Objective`: every active one of the model and the vectorizer, searched or not."""
        return hyperparameters(config)

    def names(self) -> Mapping[str, str]:
        """See `Objective`: the name in the option (`model.C` is `C`), unless both groups have it."""
        keys = dict.fromkeys(
            f"{group}.{name}"
            for combination in self.plan.combinations.values()
            for group in combination.choices
            for name in space_yaml.flatten(combination.option(group))
        )
        return names_of(keys, GROUPS)

    def how_to_use(self, address: str) -> str:
        """See `Objective`."""
        return f"Predict: python -m sweeps.predict {shlex.quote(address)} input.csv -o output.csv"

    def tags(self) -> Mapping[str, str]:
        """See `Objective`."""
        return {"sweeps.dataset.fingerprint": self.task.fingerprint}

    def describe_data(self) -> Mapping[str, str]:
        """See `Objective`."""
        return self.task.describe_data()

    def predictions(self, config: DictConfig) -> Sequence[Predictions]:
        """See `Objective`: as the trial, evaluated anew."""
        say("Model:   predicting once more, since the trial's predictions are not in its folder ...")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the trial has recorded what its fit warned of
            return self.task.evaluate(candidate_of(config)).predictions

    def data_options(self) -> Mapping[str, str]:
        """See `Objective`."""
        options: Mapping[Any, Any] = self.plan.config.dataset
        known = {str(name): value for name, value in options.items() if value is not None}
        shown = {f"dataset.{name}": without_passwords(str(value)) for name, value in known.items()}
        return {**shown, "fingerprint": self.task.fingerprint}

    def reader(self) -> Callable[[Any], TrialResult]:
        """See `Objective`: `run_trial` has made a result already."""
        return _as_it_is

    def modules(self) -> Sequence[str]:
        """See `Objective`."""
        keys = ("dataset.task", f"dataset.{TARGET}", f"model.{TARGET}", f"vectorizer.{TARGET}")
        configs = [combination.config for combination in self.plan.combinations.values()]
        names = [str(OmegaConf.select(config, key) or "") for config in configs for key in keys]
        return tuple(dict.fromkeys(name.rpartition(".")[0] for name in names if name.startswith(_IMPORTED_AHEAD)))

    def figures(self, tried: Sequence[tuple[DictConfig, Mapping[str, float]]]) -> Mapping[str, Figure]:
        """See `Objective`: those of the task."""
        if type(self.task).plots is Task.plots:
            return {}
        return self.task.plots([Tried(candidate_of(config), metrics) for config, metrics in tried])

    def winner(self, config: DictConfig, metrics: Mapping[str, float], evaluation_id: str) -> FittedWinner:
        """See `Objective`: fitted on the training part.

        Raises:
            TrackingError: the task does not measure what the gate compares.
        """
        say("Model:   refitting the best trial on the training part ...")
        task, candidate = self.task, candidate_of(config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the trial has recorded what its fit warned of
            predictor = task.refit(candidate)
            scores = task.test_scores(predictor)
        metric = gated_metric([*self.directions, task.default_metric], scores)
        if metric is None:
            needed = on_test(task.default_metric)
            raise TrackingError(f"the gate needs {needed}, and {type(task).__name__} measures {', '.join(scores)}")
        positive = task.split_options().get("positive_label")
        tags = {**self.tags(), **({} if positive is None else {"sweeps.positive_label": str(positive)})}
        return FittedWinner(
            predictor=predictor,
            task=type(task),
            example=task.example(),
            trusted_types=candidate.trusted_types,
            scores={metric: metrics[metric], **scores},
            metric=on_test(metric),
            val_metric=metric,
            direction=task.directions[metric],
            evaluation_id=task.evaluation_id(),
            selection_id=task.selection_id(),
            tags=tags,
        )


def _as_it_is(returned: TrialResult) -> TrialResult:
    return returned


def _resolve(config: DictConfig) -> None:
    """Refuse values that do not resolve: each trial would find out."""
    with hydra_config_of(config):
        for key in map(str, config):
            try:
                if key != "hydra" and OmegaConf.is_config(node := config[key]):
                    OmegaConf.to_container(node, resolve=True)
            except OmegaConfBaseException as error:
                raise ConfigError(f"{error.full_key or key} does not resolve: {first_line(error)}.") from error


def _metrics(task: Task, named: str | Sequence[str] | None) -> Sequence[str]:
    """`metric=`, or the task's default."""
    if named is None:
        return [task.default_metric]
    metrics = [named] if isinstance(named, str) else named
    may_be = [*task.directions, *task.on_demand]
    typed = f"metric={named}" if isinstance(named, str) else f"metric=[{','.join(named)}]"
    if not metrics or len(set(metrics)) < len(metrics):
        raise ConfigError(f"{typed} must name one metric or several, each once. Choose from: {', '.join(may_be)}.")
    for metric in metrics:
        if metric not in may_be:
            is_reported = metric.startswith("test_") or metric == FROM_TEST
            why = "it is measured on the test part, and reported" if is_reported else "nothing measures it"
            raise ConfigError(f"{typed}: {metric} cannot be optimised: {why}. Choose from: {', '.join(may_be)}.")
    return metrics


def _refuse_long_spelling(config: DictConfig) -> None:
    """Settings have one spelling in our app; `params` is where an experiment's YAML writes what it sweeps."""
    for text in as_typed(config.hydra.overrides.hydra):
        key, _, value = text.lstrip("+").partition("=")
        setting = key.removeprefix("hydra.sweeper.")
        if setting != key and setting.partition(".")[0] != "params":
            raise ConfigError(f"{text}: type {setting}={value} instead; sweeps.run has the shorter key alone.")
