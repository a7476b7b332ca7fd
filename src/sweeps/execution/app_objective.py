"""Any Hydra app's objective: what its `@hydra.main` function returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, UnsupportedInterpolationType

from sweeps.base.errors import ConfigError, first_line
from sweeps.base.say import say
from sweeps.compose._hydra_compat import hydra_config_of
from sweeps.compose.plan import StudyPlan
from sweeps.compose.scope import SEARCH_SPACE
from sweeps.compose.settings import Settings
from sweeps.execution.objective import Objective, Winner
from sweeps.execution.outcome import TrialResult, UnusableResultError
from sweeps.tasks.metrics import Direction, gated_metric, on_test

_DIRECTIONS = ("minimize", "maximize")
_OBJECTIVE = "objective"  # what a value without a name is called


class AppObjective(Objective):
    """An app whose function returns a number, several, or metrics by name."""

    def __init__(self, plan: StudyPlan, settings: Settings) -> None:
        super().__init__(plan, settings)
        self.directions = _directions(settings)
        self.measured = None if settings.metric else tuple(self.directions)  # an app that names some may return more
        self.choice_params = {group: group for group in plan.space.swept_groups()}

    def check(self) -> None:
        """See `Objective`. A value that does not resolve is said: the app may never read it, and only it can know."""
        said = set()
        for combination in self.plan.combinations.values():
            with hydra_config_of(combination.config):
                for key in combination.config:
                    try:
                        if key != "hydra":
                            _resolve(combination.config, str(key))
                    except UnsupportedInterpolationType:
                        continue  # the app may register its resolver when it is called
                    except OmegaConfBaseException as error:
                        said.add(f"{key!s} does not resolve, and a trial that reads it fails: {first_line(error)}")
        for line in sorted(said):
            say(line)

    def identity(self) -> Mapping[str, str]:
        """See `Objective`: every value that is not searched, as it is written."""
        searched = {leaf.key for leaf in self.plan.space.searched_leaves()}
        lines: dict[str, str] = {}
        for combination in self.plan.combinations.values():
            chosen = ",".join(f"{group}={choice}" for group, choice in combination.choices.items())
            written = OmegaConf.to_container(combination.config, resolve=False)
            assert isinstance(written, dict)  # noqa: S101 - for mypy: a config is one
            for key, value in _flat({key: node for key, node in written.items() if key != "hydra"}, ""):
                if key not in searched:
                    lines[f"{chosen}: {key}" if chosen else key] = str(value)
        return lines

    def hyperparameters(self, config: DictConfig) -> Mapping[str, Any]:
        """See `Objective`: the searched ones."""
        found = {}
        for key in (leaf.key.lstrip("+") for leaf in self.plan.space.searched_leaves()):
            value = OmegaConf.select(config, key)
            if value is not None:
                found[key] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        return found

    def winner(self, config: DictConfig, metrics: Mapping[str, float], evaluation_id: str) -> Winner:
        """See `Objective`: the model that the app has logged, gated where it returns `val_x` and `test_x`."""
        gated = gated_metric(self.directions, metrics)
        metric = gated or self.metric
        lacks = []
        if gated is None:
            lacks.append("the app does not return val_NAME and test_NAME with hydra.sweeper.metric=val_NAME")
        if not evaluation_id:
            lacks.append("it does not say what test_NAME is measured on (sweeps.evaluation_id or mlflow.log_input)")
        return Winner(
            scores=metrics,
            metric=on_test(metric) if on_test(metric) in metrics else metric,
            val_metric=gated or "",
            direction=self.directions[metric],
            evaluation_id=evaluation_id,
            selection_id=evaluation_id,
            lacks=", and ".join(lacks),
        )

    def reader(self) -> Callable[[Any], TrialResult]:
        """See `Objective`."""
        return ReturnedValue(tuple(self.directions), is_named=self.settings.metric is not None)


@dataclass(frozen=True)
class ReturnedValue:
    """Reads what an app's function returned.

    Attributes:
        metrics: that are optimised.
        is_named: whether the user named them, so that a mapping may be returned.
    """

    metrics: Sequence[str]
    is_named: bool

    def __call__(self, returned: Any) -> TrialResult:
        """Read a number, a sequence of numbers, or metrics by name.

        Raises:
            UnusableResultError: it is none of these, or lacks a metric.
        """
        if isinstance(returned, Mapping):
            return TrialResult(self._from_mapping(returned))
        values = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(values) != len(self.metrics):
            raise UnusableResultError(
                f"the app returned {len(values)} values, and there are {len(self.metrics)} directions: "
                f"hydra.sweeper.direction must have one for each value"
            )
        return TrialResult({name: _number(value, name) for name, value in zip(self.metrics, values, strict=True)})

    def _from_mapping(self, returned: Mapping[Any, Any]) -> dict[str, float]:
        if not self.is_named:
            raise UnusableResultError(
                f"the app returned metrics by name; say which to optimise, as in "
                f"hydra.sweeper.metric={next(iter(returned), 'NAME')}"
            )
        missing = [name for name in self.metrics if name not in returned]
        if missing:
            raise UnusableResultError(
                f"the app returned no {', '.join(missing)} (hydra.sweeper.metric), but "
                f"{', '.join(map(str, returned)) or 'nothing'}"
            )
        found = {name: _number(returned[name], name) for name in self.metrics}
        others = {str(name): value for name, value in returned.items() if _is_number(value)}
        return found | {name: float(value) for name, value in others.items() if name not in found}


def _number(value: Any, name: str) -> float:
    if not _is_number(value):
        raise UnusableResultError(
            f"the app returned {_shown(value)} for {name}; it must return a number, a list of numbers, or a mapping of "
            f"metrics"
        )
    number = float(value)
    if not math.isfinite(number):
        raise UnusableResultError(f"the app returned {number} for {name}; it must be a finite number")
    return number


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | str | bytes) or value is None:
        return False
    return isinstance(value, Real) or (hasattr(value, "item") and getattr(value, "size", 1) == 1)


def _shown(value: Any) -> str:
    return "nothing (None)" if value is None else f"{value!r:.100} of type {type(value).__name__}"


def _directions(settings: Settings) -> dict[str, Direction]:
    directions = [settings.direction] if isinstance(settings.direction, str) else list(settings.direction)
    for direction in directions or [""]:
        if direction not in _DIRECTIONS:
            raise ConfigError(
                f"hydra.sweeper.direction must be minimize or maximize, or a list; {direction!r} is neither."
            )
    names = [settings.metric] if isinstance(settings.metric, str) else settings.metric
    if names is None:
        names = [_OBJECTIVE] if len(directions) == 1 else [f"{_OBJECTIVE}_{index}" for index in range(len(directions))]
    if len(names) != len(directions) or len(set(names)) != len(names):
        raise ConfigError(
            f"hydra.sweeper.metric names {len(names)} metrics and hydra.sweeper.direction {len(directions)} "
            f"directions; there must be one direction for each, and each metric once."
        )
    found: dict[str, Any] = dict(zip(names, directions, strict=True))
    return found


def _resolve(config: DictConfig, key: str) -> None:
    """Resolve all below a key; what is `???` may be filled in by the app."""
    if OmegaConf.is_missing(config, key):
        return
    node = OmegaConf.select(config, key)
    if OmegaConf.is_config(node):
        OmegaConf.to_container(node, resolve=True)


def _flat(node: Mapping[Any, Any], prefix: str) -> Sequence[tuple[str, Any]]:
    """The values of nested mappings by dotted key, search spaces aside."""
    flat: list[tuple[str, Any]] = []
    for key, value in node.items():
        if key == SEARCH_SPACE:
            continue
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", value))
    return flat
