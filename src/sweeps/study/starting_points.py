"""Where a search starts beside the defaults: points that were typed, or the best trials of an earlier study."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from sweeps.base.errors import ConfigError, first_line
from sweeps.base.say import say
from sweeps.compose.search_space import SearchSpace
from sweeps.execution.objective import Objective
from sweeps.study.folder import StudyFolder
from sweeps.study.storage import find_study
from sweeps.study.trial_record import Record

STARTING_POINTS = "sweeps.starting_points"  # a study's user attribute: their parameters, by Optuna name
_MOST = 5  # of a study
_STUDY = "study:"
_SHOWN = 3  # of those that do not fit
_FORMS = "a list of points such as [{model: svm, model.C: 0.5}], study:NAME, or a study's folder or trials.csv"


@dataclass(frozen=True)
class _Tried:
    """A completed trial of an earlier study.

    Attributes:
        number: of the trial.
        values: of the metrics that it has, the lowest is best; of the first at least.
        point: options by group, and values by config key.
    """

    number: int
    values: tuple[float, ...]
    point: Mapping[str, Any]


class StartingPoints:
    """Reads `start_with`.

    Args:
        objective: with the space that points must fit, and the metric that earlier trials are ranked by.
        studies: the folder of all studies.
        storage: the URL of the studies' database; None where each has a file of its own.
    """

    def __init__(self, objective: Objective, studies: Path, storage: str | None) -> None:
        self._objective = objective
        self._studies = studies
        self._storage = storage
        self._key = f"{objective.prefix}start_with"

    def read(self, written: Any) -> list[dict[str, Any]]:
        """The parameters of each point, by Optuna name; one line for each study that says what was taken of it.

        Args:
            written: the setting; None for no points.

        Raises:
            ConfigError: it is none of the forms, a typed point does not fit the space, or there is no such study.
        """
        is_list = isinstance(written, Sequence) and not isinstance(written, str)
        sources = [] if written is None else written if is_list else [written]
        if written is not None and not sources:
            raise ConfigError(f"{self._key}={written} names no point. It must be {_FORMS}.")
        found: list[dict[str, Any]] = []
        for source in sources:
            if isinstance(source, Mapping):
                found.append(self._typed(source))
            elif isinstance(source, str):
                found += self._best_of(source)
            else:
                raise ConfigError(f"{self._key} must be {_FORMS}; it is {written}.")
        return [point for index, point in enumerate(found) if point not in found[:index]]

    @property
    def _space(self) -> SearchSpace:
        return self._objective.plan.space

    def _typed(self, point: Mapping[Any, Any]) -> dict[str, Any]:
        parameters, unfit = self._space.parameters_of({str(key): value for key, value in point.items()})
        if unfit:
            raise ConfigError(f"{self._key}: {{{_shown(point)}}} does not fit the search space: {'; '.join(unfit)}.")
        return parameters

    def _best_of(self, source: str) -> list[dict[str, Any]]:
        tried = _best_first(list(self._tried(source)))
        if not tried:
            raise ConfigError(f"{self._key}={source}: no trial of it has completed.")
        taken: list[dict[str, Any]] = []
        left: list[str] = []
        for trial in tried:
            if len(taken) == _MOST:
                break
            parameters, unfit = self._space.parameters_of(self._space.active_part(trial.point))
            if unfit:
                left.append(f"trial {trial.number} ({'; '.join(unfit)})")
            elif parameters not in taken:
                taken.append(parameters)
        if not taken:
            raise ConfigError(f"{self._key}={source}: none of its trials fits this search space: {left[0]}.")
        line = f"Starting with the best {len(taken)} of {len(tried)} trials of {source}"
        if left:
            more = f", and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            line += f"; not used, since they do not fit this search space: {', '.join(left[:_SHOWN])}{more}"
        say(f"{line}.")
        return taken

    def _tried(self, source: str) -> Iterable[_Tried]:
        if source.startswith(_STUDY):
            return self._of_study(source)
        path = Path(source).expanduser()
        file = StudyFolder(path).trials if path.is_dir() else path
        if not file.is_file():
            raise ConfigError(f"{self._key}={source}: there is no such file. It must be {_FORMS}.")
        try:
            return list(self._of_file(file))
        except (OSError, UnicodeError, csv.Error, ValueError) as error:
            raise ConfigError(
                f"{self._key}={source} cannot be read: {first_line(error)}. Is it a trials.csv?"
            ) from error

    def _of_study(self, source: str) -> Iterator[_Tried]:
        name = source.removeprefix(_STUDY)
        folder = StudyFolder(self._studies / name)
        study = find_study(self._storage or folder.storage_url, name)
        if study is None:
            have = sorted(path.name for path in self._studies.glob("*") if StudyFolder(path).command.exists())
            there = f"Those in {self._studies}: {', '.join(have[-5:])}" if have else f"{self._studies} has none"
            raise ConfigError(f"{self._key}={source}: there is no such study. {there}.")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            record = Record.of(trial)
            point = {**record.hyperparameters, **record.choices}
            yield _Tried(trial.number, self._values(record.metrics, source), point)

    def _of_file(self, file: Path) -> Iterator[_Tried]:
        names = self._objective.names()
        keys = {column: key for key, name in names.items() for column in (name, key)}
        with file.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            missing = [
                name for name in ("number", "state", self._objective.metric) if name not in (reader.fieldnames or ())
            ]
            if missing:
                raise ConfigError(f"{self._key}={file}: it has no column {', '.join(missing)}; is it a trials.csv?")
            for row in reader:
                if row["state"] != TrialState.COMPLETE.name:
                    continue
                cells = {column: _value(cell) for column, cell in row.items()}
                point = {keys.get(column, column): value for column, value in cells.items()}
                yield _Tried(int(row["number"]), self._values(cells, str(file)), point)

    def _values(self, metrics: Mapping[str, Any], source: str) -> tuple[float, ...]:
        directions = self._objective.directions
        known = {metric: metrics.get(metric) for metric in directions}
        if not isinstance(known[self._objective.metric], int | float):
            raise ConfigError(f"{self._key}={source}: its trials have no {self._objective.metric} to be ranked by.")
        return tuple(
            -value if directions[metric] == "maximize" else value
            for metric, value in known.items()
            if isinstance(value, int | float)
        )


def _best_first(tried: Sequence[_Tried]) -> list[_Tried]:
    """By the first value, those first that no other beats in all values that both have."""
    order = sorted(tried, key=lambda trial: (trial.values, trial.number))
    front: list[_Tried] = []
    for trial in order:
        if not any(_beats(other.values, trial.values) for other in front):
            front.append(trial)
    on_front = {trial.number for trial in front}
    return [*front, *(trial for trial in order if trial.number not in on_front)]


def _beats(values: Sequence[float], others: Sequence[float]) -> bool:
    return values != others and all(value <= other for value, other in zip(values, others, strict=False))


def _value(cell: str) -> Any:
    """A value from `trials.csv`, where None is nothing."""
    if not cell:
        return None
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two of what is nested too deep
        return cell


def _shown(point: Mapping[Any, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in point.items())
