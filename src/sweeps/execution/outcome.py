"""What comes of a trial, whatever that is."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeps.base.full_disk import is_disk_full
from sweeps.base.reporting import Pruned, Report, reporting_to


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured.

    Attributes:
        metrics: by name.
        seconds: wall time by phase.
        warnings: the distinct warnings that were raised, as text.
        params: more params for its run, by name.
        uses_mlflow: whether it may have logged to MLflow itself.
        evaluation_id: stands for what its `test_` metrics are measured on; empty where it does not say.
        own_store: the MLflow store that it has logged to, where that is not the sweep's; without passwords.
        predicts_again: whether what it predicts can be had once more, as a task's trial that keeps predictions can.
    """

    metrics: Mapping[str, float]
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    uses_mlflow: bool = False
    evaluation_id: str = ""
    own_store: str = ""
    predicts_again: bool = False


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
        try:
            named = str(error) if isinstance(error, UnusableResultError) else f"{type(error).__name__}: {error}"
            text = "".join(traceback.format_exception(error))
        except Exception:  # noqa: BLE001 - an exception whose own text raises
            named, text = type(error).__name__, ""
        return cls(_storable(named), _storable(text), is_disk_full(error), isinstance(error, MemoryError))


@dataclass(frozen=True)
class PrunedTrial:
    """A trial that was stopped early because it was hopeless."""


TrialOutcome = TrialResult | Failure | PrunedTrial


class UnusableResultError(Exception):
    """What a trial returned cannot be told; the message says what is wrong and what would be right."""


def attempt(job: Callable[[], TrialResult], report: Report) -> TrialOutcome:
    """Run a trial to its end, whatever that is; only `KeyboardInterrupt` passes through.

    Args:
        job: runs the trial.
        report: is given the scores of every step and raises `Pruned` when the trial shall stop.
    """
    with reporting_to(report) as running:
        try:
            result = job()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a trial raises is the trial's outcome
            is_pruned = running.is_pruned or isinstance(error, (Pruned, *_optuna_pruned()))
            return PrunedTrial() if is_pruned else Failure.of(error)
        return PrunedTrial() if running.is_pruned else result


def _storable(text: str) -> str:
    """Text as databases take it: lone surrogates, of file names that are not UTF-8, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _optuna_pruned() -> tuple[type[BaseException], ...]:
    """Optuna's own exception, where the trial can have raised it."""
    optuna = sys.modules.get("optuna")
    return () if optuna is None else (optuna.TrialPruned,)
