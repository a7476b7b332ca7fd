"""Hydra plugin: the sweeper `sweeps_optuna`."""
