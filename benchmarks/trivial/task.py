"""Trials that evaluate a formula, or sleep."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from sweeps.base.build import build
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.base import Candidate, Evaluation, Predictor, Task
from sweeps.tasks.metrics import Direction


@dataclass
class Quadratic:
    """A sum of squares, best where all are 0.3; `sleep` seconds pass before it is known."""

    w: float = 0.5
    x: float = 0.5
    y: float = 0.5
    z: float = 0.5
    sleep: float = 0.0

    def loss(self) -> float:
        time.sleep(self.sleep)
        return float(sum((value - 0.3) ** 2 for value in (self.w, self.x, self.y, self.z)))


@dataclass
class Timetable:
    """Sleeps as long as the trial's place in the order says; the first four only warm the workers up."""

    number: int = 0

    def loss(self) -> float:
        from hydra.core.hydra_config import HydraConfig

        if HydraConfig.initialized():  # in a trial, and not where the winner is refitted
            place = HydraConfig.get().job.num - 4
            time.sleep(0.2 if place < 0 or place % 4 else 2.0)
        return float(self.number)


@dataclass
class Formula:
    """A fitted formula."""

    model: Quadratic | Timetable

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"prediction": [self.model.loss()] * len(frame)})

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True)
        (directory / "model.json").write_text(json.dumps(asdict(self.model)))

    def pip_requirements(self) -> list[str]:
        return ["pandas"]


def load() -> None:
    """There is no data."""


class Trivial(Task):
    """Measures a formula."""

    directions: ClassVar[Mapping[str, Direction]] = {"val_loss": "minimize", "val_gap": "minimize"}
    default_metric: ClassVar[str] = "val_loss"

    def __init__(self, data: None) -> None:
        self._data = data

    @property
    def fingerprint(self) -> str:
        return "none"

    def split_options(self) -> Mapping[str, Any]:
        return {}

    def check(self, candidate: Candidate) -> None:
        build(candidate.model, "model")

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        loss = build(candidate.model, "model").loss()
        gap = abs(float(candidate.model.get("w", 0.0)) - 0.7)
        return Evaluation({"val_loss": loss, "val_gap": gap, "test_loss": loss}, {})

    def refit(self, candidate: Candidate) -> Predictor:
        return Formula(build(candidate.model, "model"))

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        return {"test_loss": predictor.predict(self.example())["prediction"].iloc[0]}

    def example(self) -> pd.DataFrame:
        return pd.DataFrame({"row": ["one"]})

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        return Formula(Quadratic(**json.loads((directory / "model.json").read_text())))
