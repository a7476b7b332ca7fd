"""A coordinator with 64 simulated Dask workers: how busy they are, and where the coordinator saturates.

    python benchmarks/cluster.py [--trials 5] [--storage URL]

What is real: the sweep's story, a study in sqlite (or at `--storage`), Dask's scheduler and workers as processes, and
every message between them. What is simulated: 64 slots are threads of two Dask workers, and a trial sleeps in its
thread where it would be run by a supervised process; a machine of two cores has no room for 64 of those. MLflow is left
out, since runs are logged by a thread of their own.

A worker's time counts as busy while its trial sleeps; the rest of it is what the coordinator, Dask and the study's
database take between two trials. Measured is the steady state: from the moment when every slot has had its first trial
to the moment when the last trial was asked.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import optuna
from distributed import Client

from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.compose.space_yaml import collect
from sweeps.execution.dask_cluster import DaskWorkers
from sweeps.execution.outcome import TrialOutcome, TrialResult
from sweeps.execution.workers import PruningCheck
from sweeps.study.asking import TrialQueue
from sweeps.study.loop import StudyLoop
from sweeps.study.samplers import SamplerFactory
from sweeps.study.stopping import Budget
from sweeps.study.storage import open_storage
from sweeps.sweep.tables import table

SLOTS = 64
DOMAIN = {"type": "float", "low": 0.0, "high": 1.0}
OPTION = {**dict.fromkeys("abcd", 0.5), "search_space": dict.fromkeys("abcd", DOMAIN)}


class SleepingChild:
    """Stands for the supervised process of a trial: sleeps, and has a score."""

    def __init__(self, packed: bytes) -> None:
        self._seconds = float(os.environ["SIMULATED_SECONDS"])

    def run(
        self, number: int, proposal: Proposal, should_prune: PruningCheck | None, timeout: float | None
    ) -> TrialOutcome:
        begun = time.time()
        time.sleep(self._seconds)
        return TrialResult({"val_f1": proposal.values["model.a"]}, {"begun": begun, "ended": time.time()})

    def close(self) -> None:
        """Nothing to end."""


def simulate(seconds: float) -> None:
    """Put sleeping trials into a Dask worker."""
    from sweeps.execution import dask_worker

    os.environ["SIMULATED_SECONDS"] = str(seconds)
    dask_worker.Child = SleepingChild


class Clocked:
    """Workers that note when the sweep asked for the last trial."""

    def __init__(self, inner: DaskWorkers) -> None:
        self._inner = inner
        self.last_submitted = 0.0

    @property
    def capacity(self) -> int:
        return self._inner.capacity

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        self.last_submitted = time.time()
        return self._inner.submit(number, proposal, should_prune)

    def start(self) -> None:
        self._inner.start()

    def close(self) -> None:
        self._inner.close()


def nothing() -> None:
    """A process that only sleeps needs no preparation."""


def no_job(number: int, proposal: Proposal) -> TrialResult:
    """Is sent to the workers as a job is, and never run there."""
    raise NotImplementedError


@contextmanager
def dask_processes(folder: Path, n_slots: int) -> Iterator[Client]:
    """A client of a scheduler and two workers, each in a process of its own."""
    file = folder / "scheduler.json"
    where = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))
    worker = ("worker", "--no-nanny", "--nthreads", str(n_slots // 2), "--memory-limit", "0", *where)
    commands = [("scheduler", "--port", "0", *where), worker, worker]
    processes = [
        subprocess.Popen([sys.executable, "-m", "dask", *command], cwd=folder, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        while not file.exists():
            time.sleep(0.1)
        client = Client(scheduler_file=str(file), set_as_default=False)
        client.wait_for_workers(2, timeout=60)
        yield client
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def measure(n_slots: int, seconds: float, per_slot: int, storage: str | None) -> list[str]:
    """One sweep; a row of the table."""
    leaves = collect(OPTION["search_space"], OPTION, "model", lambda key: key.replace("model", "model/m", 1), "m.yaml")
    space = SearchSpace({"model": ("m",), "vectorizer": ("none",)}, {("model", "m"): leaves})
    samplers = SamplerFactory({"_target_": "optuna.samplers.RandomSampler", "seed": 1}, space)
    with tempfile.TemporaryDirectory() as folder, dask_processes(Path(folder), n_slots) as client:
        client.run(simulate, seconds)
        workers = Clocked(DaskWorkers(client, None, nothing, no_job, None, None))
        url = storage or f"sqlite:///{Path(folder) / 'study.db'}"
        study = optuna.create_study(storage=open_storage(url), study_name=f"{time.time()}", direction="maximize")
        before = resource.getrusage(resource.RUSAGE_SELF)
        StudyLoop(study, TrialQueue(study, space, samplers), workers, Budget(per_slot * n_slots), ["val_f1"]).run()
        after = resource.getrusage(resource.RUSAGE_SELF)
        trials = study.get_trials(deepcopy=False)
    spans: list[dict[str, Any]] = [trial.user_attrs["sweeps.result"]["seconds"] for trial in trials]
    first = sorted(span["begun"] for span in spans)[n_slots - 1]
    last = workers.last_submitted
    busy = sum(max(0.0, min(span["ended"], last) - max(span["begun"], first)) for span in spans)
    ended = sum(first <= span["ended"] <= last for span in spans)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [
        str(n_slots),
        f"{seconds:g} s",
        str(len(trials)),
        f"{busy / (last - first) / n_slots:.1%}",
        f"{ended / (last - first):.1f}",
        f"{n_slots / seconds:.1f}",
        f"{1000 * cpu / len(trials):.1f} ms",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5, help="trials for each slot")
    parser.add_argument("--storage", help="the URL of the study's database; a sqlite file by default")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    dask.config.set({"logging.distributed": "critical"})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    header = ["slots", "a trial", "trials", "busy", "trials/s", "at most", "coordinator's CPU a trial"]
    cases = [(SLOTS, 5.0, arguments.trials), *((n_slots, 1.0, 2 * arguments.trials) for n_slots in (8, 16, 32, 64))]
    rows = []
    for n_slots, seconds, per_slot in cases:
        rows.append(measure(n_slots, seconds, per_slot, arguments.storage))
        print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    print(table(rows, header))


if __name__ == "__main__":
    main()
