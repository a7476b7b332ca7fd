"""An app that logs to MLflow itself, in the way that `how` says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import mlflow
import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from matplotlib.figure import Figure
from mlflow.tracking.context.registry import resolve_tags

import sweeps

HERE = Path(__file__).resolve().parent


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "sweeps"}, "_self_"])
    hydra: Any = field(
        default_factory=lambda: {
            "sweeper": {"study_name": "s", "metric": "score", "n_trials": 100, "n_jobs": 1, "max_failure_rate": 1.0}
        }
    )
    how: str = "plain"
    x: float = 1.0


ConfigStore.instance().store(name="config", node=Config)


def log(config: Config) -> None:
    mlflow.log_param("mine", config.x)
    mlflow.log_param("x", config.x)  # which the sweep logs, too
    for step in range(3):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)


def plain(config: Config) -> None:
    with mlflow.start_run():
        log(config)
        mlflow.log_text("hello", "greeting.txt")
        mlflow.log_figure(Figure(), "figures/empty.png")
        frame = pd.DataFrame({"x": [config.x]})
        mlflow.log_input(mlflow.data.from_pandas(frame, name="frame"), context="test")


def silent(config: Config) -> None:
    """Logs nothing."""


def several(config: Config) -> None:
    with mlflow.start_run(run_name="first"):
        log(config)
        with mlflow.start_run(run_name="inner", nested=True):
            mlflow.log_metric("inner", 1.0)
    with mlflow.start_run(run_name="second"):
        mlflow.log_metric("second", 2.0)


def leaves_open(config: Config) -> None:
    mlflow.start_run()
    log(config)


def same_metric(config: Config) -> None:
    with mlflow.start_run():
        log(config)
        mlflow.log_metric("score", 100.0, step=7)


def raises(config: Config) -> None:
    with mlflow.start_run():
        log(config)
        raise OSError("no such luck")


def is_hopeless(config: Config) -> None:
    with mlflow.start_run():
        log(config)
        sweeps.report(1000.0, 0)


def dies_once(config: Config) -> None:
    mlflow.start_run()
    log(config)
    mlflow.start_run(nested=True)
    marker = HERE / f"died-{config.x}"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def sets_experiment(config: Config) -> None:
    mlflow.set_experiment("elsewhere")
    with mlflow.start_run():
        log(config)


def sets_store(config: Config) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{HERE}/own.db")
    mlflow.set_experiment("own")
    with mlflow.start_run():
        log(config)


def by_client(config: Config) -> None:
    """As loggers of other libraries do."""
    client = mlflow.MlflowClient()
    run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], tags=resolve_tags())
    client.log_param(run.info.run_id, "mine", config.x)
    client.set_terminated(run.info.run_id)


def autologs(config: Config) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        table = np.random.default_rng(0).normal(size=(40, 2))
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1, 3, 10, 30]}, cv=2).fit(table, table[:, 0] > 0)
    finally:
        mlflow.sklearn.autolog(disable=True)


def autologs_boosting(config: Config) -> None:
    import lightgbm

    mlflow.lightgbm.autolog(log_models=False, silent=True)
    table = np.random.default_rng(0).normal(size=(60, 2))
    with mlflow.start_run():
        data = lightgbm.Dataset(table, label=table[:, 0])
        lightgbm.train({"verbose": -1}, data, num_boost_round=3, valid_sets=[data], valid_names=["fit"])


def watches_the_system(config: Config) -> None:
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True):
        log(config)
        time.sleep(0.6)


def asks_a_dead_server(config: Config) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with mlflow.start_run():
        raise AssertionError("a dead server has answered")


def takes_time(config: Config) -> None:
    with suppress(KeyError):
        Path(os.environ["PLACE"], f"{sweeps.current_trial().number}-{os.getpid()}").touch()  # type: ignore[union-attr]
    with mlflow.start_run():
        log(config)
        with mlflow.start_run(nested=True):
            time.sleep(float(os.environ.get("SECONDS_EACH", "0")))
        mlflow.log_metric("late", 1.0)


DEEDS: dict[str, Callable[[Config], None]] = {
    one.__name__: one
    for one in (
        *(plain, silent, several, leaves_open, same_metric, raises, is_hopeless, dies_once, sets_experiment),
        *(sets_store, by_client, autologs, autologs_boosting, watches_the_system, asks_a_dead_server, takes_time),
    )
}


@hydra.main(version_base=None, config_name="config")
def main(config: Config) -> Any:
    assert mlflow.active_run() is None
    (HERE / f"worker-{os.getpid()}").touch()
    DEEDS[config.how](config)
    return {"score": (config.x - 0.3) ** 2}


if __name__ == "__main__":
    main()
