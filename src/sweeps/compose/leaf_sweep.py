"""A sweep of one hyperparameter in Hydra's grammar: `model.C='tag(log,interval(0.01,10))'`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep
from optuna.distributions import BaseDistribution

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text, space_yaml

_CAST = re.compile(r"\b(int|float)\s*\(")


@dataclass(frozen=True)
class LeafSweep:
    """A sweep of one hyperparameter, as typed.

    Attributes:
        text: the override.
        choices: the values to choose from; None for an interval or a range.
        numbers: the bounds, and the step of a range; None for choices.
        log: whether the numbers are drawn on a logarithmic scale.
        is_cast: whether the type of the numbers was typed, as in `int(interval(1,10))`.
        adds: whether the config may lack the key (`+z=1,2`).
    """

    text: str
    choices: tuple[Any, ...] | None = None
    numbers: Mapping[str, float] | None = None
    log: bool = False
    adds: bool = False
    is_cast: bool = False

    @classmethod
    def of(cls, override: Override) -> LeafSweep:
        """Read Hydra's `choice`, `interval` or `range`, with `tag(log, ...)`, `sort` and `shuffle`.

        Raises:
            ConfigError: an unknown tag, a range without values, or a logarithmic range with a step.
        """
        text = str(override.input_line)
        sweep = override.value()
        tags = sweep.tags if isinstance(sweep, Sweep) else set()
        adds = override.is_add() or override.is_force_add()
        if override.is_choice_sweep():
            _check_tags(tags, set(), text)
            return cls(text, choices=choices_of(override), adds=adds)
        _check_tags(tags, {"log"}, text)
        log = "log" in tags
        is_cast = _CAST.search(text.partition("=")[2]) is not None
        if isinstance(sweep, IntervalSweep):
            return cls(
                text,
                numbers={"low": _number(sweep.start), "high": _number(sweep.end)},
                log=log,
                adds=adds,
                is_cast=is_cast,
            )
        assert isinstance(sweep, RangeSweep)  # noqa: S101 - for mypy: Hydra has no other kind
        numbers = _half_open(_number(sweep.start), _number(sweep.stop), _number(sweep.step), text)
        if log and numbers["step"] != 1:
            raise ConfigError(f"{text}: a logarithmic range has no step; use tag(log,interval(...)).")
        return cls(text, numbers=numbers, log=log, adds=adds, is_cast=is_cast)

    def distribution(self, default: Any, *, by_default: bool = True) -> BaseDistribution:
        """What is drawn from.

        Args:
            default: the value beside it.
            by_default: whether its type decides between int and float, unless a cast was typed, as in
                `int(interval(1,10))`; otherwise the numbers do, and an interval's are floats unless they are cast.
        """
        if self.numbers is None:
            return space_yaml.categorical(self.choices, self.text)
        is_int = isinstance(default, int) and not isinstance(default, bool)
        if self.is_cast or not by_default or not isinstance(default, int | float) or isinstance(default, bool):
            is_int = all(isinstance(number, int) for number in self.numbers.values())
        if is_int and any(number != math.floor(number) for number in self.numbers.values() if math.isfinite(number)):
            raise ConfigError(
                f"{self.text}: the default, {default}, is a whole number, so the bounds must be whole numbers, too."
            )
        cast = int if is_int and all(map(math.isfinite, self.numbers.values())) else float
        short: dict[str, Any] = {word: cast(number) for word, number in self.numbers.items()}
        if self.log:
            short["log"] = True
            short.pop("step", None)
        return space_yaml.make_distribution({"type": "int" if is_int else "float", **short}, self.text)


def choices_of(override: Override) -> tuple[Any, ...]:
    """The values of Hydra's `a,b` or `choice(a,b)`, in order."""
    return tuple(override_text.plain(element) for element in override.sweep_iterator())


def _check_tags(tags: Collection[str], known: set[str], text: str) -> None:
    unknown = sorted(set(tags) - known)
    if unknown:
        raise ConfigError(
            f"{text}: the tag {', '.join(unknown)} is not known; intervals and ranges can have the tag log."
        )


def _number(value: Any) -> int | float:
    return value if isinstance(value, int) else float(value)


def _half_open(start: float, stop: float, step: float, text: str) -> dict[str, float]:
    """Bounds and step of `range(start, stop, step)`, whose end is not in it; in decimal, as it was written."""
    first, end, width = (Decimal(str(number)) for number in (start, stop, step))
    if not all(number.is_finite() for number in (first, end, width)) or width == 0:
        raise ConfigError(f"{text}: a range must have finite numbers and a step other than 0.")
    n_values = math.ceil((end - first) / width)
    if n_values < 1:
        raise ConfigError(f"{text}: the range is empty.")
    cast = int if all(isinstance(number, int) for number in (start, stop, step)) else float
    low, high = sorted((first, first + (n_values - 1) * width))
    return {"low": cast(low), "high": cast(high), "step": cast(abs(width))}
