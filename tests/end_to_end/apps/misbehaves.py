"""An app that does in a trial what `how` says, each of it something that the next trial must not see."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import optuna
import psutil
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

import sweeps

HERE = Path(__file__).resolve().parent
LOCK = threading.Lock()  # neither it nor an open log file can be pickled
LOG = logging.getLogger("misbehaves")
LOG.addHandler(logging.FileHandler(HERE / "app.log"))
DEVICE = os.environ.get("CUDA_VISIBLE_DEVICES")
if __name__ != "__main__":  # in a worker
    time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1)


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "sweeps"}, "_self_"])
    hydra: Any = field(
        default_factory=lambda: {
            "sweeper": {
                "study_name": "s",
                "metric": "score",
                "n_trials": 100,
                "n_jobs": 1,
                "max_failure_rate": 1.0,
                "max_retries": 0,
            }
        }
    )
    how: str = "good"
    x: float = 1.0
    seed: int = 0


ConfigStore.instance().store(name="config", node=Config)


def nothing() -> None:
    return None


def text() -> str:
    return "5"


def not_a_number() -> float:
    return float("nan")


def too_many() -> tuple[float, float]:
    return 1.0, 2.0


def other_metric() -> dict[str, float]:
    return {"loss": 1.0}


def raises() -> None:
    raise OSError("no such luck")


def exits() -> None:
    sys.exit(0)


def ends_the_process() -> None:
    os._exit(3)


def hangs() -> None:
    time.sleep(600)


def chatters() -> None:
    for _ in range(10):
        sys.stdout.write("x" * 1_000_000 + "\n")


def changes_directory() -> None:
    Path("elsewhere").mkdir(exist_ok=True)
    os.chdir("elsewhere")


def changes_environment() -> None:
    os.environ["LEFT_BEHIND"] = "1"
    del os.environ["PATH"]


def changes_path() -> None:
    sys.path.insert(0, "/left/behind")


def handles_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def replaces_stdout() -> None:
    sys.stdout = (HERE / "out.txt").open("w")
    sys.stdout.close()


def closes_stdout() -> None:
    sys.stdout.close()


def raises_what_no_terminal_shows() -> None:
    raise ValueError("Größe \ud800")


def raises_what_has_no_text() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    raise SilentError


def is_interrupted() -> None:
    raise KeyboardInterrupt


def starts_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(600,), name="left behind").start()


def starts_a_process() -> None:
    process = subprocess.Popen(["sleep", "600"])
    (HERE / f"process-{process.pid}").touch()


def reports_nan() -> None:
    sweeps.report(float("nan"), 0)


def reports_backwards() -> None:
    sweeps.report(1.0, 3)
    sweeps.report(1.0, 3)


def is_hopeless() -> None:
    sweeps.report(1000.0, 0)


def swallows_pruned() -> float:
    try:
        sweeps.report(1000.0, 0)
    except sweeps.Pruned:
        return 0.0
    raise AssertionError("it was not pruned")


def prunes_by_optuna() -> None:
    raise optuna.TrialPruned


def meets_another_worker() -> None:
    """Wait until two processes run trials."""
    (HERE / f"worker-{os.getpid()}").write_text(f"{DEVICE} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    deadline = time.monotonic() + 120
    while len(list(HERE.glob("worker-*"))) < 2:
        assert time.monotonic() < deadline, "there is no other worker"
        time.sleep(0.05)


DEEDS: dict[str, Callable[[], Any]] = {
    one.__name__: one
    for one in (
        *(nothing, text, not_a_number, too_many, other_metric, raises, exits, ends_the_process, hangs, chatters),
        *(replaces_stdout, closes_stdout, raises_what_no_terminal_shows, raises_what_has_no_text, is_interrupted),
        *(changes_directory, changes_environment, changes_path, handles_signals, starts_a_thread, starts_a_process),
        *(reports_nan, reports_backwards, is_hopeless, swallows_pruned, prunes_by_optuna, meets_another_worker),
    )
}
RESULTS = {"nothing", "text", "not_a_number", "too_many", "other_metric", "swallows_pruned"}


@cache
def at_first() -> dict[str, Any]:
    """The surroundings of this process's first trial."""
    return surroundings()


def surroundings() -> dict[str, Any]:
    return {
        "directory": Path.cwd(),
        "path": tuple(sys.path),
        "environment": sorted(os.environ),
        "handlers": [signal.getsignal(number) for number in SIGNALS],
        "threads": {thread.name for thread in threading.enumerate()} & {"left behind"},
    }


def check_surroundings() -> None:
    """Nothing of an earlier trial is here, and this one knows itself."""
    for name, now in surroundings().items():
        before = at_first()[name]
        assert now == before, f"{name}: {before!r} has become {now!r}"
    for file in HERE.glob("process-*"):
        assert not psutil.pid_exists(int(file.name.partition("-")[2]))
    trial = sweeps.current_trial()
    assert trial is not None
    assert str(trial.folder) == HydraConfig.get().runtime.output_dir
    assert not sys.stdout.closed
    assert (trial.number, trial.study, trial.device) == (HydraConfig.get().job.num, "s", DEVICE)


@hydra.main(version_base=None, config_name="config")
def main(config: Config) -> Any:
    with LOCK:
        LOG.warning("%s in process %d", config.how, os.getpid())
    check_surroundings()
    returned = DEEDS[config.how]() if config.how != "good" else None
    return returned if config.how in RESULTS else {"score": config.x**2}


if __name__ == "__main__":
    main()
    assert sweeps.current_trial() is None  # or the command fails
