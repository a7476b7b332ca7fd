"""What a trial's metrics must keep to, so that the trial can win: `constraints={val_recall: '>= 0.5'}`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.base.errors import ConfigError

_COMPARISON = re.compile(r"\s*(?P<operator><=|>=)\s*(?P<bound>[^\s<>=]+)\s*")
FROM_TEST = "overfitting"
"""What our tasks derive from a `test_` metric."""


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric.

    Attributes:
        metric: its name.
        operator: `<=` or `>=`.
        bound: finite.
    """

    metric: str
    operator: str
    bound: float

    def violation(self, value: float) -> float:
        """By how much a value breaks it; 0 or less where it does not, as Optuna has constraints."""
        return value - self.bound if self.operator == "<=" else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {repr(self.bound).removesuffix('.0')}"


def read_constraints(written: Any, key: str) -> tuple[Constraint, ...]:
    """The constraints of a setting.

    Args:
        written: a comparison, or a list of them, by metric; None for none.
        key: of the setting, for messages.

    Raises:
        ConfigError: it is none of these, a metric is not known before a model is chosen, or two contradict each other.
    """
    if written is None:
        return ()
    example = f"such as \"{key}={{val_recall: '>= 0.5'}}\""
    if not isinstance(written, Mapping):
        raise ConfigError(f"{key} must be comparisons by metric, {example}; it is {written}.")
    found: list[Constraint] = []
    for metric, comparisons in written.items():
        if str(metric).startswith("test_") or metric == FROM_TEST:
            raise ConfigError(
                f"{key}: {metric} is reported, and cannot be constrained: models are chosen by what is measured inside "
                f"the training part, such as val_ metrics."
            )
        is_list = isinstance(comparisons, Sequence) and not isinstance(comparisons, str)
        of_metric = [
            _constraint(str(metric), comparison, f"{key}: {metric}", example)
            for comparison in (comparisons if is_list else [comparisons])
        ]
        if not of_metric:
            raise ConfigError(f"{key}: {metric} has no comparison; write one, {example}.")
        _check_consistent(of_metric, key)
        found += of_metric
    return tuple(found)


def _constraint(metric: str, comparison: Any, where: str, example: str) -> Constraint:
    match = _COMPARISON.fullmatch(comparison) if isinstance(comparison, str) else None
    try:
        bound = float(match["bound"]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or not math.isfinite(bound):
        raise ConfigError(f"{where} must be <= or >= and a number, {example}; it is {comparison!r}.")
    return Constraint(metric, match["operator"], bound)


def _check_consistent(constraints: Sequence[Constraint], key: str) -> None:
    """Refuse bounds of one metric that no value keeps to."""
    for low in (constraint for constraint in constraints if constraint.operator == ">="):
        for high in (constraint for constraint in constraints if constraint.operator == "<="):
            if low.bound > high.bound:
                raise ConfigError(f"{key}: {low} and {high} contradict each other.")
