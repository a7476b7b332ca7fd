"""What is filed of a study: `trials.csv` and `sweep_result.yaml`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial

from sweeps.base.atomic_file import write_text, write_yaml
from sweeps.study.alike import Alike
from sweeps.study.attribute import is_counted
from sweeps.study.best import front_of, is_feasible
from sweeps.study.folder import StudyFolder
from sweeps.study.result import StudyResult
from sweeps.study.trial_record import Record


class StudyFiles:
    """Writes `trials.csv` and `sweep_result.yaml` at the end; a callback of the study's loop.

    Args:
        folder: the study's.
        metrics: that are optimised.
        names: how a hyperparameter is called, by config key.
    """

    def __init__(self, folder: StudyFolder, metrics: Sequence[str], names: Mapping[str, str]) -> None:
        self._folder = folder
        self._metrics = metrics
        self._names = names

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Nothing to do: the study itself keeps the trial."""

    def on_end(self, study: Study, result: StudyResult) -> None:
        """Write both files."""
        write_trials(study, self._folder.trials, self._names)
        write_yaml(self._folder.result, describe_result(study, result, self._metrics))


def write_trials(study: Study, path: Path, names: Mapping[str, str]) -> None:
    """Write every trial as one row: state, value, choices, hyperparameters, metrics, times and error.

    Args:
        study: the study.
        path: the CSV file, replaced at once when it is complete.
        names: how a hyperparameter is called, by config key.
    """
    rows = trial_rows(study, names)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else list(_LAST))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell.isoformat() if isinstance(cell, datetime) else cell for name, cell in row.items()})
    write_text(path, text.getvalue())


def trial_rows(study: Study, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every finished trial by column, all with the same columns; None for what a trial has not.

    Args:
        study: the study.
        names: how a hyperparameter is called, by config key; by default as the key.
    """
    marks = _marks(study)
    rows = [
        _row(trial, names, marks.get(trial.number, {}))
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row if column not in _LAST)) + list(_LAST)
    return [{column: row.get(column) for column in columns} for row in rows]


def describe_result(study: Study, result: StudyResult, metrics: Sequence[str]) -> dict[str, Any]:
    """The end of a sweep as plain data, of several metrics with the Pareto front, by the trials' numbers."""
    is_one = len(metrics) == 1
    described: dict[str, Any] = {
        "study_name": study.study_name,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "metric": metrics[0] if is_one else list(metrics),
        "n_trials": sum(is_counted(trial) for trial in study.get_trials(deepcopy=False)),
    }
    if result.best is not None:
        described["best"] = _described(result.best, metrics)
    if not is_one:
        described["why_best"] = result.why
        described["front"] = [_described(trial, metrics) for trial in front_of(study)]
    return described


def _described(trial: FrozenTrial, metrics: Sequence[str]) -> dict[str, Any]:
    record = Record.of(trial)
    values = dict(zip(metrics, trial.values, strict=True))
    return {
        "trial": trial.number,
        **({"values": values} if len(metrics) > 1 else {"value": trial.values[0]}),
        "choices": record.choices,
        "overrides": record.overrides,
        "metrics": record.metrics,
    }


_LAST = ("start", "end", "warnings", "error")


def _values(trial: FrozenTrial) -> dict[str, Any]:
    """One value, or several by number."""
    if trial.values is None or len(trial.values) == 1:
        return {"value": trial.values[0] if trial.values else None}
    return {f"value_{index}": value for index, value in enumerate(trial.values)}


def _marks(study: Study) -> dict[int, dict[str, bool]]:
    """What is said of trials beside others: on the Pareto front, or told apart from the best."""
    if len(study.directions) > 1:
        front = {trial.number for trial in front_of(study)}
        return {trial.number: {"pareto": trial.number in front} for trial in study.get_trials(deepcopy=False)}
    alike = Alike.of(study)
    if alike is None:
        return {}
    compared = {**dict.fromkeys(alike.worse, True), **dict.fromkeys([alike.best, *alike.alike], False)}
    return {number: {"told_apart": is_apart} for number, is_apart in compared.items()}


def _row(trial: FrozenTrial, names: Mapping[str, str], marks: Mapping[str, bool]) -> dict[str, Any]:
    record = Record.of(trial)
    row: dict[str, Any] = {
        "number": trial.number,
        "state": "INTERRUPTED" if record.interrupted else trial.state.name,
        **_values(trial),
        **marks,
        **({"feasible": is_feasible(trial)} if trial.constraints else {}),
        **record.choices,
    }
    taken = {*row, *record.metrics, *_LAST}
    for key, value in record.hyperparameters.items():
        name = names.get(key, key)
        row[key if name in taken or name.startswith("seconds_") else name] = value
    row |= record.metrics
    row |= {f"seconds_{phase}": round(value, 4) for phase, value in record.seconds.items()}
    return row | {
        "start": trial.datetime_start,
        "end": trial.datetime_complete,
        "warnings": "; ".join(record.warnings),
        "error": record.error,
    }
