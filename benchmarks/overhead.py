"""What a trial costs beside its own work: a sweep of trials that cost nothing, and a bare Optuna loop.

    python benchmarks/overhead.py 1000             seconds a trial, ours beside a bare ask/suggest/tell loop
    python benchmarks/overhead.py 1000 --peers     and beside two other sweepers for Hydra, in environments of their own
    python benchmarks/overhead.py 10000 --growth   the cost of each thousand trials

Ours is the whole command: every trial asked, run in a worker as a Hydra job with its folder, told, persisted and logged
in MLflow, start-up and end aside (a sweep of one trial is subtracted). The bare loop keeps nothing but the trials.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna import Trial
from optuna.storages import BaseStorage

from sweeps.study.storage import open_storage
from trivial.command import sweep, table, trials

PARAMS = dict.fromkeys("wxyz", "interval(0, 1)")
APP = """
import hydra

@hydra.main(config_path=".", config_name="config", version_base="1.3")
def loss(config):
    values = {key: config[key] for key in "wxyz"}
    score = sum((value - 0.3) ** 2 for value in values.values())
    if "mlflow_parent_run_id" in config:
        import mlflow

        mlflow.set_tracking_uri(config.trainer.logger.tracking_uri)
        mlflow.set_experiment(config.trainer.logger.experiment_name)
        with mlflow.start_run(tags={"mlflow.parentRunId": config.mlflow_parent_run_id}):
            mlflow.log_params(values)
            mlflow.log_metric("score", score)
    return score

if __name__ == "__main__":
    loss()
"""


@dataclass(frozen=True)
class Peer:
    """A sweeper for Hydra.

    Attributes:
        package: to install.
        config: of the app, beside the four values.
        n_trials: the key of their number.
    """

    package: str
    config: dict[str, Any]
    n_trials: str


PEERS = {
    "hydra-optuna-sweeper": Peer(
        "hydra-optuna-sweeper==1.4.0rc3",
        {
            "defaults": [{"override hydra/sweeper": "optuna"}, {"override hydra/sweeper/sampler": "random"}],
            "hydra": {"sweeper": {"n_jobs": 1, "storage": "sqlite:///study.db", "study_name": "s", "params": PARAMS}},
        },
        "hydra.sweeper.n_trials",
    ),
    "hydra-optuna-mlflow-sweeper": Peer(
        "hydra-optuna-mlflow-sweeper==0.1.3",
        {
            "defaults": [{"override hydra/sweeper": "mlflow_optuna"}],
            "trainer": {"logger": {"tracking_uri": "sqlite:///mlflow.db", "experiment_name": "e"}},
            "hydra": {
                "sweeper": {
                    "optuna_config": {
                        "storage": "sqlite:///study.db",
                        "study_name": "s",
                        "sampler": {"_target_": "optuna.samplers.RandomSampler"},
                        "params": PARAMS,
                    }
                }
            },
        },
        "hydra.sweeper.optuna_config.n_trials",
    ),
}


def objective(trial: Trial) -> float:
    return sum((trial.suggest_float(name, 0.0, 1.0) - 0.3) ** 2 for name in "wxyz")


def bare(storage: BaseStorage | str, n_trials: int, sampler: optuna.samplers.BaseSampler) -> list[float]:
    """When each trial of a loop of ask, suggest and tell ended, in seconds."""
    study = optuna.create_study(storage=storage, sampler=sampler)
    ends = [time.perf_counter()]
    for _ in range(n_trials):
        trial = study.ask()
        study.tell(trial, objective(trial))
        ends.append(time.perf_counter())
    return ends


def peer(folder: Path, name: str, n_trials: int) -> float:
    """Seconds a trial of another sweeper, start-up aside."""
    of, environment, home = PEERS[name], folder / f"venv-{name}", folder / name
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([environment / "bin/pip", "install", "--quiet", of.package], check=True)
    home.mkdir()
    (home / "app.py").write_text(APP)
    (home / "config.yaml").write_text(yaml.safe_dump({**dict.fromkeys("wxyz", 0.5), **of.config}))

    def run(number: int) -> float:
        for file in home.glob("*.db"):
            file.unlink()
        started = time.perf_counter()
        command = [environment / "bin/python", "app.py", "-m", f"{of.n_trials}={number}"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr}")
        return time.perf_counter() - started

    once = run(1)
    return (run(n_trials) - once) / (n_trials - 1)


def overhead(folder: Path, n_trials: int, peers: bool) -> None:
    once = sweep(folder, "one", "sampler=random", "n_jobs=1", "n_trials=1")
    whole = sweep(folder, "many", "sampler=random", "n_jobs=1", f"n_trials={n_trials}")
    ours = (whole - once) / (n_trials - 1)
    plain = f"sqlite:///{folder}/plain.db"
    storages: dict[str, BaseStorage | str] = {
        "a bare Optuna loop, storage=sqlite:///": plain,
        "the same loop on our storage": open_storage(f"sqlite:///{folder}/bare.db"),
    }
    loop, rows = float("inf"), []
    for name, storage in storages.items():
        ends = bare(storage, n_trials, optuna.samplers.RandomSampler(seed=1))
        seconds = (ends[-1] - ends[0]) / n_trials
        loop = min(loop, seconds)
        rows.append([name, f"{seconds * 1e3:.1f}", ""])
    rows.append(["sweeps, tracked", f"{ours * 1e3:.1f}", f"{(ours - loop) * 1e3:.1f}"])
    for name in PEERS if peers else ():
        seconds = peer(folder, name, min(n_trials, 200))
        rows.append([name, f"{seconds * 1e3:.1f}", f"{(seconds - loop) * 1e3:.1f}"])
    table([f"{n_trials} trials, n_jobs=1", "ms a trial", "ms more than the faster loop"], rows)


def growth(folder: Path, n_trials: int, sampler: str) -> None:
    sweep(folder, "grown", f"sampler={sampler}", "n_jobs=1", f"n_trials={n_trials}")
    told = [trial.datetime_complete.timestamp() for trial in trials(folder, "grown")]
    samplers = {"random": optuna.samplers.RandomSampler(seed=1), "tpe": optuna.samplers.TPESampler(seed=1)}
    ends = bare(open_storage(f"sqlite:///{folder}/bare.db"), n_trials, samplers[sampler])
    width = max(1, n_trials // 10)
    rows = []
    for start in range(0, n_trials, width):
        ours = statistics.mean(after - before for before, after in pairwise(told[start : start + width]))
        loop = (ends[min(start + width, n_trials)] - ends[start]) / width
        rows.append([f"{start} to {start + width - 1}", f"{ours * 1e3:.1f}", f"{loop * 1e3:.1f}"])
    table([f"trials, sampler={sampler}", "ours, ms a trial", "bare loop, ms a trial"], rows)
    print(f"the last {width} cost {float(rows[-1][1]) / float(rows[0][1]):.2f} times the first {width}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n_trials", type=int, nargs="?", default=1000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--sampler", choices=["random", "tpe"], default="random")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.growth:
            growth(Path(folder), arguments.n_trials, arguments.sampler)
        else:
            overhead(Path(folder), arguments.n_trials, arguments.peers)


if __name__ == "__main__":
    main()
