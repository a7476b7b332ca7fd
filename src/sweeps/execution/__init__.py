"""Where trials run. Every place takes a trial and gives a future, so that the sweep's story is the same for all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from sweeps.search_space import Proposal
from sweeps.trial import TrialResult

Job = Callable[[int, Proposal], TrialResult]


class Workers(Protocol):
    """A place that runs trials.

    Attributes:
        capacity: trials at a time.
    """

    capacity: int

    def submit(self, number: int, proposal: Proposal) -> Future[TrialResult]:
        """Start a trial; the future has its result, or the exception that ended it."""
