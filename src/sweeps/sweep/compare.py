"""Two versions of registered models, or two trials, compared on the rows that both have predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeps.base.errors import ConfigError
from sweeps.base.predictions import FOLDER, Predictions, read_predictions
from sweeps.study.attribute import METRICS
from sweeps.study.command_file import recall, storage_of
from sweeps.study.folder import StudyFolder
from sweeps.study.storage import find_study
from sweeps.study.trial_record import Record
from sweeps.sweep.tables import table
from sweeps.tasks.comparison import Measured, compare_measured, find_score, same_rows
from sweeps.tasks.metrics import Direction, gated_metric, on_test
from sweeps.tasks.uncertainty import shown_uncertainty

_REGISTRY = "models:/"


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: in the table.
        scores: by metric.
        metrics: that it was chosen by: inside the training part, and on test; empty where there is none.
        direction: which way they are better.
        predictions: that are kept.
        positive_label: the label, as text, that precision, recall and F1 are of.
        n_trials: that it was chosen from; None for a trial.
    """

    name: str
    scores: Mapping[str, float]
    metrics: tuple[str, str]
    direction: Direction
    predictions: Sequence[Predictions]
    positive_label: str | None = None
    n_trials: int | None = None

    def measured(self, metrics: Sequence[str]) -> Measured:
        """For a comparison of predictions, by these metrics."""
        parts = {one.part for one in self.predictions}
        by_part = {metric.partition("_")[0]: self.scores[metric] for metric in metrics}
        scores = {part: score for part, score in by_part.items() if part in parts}
        return Measured(self.name, scores, self.predictions, self.n_trials)

    def shown(self, metric: str) -> str:
        """A score with its uncertainty, where that follows from what is kept."""
        value, measured = self.scores[metric], self.measured([metric])
        of_part = measured.on(metric.partition("_")[0])
        score = find_score([of_part], metric, self.direction, self.positive_label) if of_part.predictions else None
        said = "" if score is None else shown_uncertainty(score, of_part.predictions, value)
        return f"{value:.6g} {said}".strip()


def compare_two(one: str, other: str, storage: str | None = None) -> str:
    """What there is to say of two models.

    Args:
        one: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or a trial's folder.
        other: the same.
        storage: the URL of the trials' database, where it is behind a password.

    Raises:
        ConfigError: no such trial, or one that did not complete.
        TrackingError: no such version.
    """
    ours, theirs = (
        _version(text) if text.startswith(_REGISTRY) else _trial(Path(text), storage) for text in (one, other)
    )
    metrics = [metric for metric in ours.metrics if metric and metric in ours.scores and metric in theirs.scores]
    if not metrics:
        named = " and ".join(metric for metric in ours.metrics if metric)
        raise ConfigError(f"{other} has no {named}, which {one} was chosen by.")
    rows = [[side.name, *(side.shown(metric) for metric in metrics), _shown(side.n_trials)] for side in (ours, theirs)]
    shown = table(rows, ["", *metrics, "chosen from"])
    return f"{shown}\n{_evidence(ours, theirs, metrics)}"


def _evidence(ours: Side, theirs: Side, metrics: Sequence[str]) -> str:
    """The difference and how sure it is, or why that is not known."""
    metric, positive = metrics[-1], ours.positive_label or theirs.positive_label
    mine, other, where = ours.measured(metrics), theirs.measured(metrics), ""
    if not same_rows(mine.predictions, other.predictions):
        mine, other = mine.on("test"), other.on("test")
        where = "On the test part alone, as the two were not selected on the same folds: "
    found = compare_measured(mine, other, metric, ours.direction, positive)
    if isinstance(found, str):
        return f"How sure the difference is cannot be told: {found}."
    is_told = found.low > 0 or found.high < 0
    better = ours if found.difference > 0 else theirs
    verdict = f"{better.name} is better" if is_told else "the two are not told apart"
    return f"{where}{found.shown()}: {verdict}."


def _shown(n_trials: int | None) -> str:
    return "" if n_trials is None else f"{n_trials} trials"


def _version(address: str) -> Side:
    from sweeps.tracking.client import connect
    from sweeps.tracking.models.contenders import known_by_address

    name, gate, known = known_by_address(connect(must_exist=True), address)
    scores = {gate.val_metric: known.val, gate.test_metric: known.test}
    return Side(
        name=f"{name} version {known.version}",
        scores={metric: score for metric, score in scores.items() if metric and score is not None},
        metrics=(gate.val_metric, gate.test_metric),
        direction=gate.direction,
        predictions=known.predictions,
        positive_label=gate.positive_label,
        n_trials=known.n_trials,
    )


def _trial(path: Path, storage: str | None) -> Side:
    if not path.name.isdecimal() or not path.parent.is_dir():
        raise ConfigError(f"{path} is no trial's folder; type one such as multirun/<study>/3, or models:/NAME/VERSION.")
    folder = StudyFolder(path.parent)
    command = recall(folder)
    study = find_study(storage_of(command, folder, storage), str(command["study_name"]))
    trials = study.get_trials(deepcopy=False) if study is not None else []
    number = int(path.name)
    if study is None or number >= len(trials) or trials[number].state != TrialState.COMPLETE:
        raise ConfigError(f"{folder.path} has no trial {number} that completed.")
    metrics: list[str] = study.user_attrs[METRICS]
    scores = Record.of(trials[number]).metrics
    gated = gated_metric(metrics, scores)
    metric = gated or metrics[0]
    is_maximized = study.directions[metrics.index(metric)] == StudyDirection.MAXIMIZE
    return Side(
        name=f"trial {number} of {folder.path.name}",
        scores=scores,
        metrics=(metric, on_test(metric) if gated else ""),
        direction="maximize" if is_maximized else "minimize",
        predictions=read_predictions(path / FOLDER),
    )
