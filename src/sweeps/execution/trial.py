"""One trial: from a composed config to its metrics."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sweeps.base.build import TARGET, build, construct, locate, locate_class, parameters_of
from sweeps.base.errors import ConfigError, first_line
from sweeps.base.predictions import keep_predictions
from sweeps.base.reporting import report_scores
from sweeps.compose.scope import SEARCH_SPACE
from sweeps.compose.space_yaml import TRUSTED_TYPES, flatten, inactive_keys
from sweeps.execution.outcome import TrialResult
from sweeps.tasks.base import Candidate, Task

GROUPS = ("model", "vectorizer")
_NOT_OF_THE_SOURCE = ("name", "task")


def run_trial(config: DictConfig) -> TrialResult:
    """Load the dataset (once a process), fit and score the composed candidate."""
    start = time.perf_counter()
    task = load_task(config)
    loading = time.perf_counter() - start
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        candidate = candidate_of(config)
        evaluation = task.evaluate(candidate, report_scores)
        metrics = dict(evaluation.metrics)
        if wanted := _asked_for(config) & set(task.on_demand):
            metrics |= task.measure(candidate, evaluation, wanted)
    keep_predictions(evaluation.predictions)
    also = config.get("also_log") or {}
    more = dict(also.get("metrics") or {})
    messages = dict.fromkeys(map(_shown, caught))
    measured = ", ".join([*metrics, *(name for name in task.on_demand if name not in metrics)])
    messages |= dict.fromkeys(
        f"also_log.metrics.{name}: nothing measures {of}; there are {measured}"
        for name, of in more.items()
        if of not in metrics
    )
    metrics |= {name: metrics[of] for name, of in more.items() if of in metrics}
    params = {str(name): OmegaConf.select(config, key) for name, key in (also.get("params") or {}).items()}
    seconds = {**evaluation.seconds, "load": evaluation.seconds.get("load", 0.0) + loading}
    return TrialResult(metrics, seconds, tuple(messages), params, predicts_again=bool(evaluation.predictions))


def _asked_for(config: DictConfig) -> set[str]:
    """The metrics that a config names: to optimise, to keep to, or to log by another name."""
    metric = config.get("metric")
    named = metric if isinstance(metric, ListConfig) else [metric]
    also = (config.get("also_log") or {}).get("metrics") or {}
    return {str(name) for name in (*named, *(config.get("constraints") or {}), *also.values())}


def _shown(warning: warnings.WarningMessage) -> str:
    kind, text = warning.category.__name__, str(warning.message).strip()
    return f"{kind}: {first_line(text)}" if text else kind


def candidate_of(config: DictConfig) -> Candidate:
    """The configured model and vectorizer of a composed config.

    Raises:
        ConfigError: a value that does not resolve.
    """
    model, vectorizer = _option(config, "model"), _option(config, "vectorizer")
    trusted = [*_trusted_types(model, "model"), *_trusted_types(vectorizer, "vectorizer")]
    model.pop(SEARCH_SPACE, None)
    vectorizer.pop(SEARCH_SPACE, None)
    return Candidate(model, vectorizer, config.seed, tuple(trusted))


def _trusted_types(option: dict[str, Any], group: str) -> list[str]:
    names = option.pop(TRUSTED_TYPES, None) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{group}.{TRUSTED_TYPES}: {names!r} is not a list of type names, such as [package.Class].")
    return names


def hyperparameters(config: DictConfig) -> dict[str, Any]:
    """Every active hyperparameter by config key: those that their own conditions switch off are left out."""
    off = switched_off(config)
    values = {f"{group}.{name}": value for group in GROUPS for name, value in flatten(_option(config, group)).items()}
    return {key: value for key, value in values.items() if key not in off}


def switched_off(config: DictConfig) -> set[str]:
    """The keys of hyperparameters that their own conditions switch off, such as `model.gamma` of a linear SVM."""
    return {f"{group}.{name}" for group in GROUPS for name in inactive_keys(_option(config, group))}


def load_task(config: DictConfig) -> Task:
    """The task of a composed config's dataset, data loaded and split; the same object for the same dataset.

    Raises:
        ConfigError: an unknown task or source, or arguments that they refuse.
        DataError: a file that is missing, unreadable or unfit.
    """
    return _load_task(json.dumps(_option(config, "dataset"), sort_keys=True, default=repr))


def task_options(config: DictConfig) -> dict[str, Any]:
    """The options of a composed config's dataset that belong to its task, such as the split, and not to its source."""
    dataset = _option(config, "dataset")
    return {key: dataset[key] for key in parameters_of(locate(dataset["task"], "dataset.task")) if key in dataset}


@lru_cache(maxsize=1)
def _load_task(described: str) -> Task:
    dataset: dict[str, Any] = json.loads(described)
    if not dataset.get("task") or TARGET not in dataset:
        raise ConfigError("dataset: its YAML needs `task: package.module.Task` and `_target_: package.module.load`.")
    task = locate_class(dataset["task"], "dataset.task")
    if not issubclass(task, Task):
        raise ConfigError(f"dataset.task: {dataset['task']} is not a subclass of sweeps.tasks.base.Task.")
    _, *options = parameters_of(task)  # the first argument is the data
    of_task = set(options) & set(dataset)
    source = {key: value for key, value in dataset.items() if key not in {*of_task, *_NOT_OF_THE_SOURCE}}
    data = build(source, "dataset", may_be_function=True)
    make: Callable[..., Task] = task
    made: Task = construct(partial(make, data), {key: dataset[key] for key in of_task}, "dataset", dataset["task"])
    return made


def _option(config: DictConfig, group: str) -> dict[str, Any]:
    try:
        node = OmegaConf.to_container(config[group], resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{group}: {error}") from error
    return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}
