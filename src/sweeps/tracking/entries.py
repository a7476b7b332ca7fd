"""What runs are made of: tags, params and metrics as MLflow takes them, and runs that belong to no sweep."""

from __future__ import annotations

import getpass
import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from sweeps.base.redact import without_passwords
from sweeps.execution.outcome import TrialResult
from sweeps.study.command_file import Command

_UNFIT = re.compile(r"[^\w\-. :/]")  # what MLflow refuses in the name of a param or a metric
_MAX_PARAMS, _MAX_METRICS = 100, 800  # in one request; MLflow takes 100, and 1,000 entries in all
_MAX_VALUE = 5_000  # characters of a param or a tag; MLflow refuses longer ones


def log_single_run(
    client: MlflowClient,
    experiment: str,
    choices: Mapping[str, str],
    params: Mapping[str, str],
    result: TrialResult,
    tags: Mapping[str, str],
    started: datetime,
) -> str:
    """Log one finished run outside a sweep.

    Returns:
        The run's id.
    """
    run_id = start_single_run(client, experiment, choices, tags, started)
    end = milliseconds(None)
    try:
        log_measured(
            client, run_id, {**params, **shown(result.params)}, {**result.metrics, **named_seconds(result.seconds)}, end
        )
    finally:
        client.set_terminated(run_id, "FINISHED", end_time=end)
    return run_id


def log_failed_run(
    client: MlflowClient,
    experiment: str,
    choices: Mapping[str, str],
    tags: Mapping[str, str],
    started: datetime,
    traceback_text: str,
) -> str:
    """Log one run outside a sweep that raised.

    Returns:
        The run's id.
    """
    run_id = start_single_run(client, experiment, choices, tags, started)
    client.log_text(run_id, traceback_text, "traceback.txt")
    client.set_terminated(run_id, "FAILED")
    return run_id


def params_of(
    choices: Mapping[str, str],
    choice_params: Mapping[str, str],
    dataset: str | None,
    hyperparameters: Mapping[str, Any],
    names: Mapping[str, str],
) -> dict[str, str]:
    """The params of a child run: the options, the dataset and every hyperparameter that is shown, under its name."""
    params = {choice_params[group]: choice for group, choice in choices.items() if group in choice_params}
    params |= {} if dataset is None else {"dataset": dataset}
    named = {names.get(key, key): key for key in hyperparameters}
    named = {(key if name in params else name): key for name, key in named.items()}
    return shown({**params, **{name: hyperparameters[key] for name, key in named.items()}})


def shown(params: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as MLflow keeps them: text of a limited length, and `_` for characters it refuses in a name."""
    return {fit_name(name): str(value)[:_MAX_VALUE] for name, value in params.items()}


def fit_name(name: str) -> str:
    """A name as MLflow takes it: `_` for characters it refuses, and of a limited length."""
    return _UNFIT.sub("_", name)[:250]


def command_tags(command: Command | None = None) -> dict[str, str]:
    """What made a run: the command, by default this process's, and the commit of the folder it was typed in."""
    tags = {"sweeps.command": without_passwords((command or Command.typed()).shown)}
    commit = _git_commit()
    return tags | ({"git.commit": commit} if commit else {})


def log_measured(
    client: MlflowClient, run_id: str, params: Mapping[str, str], metrics: Mapping[str, float], timestamp: int
) -> None:
    """Log params and metrics to a run; `timestamp` in milliseconds."""
    log_entries(client, run_id, params, metrics_of(metrics, timestamp))


def log_entries(
    client: MlflowClient,
    run_id: str,
    params: Mapping[str, str],
    metrics: Sequence[Metric],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log params, metrics and tags to a run in one request, or as many as MLflow's limits ask for; the tags last."""
    entries = [Param(key, value) for key, value in params.items()]
    n_requests = max(1, math.ceil(len(entries) / _MAX_PARAMS), math.ceil(len(metrics) / _MAX_METRICS))
    for part in range(n_requests):
        client.log_batch(
            run_id,
            params=entries[part * _MAX_PARAMS : (part + 1) * _MAX_PARAMS],
            metrics=metrics[part * _MAX_METRICS : (part + 1) * _MAX_METRICS],
            tags=tags_of(tags or {}) if part == n_requests - 1 else (),
        )


def start_single_run(
    client: MlflowClient, experiment: str, choices: Mapping[str, str], tags: Mapping[str, str], started: datetime
) -> str:
    """Begin a run outside a sweep, named by its choices.

    Returns:
        The run's id.
    """
    run = client.create_run(
        experiment,
        start_time=milliseconds(started),
        tags={tag.key: tag.value for tag in tags_of({**identity_tags("run"), **tags})},
        run_name=" ".join(choices.values()),
    )
    run_id: str = run.info.run_id
    return run_id


def metrics_of(metrics: Mapping[str, float], timestamp: int) -> list[Metric]:
    """Metrics by name as MLflow's entries, at a time in milliseconds."""
    return [Metric(fit_name(name), value, timestamp, 0) for name, value in metrics.items()]


def named_seconds(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by phase under the names of their metrics."""
    return {f"seconds_{phase}": value for phase, value in seconds.items()}


def identity_tags(kind: str) -> dict[str, str]:
    """What every run says of itself."""
    return {
        "sweeps.kind": kind,
        "mlflow.user": _user(),
        "mlflow.source.name": "sweeps",
        "mlflow.source.type": "LOCAL",
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without a name, as containers have
        return str(os.getuid())


def tags_of(tags: Mapping[str, str]) -> list[RunTag]:
    """Tags as MLflow's entries, cut to the length that it takes."""
    return [RunTag(key, value[:_MAX_VALUE]) for key, value in tags.items()]


def milliseconds(moment: datetime | None) -> int:
    """A moment as MLflow counts it; now for None."""
    return int((moment or datetime.now()).timestamp() * 1000)


def _git_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
