"""Prediction logs as MLflow runs, in the experiment `<name>-predictions`; and the sending of those that wait."""

from __future__ import annotations

import time

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from sweeps.base.errors import whole_text
from sweeps.tracking.client import experiment_id
from sweeps.tracking.entries import identity_tags, log_measured, shown
from sweeps.tracking.predictions.batch import PredictionBatch
from sweeps.tracking.predictions.spool import Spool

_ID = "sweeps.predictions.id"
_REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")  # asked again, MLflow would refuse it again


def log_predictions(client: MlflowClient, batch: PredictionBatch, *, again: bool = False) -> str:
    """Log a batch as a run.

    Args:
        client: connected.
        batch: to be logged.
        again: an earlier attempt may have got somewhere: its run, if there is one, is completed.

    Returns:
        The run's id.

    Raises:
        MlflowException: the server is out of reach, or refuses.
        TrackingError: the experiment cannot be used.
    """
    experiment = experiment_id(client, f"{batch.model}-predictions")
    run = (_earlier(client, experiment, batch) if again else None) or client.create_run(
        experiment,
        start_time=batch.started,
        run_name=f"{batch.source} {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(batch.started / 1000))}",
        tags={
            **identity_tags("predictions"),
            _ID: batch.id,
            "sweeps.model": batch.model,
            "sweeps.model.version": batch.version,
            "sweeps.trial.run_id": batch.run_id,
            "sweeps.source": batch.source,
        },
    )
    run_id: str = run.info.run_id
    params = {"model": batch.model, "version": batch.version, "trial_run_id": batch.run_id, "source": batch.source}
    end = batch.started + int(batch.seconds * 1000)
    log_measured(client, run_id, shown({name: value for name, value in params.items() if value}), _metrics(batch), end)
    if batch.inputs:
        client.log_text(run_id, "\n".join(batch.inputs) + "\n", "inputs.jsonl")
    client.set_terminated(run_id, "FINISHED", end_time=end)
    return run_id


def send_waiting(client: MlflowClient, spool: Spool, tried: set[str]) -> None:
    """Log everything that waits, the oldest first; what MLflow refuses for good is set aside.

    Args:
        client: connected.
        spool: held by `Spool.sending`.
        tried: the names of files that this process has begun to send; others may have been begun by an earlier one.

    Raises:
        MlflowException: the server is out of reach; the rest waits on.
        TrackingError: the experiment cannot be used.
    """
    for file in spool.waiting():
        batch = spool.read(file)
        if batch is None:
            continue
        again = file.name in tried
        tried.add(file.name)
        try:
            log_predictions(client, batch, again=again)
        except MlflowException as error:
            if error.error_code not in _REFUSED:
                raise
            spool.set_aside(file, whole_text(error))
        else:
            file.unlink(missing_ok=True)
        tried.discard(file.name)


def _earlier(client: MlflowClient, experiment: str, batch: PredictionBatch) -> Run | None:
    found = client.search_runs([experiment], f"tags.`{_ID}` = '{batch.id}'", max_results=1)
    return found[0] if found else None


def _metrics(batch: PredictionBatch) -> dict[str, float]:
    metrics: dict[str, float] = {
        "n_predictions": batch.n_predictions,
        "n_calls": batch.n_calls,
    }
    optional = {
        "duration_seconds": batch.seconds or None,  # 0 where it is not known
        "n_positive": batch.n_positive,
        "mean_confidence": batch.mean_confidence,
    }
    metrics |= {name: value for name, value in optional.items() if value is not None}
    return metrics | ({"n_inputs_left_out": batch.n_inputs_left_out} if batch.n_inputs_left_out else {})
