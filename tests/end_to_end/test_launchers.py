"""Launchers that a user already has: joblib's, and submitit's on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.attribute import Attribute

from .conftest import Finished, Workbench, text_csv, write_yaml

PASSWORD = "s3cr3t-w0rd"
KILLER = """
import os, signal, sys
from sklearn.linear_model import LogisticRegression

class Killer(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        if sys.modules["__main__"].__spec__.name == "sweeps.run":  # the check before the first trial
            return super().fit(X, y, sample_weight)
        os.kill(os.getpid(), signal.SIGKILL)
"""
KILLER_YAML = """
_target_: killing.Killer
C: 1.0
trusted_types: [killing.Killer]
search_space:
  C: {type: float, low: 0.1, high: 10.0, log: true}
"""


def trials_in(bench: Workbench) -> list[FrozenTrial]:
    database = bench.study() / "study.db"
    return optuna.load_study(study_name=None, storage=f"sqlite:///{database}").get_trials()


def folders_in(bench: Workbench) -> set[str]:
    return {path.parent.name for path in bench.study().glob("*/.hydra")}


def batches_in(finished: Finished, said: str) -> int:
    """How often a launcher spoke of a batch."""
    return sum(said in line for line in finished.out.splitlines())


@pytest.mark.slow
def test_joblib_runs_batches_and_a_trial_that_raises_is_that_trials_failure(bench: Workbench, texts: Path) -> None:
    finished = bench.command(
        "sweeps.run",
        *("-m", *text_csv(texts), "hydra/launcher=joblib", "n_jobs=2", "n_trials=4", "sampler=grid", "seed=0"),
        *("model=logistic", "model.C=choice(1.0,2.0,-1.0,-2.0)", "model.class_weight=balanced"),
        *("vectorizer.ngram_range=choice([1,1])", "vectorizer.sublinear_tf=true", "max_failure_rate=1"),
    )
    assert finished.code == 0, finished.err
    assert batches_in(finished, "is launching 2 jobs") == 2
    trials = trials_in(bench)
    assert [trial.state for trial in trials].count(TrialState.COMPLETE) == 2
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert [trial.params["model/logistic.C"] for trial in failed] in ([-1.0, -2.0], [-2.0, -1.0])
    assert all("InvalidParameterError" in trial.user_attrs[Attribute.ERROR] for trial in failed)
    assert folders_in(bench) == {"0", "1", "2", "3"}
    assert sorted(run.info.status for run in bench.runs("trial")) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    assert "Error executing job" not in finished.err


@pytest.mark.slow
def test_a_trial_that_kills_its_joblib_worker_is_tried_again_then_failed(bench: Workbench, texts: Path) -> None:
    (bench.folder / "killing.py").write_text(KILLER, encoding="utf-8")
    write_yaml(bench.folder / "mine" / "model" / "killer.yaml", KILLER_YAML)
    finished = bench.command(
        "sweeps.run",
        *("--config-dir", str(bench.folder / "mine"), "-m", *text_csv(texts), "model=killer"),
        *("hydra/launcher=joblib", "n_jobs=1", "n_trials=1", "pruner=median"),
        environ={"PYTHONPATH": f"{bench.folder}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert finished.code == 1
    trials = trials_in(bench)
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.FAIL]
    assert all("TerminatedWorkerError" in trial.user_attrs[Attribute.ERROR] for trial in trials)
    assert trials[1].user_attrs[Attribute.RETRY_OF] == 0
    assert finished.out.count("Note: this launcher reports only when a batch ends, so ") == 1


@pytest.mark.slow
def test_submitit_runs_batches_on_this_machine_and_keeps_no_password(bench: Workbench, texts: Path) -> None:
    url = f"sqlite:///{bench.folder / 'elsewhere.db'}?password={PASSWORD}"
    finished = bench.command(
        "sweeps.run",
        *("-m", *text_csv(texts), "hydra/launcher=submitit_local", "n_jobs=2", "n_trials=4", f"storage='{url}'"),
        *("model=logistic", "study_name=s"),
    )
    assert finished.code == 0, finished.err
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{bench.folder / 'elsewhere.db'}")
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 4
    assert batches_in(finished, "Submitit 'local' sweep output dir") == 2
    assert folders_in(bench) == {"0", "1", "2", "3"}
    assert list(bench.study().glob(".submitit/*/*_submitted.pkl"))
    kept = [path for path in bench.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert kept == []
    assert PASSWORD not in finished.out + finished.err
