"""What the registry says of versions that are to be compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from sweeps.base.errors import TrackingError
from sweeps.base.predictions import FOLDER, Predictions, read_predictions
from sweeps.compose.settings import Promote
from sweeps.tasks.metrics import Direction
from sweeps.tracking.models.gate import Contender, Gate
from sweeps.tracking.models.load import check_uri, split_uri

# Tags of a version
N_TRIALS = "sweeps.n_trials"  # how many trials it was chosen from
POSITIVE_LABEL = "sweeps.positive_label"
VAL_METRIC = "sweeps.val_metric"
DIRECTION = "sweeps.direction"


def gate_of(version: ModelVersion, rule: Promote) -> Gate | None:
    """The gate that a version has to pass, by the metric that it was chosen for; None where its tags do not say."""
    tags = version.tags
    if "sweeps.metric" not in tags or DIRECTION not in tags:
        return None
    return Gate(
        rule=rule,
        test_metric=tags["sweeps.metric"],
        val_metric=tags.get(VAL_METRIC, ""),
        direction=cast(Direction, tags[DIRECTION]),
        positive_label=tags.get(POSITIVE_LABEL),
    )


def contender(version: ModelVersion, gate: Gate, predictions: Sequence[Predictions]) -> Contender:
    """What the gate knows of a version, by its tags."""
    tags = version.tags
    n_trials = _number(tags.get(N_TRIALS))
    return Contender(
        version=str(version.version),
        test=_number(tags.get(f"sweeps.{gate.test_metric}")),
        val=_number(tags.get(f"sweeps.{gate.val_metric}")),
        evaluation_id=tags.get("sweeps.evaluation_id", ""),
        selection_id=tags.get("sweeps.selection_id", ""),
        predictions=predictions,
        n_trials=None if n_trials is None else int(n_trials),
    )


def known_by_address(client: MlflowClient, address: str) -> tuple[str, Gate, Contender]:
    """The name of the registered model, the gate of a version, and what is known of it.

    Args:
        client: connected.
        address: `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        TrackingError: there is no such version, or its tags do not say by which metric it was chosen.
    """
    check_uri(client, address)
    name, alias, number = split_uri(address)
    if name is None:
        raise TrackingError(f"{address} is no registered version; type models:/NAME/VERSION or models:/NAME@champion.")
    found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, str(number))
    gate = gate_of(found, Promote.auto)
    if gate is None:
        raise TrackingError(
            f"{address} cannot be compared: its tags sweeps.metric and {DIRECTION} do not say by which metric it was "
            f"chosen. A version that a sweep registers has them."
        )
    return name, gate, contender(found, gate, kept_predictions(client, found))


def kept_predictions(client: MlflowClient, version: ModelVersion) -> Sequence[Predictions]:
    """The predictions that a version's run has; none where it has none, or they are damaged."""
    try:
        if not version.run_id or not client.list_artifacts(version.run_id, FOLDER):
            return ()
        with tempfile.TemporaryDirectory() as folder:
            return read_predictions(Path(client.download_artifacts(version.run_id, FOLDER, folder)))
    except (MlflowException, OSError):
        return ()


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # somebody else's tag
        return None
