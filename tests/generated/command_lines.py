"""Command lines, few of which make sense: looked at in this process, or run in processes of their own."""

from __future__ import annotations

import random
from pathlib import Path

from mlflow import MlflowClient

from end_to_end.conftest import Workbench, text_csv
from end_to_end.nursery import Nursery, user_environment

from .trial_and_error import LONGEST, WrongError, check_message, files_in

KEYS = [
    "model", "vectorizer", "dataset", "sampler", "pruner", "experiment", "n_trials", "timeout", "patience", "target",
    "n_jobs", "seed", "metric", "study_name", "storage", "promote", "also_log", "also_log.params", "cache.max_bytes",
    "model.C", "model.kernel", "model.gamma", "model.search_space", "vectorizer.ngram_range", "vectorizer.min_df",
    "dataset.test_size", "dataset.n_folds", "dataset.label_column", "sampler.seed", "hydra.verbose", "hydra.job.name",
    "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir", "hydra/launcher", "hydra/sweeper",
    "experiment_name", "registered_model_name", "max_failure_rate", "trial_timeout", "hydra.sweeper.params",
    "model@other", "nothing",
]  # fmt: skip
VALUES = [
    "null", "1", "0", "-1", "1.5", "nan", "inf", "1e400", "true", "''", "' '", "svm", "logistic", "svm,logistic", "[]",
    "[1,2]", "[[1]]", "{}", "{a: 1}", "{a: {b: 1}}", "${nope}", "${seed}", "${hydra:runtime.cwd}", "???", "a.b", "a/b",
    "..", "~", "interval(0,1)", "interval(1,0)", "int(interval(1,10))", "range(1,4)", "range(1,1)", "choice(1,2)",
    "choice()", "glob(*)", "glob(x*)", "tag(log,interval(0.1,1))", "sort(3,1)", "shuffle(1,2)", "a b", "ü", "9" * 400,
    "x" * 300, "tpe", "grid", "none", "median", "linear", "sqlite:///x.db", "sqlite://", "postgresql://u:p@127.0.0.1:1/x",
    "'a,b'", "\\x", "$x", "{", "]", "1,null", "NaN,1",
]  # fmt: skip
SIGNS = ["", "", "", "", "+", "++", "~"]


def command_line(rng: random.Random) -> list[str]:
    """`-m` or not, and one to three overrides."""
    multirun = ["-m"] if rng.random() < 0.7 else []
    overrides = [f"{rng.choice(SIGNS)}{rng.choice(KEYS)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.1:
        overrides.append(f"~{rng.choice(KEYS)}")
    return [*multirun, *overrides]


class Looked:
    """Looks at command lines with `dry_run=true`.

    Args:
        bench: empty but for its store.
        texts: a CSV file.
    """

    def __init__(self, bench: Workbench, texts: Path) -> None:
        self._bench = bench
        self._data = text_csv(texts)

    def __call__(self, rng: random.Random) -> str:
        line = command_line(rng)
        done = self._bench.run(
            *(["-m"] if "-m" in line else []), *self._data, "dry_run=true", *line[line.count("-m") :]
        )
        if self._bench.left():
            raise WrongError(f"{line} left {self._bench.left()}")
        if done.code == 0:
            return "accepted"
        check_message(done.err, line)
        return "refused"


class Run:
    """Runs command lines: sweeps of two trials in processes of their own.

    Args:
        folder: empty.
        store: a file of an MLflow store without runs.
        texts: a CSV file.
        nursery: starts them.
        longest: seconds that one may take.
    """

    def __init__(self, folder: Path, store: Path, texts: Path, nursery: Nursery, longest: float = LONGEST) -> None:
        self._longest = longest
        self._folder = folder
        self._store = store.read_bytes()
        self._data = text_csv(texts)
        self._nursery = nursery

    def __call__(self, rng: random.Random) -> str:
        line = command_line(rng)
        top = self._folder / f"{rng.getrandbits(64):x}"
        here, home, temporary = top / "here", top / "home", top / "tmp"
        for folder in (here, home, temporary):
            folder.mkdir(parents=True)
        (here / "mlflow.db").write_bytes(self._store)
        places = {"HOME": str(home), "TMPDIR": str(temporary)}
        multirun = ["-m", "n_trials=2"] if "-m" in line else []
        command = self._nursery.start(
            "sweeps.run",
            *multirun[:1],
            *self._data,
            *multirun[1:],
            "model=logistic",
            *line[line.count("-m") :],
            folder=here,
            environ=user_environment(places),
        )
        try:
            code = command.wait(self._longest)
        except TimeoutError:
            raise WrongError(f"{line} takes more than {self._longest:g} s\n{command.err}") from None
        self._check(line, code, command.err, here)
        outside = files_in(home, temporary)
        if outside:
            raise WrongError(f"{line} left outside: {outside}")
        return "accepted" if code == 0 else "refused"

    def _check(self, line: list[str], code: int, message: str, here: Path) -> None:
        if code not in (0, 1):
            raise WrongError(f"{line} ended with {code}: {message}")
        if "Traceback" in message:
            raise WrongError(f"{line}: {message}")
        client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
        found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        running = [run.info.run_id for run in found if run.info.status == "RUNNING"]
        if running:
            raise WrongError(f"{line} left runs RUNNING")
        if code == 0:
            return
        check_message(message, line)
        left = files_in(here) - {str(here / "mlflow.db")}
        if left and not found:
            raise WrongError(f"{line} was refused and left {left}")
