"""Where trials run. Every place takes a trial and gives a future, so that the sweep's story is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import TrialOutcome, TrialResult

Job = Callable[[int, Proposal], TrialResult]
"""Runs the trial of a number; pickled by value to reach other processes."""

PruningCheck = Callable[[Mapping[str, float], int | None], bool]
"""Takes the scores of a trial's step (see `Report`) and says whether the trial shall stop; called from any thread."""


class WorkerDiedError(Exception):
    """The process that ran a trial died; the message says of what."""


class WorkerLostError(WorkerDiedError):
    """The machine, or the worker of a cluster, that ran a trial was lost, which is no fault of the trial's."""


class TrialTimeoutError(Exception):
    """A trial ran longer than `trial_timeout`, and its process was ended."""


class Workers(Protocol):
    """A place that runs trials.

    Attributes:
        capacity: trials at a time.
    """

    capacity: int

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        """Start a trial.

        Args:
            number: of the trial.
            proposal: what it is to run.
            should_prune: prunes it, None where nobody does.

        Returns:
            Its outcome, or as an exception `WorkerDiedError` or `TrialTimeoutError`.
        """

    def start(self) -> None:
        """No more trials come before one has finished: a place that runs batches begins."""

    def close(self) -> None:
        """End everything that still runs, at once."""
