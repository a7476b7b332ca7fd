"""What a sweep says on the screen: a progress bar on a terminal, plain lines elsewhere, and a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.trial_record import Record


def table(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Columns aligned left, two spaces apart."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


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


def _is_drawn(trial: FrozenTrial, key: str) -> bool:
    group, _, name = key.partition(".")
    return f"{group}/{Record.of(trial).choices.get(group)}.{name}" in trial.params


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else as_typed(value)


def as_typed(value: Any) -> str:
    """As YAML and Hydra write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
