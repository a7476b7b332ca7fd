"""Hyperparameter sweeps from one YAML file: Hydra composes, Optuna searches, MLflow tracks and promotes."""

from typing import TYPE_CHECKING, Any

from sweeps.base.predictions import log_predictions
from sweeps.base.reporting import CurrentTrial, Pruned, current_trial, evaluation_id, report
from sweeps.tracking import get_tracker

if TYPE_CHECKING:
    from sweeps.api.study import Study, open_study
    from sweeps.api.sweeping import optimize, run_sweep

__all__ = [
    "CurrentTrial",
    "Pruned",
    "Study",
    "current_trial",
    "evaluation_id",
    "get_tracker",
    "log_predictions",
    "open_study",
    "optimize",
    "report",
    "run_sweep",
]
__version__ = "0.1.0"

_IN_MODULES = {"Study": "study", "open_study": "study", "optimize": "sweeping", "run_sweep": "sweeping"}


def __getattr__(name: str) -> Any:
    """What needs Hydra and Optuna is imported when it is first used: an app imports this package in each worker."""
    if name not in _IN_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.api.{_IN_MODULES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
