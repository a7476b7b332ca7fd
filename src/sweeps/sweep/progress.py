"""Trials as they end: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from optuna import Study
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from sweeps.base.say import say
from sweeps.study.attribute import is_counted
from sweeps.study.best import best_trial, better_trial
from sweeps.study.result import StudyResult
from sweeps.study.trial_record import CUT_OFF, Record
from sweeps.sweep.tables import as_measured


class Progress:
    """Trial count, best value and time left; a callback of the sweep.

    Args:
        study: the study; it may have trials already.
        n_trials: its total.
        metrics: that are optimised.
    """

    def __init__(self, study: Study, n_trials: int, metrics: Sequence[str]) -> None:
        self._metrics = metrics
        self._best = best_trial(study)
        n_before = sum(is_counted(trial) for trial in study.get_trials(deepcopy=False))
        is_shown = sys.stderr.isatty()
        self._bar = tqdm(
            total=n_trials, initial=n_before, unit="trial", file=sys.stderr, disable=not is_shown, leave=False
        )

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Advance the bar, or write a line."""
        if trial.state == TrialState.COMPLETE:
            self._best = better_trial(study, self._best, trial)
        if self._bar.disable:
            say(f"trial {trial.number}: {_describe(trial, self._metrics)}{_shown(self._best)}")
        elif trial.state == TrialState.FAIL:
            say(f"trial {trial.number}: {_describe(trial, self._metrics)}")
        if is_counted(trial):
            self._bar.update()
        if self._best is not None:
            self._bar.set_postfix_str(f"best {self._metrics[0]} {self._best.values[0]:.4f}")

    def on_end(self, study: Study, result: StudyResult) -> None:
        """Take the bar away."""
        self._bar.close()


def _describe(trial: FrozenTrial, metrics: Sequence[str]) -> str:
    what = " ".join(Record.of(trial).choices.values())
    ended = _end_of(trial, metrics)
    return f"{what}, {ended}" if what else ended


def _end_of(trial: FrozenTrial, metrics: Sequence[str]) -> str:
    if trial.state == TrialState.COMPLETE:
        shown = [f"{trial.values[0]:.4f}"] if len(metrics) == 1 else list(map(as_measured, trial.values))
        values = " ".join(f"{metric} {value}" for metric, value in zip(metrics, shown, strict=True))
        broken = [name for name, violation in trial.constraints.items() if violation > 0]
        breaks = f", breaks {' and '.join(broken)}" if broken else ""
        return f"{values}{breaks}"
    if trial.state == TrialState.PRUNED:
        return f"pruned after step {trial.last_step}" if trial.intermediate_values else "pruned"
    record = Record.of(trial)
    state = "INTERRUPTED" if record.interrupted else "FAILED"
    reason = (record.error.splitlines() or [""])[0][:200]
    return state if reason == CUT_OFF else f"{state}: {reason}"


def _shown(best: FrozenTrial | None) -> str:
    return "" if best is None else f" (best {best.values[0]:.4f}, trial {best.number})"
