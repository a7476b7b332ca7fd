"""Hydra plugin: the launcher `sweeps_dask`."""
