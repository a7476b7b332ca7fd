"""What a registered version is, in Markdown: for whoever finds it in the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial

from sweeps import __version__
from sweeps.base.predictions import Predictions
from sweeps.compose.leaf import as_yaml
from sweeps.execution.objective import Winner
from sweeps.study.trial_record import Record
from sweeps.sweep.preflight import CheckedStudy
from sweeps.sweep.space_table import describe_space
from sweeps.sweep.tables import with_error
from sweeps.tasks.comparison import Measured, find_score
from sweeps.tasks.metrics import is_stderr, stderr_of
from sweeps.tasks.uncertainty import score_interval

_OF_CONFIDENCE = ("test_ece", "test_brier")


def model_card(
    checked: CheckedStudy,
    best: FrozenTrial,
    winner: Winner,
    predictions: Sequence[Predictions],
    address: str,
    reason: str,
    n_trials: int,
) -> str:
    """Say what a version was made of and chosen by, how good it is, how sure that is, and how to use it.

    Args:
        checked: the study.
        best: its best trial.
        winner: what is known of its model.
        predictions: that are kept of it.
        address: `models:/NAME/VERSION`.
        reason: what the gate said.
        n_trials: that completed.
    """
    metrics = ", ".join(f"{direction} {metric}" for metric, direction in checked.objective.directions.items())
    day = datetime.now(UTC).date().isoformat()
    sections = {
        f"# {address.removeprefix('models:/')}": [
            f"Trial {best.number} of the study {checked.name}, the best of {n_trials} that completed ({metrics}); "
            f"registered on {day} by sweeps {__version__}."
        ],
        "## How good it is": [*_scores(best, winner, predictions), *_confidence(winner)],
        "## Why it is, or is not, the champion": _why(reason),
        "## How to use it": _use(checked, address),
        "## What it is": _rows({**_choices(best), **_values(checked, best)}),
        "## What it was made of": _rows({**checked.objective.describe_data(), **checked.objective.data_options()}),
        "## What was searched": ["```text", describe_space(checked.plan.space, checked.plan.title), "```"],
    }
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in sections.items() if lines) + "\n"


def _scores(best: FrozenTrial, winner: Winner, predictions: Sequence[Predictions]) -> Iterator[str]:
    """Each score with its standard error over folds, or its 95 % interval where that follows from what is kept."""
    known = Record.of(best).metrics
    found = {**known, **winner.scores}
    first = [
        name for name in (winner.val_metric, winner.metric) if name in found
    ]  # by which it was chosen, and compared
    scores = {name: found[name] for name in [*first, *found] if name.startswith(("val_", "test_")) or name in first}
    shown: dict[str, str] = {}
    for name, value in scores.items():
        error = known.get(stderr_of(name))
        if name in _OF_CONFIDENCE or is_stderr(name, known):
            continue
        interval = _interval(name, value, winner, predictions) if name.startswith("test_") else None
        shown[name] = with_error(f"{value:.4f}", error)
        if interval is not None:
            shown[name] += f", 95 % interval {interval[0]:.4f} to {interval[1]:.4f}"
    yield from _rows(shown)
    if shown:
        yield ""
        yield (
            "`val_` is the mean over folds of the training part, with its standard error: the trial was chosen by it, "
            "so it flatters. `test_` is measured on rows that had no part in training or choosing."
        )


def _interval(
    name: str, value: float, winner: Winner, predictions: Sequence[Predictions]
) -> tuple[float, float] | None:
    on_test = [one for one in predictions if one.part == "test"]
    if len(on_test) != 1:
        return None
    positive = winner.tags.get("sweeps.positive_label")
    measured = Measured(name, {"test": value}, on_test)
    for direction in ("maximize", "minimize"):
        score = find_score([measured], name, direction, positive)
        if score is not None and score.name == name.removeprefix("test_"):  # and not one that happens to be equal
            return score_interval(score, on_test[0], value)
    return None


def _confidence(winner: Winner) -> Iterator[str]:
    found = [winner.scores.get(name) for name in _OF_CONFIDENCE]
    if None not in found:
        error, brier = found
        yield ""
        yield (
            f"`confidence` is the calibrated probability of the label that is given. On test it misses the share of "
            f"right labels by {error:.3f} (expected calibration error, ten bins of equal mass); its Brier score is "
            f"{brier:.3f}."
        )


def _why(reason: str) -> list[str]:
    if "P(better)" not in reason:
        return [f"{reason}."]
    return [
        f"{reason}.",
        "",
        "(P(better) is the probability that it is the better of the two on rows like these, by a bootstrap that draws "
        "the same rows for both.)",
    ]


def _use(checked: CheckedStudy, address: str) -> list[str]:
    kind, _, line = checked.objective.how_to_use(address).partition(":")
    lines = ["```sh", line.strip(), "```", ""] if kind == "Predict" else []
    return [*lines, "```python", "import mlflow", "", f"model = mlflow.pyfunc.load_model({address!r})", "```"]


def _choices(best: FrozenTrial) -> dict[str, str]:
    return dict(Record.of(best).choices)


def _values(checked: CheckedStudy, best: FrozenTrial) -> dict[str, str]:
    names = checked.objective.names()
    return {names.get(key, key): as_yaml(value) for key, value in Record.of(best).hyperparameters.items()}


def _rows(cells: Mapping[str, str]) -> list[str]:
    """A table of two columns; a cell may hold anything."""
    if not cells:
        return []
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in cells.items()]
    return ["| | |", "|---|---|", *lines]


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
