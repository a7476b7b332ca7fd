"""How the winner is chosen where several metrics are optimised: `choose={within: 0.01}` or `choose=val_f1`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.base.errors import ConfigError

_WITHIN = "within"


@dataclass(frozen=True)
class Choice:
    """A rule that chooses one trial of a Pareto front.

    Attributes:
        within: how far from the best value of the first metric a trial may be, so that the others decide; None for one
            standard error of that best value.
        metric: the one whose best value wins; None for the rule above.
    """

    within: float | None = None
    metric: str | None = None

    def described(self, metrics: Sequence[str]) -> str:
        """The rule in words, for these metrics, at least two.

        >>> Choice().described(["val_f1", "predict_ms"])
        'the best predict_ms on the Pareto front within one standard error of the best val_f1'
        >>> Choice(metric="val_f1").described(["val_f1", "predict_ms"])
        'the best val_f1 on the Pareto front'
        """
        if self.metric is not None:
            return f"the best {self.metric} on the Pareto front"
        margin = "one standard error" if self.within is None else f"{self.within:g}"
        first, *others = metrics
        return f"the best {', then '.join(others)} on the Pareto front within {margin} of the best {first}"


def read_choice(written: Any, key: str) -> Choice:
    """The rule of a setting.

    Args:
        written: `{within: NUMBER}`, the name of a metric, or None for the usual rule.
        key: of the setting, for messages.

    Raises:
        ConfigError: it is none of these.
    """
    if written is None:
        return Choice()
    if isinstance(written, str):
        return Choice(metric=written)
    margin = written.get(_WITHIN) if isinstance(written, Mapping) and set(written) == {_WITHIN} else None
    if not isinstance(margin, int | float) or isinstance(margin, bool) or not 0 <= margin < math.inf:
        raise ConfigError(
            f'{key} must be the name of a metric whose best value wins, or "{key}={{within: 0.01}}" for how far from '
            f"the best value of the first metric the winner may be, 0 or more; it is {written}."
        )
    return Choice(within=float(margin))
