"""The winner of a study: refitted on the training part and put into the model registry."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from optuna.trial import FrozenTrial

from sweeps.base.atomic_file import replacing
from sweeps.base.errors import TrackingError
from sweeps.base.predictions import FOLDER, Predictions, keep_predictions, read_predictions
from sweeps.base.say import say
from sweeps.study.trial_record import Record
from sweeps.sweep.model_card import model_card
from sweeps.sweep.preflight import CheckedStudy
from sweeps.tracking.models import registry
from sweeps.tracking.models.contenders import N_TRIALS
from sweeps.tracking.study.parent import StudyRuns


def register_winner(checked: CheckedStudy, best: FrozenTrial, n_trials: int, runs: StudyRuns) -> None:
    """Refit the best trial, register it, and let the gate decide whether it becomes champion.

    Args:
        checked: the study.
        best: its best trial.
        n_trials: that completed, of which it is the best.
        runs: of the study.

    A winner that is registered already, by a sweep that was cut off right then, is not registered again.

    Raises:
        TrackingError: the registry is out of reach, or the model could not be stored; the study is kept.
    """
    name = checked.settings.registered_model_name
    if name is None:
        return
    if not runs.is_answered:
        raise TrackingError(
            f"The study is complete and its results are kept, but the winner, trial {best.number}, could not be "
            f"registered as {name}: "
            f"MLflow does not answer.\nWhen it does: python -m sweeps.resume {shlex.quote(str(checked.folder.path))}"
        )
    try:
        known = registry.version_of(runs.client, name, str(runs.child_id(best.number)))
        said = registry.decision_on(known) if known else None
        if known is not None and said is not None:
            say(f"Model:   {name} version {known.version} was registered before: {said}")
            champion = registry.champion_of(runs.client, name)
            is_champion = champion is not None and champion.version == known.version
            say(checked.objective.how_to_use(_address(name, str(known.version), is_champion=is_champion)))
            return
        child, record = _child_of(best, runs), Record.of(best)
        evaluation_id = record.evaluation_id or runs.data_digest(child)
        folder = checked.folder.path / str(best.number) / FOLDER
        predictions = read_predictions(folder)
        if not predictions and record.predicts_again:
            predictions = _predict_again(checked, best, folder)
        for file in sorted(folder.glob("*.npz")):
            runs.client.log_artifact(child, str(file), FOLDER)
        winner = checked.objective.winner(checked.plan.config_of(best), record.metrics, evaluation_id)
        tags = {**_tags(checked, best), N_TRIALS: str(n_trials)}
        promote = checked.settings.promote

        def card(decision: registry.Decision) -> str:
            address = _address(name, decision.version, is_champion=False)
            return model_card(checked, best, winner, predictions, address, decision.message, n_trials)

        decision = registry.register(runs.client, winner, child, tags, name, promote, predictions, card)
        runs.set_parent_tags(
            {"sweeps.registered_model": f"{name}/{decision.version}", "sweeps.promotion.reason": decision.message}
        )
    except Exception as error:
        # Whatever happens here, the sweep's results stand.
        raise TrackingError(
            f"The study is complete and its results are kept, but the winner, trial {best.number}, could not be "
            f"registered as {name}: "
            f"{error}\nTo try again: python -m sweeps.resume {shlex.quote(str(checked.folder.path))}"
        ) from error
    say(f"Model:   {name} version {decision.version} registered; {decision.message}")
    say(checked.objective.how_to_use(_address(name, decision.version, is_champion=decision.promoted)))


def _address(name: str, version: str, *, is_champion: bool) -> str:
    return f"models:/{name}@{registry.CHAMPION}" if is_champion else f"models:/{name}/{version}"


def _predict_again(checked: CheckedStudy, best: FrozenTrial, folder: Path) -> list[Predictions]:
    """Have what the trial predicts in its folder, where it was run on a machine that does not share it."""
    predictions = checked.objective.predictions(checked.plan.config_of(best))
    shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
    with replacing(folder) as partial:
        keep_predictions(predictions, partial)
    return read_predictions(folder)


def _child_of(best: FrozenTrial, runs: StudyRuns) -> str:
    child = runs.child_id(best.number)
    if child is None:
        raise TrackingError("its MLflow run could not be logged")
    return child


def _tags(checked: CheckedStudy, best: FrozenTrial) -> dict[str, str]:
    choices = Record.of(best).choices
    return {
        "sweeps.study": checked.name,
        "sweeps.trial.number": str(best.number),
        **{
            f"sweeps.{name}": repr(value) for name, value in zip(checked.objective.directions, best.values, strict=True)
        },
        **{f"sweeps.{group}": choice for group, choice in choices.items()},
    }
