"""The task: a score that follows from the parameters alone, and mischief on demand.

`MISCHIEF=die@3 hang@default` in the environment: trial 3 kills its process, and every trial of the defaults hangs.
`MISCHIEF=sleep:0.5@*` holds for every trial, and `await:FILE@3` makes trial 3 wait for a file. `PLACE` names a folder
where each trial leaves a file when it begins.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
from hydra.core.hydra_config import HydraConfig

from sweeps.base.build import build
from sweeps.base.errors import ConfigError, DataError
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.base import Candidate, Evaluation, Predictor, Task
from sweeps.tasks.metrics import Direction


def load_offset(path: str) -> float:
    """A file with one number."""
    try:
        return float(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"dataset.path={path}: {error}") from error


@dataclass(frozen=True)
class Cog:
    """A model of three numbers."""

    x: float = 0.5
    kind: str = "round"
    y: int = 2

    def score(self, fold: int) -> float:
        """The higher the better; every fold has an opinion of its own."""
        best = 0.3 if self.kind == "round" else 0.7
        return 1.0 - (self.x - best) ** 2 - 0.01 * (self.y - 4) ** 2 * (self.kind == "round") + 0.001 * fold


@dataclass(frozen=True)
class CogPredictor:
    """Predicts its own score."""

    value: float

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"prediction": [self.value] * len(frame)}, index=frame.index)

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True)
        (directory / "cog.json").write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "cog.json").read_text(encoding="utf-8")))

    def pip_requirements(self) -> list[str]:
        return []


class Clockwork(Task):
    """Four folds of arithmetic."""

    directions: ClassVar[Mapping[str, Direction]] = {"val_score": "maximize"}
    default_metric: ClassVar[str] = "val_score"

    def __init__(self, data: float, n_folds: int = 4) -> None:
        self._offset = data
        self._n_folds = n_folds

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self._offset).encode()).hexdigest()

    def split_options(self) -> Mapping[str, Any]:
        return {"n_folds": self._n_folds}

    def check(self, candidate: Candidate) -> None:
        if not isinstance(build(candidate.model, "model"), Cog):
            raise ConfigError("model: Clockwork turns cogs alone.")

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        started = time.perf_counter()
        cog = build(candidate.model, "model")
        _make_mischief(cog)
        scores = []
        for fold in range(self._n_folds):
            scores.append(cog.score(fold) + self._offset)
            report({"val_score": scores[-1]})
        metrics = {"val_score": sum(scores) / len(scores), "test_score": cog.score(0) + self._offset}
        return Evaluation(metrics, {"fit": time.perf_counter() - started})

    def refit(self, candidate: Candidate) -> CogPredictor:
        return CogPredictor(build(candidate.model, "model").score(0) + self._offset)

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        return {"test_score": float(predictor.predict(self.example())["prediction"].iloc[0])}

    def example(self) -> pd.DataFrame:
        return pd.DataFrame({"time": [0.0, 1.0]})

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        return CogPredictor.load(directory)


def _make_mischief(cog: Cog) -> None:
    number = str(HydraConfig.get().job.num)
    place = os.environ.get("PLACE")
    if place:
        (Path(place) / f"{number}-{os.getpid()}").touch()
    for order in os.environ.get("MISCHIEF", "").split():
        what, _, whom = order.partition("@")
        if whom in ("*", number) or (whom == "default" and cog.x == 0.5):
            what, _, argument = what.partition(":")
            _DEEDS[what](argument)


def _use_up_the_memory(_: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    bytearray(2**33)


def _hold_the_interpreter(_: str) -> None:
    ctypes.PyDLL(None).sleep(3600)


def _await(file: str) -> None:
    while not Path(file).exists():
        time.sleep(0.05)


def _spawn(_: str) -> None:
    child = subprocess.Popen(["sleep", "3600"])
    (Path(os.environ["PLACE"]) / f"child-{child.pid}").touch()


_DEEDS = {
    "await": _await,
    "abort": lambda _: os.abort(),
    "spawn": _spawn,
    "die": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda code: os._exit(int(code)),
    "stop": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "raise": lambda text: (_ for _ in ()).throw(RuntimeError(text)),
    "memory": _use_up_the_memory,
    "hold": _hold_the_interpreter,
}
