"""Optuna: the loop over the trials of one study, what is asked next, what is kept of a trial, and when it ends."""
