"""A study in MLflow: one child run for each trial, whatever happens while it is logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState

from sweeps.attribute import Attribute
from sweeps.results import StudyFolder
from sweeps.stopping import Outcome
from sweeps.sweep import SweepResult, best_trial
from sweeps.tracking.client import connect, experiment_id
from sweeps.tracking.runs import TRACKING, StudyRuns

NAMES = {"model.C": "C", "model.dataset": "dataset"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return connect()


def finished_study(n_trials: int = 3) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.set_user_attr(TRACKING, {"dataset": "d", "metric": "val_f1", "names": NAMES, "tags": {}})
    for number in range(n_trials):
        trial = study.ask()
        trial.set_user_attr(Attribute.PROPOSAL, {"choices": {"model": "svm"}})
        hyperparameters = {"model.C": float(number), "model.dataset": "a"}
        trial.set_user_attr(Attribute.RESULT, {"hyperparameters": hyperparameters, "metrics": {"val_f1": number / 10}})
        study.tell(trial, number / 10)
    return study


def children(client: MlflowClient, experiment: str, parent: str) -> list[Any]:
    return list(client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'"))


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated"])
def test_a_trial_whose_logging_was_cut_off_has_one_run_in_the_end(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    study = finished_study()
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    original = getattr(client, call)
    raised: list[BaseException] = []

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        if not raised:
            raised.append(MlflowException("the server is gone"))
            raise raised[0]
        return original(*args, **kwargs)

    monkeypatch.setattr(client, call, fails_once)
    for trial in study.trials:
        runs.on_trial(study, trial)
    runs.on_end(study, SweepResult(Outcome.COMPLETED, "", best_trial(study)))
    assert raised
    logged = children(client, experiment, runs.parent_id)
    assert sorted(run.data.tags["sweeps.trial.number"] for run in logged) == ["0", "1", "2"]
    assert {run.info.status for run in logged} == {"FINISHED"}
    assert {run.data.params["C"] for run in logged} == {"0.0", "1.0", "2.0"}
    assert client.get_run(runs.parent_id).info.status == "FINISHED"


def test_a_trial_that_is_told_twice_is_logged_once(client: MlflowClient, tmp_path: Path) -> None:
    study = finished_study(1)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    runs.on_trial(study, study.trials[0])
    runs.on_trial(study, study.trials[0])
    runs.on_end(study, SweepResult(Outcome.COMPLETED, "", best_trial(study)))
    assert len(children(client, experiment, runs.parent_id)) == 1
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_hyperparameter_named_like_a_param_of_ours_keeps_its_group(client: MlflowClient, tmp_path: Path) -> None:
    study = finished_study(1)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    runs.on_end(study, SweepResult(Outcome.COMPLETED, "", best_trial(study)))
    (child,) = children(client, experiment, runs.parent_id)
    assert child.data.params["dataset"] == "d"
    assert child.data.params["model.dataset"] == "a"
