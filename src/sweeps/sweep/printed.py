"""What a sweep says of a study, before its first trial and after its last."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from optuna import Study
from optuna.trial import TrialState

from sweeps.base.errors import first_line
from sweeps.base.say import say
from sweeps.study.attribute import Attribute, is_counted
from sweeps.study.best import is_feasible, least_violated
from sweeps.study.folder import StudyFolder
from sweeps.study.result import StudyResult
from sweeps.study.stopping import EVERY_POINT
from sweeps.study.trial_record import Record
from sweeps.sweep.data_line import data_line
from sweeps.sweep.preflight import CheckedStudy
from sweeps.sweep.tables import alike_line, front_table, summary_table
from sweeps.tasks.metrics import TIMINGS
from sweeps.tracking import client as tracking

_SHOWN = 10  # trials of a warning


def announce(checked: CheckedStudy, study: Study) -> None:
    """Say what is searched, where, what was read, and how much of it is done."""
    what = "".join(f", {group} {' | '.join(options)}" for group, options in checked.plan.space.groups.items())
    n_trials, subject = checked.settings.n_trials, checked.plan.subject
    say(f"Study {checked.name}: {n_trials} trials on {subject}{what}; in {checked.folder.path}")
    if line := data_line(checked.objective.describe_data()):
        say(line)
    n_before = sum(is_counted(trial) for trial in study.get_trials(deepcopy=False))
    if n_before:
        say(f"Resuming: {n_before} of {n_trials} trials are done.")
    if checked.samplers.warning:
        say(f"Note: {checked.samplers.warning}")
    timings = [metric for metric in checked.objective.directions if metric in TIMINGS]
    if timings:
        say(
            f"Note: {' and '.join(timings)} {'is' if len(timings) == 1 else 'are'} measured anew each time: run again, "
            f"or resumed, the same seed may search other configurations."
        )


def report(
    study: Study, metrics: Sequence[str], result: StudyResult, names: Mapping[str, str], folder: StudyFolder
) -> None:
    """Say how a study ended: why early, what failed, and the best trial of each model, or those of the Pareto front.

    Args:
        study: the study.
        metrics: that were optimised.
        result: how it ended.
        names: how a hyperparameter is called, by config key.
        folder: the study's files.
    """
    if result.reason:
        say(f"{'Finished' if result.reason == EVERY_POINT else 'The study ended early'}: {result.reason}.")
    trials = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    n_failed = sum(is_counted(trial) for trial in trials)
    if n_failed:
        say(f"{n_failed} trials failed; their tracebacks are artifacts of their runs. {first_error(study)}")
    for line in _warnings(study):
        say(line)
    if (nearest := least_violated(study)) is not None and not is_feasible(nearest):
        broken = ", ".join(f"{name} by {by:.4g}" for name, by in nearest.constraints.items() if by > 0)
        say(f"No trial keeps to the constraints, so none wins; trial {nearest.number} is nearest: it breaks {broken}.")
    elif len(study.directions) > 1:
        say(f"\n{front_table(study, metrics, names)}\n")
        if result.best is not None:
            say(f"Winner:  trial {result.best.number}: {result.why}")
    elif result.best is not None:
        said = [summary_table(study, metrics[0], names, folder), *filter(None, [alike_line(study)])]
        say("\n" + "\n\n".join(said) + "\n")


def _warnings(study: Study) -> Iterator[str]:
    """What the trials warned of, each warning once, with the trials."""
    numbers: dict[str, list[int]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        for warning in dict.fromkeys(Record.of(trial).warnings):
            numbers.setdefault(warning, []).append(trial.number)
    for warning, found in numbers.items():
        shown = ", ".join(map(str, found[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
        say_trials = f"{len(found)} trials: {shown}" if len(found) > 1 else f"trial {shown}"
        yield f"Warning: {warning} ({say_trials})"


def first_error(study: Study) -> str:
    """A sentence with the error of the first trial that failed; empty if none did."""
    for trial in study.get_trials(deepcopy=False):
        if is_counted(trial) and trial.user_attrs.get(Attribute.ERROR):
            return f"The first error: {first_line(trial.user_attrs[Attribute.ERROR])}"
    return ""


def say_how_to_resume(folder: StudyFolder) -> None:
    """Say what to type to resume a study."""
    say(f"Resume:  python -m sweeps.resume {shlex.quote(str(folder.path))}")


def say_where(checked: CheckedStudy, experiment: str, parent_run: str) -> None:
    """Say where the results of a study are."""
    uri = tracking.shown_uri()
    say(f"Trials:  {checked.folder.trials}")
    say(f"MLflow:  experiment {experiment}, run {parent_run}")
    say(f"View:    {uri if uri.startswith('http') else f'mlflow ui --backend-store-uri {shlex.quote(uri)}'}")
