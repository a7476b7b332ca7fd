"""The model registry: the winner of a sweep becomes a version, and the gate decides whether it becomes champion."""

from __future__ import annotations

import os
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import mlflow.pyfunc
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, infer_signature

from sweeps.base.errors import ModelError, TrackingError
from sweeps.base.predictions import Predictions
from sweeps.compose.settings import Promote
from sweeps.execution.objective import FittedWinner, Winner
from sweeps.tasks.base import Predictor, Task
from sweeps.tracking.client import filing_in, unreachable
from sweeps.tracking.models.contenders import (
    DIRECTION,
    POSITIVE_LABEL,
    VAL_METRIC,
    contender,
    gate_of,
    kept_predictions,
)
from sweeps.tracking.models.gate import N_COMPARISONS, Gate, figures_as_tags
from sweeps.tracking.models.load import known_model
from sweeps.tracking.models.pyfunc import load_predictor, save_predictor
from sweeps.tracking.own_runs import OWN_RUN, OWN_RUN_ELSEWHERE

CHAMPION = "champion"
CHALLENGER = "challenger"
_REASON = "sweeps.promotion.reason"  # tag of a version, the last thing that is written when it is made
PROMOTED_AT = "sweeps.promoted_at"
CARD = "model_card.md"
"""An artifact of a version's run."""
_OFTEN = 10  # comparisons on one test part
_MOST_ON_A_PAGE = 5_000  # characters that MLflow's database has for a description


@dataclass(frozen=True)
class Decision:
    """What the gate decided.

    Attributes:
        name: the registered model.
        version: the new version.
        promoted: whether `champion` moved to it.
        message: both scores and the reason, in a sentence.
    """

    name: str
    version: str
    promoted: bool
    message: str


def register(
    client: MlflowClient,
    winner: Winner,
    run_id: str,
    tags: Mapping[str, str],
    name: str,
    promote: Promote,
    predictions: Sequence[Predictions] = (),
    describe: Callable[[Decision], str] = lambda decision: decision.message,
) -> Decision:
    """Log the winner's model unless its app has, register it, point `challenger` at it, and let the gate decide.

    The first version of a name becomes champion; for others see `Gate`.
    What an earlier call that was cut off has done is not done again.

    Args:
        client: connected.
        winner: its model, and what is known of it.
        run_id: the child run of the trial.
        tags: more tags for the version.
        name: of the registered model.
        promote: whether `champion` may move by itself, and by which rule.
        predictions: of the winner.
        describe: the version's card, in Markdown.

    Raises:
        ModelError: the model cannot be stored as plain data.
        TrackingError: the registry is out of reach, or refuses; or the app has logged no model.
    """
    try:
        _ensure_registered(client, name)
        version = version_of(client, name, run_id)
        if version is None:
            if isinstance(winner, FittedWinner):
                model_uri, model_id = _logged_model(client, winner, run_id)
            else:
                model_uri, model_id = _model_of_app(client, run_id)
            version = client.create_model_version(
                name, source=model_uri, run_id=run_id, model_id=model_id, tags={**tags, **_version_tags(winner)}
            )
        client.set_registered_model_alias(name, CHALLENGER, version.version)
        decision = _gate(client, winner, name, version, promote, predictions)
        if decision.promoted:
            _promote(client, name, str(version.version))
        card = describe(decision)
        client.log_text(run_id, card, CARD)
        client.update_model_version(name, version.version, _on_its_page(card, run_id))
        for key, value in (
            ("sweeps.promotion", "promoted" if decision.promoted else "kept"),
            (_REASON, decision.message),
        ):
            client.set_model_version_tag(name, version.version, key, value)
    except (ModelError, TrackingError):
        raise
    except Exception as error:
        raise unreachable(error) from error
    return decision


def version_of(client: MlflowClient, name: str, run_id: str) -> ModelVersion | None:
    """The version that was made of a run's model, None if there is none."""
    found = client.search_model_versions(f"{_of_model(name)} and run_id = '{run_id}'")
    return min(found, key=lambda version: int(version.version), default=None)


def decision_on(version: ModelVersion) -> str | None:
    """What the gate said of a version, None if it was cut off before."""
    said: str | None = version.tags.get(_REASON)
    return said


def promote_by_hand(client: MlflowClient, name: str, version: str) -> str:
    """Point `champion` at a version.

    Returns:
        A sentence on what changed.

    Raises:
        TrackingError: no such model or version.
    """
    known_model(client, name)
    try:
        version = str(client.get_model_version(name, version).version)
    except MlflowException as error:
        known = sorted(int(v.version) for v in client.search_model_versions(_of_model(name)))
        raise TrackingError(
            f"{name} has no version {version!r}; it has: {', '.join(map(str, known)) or 'none'}."
        ) from error
    before = champion_of(client, name)
    would = _what_the_gate_would_say(client, client.get_model_version(name, version), before)
    _promote(client, name, version)
    client.set_model_version_tag(name, version, "sweeps.promotion", "promoted by hand")
    client.set_model_version_tag(name, version, _REASON, "promoted by hand")
    was = f"it was version {before.version}" if before else "it was not set"
    return f"champion of {name} is now version {version} ({was}).{would}"


def _what_the_gate_would_say(client: MlflowClient, version: ModelVersion, before: ModelVersion | None) -> str:
    """A line for each rule, where there was another champion."""
    if before is None or before.version == version.version:
        return ""
    gate = gate_of(version, Promote.auto)
    if gate is None:  # nobody compared it when it was registered
        return ""
    mine, theirs = (contender(one, gate, kept_predictions(client, one)) for one in (version, before))
    lines = []
    for rule in (Promote.auto, Promote.evidence):
        verdict = replace(gate, rule=rule).decide(mine, theirs)
        said = f"By promote={rule.value} it would {'be' if verdict.promoted else 'not be'} champion: {verdict.why}"
        lines.append(". ".join([said, *([verdict.figures()] if verdict.figures() else [])]))
    return "".join(f"\n{line}." for line in lines)


def _promote(client: MlflowClient, name: str, version: str) -> None:
    client.set_model_version_tag(name, version, PROMOTED_AT, datetime.now(UTC).isoformat(timespec="seconds"))
    client.set_registered_model_alias(name, CHAMPION, version)


def champion_of(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that `champion` points at, if any."""
    version = client.get_registered_model(name).aliases.get(CHAMPION)
    return None if version is None else client.get_model_version(name, version)


def _logged_model(client: MlflowClient, winner: FittedWinner, run_id: str) -> tuple[str, str]:
    """Address and id of the winner's model, logged unless it is; what was logged in part is deleted."""
    experiment = client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if model.status == LoggedModelStatus.READY:
            return str(model.model_uri), str(model.model_id)
        client.delete_logged_model(model.model_id)
    return log_predictor(client, run_id, winner.task, winner.predictor, winner.example, winner.trusted_types)


def _model_of_app(client: MlflowClient, run_id: str) -> tuple[str, str]:
    """Address and id of the model that an app has logged in a trial, the last one in the trial's run before others."""
    run = client.get_run(run_id)
    tags = run.data.tags
    runs = [run]
    if OWN_RUN in tags:
        runs += client.search_runs([run.info.experiment_id], f"tags.`{OWN_RUN}` = '{tags[OWN_RUN]}'")
    if OWN_RUN_ELSEWHERE in tags:
        runs.append(client.get_run(tags[OWN_RUN_ELSEWHERE]))
    for one in runs:
        models = client.search_logged_models([one.info.experiment_id], f"source_run_id = '{one.info.run_id}'")
        ready = [model for model in models if model.status == LoggedModelStatus.READY]
        if ready:
            last = max(ready, key=lambda model: model.creation_timestamp)
            return str(last.model_uri), str(last.model_id)
    raise TrackingError(
        "its trial logged no model; log one in the function, as in mlflow.sklearn.log_model(model, name='model')"
    )


def log_predictor(
    client: MlflowClient,
    run_id: str,
    task: type[Task],
    predictor: Predictor,
    example: pd.DataFrame,
    trusted_types: Sequence[str] = (),
) -> tuple[str, str]:
    """Log a fitted model as plain data, with signature, input example and requirements.

    Args:
        client: connected.
        run_id: the run it belongs to.
        task: the task that reads it back.
        predictor: fitted.
        example: a small input.
        trusted_types: what is allowed in the stored form beyond the built-in list.

    Returns:
        The model's address and its id.

    Raises:
        ModelError: it cannot be stored as plain data.
    """
    trusted = [*trusted_types, f"{task.__module__}.{task.__qualname__}"]
    run = client.get_run(run_id)
    with (
        filing_in(run.info.experiment_id),
        tempfile.TemporaryDirectory() as folder,
        _trusting(trusted),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings(
            "ignore", "Hint: Inferred schema contains integer", UserWarning
        )  # ids are never missing
        data = Path(folder) / "model"
        save_predictor(predictor, task, data, trusted_types)
        logged = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run_id,
            loader_module=load_predictor.__module__,
            data_path=str(data),
            signature=infer_signature(example, predictor.predict(example)),
            input_example=example,
            pip_requirements=[f"mlflow=={mlflow.__version__}", *predictor.pip_requirements()],
        )
    return logged.model_uri, logged.model_id


@contextmanager
def _trusting(types: Sequence[str]) -> Iterator[None]:
    """MLflow loads the model once to try its example; what the YAML allows holds for that load, in this process."""
    before = os.environ.get("SWEEPS_TRUST")
    os.environ["SWEEPS_TRUST"] = ",".join([*([before] if before else []), *types])
    try:
        yield
    finally:
        if before is None:
            del os.environ["SWEEPS_TRUST"]
        else:
            os.environ["SWEEPS_TRUST"] = before


def _on_its_page(card: str, run_id: str) -> str:
    """A card, cut where the database has no room for the rest."""
    if len(card) <= _MOST_ON_A_PAGE:
        return card
    more = f"\n\n(The rest is in the artifact {CARD} of the run {run_id}.)"
    kept = card[: _MOST_ON_A_PAGE - len(more) - 4].rpartition("\n")[0]
    return kept + ("\n```" if kept.count("```") % 2 else "") + more


def _ensure_registered(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException:
        try:
            client.create_registered_model(name)
        except MlflowException:  # another process may just have made it
            client.get_registered_model(name)


def _version_tags(winner: Winner) -> dict[str, str]:
    return {
        **winner.tags,
        **{f"sweeps.{metric}": repr(score) for metric, score in winner.scores.items()},
        "sweeps.metric": winner.metric,
        VAL_METRIC: winner.val_metric,
        DIRECTION: winner.direction,
        "sweeps.score": repr(winner.scores[winner.metric]),
        "sweeps.evaluation_id": winner.evaluation_id,
        "sweeps.selection_id": winner.selection_id,
    }


def _gate(
    client: MlflowClient,
    winner: Winner,
    name: str,
    version: ModelVersion,
    promote: Promote,
    predictions: Sequence[Predictions],
) -> Decision:
    number = str(version.version)
    command = f"python -m sweeps.promote {shlex.quote(name)} {number}"
    incumbent = champion_of(client, name)
    mine = f"version {number} has {winner.metric} {winner.scores[winner.metric]:.6g}"
    if promote is Promote.never:
        kept = f"champion stays as it is (promote=never); {mine}. To promote it: {command}"
        return Decision(name, number, False, kept)
    if incumbent is None:
        return Decision(name, number, True, f"champion is version {number}, the first; {mine}")
    if str(incumbent.version) == number:
        return Decision(name, number, True, f"champion is version {number}; {mine}")
    if winner.lacks:
        return Decision(
            name,
            number,
            False,
            f"champion stays version {incumbent.version}, and version {number} is challenger: the two cannot be "
            f"compared, as {winner.lacks}. To promote it: {command}",
        )
    gate = Gate(promote, winner.metric, winner.val_metric, winner.direction, winner.tags.get(POSITIVE_LABEL))
    challenger = contender(version, gate, predictions)
    champion = contender(incumbent, gate, kept_predictions(client, incumbent))
    verdict = gate.decide(challenger, champion)
    n_comparisons = 1 + _n_comparisons(client, name, number, winner.evaluation_id)
    for key, value in figures_as_tags(verdict, champion, n_comparisons).items():
        client.set_model_version_tag(name, number, key, value)
    is_or_stays = f"is version {number}" if verdict.promoted else f"stays version {incumbent.version}"
    sentences = [f"champion {is_or_stays}: {verdict.why}"]
    if verdict.is_comparable:
        sentences += [verdict.figures()] if verdict.comparison else []
        if challenger.n_trials is not None and champion.n_trials is not None:
            sentences.append(f"Chosen from {challenger.n_trials} trials, and the champion from {champion.n_trials}")
        sentences.append(_how_often_used(n_comparisons))
    if not verdict.promoted:
        sentences.append(f"To promote it anyway: {command}")
    return Decision(name, number, verdict.promoted, ". ".join(sentences))


def _n_comparisons(client: MlflowClient, name: str, version: str, evaluation_id: str) -> int:
    """How many other versions were compared with a champion on the same test part."""
    others = [other for other in client.search_model_versions(_of_model(name)) if str(other.version) != version]
    return sum(
        other.tags.get("sweeps.evaluation_id") == evaluation_id and N_COMPARISONS in other.tags for other in others
    )


def _how_often_used(n_comparisons: int) -> str:
    used = f"Comparison {n_comparisons} on this test part"
    if n_comparisons < _OFTEN:
        return used
    return f"{used}; one that is used so often flatters the winner: choose another (dataset.split_seed, or new data)"


def _of_model(name: str) -> str:
    """The filter for a model's versions; MLflow's grammar has no escapes, but two kinds of quotes."""
    return f'name = "{name}"' if "'" in name else f"name = '{name}'"
