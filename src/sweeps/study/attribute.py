"""The user attributes that a study keeps of itself and of a trial, and what follows from them alone."""

from __future__ import annotations

from optuna.trial import FrozenTrial, TrialState

METRICS = "sweeps.metrics"  # of the study: the names of its values
END = "sweeps.end"  # of the study: outcome and reason


class Attribute:
    """Names of a trial's user attributes."""

    PROPOSAL = "sweeps.proposal"  # what it is to run; written when it is drawn to its end
    RESULT = "sweeps.result"
    ERROR = "sweeps.error"
    TRACEBACK = "sweeps.traceback"
    INTERRUPTED = "sweeps.interrupted"  # it failed because it was cut off from outside
    RETRY_OF = "sweeps.retry_of"  # the number of the trial whose parameters it tries again
    ATTEMPT = "sweeps.attempt"  # how often processes have died of these parameters
    LOSSES = "sweeps.losses"  # how often workers were lost with these parameters
    DEFAULT = "sweeps.default"  # it runs an option's defaults as written; which one, in order
    START = "sweeps.start"  # it runs a point that the study was to start with; which one, in order


def is_drawn(trial: FrozenTrial) -> bool:
    """Whether a trial was drawn to its end."""
    return Attribute.PROPOSAL in trial.user_attrs


def was_cut_off(trial: FrozenTrial) -> bool:
    """Whether a trial failed from outside, so that it does not count.

    Whoever finds a trial of a dead process can tell that it failed, but no reason: its attributes are out of reach.
    """
    if trial.state != TrialState.FAIL:
        return False
    return Attribute.INTERRUPTED in trial.user_attrs or Attribute.ERROR not in trial.user_attrs


def is_counted(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards `n_trials`: finished, and not cut off from outside."""
    return trial.state.is_finished() and is_drawn(trial) and not was_cut_off(trial)
