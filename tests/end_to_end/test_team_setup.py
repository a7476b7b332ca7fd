"""The README's set-up for a team, its commands run as they stand there, on loopback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from .conftest import text_csv
from .nursery import user_environment, wait_until

README = Path(__file__).parents[2] / "README.md"
N_TRIALS = 6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Team:
    """The commands of the README's section, with this machine in the place of the example's."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.server = urlsplit(database)
        ports = {"mlflow": free_port(), "dask": free_port()}
        section = README.read_text(encoding="utf-8").split("## A team's set-up")[1].partition("\n## ")[0]
        self._replacements = {
            "-h db.example -p 5432 -U sweeper": f"-h 127.0.0.1 -p {self.server.port} -U {self.server.username}",
            "sweeper@db.example:5432": f"{self.server.username}@127.0.0.1:{self.server.port}",
            "--host 0.0.0.0 --port 5000": f"--host 127.0.0.1 --port {ports['mlflow']}",
            "mlflow.example:5000": f"127.0.0.1:{ports['mlflow']}",
            "/srv/mlflow": str(folder / "artifacts"),
            "--port 8786": f"--host 127.0.0.1 --port {ports['dask']}",
            "dask.example:8786": f"127.0.0.1:{ports['dask']}",
            "n_trials=100": f"n_trials={N_TRIALS}",
        }
        for written in self._replacements:
            assert written in section, written
        blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        self.databases, self.tracking, self.scheduler, self.workers, self.sweep = map(self._here, blocks)
        self.mlflow = f"http://127.0.0.1:{ports['mlflow']}"
        self.environment = user_environment(
            {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PGPASSWORD": self.server.password or "",
            }
        )
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, command: str) -> str:
        """Type a command and wait for its end."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def start(self, command: str, log: str) -> None:
        """Type a command that goes on until it is ended."""
        with (self.folder / log).open("wb") as stream:
            self._started.append(
                subprocess.Popen(
                    ["bash", "-euo", "pipefail", "-c", command],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=stream,
                    stderr=stream,
                    start_new_session=True,
                )
            )

    def end(self) -> None:
        for process in self._started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _here(self, command: str) -> str:
        for written, here in self._replacements.items():
            command = command.replace(written, here)
        return command


@pytest.fixture
def team(tmp_path: Path, postgres_url: str) -> Iterator[Team]:
    started = Team(tmp_path, postgres_url)
    yield started
    started.end()


@pytest.mark.slow
def test_the_readmes_commands_make_a_cluster_that_sweeps(team: Team, texts: Path) -> None:
    team.run(team.databases)
    team.start(team.tracking, "mlflow.log")
    team.start(team.scheduler, "scheduler.log")
    team.start(team.workers, "workers.log")
    wait_until(lambda: is_healthy(team.mlflow), 180)
    wait_until(lambda: (team.folder / "workers.log").read_text().count("Registered to:") == 2, 180)

    said = team.run(f"{team.sweep.rstrip()} {' '.join(text_csv(texts))} study_name=ours")

    studies = f"postgresql://{team.server.username}:{team.server.password}@127.0.0.1:{team.server.port}/studies"
    storage = optuna.storages.RDBStorage(studies.replace("postgresql:", "postgresql+psycopg:"))
    trials = optuna.load_study(study_name="ours", storage=storage).get_trials()
    storage.remove_session()
    storage.engine.dispose()
    ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(ended) == N_TRIALS
    client = MlflowClient(team.mlflow, team.mlflow)
    runs = client.search_runs([client.get_experiment_by_name("comments").experiment_id])
    assert sorted(run.data.tags["sweeps.kind"] for run in runs) == ["sweep"] + ["trial"] * N_TRIALS
    assert "RUNNING" not in {run.info.status for run in runs}
    assert client.get_model_version_by_alias("comments", "champion").version == "1"
    assert {path.parent.name for path in team.folder.glob("multirun/ours/*/.hydra")} == {
        str(trial.number) for trial in ended
    }
    password = str(team.server.password)
    files = [path for path in team.folder.rglob("*") if path.is_file()]
    assert [path for path in files if password.encode() in path.read_bytes()] == []
    assert password not in said


def is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
