"""Made-up input and sweeps that are killed: how much of it ends as it may.

    python benchmarks/faults.py --n 2000 --kills 200

`--n` cases of command lines, of files, of stored models and of requests to the service, in this process; `--commands`
of them as processes; `--kills` by SIGKILL at moments of chance, of sweeps that are resumed until they end. Every case
has to be accepted, or refused in a message that a person reads, within 10 s; a refused one leaves nothing; nothing is
written outside the working directory, nothing stays RUNNING; and a killed sweep ends with the trials, values, runs and
champion of one that nobody killed. What does not is printed with its seed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from fastapi.testclient import TestClient
from mlflow import MlflowClient
from tqdm import tqdm

from trivial.command import table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from end_to_end.conftest import Workbench, text_csv, write_texts
from end_to_end.fault_site import PACKAGE, Site, sequence
from end_to_end.nursery import Nursery
from generated import command_lines, models, requests, tables
from generated.kills import kill_and_resume
from generated.trial_and_error import Case, tally
from stored_models import KINDS
from sweeps.serve.app import make_app
from sweeps.serve.holder import ModelHolder
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.service import Service
from sweeps.tracking.models.versions import ModelSource


class Bench:
    """Folders for the cases, and the rows of the table.

    Args:
        folder: empty.
        seed: of the first case of each kind.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.rows: list[list[str]] = []
        self.n_wrong = 0
        self.store = folder / "empty.db"
        MlflowClient(f"sqlite:///{self.store}").search_experiments()
        self.texts = write_texts(folder / "comments.csv")
        self.nursery = Nursery(self.new_folder(), [PACKAGE])

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    def new_bench(self) -> Workbench:
        bench = Workbench(self.new_folder())
        shutil.copy(self.store, bench.folder / "mlflow.db")
        return bench

    def new_site(self) -> Site:
        folder = self.new_folder()
        shutil.copy(self.store, folder / "mlflow.db")
        return Site(folder, self.nursery)

    def try_out(self, name: str, case: Case, n_cases: int) -> None:
        """Try cases and add a row."""
        seeds: Iterable[int] = tqdm(range(self.seed, self.seed + n_cases), name)
        found = tally(case, seeds)
        for seed, wrong in found.wrong.items():
            print(f"{name}, seed {seed}: {wrong}")
        self.n_wrong += len(found.wrong)
        count = found.outcomes
        counts = [n_cases, *(count[outcome] for outcome in ("accepted", "refused", "wrong"))]
        self.rows.append([name, *map(str, counts), f"{found.slowest:.1f}"])

    def kill(self, n_kills: int) -> None:
        """Kill sweeps and add a row."""
        undisturbed = self.new_site()
        undisturbed.sweep()
        expected = sequence(undisturbed.study())
        done = wrong = whole = 0
        seed, slowest = self.seed, 0.0
        with tqdm(total=n_kills, desc="kills") as progress:
            while done < n_kills:
                start = time.perf_counter()
                try:
                    n = kill_and_resume(random.Random(seed), self.new_site, expected)
                    whole += 1
                except AssertionError as error:
                    print(f"kills, seed {seed}: {error}")
                    n, wrong = 1, wrong + 1
                slowest = max(slowest, time.perf_counter() - start)
                seed, done = seed + 1, done + n
                progress.update(n)
        self.n_wrong += wrong
        self.rows.append(
            [f"sweeps, killed {done} times", str(seed - self.seed), str(whole), "0", str(wrong), f"{slowest:.1f}"]
        )


def try_requests(bench: Bench, n_cases: int) -> None:
    """Requests to the service, with a model of our own."""
    served = bench.new_bench()
    served.sweep(*text_csv(bench.texts), "model=logistic", "n_trials=1")
    options = Options(max_batch=20, max_text=200)
    holder = ModelHolder(ModelSource(served.client, "models:/comments@champion"), options)
    with TestClient(make_app(Service(holder, options, Metrics()))) as client:
        bench.try_out("requests to the service", requests.Ask(client), n_cases)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2_000, help="cases in process, a quarter of each kind")
    parser.add_argument("--commands", type=int, default=60, help="command lines as processes")
    parser.add_argument("--kills", type=int, default=20, help="at least so many")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), arguments.seed)
        each = arguments.n // 4
        bench.try_out("command lines, looked at", command_lines.Looked(bench.new_bench(), bench.texts), each)
        bench.try_out("files of texts and ratings", tables.Read(bench.new_folder()), each)
        bench.try_out("stored models", models.Load(bench.new_folder(), KINDS), each)
        try_requests(bench, each)
        commands = command_lines.Run(bench.new_folder(), bench.store, bench.texts, bench.nursery)
        bench.try_out("command lines, run", commands, arguments.commands)
        if arguments.kills:
            bench.kill(arguments.kills)
        bench.nursery.close()
    table(["cases", "n", "accepted", "refused", "wrong", "slowest, s"], bench.rows)
    return 1 if bench.n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
