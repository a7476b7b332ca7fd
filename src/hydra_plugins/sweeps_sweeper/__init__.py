"""Hydra plugin: the sweeper `sweeps`, its samplers and its pruners."""
