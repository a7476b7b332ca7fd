"""What a sweep says on the screen: a progress bar on a terminal, plain lines elsewhere, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.compose.leaf import as_yaml
from sweeps.compose.scope import package_of
from sweeps.study.best import front_of, is_feasible, sign_of
from sweeps.study.trial_record import Record
from sweeps.tasks.metrics import on_test

_SEARCHED = "searched values"
_WHOLE_FROM = 10_000
_MOST_SHOWN = 20  # trials of a Pareto front


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


def summary_table(study: Study, metric: str, names: Mapping[str, str]) -> str:
    """The best trial of each option of the first group: its score, the matching test score and its searched values.

    Args:
        study: the study.
        metric: the objective's name.
        names: how a hyperparameter is called, by config key.
    """
    test_metric = on_test(metric)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    group = next(iter(Record.of(complete[0]).choices), "")
    has_test = test_metric != metric and any(test_metric in Record.of(trial).metrics for trial in complete)
    rows = []
    for trial in best_of_each_option(study, group):
        record = Record.of(trial)
        cells = {
            group: record.choices.get(group, ""),
            "trial": str(trial.number),
            metric: f"{trial.values[0]:.4f}",
            test_metric: f"{record.metrics[test_metric]:.4f}" if test_metric in record.metrics else "",
            _SEARCHED: ", ".join(_searched_values(trial, names)),
        }
        rows.append(
            {name: cell for name, cell in cells.items() if name and (name != test_metric or has_test or name == metric)}
        )
    return table([list(row.values()) for row in rows], list(rows[0]))


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
        rows.append([str(trial.number), *map(as_measured, trial.values), searched])
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
