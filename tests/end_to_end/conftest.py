"""A folder to run commands in, with an MLflow store of its own, and made-up texts to sweep over."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import logging
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from mlflow import MlflowClient
from mlflow.entities import Run

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", ".*Any type hint", UserWarning)  # MLflow says so of its own types
    importlib.import_module("mlflow.pyfunc")

import sweeps.cli.compare
import sweeps.cli.predict
import sweeps.cli.promote
import sweeps.cli.rerun
import sweeps.cli.run
import sweeps.serve.__main__
from sweeps.tasks.metrics import TIMINGS

from .fault_site import PACKAGE, Site
from .nursery import Nursery, user_environment

WORDS = {
    "fair": ["good", "fine", "nice", "great", "happy", "kind"],
    "hate": ["bad", "awful", "ugly", "sad", "vile", "cruel"],
    "other": ["train", "bus", "car", "road", "bike", "tram"],
}
COMMON = ["the", "a", "this", "that", "very", "really", "some", "one"]


def write_texts(
    file: Path, *, rows: int = 90, labels: Sequence[str] = ("fair", "hate"), seed: int = 1, own: float = 0.6
) -> Path:
    """A CSV file with the columns text and label; words of another class are among them, but for a share of `own`."""
    rng = random.Random(seed)
    everything = [word for label in labels for word in WORDS[label]]
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for number in range(rows):
            label = labels[number % len(labels)]
            words = [rng.choice(WORDS[label] if rng.random() < own else everything) for _ in range(3)]
            writer.writerow([" ".join([*words, *rng.choices(COMMON, k=4)]), label])
    return file


def text_csv(file: Path) -> list[str]:
    """The arguments that sweep over such a file."""
    return ["dataset=text_csv", f"dataset.path={file}", "dataset.positive_label=hate"]


def write_yaml(file: Path, text: str) -> Path:
    """A config file; its folders are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return file


@dataclass(frozen=True)
class Finished:
    """What a command left on the screen, and its exit code."""

    code: int
    out: str
    err: str


class Workbench:
    """A folder to run commands in. Its MLflow store is the default one, by its absolute address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Finished:
        """`python -m sweeps.run` in this process; its trials, too, unless the arguments say where."""
        if not any(argument.startswith(("n_jobs=", "hydra/launcher=")) for argument in arguments):
            arguments = (*arguments, "n_jobs=0")
        return self._in_process("run", lambda _: sweeps.cli.run.main(), arguments, environ)

    def sweep(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Finished:
        """`python -m sweeps.run -m`, which has to succeed."""
        finished = self.run("-m", *arguments, environ=environ)
        assert finished.code == 0, finished.err
        return finished

    def predict(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Finished:
        return self._in_process("predict", sweeps.cli.predict.main, arguments, environ)

    def promote(self, *arguments: str) -> Finished:
        return self._in_process("promote", sweeps.cli.promote.main, arguments, None)

    def compare(self, *arguments: str) -> Finished:
        return self._in_process("compare", sweeps.cli.compare.main, arguments, None)

    def serve(self, *arguments: str) -> Finished:
        """`python -m sweeps.serve` with arguments that it refuses."""
        return self._in_process("serve", sweeps.serve.__main__.main, arguments, None)

    def rerun(self, *arguments: str) -> Finished:
        return self._in_process("rerun", sweeps.cli.rerun.main, arguments, None)

    def command(
        self, module: str, *arguments: str, environ: Mapping[str, str] | None = None, text: str | None = None
    ) -> Finished:
        """`python -m MODULE` in a process of its own, in a folder and environment as a user has them."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=user_environment(environ),
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def runs(self, kind: str | None = None) -> list[Run]:
        """Every run in the store, the oldest first; of one `sweeps.kind` if it is given."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        found = self.client.search_runs(
            experiments, f"tags.`sweeps.kind` = '{kind}'" if kind else "", order_by=["attributes.start_time"]
        )
        return list(found)

    def studies(self) -> list[Path]:
        """The folders of the studies here, by name."""
        return sorted(path for path in (self.folder / "multirun").glob("*") if path.name != "single")

    def study(self) -> Path:
        (only,) = self.studies()
        return only

    def aliases(self, name: str) -> dict[str, int]:
        """The versions that the aliases of a registered model point at."""
        aliases = self.client.get_registered_model(name).aliases
        return {alias: int(version) for alias, version in aliases.items()}

    def left(self) -> list[str]:
        """The files in the folder beside the store, for commands that shall leave none."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.name != "mlflow.db")

    def _in_process(
        self,
        name: str,
        main: Callable[[Sequence[str]], Any],
        arguments: Sequence[str],
        environ: Mapping[str, str] | None,
    ) -> Finished:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with (
            _as_in_a_new_process({"MLFLOW_TRACKING_URI": self.uri, **(environ or {})}),
            contextlib.chdir(self.folder),
            mock.patch.object(sys, "argv", [f"{name}.py", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main(arguments)
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        return Finished(code, out.getvalue(), err.getvalue())


def scores(run: Run) -> dict[str, float]:
    """The metrics of a run that are no times."""
    return {
        name: value
        for name, value in run.data.metrics.items()
        if not name.startswith("seconds_") and name not in TIMINGS
    }


@contextlib.contextmanager
def _as_in_a_new_process(environ: Mapping[str, str]) -> Iterator[None]:
    """Take back everything that a command changes for the whole process."""
    singletons = Singleton.get_state()
    handlers, level = logging.root.handlers[:], logging.root.level
    on_signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    path = sys.path[:]
    GlobalHydra.instance().clear()
    try:
        with mock.patch.dict(os.environ, user_environment(environ), clear=True):
            yield
    finally:
        GlobalHydra.instance().clear()
        Singleton.set_state(singletons)
        sys.path[:] = path
        for number, handler in on_signals.items():
            signal.signal(number, handler)
        for handler in logging.root.handlers[:]:
            logging.root.removeHandler(handler)
            if handler not in handlers:
                handler.close()
        for handler in handlers:
            logging.root.addHandler(handler)
        logging.root.setLevel(level)


@pytest.fixture
def empty_bench(tmp_path: Path) -> Workbench:
    """An empty folder for the commands of one test."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Workbench(folder)


@pytest.fixture
def bench(empty_bench: Workbench, empty_store: Path) -> Workbench:
    """A folder with nothing in it but an MLflow store without runs."""
    shutil.copy(empty_store, empty_bench.folder / "mlflow.db")
    return empty_bench


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with its tables and no runs: making one takes seconds where the disk is slow."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Starts commands in processes of their own that can be killed."""
    nursery = Nursery(tmp_path_factory.mktemp("nursery"), [PACKAGE])
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def new_site(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, nursery: Nursery) -> Callable[[], Site]:
    """Makes folders for sweeps that things happen to."""

    def make() -> Site:
        folder = tmp_path_factory.mktemp("site")
        shutil.copy(empty_store, folder / "mlflow.db")
        return Site(folder, nursery)

    return make


@pytest.fixture
def site(new_site: Callable[[], Site]) -> Site:
    """A folder for the sweeps of one test."""
    return new_site()


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 90 made-up texts of two classes."""
    return write_texts(tmp_path_factory.mktemp("texts") / "comments.csv")


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, texts: Path) -> Workbench:
    """A folder with versions 1 (champion) and 2 of the model `comments`, which differ in their confidences.

    For reading only: a test that moves the alias or logs runs takes a copy, `promoted_bench`.
    """
    bench = Workbench(tmp_path_factory.mktemp("two_versions"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    for strength in ("1.0", "0.1"):
        bench.sweep(*text_csv(texts), "model=logistic", f"model.C={strength}", "n_trials=1", "promote=never")
    bench.promote("comments", "1")
    return bench


@pytest.fixture
def promoted_bench(two_versions: Workbench) -> Iterator[Workbench]:
    """The folder of `two_versions`, whose registry and runs are put back after the test."""
    # Through sqlite, since a part of the store may be in its write-ahead log.
    with (
        closing(sqlite3.connect(two_versions.folder / "mlflow.db")) as store,
        closing(sqlite3.connect(":memory:")) as kept,
    ):
        store.backup(kept)
        yield two_versions
        kept.backup(store)


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
