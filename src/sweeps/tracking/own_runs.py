"""What an app logs to MLflow itself: in a trial, its first run is the trial's, whoever opens it and however.

A trial's process finds in its environment where to log and what to tag its runs with (`MLFLOW_RUN_CONTEXT`, which
MLflow's fluent API, its autologging and loggers of other libraries read when they make a run), so that a run belongs to
its trial from the moment it exists, and nothing is made for an app that logs nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sweeps.base.redact import without_passwords
from sweeps.base.reporting import note_own_store

OWN_RUN = "sweeps.own_run"  # tag of each run that an app makes in a trial: the parent run and the trial's number
OWN_RUN_ELSEWHERE = "sweeps.own_run_id"  # tag of a trial's run: the one that its app has made in another experiment
_URI, _EXPERIMENT, _EXPERIMENT_NAME = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"
_RUN, _CONTEXT = "MLFLOW_RUN_ID", "MLFLOW_RUN_CONTEXT"
_PATIENCE = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR")  # with a server that is down


def own_run(parent: str, number: int) -> str:
    """The value of the tag `OWN_RUN` in a trial."""
    return f"{parent}/{number}"


def trial_of(tag: str) -> int:
    """The number of the trial that a tag `OWN_RUN` names."""
    return int(tag.rpartition("/")[2])


def environment(uri: str, experiment: str, parent: str, number: int, name: str) -> dict[str, str | None]:
    """The variables that a trial's process gets, None for those that it must not have.

    Args:
        uri: of the tracking store, from wherever the process works.
        experiment: the id of the study's.
        parent: the study's run.
        number: of the trial.
        name: of its run, unless the app has one.
    """
    given = json.loads(os.environ.get(_CONTEXT) or "{}")
    tags = {"mlflow.parentRunId": parent, "mlflow.runName": name, OWN_RUN: own_run(parent, number)}
    patience = {name: os.environ[name] for name in _PATIENCE if name in os.environ}
    return {
        **patience,
        _URI: uri,
        _EXPERIMENT: experiment,
        _EXPERIMENT_NAME: None,
        _RUN: None,  # of whoever started the sweep: MLflow would put the first trial into it
        _CONTEXT: json.dumps({**given, **tags}),
    }


@contextmanager
def ending_them() -> Iterator[None]:
    """After the `with` block no run is open, and the next trial logs where this one began to.

    MLflow is not imported for an app that does not.
    """
    uri, experiment = _tracking_uri(), os.environ.get(_EXPERIMENT)
    try:
        yield
    except BaseException:
        with suppress(Exception):  # what the app raised is the reason, also where the server is down
            _end_runs("FAILED")
        raise
    else:
        _end_runs("FINISHED")
    finally:
        with suppress(Exception):
            _log_there_again(uri, experiment)


def _tracking_uri() -> str | None:
    mlflow = sys.modules.get("mlflow")
    return os.environ.get(_URI) if mlflow is None else mlflow.get_tracking_uri()


def _end_runs(status: str) -> None:
    mlflow = sys.modules.get("mlflow")
    while mlflow is not None and mlflow.active_run() is not None:
        mlflow.end_run(status)


def _log_there_again(uri: str | None, experiment: str | None) -> None:
    """Undo what a trial has set in MLflow; it keeps a store and an experiment for its whole process."""
    mlflow = sys.modules.get("mlflow")
    if mlflow is None:
        return
    own = mlflow.get_tracking_uri()
    if uri is not None and own != uri:
        note_own_store(without_passwords(own))
        mlflow.set_tracking_uri(uri)
    if experiment is not None and os.environ.get(_EXPERIMENT) != experiment:
        mlflow.set_experiment(experiment_id=experiment)
