"""Hyperparameter sweeps from one YAML file: Hydra composes, Optuna searches, MLflow tracks and promotes."""

from sweeps.base.predictions import log_predictions
from sweeps.base.reporting import CurrentTrial, Pruned, current_trial, evaluation_id, report

__all__ = ["CurrentTrial", "Pruned", "current_trial", "evaluation_id", "log_predictions", "report"]
__version__ = "0.1.0"
