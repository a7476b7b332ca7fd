"""The files of a study: where they are, `trials.csv` and `sweep_result.yaml`."""

from __future__ import annotations

import csv
import io
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from optuna import Study
from optuna.trial import FrozenTrial

from sweeps.attribute import is_counted
from sweeps.errors import ConfigError, StorageError
from sweeps.record import Record
from sweeps.sweep import SweepResult

_DATABASE = "study.db"


@dataclass(frozen=True)
class StudyFolder:
    """Owns every path of one study, `multirun/<study_name>/`."""

    path: Path

    def check_new(self) -> None:
        """Make sure that the folder can become a new study's.

        Raises:
            ConfigError: something else is there, or a URL cannot hold the path.
        """
        if self.path.exists() and not (self.path.is_dir() and all(map(self._is_ours, self.path.iterdir()))):
            raise ConfigError(
                f"study_name={self.path.name}: {self.path} is there already, and holds no study to go on with. Choose "
                f"another study_name, or leave it out for a new one."
            )
        if set("?#%") & set(str(self.path)):
            raise ConfigError(f"{self.path}: the study's database needs a path without '?', '#' and '%'.")

    def make(self) -> None:
        """Make the folder, unless it is there.

        Raises:
            ConfigError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be made: {error.strerror}. Choose another place: hydra.sweep.dir=FOLDER"
            ) from error

    def _is_ours(self, file: Path) -> bool:
        return file.name.startswith(_DATABASE) or file in (self.config, self.command)

    @property
    def storage_url(self) -> str:
        """The study's own storage, a sqlite file that Optuna Dashboard opens."""
        return f"sqlite:///{self.path / _DATABASE}"

    @property
    def config(self) -> Path:
        """The composed config of the sweep."""
        return self.path / "multirun.yaml"

    @property
    def command(self) -> Path:
        """What was typed, for `sweeps.resume`."""
        return self.path / "command.yaml"

    @property
    def trials(self) -> Path:
        """Every trial, one row."""
        return self.path / "trials.csv"

    @property
    def result(self) -> Path:
        """The end of the sweep."""
        return self.path / "sweep_result.yaml"


def new_study_name(dataset: str) -> str:
    """A name for a study that was given none: the dataset, the time and the process."""
    return f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"


def write_trials(study: Study, path: Path, names: Mapping[str, str]) -> None:
    """Write every trial as one row: state, value, choices, hyperparameters, metrics, times and error.

    Args:
        study: the study.
        path: the CSV file, replaced at once when it is complete.
        names: how a hyperparameter is called, by config key.
    """
    rows = [_row(trial, names) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    columns = list(dict.fromkeys(column for row in rows for column in row if column not in _LAST)) + list(_LAST)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as YAML; see `write_text`."""
    write_text(path, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def write_text(path: Path, text: str) -> None:
    """Write a file, which appears when it is complete.

    Raises:
        StorageError: it cannot be written, as when the disk is full.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")  # other processes may write it, too
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. Check that there is space, then go on with the sweep."
        ) from error


def describe_result(study: Study, result: SweepResult, metric: str) -> dict[str, Any]:
    """The end of a sweep as plain data."""
    described: dict[str, Any] = {
        "study_name": study.study_name,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "metric": metric,
        "n_trials": sum(is_counted(trial) for trial in study.get_trials(deepcopy=False)),
    }
    if result.best is not None:
        record = Record.of(result.best)
        described["best"] = {
            "trial": result.best.number,
            "value": result.best.values[0],
            "choices": record.choices,
            "overrides": record.overrides,
            "metrics": record.metrics,
        }
    return described


_LAST = ("start", "end", "warnings", "error")


def _row(trial: FrozenTrial, names: Mapping[str, str]) -> dict[str, Any]:
    record = Record.of(trial)
    row: dict[str, Any] = {
        "number": trial.number,
        "state": "INTERRUPTED" if record.interrupted else trial.state.name,
        "value": trial.values[0] if trial.values else "",
        **record.choices,
    }
    taken = {*row, *record.metrics, *_LAST}
    for key, value in record.hyperparameters.items():
        name = names.get(key, key)
        row[key if name in taken or name.startswith("seconds_") else name] = value
    row |= record.metrics
    row |= {f"seconds_{phase}": round(value, 4) for phase, value in record.seconds.items()}
    return row | {
        "start": trial.datetime_start.isoformat() if trial.datetime_start else "",
        "end": trial.datetime_complete.isoformat() if trial.datetime_complete else "",
        "warnings": "; ".join(record.warnings),
        "error": record.error,
    }
