"""What a trial of a user's own app costs beside its own work: ours, other sweepers, and a bare Optuna loop.

    python benchmarks/app.py                    ours and the bare loop
    python benchmarks/app.py --peers DIR        and the peers, each in a virtual environment that is made in DIR
    python benchmarks/app.py --peers DIR --only hydra-optuna-sweeper
    python benchmarks/app.py --peers DIR --mlflow     what it costs that the app logs to MLflow itself

The app adds up four squares. Every sweeper runs it 200 times from a random sampler with one worker, start-up aside (a
sweep of one trial is subtracted), three times over, for the median. A peer that does not install, or does not run, is
named with the reason. Then 16 trials of an app of uneven length run on 4 workers, beside the ideal schedule (see
barrier.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import yaml

from barrier import N_TRIALS as N_UNEVEN
from barrier import N_WORKERS, ideal
from overhead import bare
from sweeps.study.storage import open_storage
from trivial.command import table, trials

ROUNDS = 3
KEYS = "wxyz"
PARAMS = dict.fromkeys(KEYS, "interval(0, 1)")
HYDRA_APP = """
import hydra

@hydra.main(config_path=".", config_name="config", version_base="1.3")
def loss(config):
    return sum((config[key] - 0.3) ** 2 for key in "wxyz")

if __name__ == "__main__":
    loss()
"""
UNEVEN_APP = """
import time
import hydra
import sweeps

@hydra.main(config_path=".", config_name="config", version_base="1.3")
def loss(config):
    number = sweeps.current_trial().number - config.n_workers
    if number < 0:  # each worker warms up
        time.sleep(1.0)
    else:
        time.sleep(2.0 if number % 4 == 0 else 0.2)
    return (config.w - 0.3) ** 2

if __name__ == "__main__":
    loss()
"""
LOGGING_APP = """
import hydra
import mlflow

@hydra.main(config_path=".", config_name="config", version_base="1.3")
def loss(config):
    value = sum((config[key] - 0.3) ** 2 for key in "wxyz")
    with mlflow.start_run():
        mlflow.log_params({f"app_{key}": config[key] for key in "wxyz"})
        mlflow.log_metric("loss", value)
    return value

if __name__ == "__main__":
    loss()
"""
HYDRONAUT_APP = """
from hydronaut.decorator import with_hydronaut

@with_hydronaut(config_path="conf/config.yaml")
def loss(config):
    return sum((config.experiment.params[key] - 0.3) ** 2 for key in "wxyz")

if __name__ == "__main__":
    loss()
"""
RAY_APP = """
import sys
from ray import tune

def loss(config):
    return {"loss": sum((config[key] - 0.3) ** 2 for key in "wxyz")}

tuner = tune.Tuner(
    loss,
    param_space={key: tune.uniform(0.0, 1.0) for key in "wxyz"},
    tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=int(sys.argv[1]), max_concurrent_trials=1),
)
tuner.fit()
"""


class DoesNotRunError(Exception):
    """A peer cannot be measured; the message says why."""


@dataclass(frozen=True)
class Sweeper:
    """A way to sweep over the app.

    Attributes:
        files: to write, by their paths; mappings as YAML.
        command: behind the interpreter; `{n}` is the number of trials.
        package: to install in a virtual environment of its own; None for this one.
    """

    files: dict[str, Any]
    command: tuple[str, ...]
    package: str | None = None


def hydra_config(sweeper: str, sampler: str, **settings: Any) -> dict[str, Any]:
    """A Hydra app's config with four values and a sweeper."""
    defaults = [{"override hydra/sweeper": sweeper}, {"override hydra/sweeper/sampler": sampler}, "_self_"]
    return {**dict.fromkeys(KEYS, 0.5), "defaults": defaults, "hydra": {"sweeper": settings}}


OURS = Sweeper(
    {"app.py": HYDRA_APP, "config.yaml": hydra_config("sweeps", "random", params=PARAMS, n_jobs=1)},
    ("app.py", "-m", "hydra.sweeper.n_trials={n}"),
)
PEERS = {
    "hydra-optuna-sweeper": Sweeper(
        {
            "app.py": HYDRA_APP,
            "config.yaml": hydra_config(
                "optuna", "random", params=PARAMS, n_jobs=1, storage="sqlite:///study.db", study_name="s"
            ),
        },
        ("app.py", "-m", "hydra.sweeper.n_trials={n}"),
        "hydra-optuna-sweeper==1.4.0rc3",
    ),
    "hydronaut": Sweeper(
        {
            "app.py": HYDRONAUT_APP,
            "conf/config.yaml": {
                "defaults": [
                    "hydronaut_config",
                    {"override hydra/sweeper": "optuna"},
                    {"override hydra/sweeper/sampler": "random"},
                    "_self_",
                ],
                "hydra": {
                    "sweeper": {
                        "params": {f"experiment.params.{key}": values for key, values in PARAMS.items()},
                        "n_jobs": 1,
                        "storage": "sqlite:///study.db",
                        "study_name": "s",
                    }
                },
                "experiment": {
                    "name": "loss",
                    "description": "four squares",
                    "params": dict.fromkeys(KEYS, 0.5),
                },
            },
        },
        ("app.py", "-m", "hydra.sweeper.n_trials={n}"),
        "hydronaut",
    ),
    "Ray Tune": Sweeper({"app.py": RAY_APP}, ("app.py", "{n}"), "ray[tune]"),
}


def logging(sweeper: Sweeper) -> Sweeper:
    """The same with an app that logs to MLflow."""
    package = None if sweeper.package is None else f"{sweeper.package} mlflow>=3.10,<4"
    return replace(sweeper, files={**sweeper.files, "app.py": LOGGING_APP}, package=package)


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))


def interpreter(sweeper: Sweeper, environments: Path | None) -> str:
    """The Python that has a sweeper; its virtual environment is made unless it is there."""
    if sweeper.package is None or environments is None:
        return sys.executable
    environment = environments.absolute() / "".join(c if c.isalnum() else "-" for c in sweeper.package)
    python = environment / "bin" / "python"
    is_installed = environment / "installed"
    if not is_installed.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *sweeper.package.split()]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DoesNotRunError(f"does not install: {last_line(done.stderr)}")
        is_installed.touch()
    return str(python)


def last_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[-1][:200]


def milliseconds(sweeper: Sweeper, n_trials: int, environments: Path | None = None) -> float:
    """Milliseconds a trial, start-up aside.

    Raises:
        DoesNotRunError: it does not install, or its command fails.
    """
    python = interpreter(sweeper, environments)

    def run(number: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), sweeper.files)
            command = [python, *(part.format(n=number) for part in sweeper.command)]
            started = time.perf_counter()
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise DoesNotRunError(f"does not run: {last_line(done.stderr)}")
            return time.perf_counter() - started

    return median(run(n_trials) - run(1) for _ in range(ROUNDS)) / (n_trials - 1) * 1e3


def overhead(n_trials: int, peers: dict[str, Sweeper], environments: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{folder}/bare.db")
        ends = bare(storage, n_trials, optuna.samplers.RandomSampler(seed=1))
    loop = (ends[-1] - ends[0]) / n_trials * 1e3
    ours = milliseconds(OURS, n_trials)
    more = ours - loop  # than the trials themselves
    rows = [["a bare Optuna loop", f"{loop:.1f}", "", ""], ["sweeps", f"{ours:.1f}", f"{more:.1f}", "1.0"]]
    for name, sweeper in peers.items():
        try:
            cost = milliseconds(sweeper, n_trials, environments)
        except DoesNotRunError as error:
            rows.append([name, str(error), "", ""])
        else:
            rows.append([name, f"{cost:.1f}", f"{cost - loop:.1f}", f"{(cost - loop) / more:.1f}"])
    table([f"{n_trials} trials, one worker", "ms a trial", "ms more than the loop", "times ours"], rows)


def own_logging(n_trials: int, environments: Path) -> None:
    """A trial whose app logs to MLflow, beside one whose app does not, and beside the peer's."""
    silent = milliseconds(OURS, n_trials)
    ours = milliseconds(logging(OURS), n_trials)
    peer = milliseconds(logging(PEERS["hydra-optuna-sweeper"]), n_trials, environments)
    rows = [
        ["sweeps, an app that logs nothing", f"{silent:.1f}", "", ""],
        ["sweeps, its own run in the trial's", f"{ours:.1f}", f"{ours - silent:.1f}", "1.0"],
        ["hydra-optuna-sweeper, a run of its own", f"{peer:.1f}", "", f"{peer / ours:.1f}"],
    ]
    table([f"{n_trials} trials, one worker", "ms a trial", "ms for logging", "times ours"], rows)


def uneven() -> None:
    config = hydra_config("sweeps", "random", params={"w": PARAMS["w"]}, study_name="uneven")
    config |= {"n_workers": N_WORKERS}
    config["hydra"]["sweeper"] |= {"n_jobs": N_WORKERS, "n_trials": N_UNEVEN + N_WORKERS}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), {"app.py": UNEVEN_APP, "config.yaml": config})
        subprocess.run([sys.executable, "app.py", "-m"], cwd=folder, check=True, capture_output=True)
        ran = trials(Path(folder), "uneven")[N_WORKERS:]
    seconds = max(t.datetime_complete for t in ran).timestamp() - min(t.datetime_start for t in ran).timestamp()
    rows = [["sweeps", f"{seconds:.2f}", f"{ideal() / seconds:.0%}"], ["the ideal schedule", f"{ideal():.2f}", "100%"]]
    table([f"{N_UNEVEN} uneven trials on {N_WORKERS} workers", "seconds", "of the ideal"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n_trials", type=int, nargs="?", default=200)
    parser.add_argument("--peers", type=Path, metavar="DIR", help="for the virtual environments of the peers")
    parser.add_argument("--only", action="append", choices=list(PEERS), help="of the peers; may be repeated")
    parser.add_argument("--mlflow", action="store_true", help="an app that logs to MLflow; needs --peers")
    arguments = parser.parse_args()
    if arguments.mlflow:
        if arguments.peers is None:
            parser.error("--mlflow compares with a peer: --peers DIR")
        own_logging(arguments.n_trials, arguments.peers)
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    peers = {name: PEERS[name] for name in arguments.only or PEERS} if arguments.peers else {}
    overhead(arguments.n_trials, peers, arguments.peers)
    print()
    uneven()


if __name__ == "__main__":
    main()
