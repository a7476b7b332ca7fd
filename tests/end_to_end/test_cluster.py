"""`hydra/launcher=sweeps_dask` as one types it, while the scheduler, the coordinator or the user ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from execution.dask_processes import DaskProcesses
from sweeps.study.attribute import is_counted

from .conftest import Workbench, text_csv, write_yaml
from .nursery import user_environment, wait_until

SLOW = """
import os, pathlib, time
from sklearn.linear_model import LogisticRegression

class Slow(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        folder = pathlib.Path(os.environ["BEGUN"])
        if folder.is_dir() and (folder.parent / "slow").exists():
            (folder / str(os.getpid())).touch()
            time.sleep(2)
        return super().fit(X, y, sample_weight)
"""
SLOW_YAML = """
_target_: slow_model.Slow
C: 1.0
trusted_types: [slow_model.Slow]
search_space:
  C: {type: float, low: 0.1, high: 10.0, log: true}
"""


class Cluster:
    """A bench with a slow model, whose trials say that they have begun, and Dask processes beside it."""

    def __init__(self, bench: Workbench, texts: Path, processes: DaskProcesses) -> None:
        self.bench = bench
        self.processes = processes
        self.begun = bench.folder / "begun"
        self.begun.mkdir()
        (bench.folder / "slow_model.py").write_text(SLOW, encoding="utf-8")
        write_yaml(bench.folder / "mine" / "model" / "slow.yaml", SLOW_YAML)
        path = f"{bench.folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        self.environ = {"PYTHONPATH": path, "BEGUN": str(self.begun)}
        self.typed = ["--config-dir", str(bench.folder / "mine"), "-m", *text_csv(texts), "model=slow"]
        self.typed += ["study_name=s", "hydra/launcher=sweeps_dask", "trial_timeout=100"]

    def start_dask(self) -> str:
        """A scheduler and a worker of two threads; the argument that names them."""
        address = self.processes.start_scheduler()
        self.processes.start_worker(
            n_threads=2, environ={**self.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}, n_in_all=1
        )
        return f"hydra.launcher.address={address}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Type the command; it runs on, and its trials are slow once they have begun."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeps.run", *self.typed, *arguments],
            cwd=self.bench.folder,
            env=user_environment(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until(lambda: (self.bench.folder / "multirun" / "s" / "study.db").exists())
        (self.bench.folder / "slow").touch()
        wait_until(lambda: len(list(self.begun.iterdir())) == 2)
        return process

    def finish(self, arguments: Sequence[str]) -> None:
        """Resume the study, at full speed."""
        (self.bench.folder / "slow").unlink()
        finished = self.bench.command("sweeps.run", *self.typed, *arguments, environ=self.environ)
        assert finished.code == 0, finished.err
        trials = self.trials()
        assert sum(is_counted(trial) for trial in trials) == 4
        assert {trial.state for trial in trials if is_counted(trial)} == {TrialState.COMPLETE}
        runs = self.bench.runs("trial")
        assert sorted(run.data.tags["sweeps.trial.number"] for run in runs) == sorted(
            str(trial.number) for trial in trials
        )
        assert "RUNNING" not in {run.info.status for run in self.bench.runs()}

    def trials(self) -> list[FrozenTrial]:
        database = self.bench.folder / "multirun" / "s" / "study.db"
        return optuna.load_study(study_name=None, storage=f"sqlite:///{database}").get_trials()

    def running(self) -> list[int]:
        """The processes of trials that are there."""
        return [int(file.name) for file in self.begun.iterdir() if psutil.pid_exists(int(file.name))]


@pytest.fixture
def cluster(bench: Workbench, texts: Path, tmp_path: Path) -> Iterator[Cluster]:
    processes = DaskProcesses(tmp_path)
    yield Cluster(bench, texts, processes)
    processes.kill_all()


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_sweep_with_one_message_and_it_can_be_gone_on_with(cluster: Cluster) -> None:
    address = cluster.start_dask()
    process = cluster.start(address, "n_trials=4")
    assert cluster.processes.scheduler is not None
    cluster.processes.kill(cluster.processes.scheduler)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (message,) = err.splitlines()
    assert message.startswith("The Dask scheduler at tcp://127.0.0.1:")
    assert "is gone" in message
    assert "Resume:  python -m sweeps.resume" in out
    assert TrialState.RUNNING not in {trial.state for trial in cluster.trials()}
    assert "RUNNING" not in {run.info.status for run in cluster.bench.runs()}
    cluster.processes.kill_all()
    cluster.finish([cluster.start_dask(), "n_trials=4"])


@pytest.mark.slow
def test_the_trials_of_a_killed_coordinator_end(cluster: Cluster) -> None:
    address = cluster.start_dask()
    process = cluster.start(address, "n_trials=4")
    process.kill()
    process.communicate()
    wait_until(lambda: cluster.running() == [], 120)
    cluster.finish([address, "n_trials=4"])


@pytest.mark.slow
def test_ctrl_c_lets_the_trials_of_a_local_cluster_finish(cluster: Cluster) -> None:
    process = cluster.start("n_trials=4", "n_jobs=2", "grace_period=100")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the cluster's processes get it, too
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert err == ""
    assert [trial.state for trial in cluster.trials()] == [TrialState.COMPLETE] * 2
    assert cluster.running() == []
    cluster.finish(["n_trials=4", "n_jobs=2"])


@pytest.mark.slow
def test_the_second_ctrl_c_ends_the_trials_at_once(cluster: Cluster) -> None:
    address = cluster.start_dask()
    process = cluster.start(address, "n_trials=4", "grace_period=100")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 143), err
    wait_until(lambda: cluster.running() == [], 10)
    assert {trial.state for trial in cluster.trials()} == {TrialState.FAIL}
    cluster.finish([address, "n_trials=4"])
