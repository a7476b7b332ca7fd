"""What a sweep says on the screen: a progress bar on a terminal, plain lines elsewhere, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.compose.leaf import as_yaml
from sweeps.compose.scope import package_of
from sweeps.study.alike import Alike
from sweeps.study.best import front_of, is_feasible, sign_of
from sweeps.study.folder import StudyFolder
from sweeps.study.trial_record import Record
from sweeps.sweep.told_apart import interval_on_test
from sweeps.tasks.metrics import on_test, stderr_of

_SEARCHED = "searched values"
_WHOLE_FROM = 10_000
_MOST_SHOWN = 20  # trials of a Pareto front
_MOST_ALIKE = 10


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Columns aligned left, two spaces apart."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def best_of_each_option(study: Study, group: str) -> list[FrozenTrial]:
    """The best completed trial of each option of a group that keeps to the constraints, the best first."""
    sign = sign_of(study.direction)
    best: dict[str, FrozenTrial] = {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in sorted(filter(is_feasible, complete), key=lambda t: (sign * t.values[0], t.number)):
        best.setdefault(Record.of(trial).choices.get(group, ""), trial)
    return list(best.values())


def summary_table(study: Study, metric: str, names: Mapping[str, str], folder: StudyFolder) -> str:
    """The best trial of each option of the first group: its score, the matching test score and its searched values.

    Scores stand with their uncertainty: the standard error over folds, and the 95 % interval of a test score.

    Args:
        study: the study.
        metric: the objective's name.
        names: how a hyperparameter is called, by config key.
        folder: the study's files.
    """
    test_metric = on_test(metric)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    group = next(iter(Record.of(complete[0]).choices), "")
    alike = Alike.of(study)
    rows = []
    for trial in best_of_each_option(study, group):
        record = Record.of(trial)
        rows.append(
            {
                group: record.choices.get(group, ""),
                "trial": str(trial.number),
                metric: with_error(f"{trial.values[0]:.4f}", record.metrics.get(stderr_of(metric))),
                "against the best": _against(alike, trial.number),
                test_metric: _with_interval(study, folder, trial, metric),
                _SEARCHED: ", ".join(_searched_values(trial, names)),
            }
        )
    if test_metric == metric:  # the app optimises what it measures on test
        rows = [{name: cell for name, cell in row.items() if name != test_metric} for row in rows]
    is_said = {name: any(row[name] for row in rows) for name in rows[0]}
    shown = [[cell for name, cell in row.items() if name and is_said[name]] for row in rows]
    return table(shown, [name for name in rows[0] if name and is_said[name]])


def alike_line(study: Study) -> str:
    """How many trials are not told apart from the best, and which of them takes the least fitting; empty for none."""
    alike = Alike.of(study)
    if alike is None or not alike.alike:
        return ""
    trials = study.get_trials(deepcopy=False)
    n_compared = len(alike.alike) + len(alike.worse)
    shown = ", ".join(map(str, alike.alike[:_MOST_ALIKE])) + (", ..." if len(alike.alike) > _MOST_ALIKE else "")
    said = (
        f"Not told apart from the best, trial {alike.best}: {len(alike.alike)} of {n_compared} others ({shown}), by "
        f"paired 95 % intervals over the folds."
    )
    seconds = {
        number: record.metrics["fit_seconds"]
        for number in (alike.best, *alike.alike)
        if "fit_seconds" in (record := Record.of(trials[number])).metrics
    }
    if alike.best not in seconds:
        return said
    least = min(seconds, key=lambda number: (seconds[number], number))
    fitting = f"the least fitting takes trial {least}, {seconds[least]:.3g} s of CPU"
    return f"{said} Of all these {fitting}" + (
        "." if least == alike.best else f"; trial {alike.best} takes {seconds[alike.best]:.3g} s."
    )


def with_error(score: str, error: float | None) -> str:
    """A score with its standard error, if that is known."""
    return score if error is None else f"{score} ± {error:.4f}"


def _against(alike: Alike | None, number: int) -> str:
    if alike is None:
        return ""
    if number == alike.best:
        return "the best"
    return "not told apart" if number in alike.alike else "worse" if number in alike.worse else "not compared"


def _with_interval(study: Study, folder: StudyFolder, trial: FrozenTrial, metric: str) -> str:
    score = Record.of(trial).metrics.get(on_test(metric))
    if score is None:
        return ""
    found = interval_on_test(study, folder, trial, metric)
    return f"{score:.4f}" if found is None else f"{score:.4f} ({found[0]:.4f} to {found[1]:.4f})"


def front_table(study: Study, metrics: Sequence[str], names: Mapping[str, str]) -> str:
    """The trials that no other beats in every metric, the best of the first one first.

    Args:
        study: the study.
        metrics: the names of its values.
        names: how a hyperparameter is called, by config key.
    """
    sign = sign_of(study.directions[0])
    rows = []
    front = sorted(front_of(study), key=lambda trial: (sign * trial.values[0], trial.number))
    for trial in front[:_MOST_SHOWN]:
        choices = [f"{group}={choice}" for group, choice in Record.of(trial).choices.items()]
        searched = ", ".join([*choices, *_searched_values(trial, names)])
        known = Record.of(trial).metrics
        errors = [known.get(stderr_of(metric)) for metric in metrics]
        values = [
            as_measured(value) if error is None else f"{as_measured(value)} ± {as_measured(error)}"
            for value, error in zip(trial.values, errors, strict=True)
        ]
        rows.append([str(trial.number), *values, searched])
    more = len(front) - _MOST_SHOWN
    shown = table(rows, ["trial", *metrics, _SEARCHED])
    return shown if more <= 0 else f"{shown}\nand {more} more, with pareto=True in trials.csv"


def profile_table(study: Study, also: Mapping[str, float]) -> str:
    """What all trials of a study together spent on each phase, and `also` what was not theirs, the longest first."""
    totals: Counter[str] = Counter(also)
    for trial in study.get_trials(deepcopy=False):
        totals.update(Record.of(trial).seconds)
    whole = sum(totals.values()) or 1.0
    rows = [[phase, f"{spent:.1f}", f"{spent / whole:.0%}"] for phase, spent in totals.most_common()]
    return table(rows, ["phase", "seconds of all trials", "share"])


def _searched_values(trial: FrozenTrial, names: Mapping[str, str]) -> list[str]:
    drawn = {key: value for key, value in Record.of(trial).hyperparameters.items() if _is_drawn(trial, key)}
    return [f"{names.get(key, key)}={as_shown(value)}" for key, value in drawn.items()]


def _is_drawn(trial: FrozenTrial, key: str) -> bool:
    choices = Record.of(trial).choices
    names = (f"{group}/{choice}.{key.removeprefix(f'{package_of(group)}.')}" for group, choice in choices.items())
    return key in trial.params or any(name in trial.params for name in names)


def as_measured(value: float) -> str:
    """A value of any size: a score, seconds or bytes."""
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"


def as_shown(value: Any) -> str:
    """In a few characters."""
    return f"{value:.4g}" if isinstance(value, float) else as_yaml(value)
