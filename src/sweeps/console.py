"""What a sweep says on the screen: a progress bar on a terminal, plain lines elsewhere, and a summary."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from sweeps.attribute import is_counted
from sweeps.record import CUT_OFF, Record
from sweeps.redact import without_passwords
from sweeps.search_space import SearchSpace
from sweeps.sweep import SweepResult, best_trial, better_trial


def say(text: str = "") -> None:
    """Write a line to standard output, above a progress bar if there is one; passwords in URLs are not shown."""
    try:
        tqdm.write(without_passwords(text), file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has had enough: the sweep goes on without it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Columns aligned left, two spaces apart."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


class Progress:
    """Trial count, best value and time left; a callback of the sweep.

    Args:
        study: the study; it may have trials already.
        n_trials: its total.
        metric: the objective's name.
    """

    def __init__(self, study: Study, n_trials: int, metric: str) -> None:
        self._metric = metric
        self._best = best_trial(study)
        n_before = sum(is_counted(trial) for trial in study.get_trials(deepcopy=False))
        is_shown = sys.stderr.isatty()
        self._bar = tqdm(
            total=n_trials, initial=n_before, unit="trial", file=sys.stderr, disable=not is_shown, leave=False
        )

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Advance the bar, or write a line."""
        if trial.state == TrialState.COMPLETE:
            self._best = better_trial(study.direction, self._best, trial)
        if self._bar.disable:
            say(f"trial {trial.number}: {_describe(trial, self._metric)}{_shown(self._best)}")
        elif trial.state == TrialState.FAIL:
            say(f"trial {trial.number}: {_describe(trial, self._metric)}")
        if is_counted(trial):
            self._bar.update()
        if self._best is not None:
            self._bar.set_postfix_str(f"best {self._metric} {self._best.values[0]:.4f}")

    def on_end(self, study: Study, result: SweepResult) -> None:
        """Take the bar away."""
        self._bar.close()


def best_of_each_model(study: Study) -> list[FrozenTrial]:
    """The best completed trial of each `model` option, the best first."""
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    best: dict[str, FrozenTrial] = {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    for trial in sorted(complete, key=lambda t: (sign * t.values[0], t.number)):
        best.setdefault(Record.of(trial).choices.get("model", ""), trial)
    return list(best.values())


def summary_table(study: Study, metric: str, names: Mapping[str, str]) -> str:
    """The best trial of each model: its score, the matching test score and its searched values.

    Args:
        study: the study.
        metric: the objective's name.
        names: how a hyperparameter is called, by config key.
    """
    test_metric = metric.replace("val_", "test_", 1)
    rows = []
    for trial in best_of_each_model(study):
        record = Record.of(trial)
        metrics = record.metrics
        shown = {key: value for key, value in record.hyperparameters.items() if _is_drawn(trial, key)}
        rows.append(
            [
                record.choices.get("model", ""),
                str(trial.number),
                f"{trial.values[0]:.4f}",
                f"{metrics[test_metric]:.4f}" if test_metric in metrics else "",
                ", ".join(f"{names.get(key, key)}={_short(value)}" for key, value in shown.items()),
            ]
        )
    return table(rows, ["model", "trial", metric, test_metric, "searched values"])


def profile_table(study: Study, also: Mapping[str, float]) -> str:
    """What all trials of a study together spent on each phase, and `also` what was not theirs, the longest first."""
    totals: Counter[str] = Counter(also)
    for trial in study.get_trials(deepcopy=False):
        totals.update(Record.of(trial).seconds)
    whole = sum(totals.values()) or 1.0
    rows = [[phase, f"{spent:.1f}", f"{spent / whole:.0%}"] for phase, spent in totals.most_common()]
    return table(rows, ["phase", "seconds of all trials", "share"])


def describe_space(space: SearchSpace, dataset: str) -> str:
    """The search space as a table: name, distribution, default, condition, file."""
    rows = [
        [group, f"one of {', '.join(options)}", options[0], "", "command line"]
        for group, options in space.swept_groups().items()
    ]
    for leaf in space.all_leaves():
        when = ", ".join(
            f"{key.partition('.')[2]} is {' or '.join(map(_as_typed, values))}" for key, values in leaf.when.items()
        )
        rows.append([leaf.name, _describe_distribution(leaf.distribution), _as_typed(leaf.default), when, leaf.source])
    fixed = ", ".join(f"{group}={options[0]}" for group, options in space.groups.items() if len(options) == 1)
    head = f"dataset={dataset}" + (f", {fixed}" if fixed else "")
    if not rows:
        return f"{head}: nothing to search."
    return f"{head}\n{table(rows, ['name', 'distribution', 'default', 'when', 'from'])}"


def _describe_distribution(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(_as_typed, distribution.choices))}"
    assert isinstance(  # noqa: S101 - for mypy: no third kind
        distribution, FloatDistribution | IntDistribution
    )
    kind = "int" if isinstance(distribution, IntDistribution) else "float"
    step = f" step {distribution.step:g}" if distribution.step is not None and not distribution.log else ""
    return f"{kind} {distribution.low:g} to {distribution.high:g}{' log' if distribution.log else ''}{step}"


def _is_drawn(trial: FrozenTrial, key: str) -> bool:
    group, _, name = key.partition(".")
    return f"{group}/{Record.of(trial).choices.get(group)}.{name}" in trial.params


def _describe(trial: FrozenTrial, metric: str) -> str:
    what = " ".join(Record.of(trial).choices.values())
    if trial.state == TrialState.COMPLETE:
        return f"{what}, {metric} {trial.values[0]:.4f}"
    if trial.state == TrialState.PRUNED:
        return f"{what}, pruned after step {len(trial.intermediate_values)}"
    record = Record.of(trial)
    state = "INTERRUPTED" if record.interrupted else "FAILED"
    reason = (record.error.splitlines() or [""])[0][:200]
    return f"{what}, {state}" if reason == CUT_OFF else f"{what}, {state}: {reason}"


def _shown(best: FrozenTrial | None) -> str:
    return "" if best is None else f" (best {best.values[0]:.4f}, trial {best.number})"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _as_typed(value)


def _as_typed(value: Any) -> str:
    """As YAML and Hydra write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
