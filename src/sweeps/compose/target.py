"""At which values a sweep stops: `target=0.9`, or `target={val_f1: 0.8, predict_ms: 2}` where several are optimised."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweeps.base.errors import ConfigError

Target = float | Mapping[str, float]


def read_target(written: Any, key: str) -> Target | None:
    """The values of a setting.

    Args:
        written: a number, numbers by metric, or None for none.
        key: of the setting, for messages.

    Raises:
        ConfigError: it is none of these.
    """
    if written is None:
        return None
    if isinstance(written, Mapping) and written:
        return {str(metric): _number(value, f"{key}: {metric}") for metric, value in written.items()}
    return _number(written, key)


def by_metric(target: Target | None, metrics: Sequence[str], key: str) -> dict[str, float]:
    """The values by metric; none where there is no target.

    Args:
        target: as it was read.
        metrics: that are optimised.
        key: of the setting, for messages.

    Raises:
        ConfigError: a number where several metrics are optimised, or a metric that is not.
    """
    if target is None:
        return {}
    if not isinstance(target, Mapping):
        if len(metrics) > 1:
            raise ConfigError(
                f'{key} must name the metrics whose values it has, as in "{key}={{{metrics[0]}: {target:g}}}": several '
                f"are optimised."
            )
        return {metrics[0]: target}
    foreign = [name for name in target if name not in metrics]
    if foreign:
        raise ConfigError(f"{key}: {', '.join(foreign)} is not optimised. Choose from: {', '.join(metrics)}.")
    return dict(target)


def _number(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{where} must be a finite number, the value at which the sweep stops; it is {value!s:.100}.")
    return number
