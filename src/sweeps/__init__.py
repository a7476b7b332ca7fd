"""Hyperparameter sweeps from one YAML file: Hydra composes, Optuna searches, MLflow tracks and promotes."""

__version__ = "0.1.0"
