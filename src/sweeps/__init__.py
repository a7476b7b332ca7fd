"""Hyperparameter sweeps from one YAML file: Hydra composes, Optuna searches, MLflow tracks and promotes."""

from sweeps.base.reporting import CurrentTrial, Pruned, current_trial, report

__all__ = ["CurrentTrial", "Pruned", "current_trial", "report"]
__version__ = "0.1.0"
