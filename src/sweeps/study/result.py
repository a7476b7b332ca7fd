"""How a study ended, and who is told of what happens in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from optuna import Study
from optuna.trial import FrozenTrial

from sweeps.study.stopping import Outcome


@dataclass(frozen=True)
class StudyResult:
    """How a study ended, in this process.

    Attributes:
        outcome: how.
        reason: why it ended early, empty otherwise.
        best: the best trial, if any may be it.
        why: it is the best, where several metrics are optimised; empty otherwise.
        interrupt: what interrupted it, for the caller to raise when it has cleaned up.
        is_last: whether no other process is at work on the study, so that its end is up to this one.
    """

    outcome: Outcome
    reason: str
    best: FrozenTrial | None
    interrupt: KeyboardInterrupt | None = None
    is_last: bool = True
    why: str = ""


class Callback(Protocol):
    """Told what happens; must not raise for trouble of its own."""

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """A trial has been told."""

    def on_end(self, study: Study, result: StudyResult) -> object:
        """The study has ended, whatever ended it."""
