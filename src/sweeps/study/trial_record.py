"""What a study keeps of a trial beside its parameters and its value: all that is shown of it anywhere.

Everything stands in user attributes: what the trial is to run, written when it has been drawn, and what came of it,
written before it is told. A process may die between any two writes: a trial without its proposal is half drawn, and one
that is not told is cut off and tried again, unless its error has been written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import Study, Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.redact import without_passwords
from sweeps.compose.constraint import Constraint
from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import Failure, PrunedTrial, TrialOutcome, TrialResult
from sweeps.study.attribute import Attribute, was_cut_off

CUT_OFF = "interrupted before it finished"
_MAX_ERROR = 2_000  # characters kept of an error message
_MAX_TRACEBACK = 20_000  # characters kept of a failure, the end of it


@dataclass(frozen=True)
class Record:
    """What is known of one trial.

    Attributes:
        choices: the option of each group; empty for a trial that was cut off while it was drawn.
        overrides: the trial as Hydra overrides.
        hyperparameters: every active one by config key, searched or not.
        coordinator: the process that asked it.
        metrics: by name; finite ones only.
        params: more params, by the names that `also_log` gives them.
        seconds: wall time by phase.
        warnings: as text.
        predicts_again: whether what it predicts can be had once more.
        error: why it failed, empty otherwise.
        uses_mlflow: whether it may have logged to MLflow itself.
        evaluation_id: stands for what its `test_` metrics are measured on; empty where it does not say.
        own_store: the MLflow store that it has logged to, where that is not the sweep's.
        traceback: of the failure.
        interrupted: whether it was cut off from outside, so that it does not count.
    """

    choices: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    coordinator: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    uses_mlflow: bool = False
    evaluation_id: str = ""
    own_store: str = ""
    predicts_again: bool = False
    error: str = ""
    traceback: str = ""
    interrupted: bool = False

    @classmethod
    def of(cls, trial: FrozenTrial) -> Record:
        """Read a trial's attributes."""
        attributes = trial.user_attrs
        return cls(
            **{**attributes.get(Attribute.PROPOSAL, {}), **attributes.get(Attribute.RESULT, {})},
            error=attributes.get(Attribute.ERROR, CUT_OFF if was_cut_off(trial) else ""),
            traceback=attributes.get(Attribute.TRACEBACK, ""),
            interrupted=was_cut_off(trial),
        )


def record_proposal(
    trial: Trial, proposal: Proposal, overrides: Sequence[str], hyperparameters: Mapping[str, Any], coordinator: str
) -> None:
    """Write what a trial is to run."""
    described = {
        "choices": dict(proposal.choices),
        "overrides": list(overrides),
        "hyperparameters": dict(hyperparameters),
        "coordinator": coordinator,
    }
    trial.set_user_attr(Attribute.PROPOSAL, described)


def tell(
    study: Study,
    trial: Trial,
    outcome: TrialOutcome,
    metrics: Sequence[str],
    constraints: Sequence[Constraint] = (),
) -> FrozenTrial | None:
    """Write everything about a finished trial, then tell its value, its failure or that it was pruned.

    Args:
        study: its study.
        trial: asked and run.
        outcome: what came of it.
        metrics: that are told.
        constraints: by how much it breaks each is told, too.

    Returns:
        The trial; None where another process had given it up and told it, so that this outcome is ignored.
    """
    if isinstance(outcome, Failure):
        return tell_failure(study, trial, outcome.error, outcome.traceback)
    if isinstance(outcome, PrunedTrial):
        return _tell_with(study, trial, {}, TrialState.PRUNED)
    try:
        measured = {name: float(value) for name, value in outcome.metrics.items()}
        described = _described(outcome, measured)
        json.dumps(described)
    except (TypeError, ValueError, OverflowError) as problem:
        return tell_failure(study, trial, f"the trial's result cannot be recorded: {problem}", "")
    result = {Attribute.RESULT: described}
    for what, names in (("objective", metrics), ("constrained metric", [c.metric for c in constraints])):
        for name in names:
            score = measured.get(name)
            if score is None or not math.isfinite(score):
                error = f"the {what} {name} is {'missing' if score is None else score}"
                return _tell_with(study, trial, {**result, Attribute.ERROR: error}, TrialState.FAIL)
    violations = {str(constraint): constraint.violation(measured[constraint.metric]) for constraint in constraints}
    return _tell_with(study, trial, result, TrialState.COMPLETE, [measured[metric] for metric in metrics], violations)


def tell_failure(
    study: Study,
    trial: Trial,
    error: str,
    text: str,
    *,
    interrupted: bool = False,
    counts: Mapping[str, int] | None = None,
) -> FrozenTrial | None:
    """Tell that a trial failed, and why.

    Args:
        error: one line or a few.
        text: the traceback, or nothing.
        interrupted: whether it was cut off from outside, so that it does not count.
        counts: how often processes have died of its parameters or were lost with them, by attribute, if its own did.

    Returns:
        The trial; None as for `tell`.
    """
    attributes: dict[str, Any] = dict(counts or {})
    if interrupted:
        attributes[Attribute.INTERRUPTED] = True
    if text:
        attributes[Attribute.TRACEBACK] = without_passwords(text)[-_MAX_TRACEBACK:]
    attributes[Attribute.ERROR] = without_passwords(error)[:_MAX_ERROR]  # last: it makes a failure count
    return _tell_with(study, trial, attributes, TrialState.FAIL)


def _tell_with(
    study: Study,
    trial: Trial,
    attributes: Mapping[str, Any],
    state: TrialState,
    values: Sequence[float] | None = None,
    violations: Mapping[str, float] | None = None,
) -> FrozenTrial | None:
    try:
        for name, violation in (violations or {}).items():
            trial.set_constraint(name, violation)
        for name, content in attributes.items():
            trial.set_user_attr(name, content)
        return study.tell(trial, values, state=state)
    except (UpdateFinishedTrialError, ValueError):
        if _is_given_up(study, trial):
            return None
        raise


def _is_given_up(study: Study, trial: Trial) -> bool:
    """Whether another process has told a trial meanwhile."""
    return study.get_trials(deepcopy=False)[trial.number].state.is_finished()


def _described(result: TrialResult, metrics: Mapping[str, float]) -> dict[str, Any]:
    return {
        "params": dict(result.params),
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "seconds": dict(result.seconds),
        "warnings": [without_passwords(message) for message in result.warnings],
        "uses_mlflow": result.uses_mlflow,
        "evaluation_id": result.evaluation_id,
        "own_store": result.own_store,
        "predicts_again": result.predicts_again,
    }
