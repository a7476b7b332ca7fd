"""What shared work costs: the CPU seconds of its making, for whoever uses it, as if everyone had made it alone.

A cost is measured once, where the work is done, and kept with the result. It holds what that work itself has used of
other shared work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


class Spent:
    """The CPU seconds of shared work that this process has used so far.

    Attributes:
        spared: what others, or earlier calls, had made already.
        whole: that, and what was made here.
    """

    def __init__(self) -> None:
        self.spared = 0.0
        self.whole = 0.0

    def use(self, cost: float) -> None:
        """Count work that had been made."""
        self.spared += cost
        self.whole += cost

    def make(self, compute: Callable[[], _T]) -> tuple[_T, float]:
        """Do the work, and count it.

        Returns:
            The result, and its cost.
        """
        spared, whole, started = self.spared, self.whole, time.process_time()
        result = compute()
        cost = time.process_time() - started + self.spared - spared
        self.whole = whole + cost
        return result, cost


SPENT = Spent()
