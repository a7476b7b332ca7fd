"""A study in MLflow: one child run for each trial, whatever happens while it is logged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import optuna
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.attribute import Attribute
from sweeps.study.best import best_trial
from sweeps.study.folder import StudyFolder
from sweeps.study.result import StudyResult
from sweeps.study.stopping import Outcome
from sweeps.study.storage import open_storage
from sweeps.tracking.client import connect, experiment_id
from sweeps.tracking.study import trial_log
from sweeps.tracking.study.logging_process import LoggingProcess
from sweeps.tracking.study.parent import TRACKING, StudyRuns

NAMES = {"model.C": "C", "model.dataset": "dataset"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return connect()


def finished_study(n_trials: int = 3, storage: str | None = None) -> optuna.Study:
    study = optuna.create_study(direction="maximize", storage=open_storage(storage) if storage else None)
    shown = {"dataset": "d", "choice_params": {"model": "model_type"}, "metric": "val_f1", "names": NAMES, "tags": {}}
    study.set_user_attr(TRACKING, shown)
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
    runs.on_end(study, StudyResult(Outcome.COMPLETED, "", best_trial(study)))
    assert raised
    logged = children(client, experiment, runs.parent_id)
    assert sorted(run.data.tags["sweeps.trial.number"] for run in logged) == ["0", "1", "2"]
    assert {run.info.status for run in logged} == {"FINISHED"}
    assert {run.data.params["C"] for run in logged} == {"0.0", "1.0", "2.0"}
    assert client.get_run(runs.parent_id).info.status == "FINISHED"


def test_a_run_of_which_the_answer_was_lost_is_not_made_again(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished_study()
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    original = client.create_run
    made: list[Any] = []

    def loses_the_first_answer(*args: Any, **kwargs: Any) -> Any:
        made.append(original(*args, **kwargs))
        if len(made) == 1:
            raise MlflowException("the server is gone")
        return made[-1]

    monkeypatch.setattr(client, "create_run", loses_the_first_answer)
    for trial in study.trials:
        runs.on_trial(study, trial)
    deadline = time.monotonic() + 60
    while any(runs.child_id(trial.number) is None for trial in study.trials):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    runs.on_end(study, StudyResult(Outcome.COMPLETED, "", best_trial(study)))
    assert len(made) == 3
    assert_each_trial_is_logged_once(experiment, runs.parent_id, 3)


def test_a_trial_that_is_told_twice_is_logged_once(client: MlflowClient, tmp_path: Path) -> None:
    study = finished_study(1)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    runs.on_trial(study, study.trials[0])
    runs.on_trial(study, study.trials[0])
    runs.on_end(study, StudyResult(Outcome.COMPLETED, "", best_trial(study)))
    assert len(children(client, experiment, runs.parent_id)) == 1
    assert study.trials[0].state == TrialState.COMPLETE


def test_a_hyperparameter_named_like_a_param_of_ours_keeps_its_group(client: MlflowClient, tmp_path: Path) -> None:
    study = finished_study(1)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    runs.on_end(study, StudyResult(Outcome.COMPLETED, "", best_trial(study)))
    (child,) = children(client, experiment, runs.parent_id)
    assert child.data.params["dataset"] == "d"
    assert child.data.params["model.dataset"] == "a"


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True], ids=["whole", "killed"])
def test_trials_that_come_quickly_are_logged_by_a_process_once_each(
    client: MlflowClient, tmp_path: Path, is_killed: bool
) -> None:
    n_trials = 300
    study = finished_study(n_trials)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    trials = iter(study.get_trials())
    process = log_until_there_is_a_process(runs, study, trials)
    by_process = [trial for trial, _ in zip(trials, range(40), strict=False)]
    for trial in by_process:
        runs.on_trial(study, trial)
    if is_killed:
        while runs.child_id(by_process[5].number) is None:
            time.sleep(0.01)
        os.kill(process._process.pid or 0, signal.SIGKILL)
    assert runs.on_end(study, StudyResult(Outcome.COMPLETED, "", None)) is True
    assert process_is_gone(process._process.pid)
    assert_each_trial_is_logged_once(experiment, runs.parent_id, n_trials)


def test_without_a_process_the_thread_logs(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemonic process may have no children."""

    def fail(*arguments: Any) -> None:
        raise AssertionError("daemonic processes are not allowed to have children")

    monkeypatch.setattr(trial_log, "LoggingProcess", fail)
    study = finished_study(60)
    experiment = experiment_id(client, "x")
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    for trial in study.get_trials():
        runs.on_trial(study, trial)
    assert runs.on_end(study, StudyResult(Outcome.COMPLETED, "", None)) is True
    assert not runs._log._may_have_process
    assert_each_trial_is_logged_once(experiment, runs.parent_id, 60)


def log_until_there_is_a_process(runs: StudyRuns, study: optuna.Study, trials: Iterator[FrozenTrial]) -> LoggingProcess:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        trial = next(trials)
        runs.on_trial(study, trial)
        while runs.child_id(trial.number) is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process = runs._log.process
        if process is not None:
            if process._is_ready:  # which the log alone may ask for
                return process
            time.sleep(0.25)  # it imports
    raise AssertionError("no process")


def process_is_gone(pid: int | None) -> bool:
    deadline = time.monotonic() + 20
    while pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def assert_each_trial_is_logged_once(experiment: str, parent: str, n_trials: int) -> None:
    runs = mlflow.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'", max_results=10_000)
    assert sorted(map(int, runs["tags.sweeps.trial.number"])) == list(range(n_trials))
    assert set(runs["status"]) == {"FINISHED"}
    assert (runs["params.C"].astype(float) == runs["tags.sweeps.trial.number"].astype(int)).all()
    assert (runs["metrics.val_f1"] == runs["tags.sweeps.trial.number"].astype(int) / 10).all()


@pytest.mark.slow
def test_the_process_ends_with_a_coordinator_that_is_killed_and_nothing_is_there_twice(
    client: MlflowClient, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    n_trials = 300
    name = finished_study(n_trials, storage).study_name
    code = textwrap.dedent(f"""
        import os, signal, optuna
        from test_parent import *
        study = optuna.load_study(study_name={name!r}, storage=open_storage({storage!r}))
        client = connect()
        runs = StudyRuns(client, experiment_id(client, "x"), study, StudyFolder(Path({str(tmp_path)!r})))
        trials = iter(study.get_trials())
        process = log_until_there_is_a_process(runs, study, trials)
        for trial in trials:
            runs.on_trial(study, trial)
        time.sleep(0.3)
        print(process._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    script = tmp_path / "coordinator.py"
    script.write_text(f"if __name__ == '__main__':\n{textwrap.indent(code, '    ')}")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    killed = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert process_is_gone(int(killed.stdout))
    study = optuna.load_study(study_name=name, storage=open_storage(storage))
    experiment = experiment_id(client, "x")
    (parent,) = client.search_runs([experiment], "tags.sweeps.kind = 'sweep'")
    n_before = len(client.search_runs([experiment], "tags.sweeps.kind = 'trial'", max_results=10_000))
    assert n_before < n_trials
    runs = StudyRuns(client, experiment, study, StudyFolder(tmp_path))
    assert runs.parent_id == parent.info.run_id
    assert runs.on_end(study, StudyResult(Outcome.COMPLETED, "", None)) is True
    assert_each_trial_is_logged_once(experiment, runs.parent_id, n_trials)
