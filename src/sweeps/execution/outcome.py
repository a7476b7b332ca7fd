"""What comes of a trial, whatever that is."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sweeps.tasks.base import PrunedError, Report, no_report


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured and ran with.

    Attributes:
        metrics: by name.
        hyperparameters: every active one, searched or not, by config key (`model.C`).
        seconds: wall time by phase.
        warnings: the distinct warnings that were raised, as text.
        params: more params, by the names that `also_log` gives them.
    """

    metrics: Mapping[str, float]
    hyperparameters: Mapping[str, Any]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A trial that raised, as text: not every exception survives the way out of its process.

    Attributes:
        error: the exception's type and message.
        traceback: where it was raised.
        is_disk_full: whether the trial found no space left to write, which is no fault of its own.
        is_out_of_memory: whether its process had no memory left, so that no other trial shall run in it.
    """

    error: str
    traceback: str
    is_disk_full: bool = False
    is_out_of_memory: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an exception."""
        text = "".join(traceback.format_exception(error))
        is_disk_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return cls(f"{type(error).__name__}: {error}", text, is_disk_full, isinstance(error, MemoryError))


@dataclass(frozen=True)
class Pruned:
    """A trial that was stopped early because it was hopeless."""


TrialOutcome = TrialResult | Failure | Pruned


REPORT: ContextVar[Report] = ContextVar("report", default=no_report)
"""Where the running trial's scores go: a Hydra job is given its config alone."""


def attempt(job: Callable[[], TrialResult], report: Report) -> TrialOutcome:
    """Run a trial to its end, whatever that is; only `KeyboardInterrupt` passes through.

    Args:
        job: runs the trial.
        report: is given the scores of every step and raises `PrunedError` when the trial shall stop.
    """
    token = REPORT.set(report)
    try:
        return job()
    except PrunedError:
        return Pruned()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a trial raises is the trial's outcome
        return Failure.of(error)
    finally:
        REPORT.reset(token)
