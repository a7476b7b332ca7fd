"""The winner of a study: refitted on the training part and put into the model registry."""

from __future__ import annotations

import shlex
import warnings

from optuna.trial import FrozenTrial

from sweeps.base.errors import TrackingError
from sweeps.base.say import say
from sweeps.compose.settings import SWEPT_GROUPS
from sweeps.execution.trial import candidate_of
from sweeps.study.trial_record import Record
from sweeps.sweep.preflight import CheckedStudy
from sweeps.tasks.base import Task
from sweeps.tracking.models import registry
from sweeps.tracking.study.parent import StudyRuns


def register_winner(checked: CheckedStudy, task: Task, best: FrozenTrial, runs: StudyRuns) -> None:
    """Refit the best trial, register it, and let the gate decide whether it becomes champion.

    A winner that is registered already, by a sweep that was cut off right then, is not registered again.

    Raises:
        TrackingError: the registry is out of reach, or the model could not be stored; the study is kept.
    """
    name = checked.settings.registered_model_name
    if not runs.is_answered:
        raise TrackingError(
            f"The study is complete and its results are kept, but the winner, trial {best.number}, could not be "
            f"registered as {name}: "
            f"MLflow does not answer.\nWhen it does: python -m sweeps.resume {checked.folder.path}"
        )
    try:
        known = registry.version_of(runs.client, name, str(runs.child_id(best.number)))
        said = registry.decision_on(known) if known else None
        if known is not None and said is not None:
            say(f"Model:   {name} version {known.version} was registered before: {said}")
            return
        say("Model:   refitting the best trial on the training part ...")
        winner = _refit(checked, task, best, runs)
        decision = registry.register(runs.client, task, winner, name, checked.settings.promote)
        runs.set_parent_tags(
            {"sweeps.registered_model": f"{name}/{decision.version}", "sweeps.promotion.reason": decision.message}
        )
    except Exception as error:
        # Whatever happens here, the sweep's results stand.
        raise TrackingError(
            f"The study is complete and its results are kept, but the winner, trial {best.number}, could not be "
            f"registered as {name}: "
            f"{error}\nTo try again: python -m sweeps.resume {checked.folder.path}"
        ) from error
    say(f"Model:   {name} version {decision.version} registered; {decision.message}")
    address = shlex.quote(f"models:/{name}@champion")
    say(f"Predict: python -m sweeps.predict {address} input.csv -o output.csv")


def _refit(checked: CheckedStudy, task: Task, best: FrozenTrial, runs: StudyRuns) -> registry.Winner:
    candidate = candidate_of(checked.plan.config_of(best))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trial has recorded what its fit warned of
        predictor = task.refit(candidate)
        scores = task.test_scores(predictor)
    metric = checked.metric.replace("val_", "test_", 1)
    if metric not in scores:
        raise TrackingError(f"the gate needs {metric}, and {type(task).__name__} measures {', '.join(scores)}")
    child = runs.child_id(best.number)
    if child is None:
        raise TrackingError("its MLflow run could not be logged")
    choices = Record.of(best).choices
    tags = {
        "sweeps.study": checked.name,
        "sweeps.trial.number": str(best.number),
        f"sweeps.{checked.metric}": repr(best.values[0]),
        "sweeps.dataset.fingerprint": task.fingerprint,
        **{f"sweeps.{group}": choices[group] for group in SWEPT_GROUPS},
    }
    direction = task.directions[checked.metric]
    return registry.Winner(predictor, candidate.trusted_types, scores, metric, direction, child, tags)
