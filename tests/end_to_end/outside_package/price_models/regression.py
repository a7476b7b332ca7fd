"""Regression: ridge and other linear models of scikit-learn, stored as their coefficients."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_predict, train_test_split

from sweeps.base.build import build
from sweeps.base.errors import ConfigError, DataError, ModelError
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.base import Candidate, Evaluation, Predictor, Task
from sweeps.tasks.metrics import Direction


def load_numbers(path: str, target: str) -> pd.DataFrame:
    """A CSV file of numbers, the target as its last column."""
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError as error:
        raise DataError(f"dataset.path={path}: there is no such file.") from error
    if target not in frame.columns:
        raise DataError(f"{path} has no column {target!r}; it has: {', '.join(frame.columns)}.")
    return frame[[*frame.columns.drop(target), target]]


@dataclass(frozen=True)
class LinearPredictor:
    """A fitted linear model as plain numbers."""

    columns: list[str]
    coefficients: list[float]
    intercept: float

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        try:
            features = frame[self.columns].astype(float).to_numpy()
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"A row needs numbers in the columns {', '.join(self.columns)}.") from error
        return pd.DataFrame({"prediction": features @ np.array(self.coefficients) + self.intercept}, index=frame.index)

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True)
        (directory / "linear.json").write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self:
        try:
            return cls(**json.loads((directory / "linear.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{directory} holds no linear model: {error}") from error

    def pip_requirements(self) -> list[str]:
        return [f"{name}=={version(name)}" for name in ("numpy", "pandas")]


class Regression(Task):
    """Cross-validation inside the training part selects, by root mean squared error."""

    directions: ClassVar[Mapping[str, Direction]] = {"val_rmse": "minimize"}
    default_metric: ClassVar[str] = "val_rmse"

    def __init__(self, data: pd.DataFrame, test_size: float = 0.25, split_seed: int = 0) -> None:
        self._data = data
        self._split = {"test_size": test_size, "split_seed": split_seed}
        self._train, self._test = train_test_split(data, test_size=test_size, random_state=split_seed)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._data.to_csv(index=False).encode()).hexdigest()

    def split_options(self) -> Mapping[str, Any]:
        return self._split

    def check(self, candidate: Candidate) -> None:
        if candidate.vectorizer:
            raise ConfigError("Regression takes no vectorizer: vectorizer=none.")
        if not hasattr(build(candidate.model, "model"), "fit"):
            raise ConfigError(f"model: {candidate.model.get('_target_')} cannot be fitted.")

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        start = time.perf_counter()
        predicted = cross_val_predict(build(candidate.model, "model"), *_columns(self._train), cv=3)
        metrics = {"val_rmse": _rmse(self._train.iloc[:, -1], predicted)}
        metrics |= self.test_scores(self.refit(candidate))
        return Evaluation(metrics, {"fit": time.perf_counter() - start})

    def refit(self, candidate: Candidate) -> LinearPredictor:
        model = build(candidate.model, "model").fit(*_columns(self._train))
        return LinearPredictor(list(self._train.columns[:-1]), model.coef_.tolist(), float(model.intercept_))

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        predicted = predictor.predict(self._test.iloc[:, :-1])["prediction"].to_numpy()
        return {"test_rmse": _rmse(self._test.iloc[:, -1], predicted)}

    def example(self) -> pd.DataFrame:
        return pd.DataFrame({name: [0.0, 1.0] for name in self._data.columns[:-1]})

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        return LinearPredictor.load(directory)


def _columns(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return frame.iloc[:, :-1].to_numpy(), frame.iloc[:, -1].to_numpy()


def _rmse(truth: pd.Series[Any], predicted: np.ndarray) -> float:
    return math.sqrt(float(np.mean((truth.to_numpy() - predicted) ** 2)))
