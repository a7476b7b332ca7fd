"""Runs that somebody makes by hand, beside those of sweeps."""
