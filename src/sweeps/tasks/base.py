"""What a kind of work must offer: load, evaluate, refit, store. A task in another package subclasses `Task`."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pandas as pd

from sweeps.base.predictions import Predictions
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.metrics import Direction
from sweeps.tasks.serving_cost import model_bytes, predict_ms

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

N_INPUTS = 30
"""How many inputs predictions are timed by, where there are so many."""


@dataclass(frozen=True)
class Candidate:
    """The configured parts of one trial, resolved and without search space.

    >>> Candidate(model={"_target_": "sklearn.svm.SVC", "C": 0.5}, seed=1).vectorizer
    {}

    Attributes:
        model: `_target_` and hyperparameters of the model.
        vectorizer: the same of the vectorizer; empty for `vectorizer=none`.
        seed: of everything random in the fit.
        trusted_types: type names that the model's YAML allows in its stored form, beyond the built-in list.
    """

    model: Mapping[str, Any]
    vectorizer: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    trusted_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """What a trial measured.

    >>> Evaluation(metrics={"val_mae": 0.5, "test_mae": 0.6}, seconds={"fit": 0.01}).metrics["val_mae"]
    0.5

    Attributes:
        metrics: by name, `val_` from the training part alone, `test_` from the held-out part.
        seconds: wall time by phase, such as `vectorize`, `fit` and `score`.
        predictions: of each fold and of the test part, in the rows' order, for the comparison of models; may be none.
    """

    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    predictions: Sequence[Predictions] = ()


@dataclass(frozen=True)
class Tried:
    """A candidate and the metrics of its completed trial."""

    candidate: Candidate
    metrics: Mapping[str, float]


class Predictor(Protocol):
    """A fitted, stored and loadable model."""

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions for a frame of inputs, one row each, with a column `prediction`.

        Raises:
            DataError: a column is missing, or holds what cannot be read; the message is for whoever sent the frame.
        """

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        """Write plain files from which `Task.load` gives the model back without running foreign code."""

    def pip_requirements(self) -> list[str]:
        """Pinned requirements (`name==version`) of what loading needs."""


class Task(ABC):
    """One kind of work on one dataset, with its split; made once for a study.

    A dataset's YAML names the class under `task`. Keys of the YAML that the constructor names are its arguments; the
    others belong to the dataset's own `_target_`, whose result is the first argument.

    A whole task, whose models are a number each, and which measures how far that is from the data:

    >>> from statistics import fmean
    >>> class Level:
    ...     def __init__(self, level):
    ...         self.level = level
    ...     def predict(self, frame):
    ...         return pd.DataFrame({"prediction": [self.level] * len(frame)})
    ...     def save(self, directory, trusted=()):
    ...         directory.mkdir()
    ...         _ = (directory / "level.json").write_text(json.dumps(self.level))
    ...     def pip_requirements(self):
    ...         return []
    >>> class Levels(Task):
    ...     directions = {"val_mae": "minimize"}
    ...     default_metric = "val_mae"
    ...     def __init__(self, numbers, n_test=2):
    ...         self.numbers, self.n_test = numbers, n_test
    ...     @property
    ...     def fingerprint(self):
    ...         return hashlib.sha256(json.dumps(self.numbers).encode()).hexdigest()
    ...     def split_options(self):
    ...         return {"n_test": self.n_test}
    ...     def check(self, candidate):
    ...         float(candidate.model["level"])
    ...     def evaluate(self, candidate, report=no_report):
    ...         level = self.refit(candidate)
    ...         val_mae = fmean(abs(number - level.level) for number in self.numbers[: -self.n_test])
    ...         report({"val_mae": val_mae})
    ...         return Evaluation({"val_mae": val_mae, **self.test_scores(level)}, {"fit": 0.0})
    ...     def refit(self, candidate):
    ...         return Level(candidate.model["level"])
    ...     def test_scores(self, predictor):
    ...         return {"test_mae": fmean(abs(number - predictor.level) for number in self.numbers[-self.n_test :])}
    ...     def example(self):
    ...         return pd.DataFrame({"row": [0, 1]})
    ...     @classmethod
    ...     def load(cls, directory, trusted=()):
    ...         return Level(json.loads((directory / "level.json").read_text()))

    It keeps the rules, which a test of yours checks with `sweeps.tasks.testing.check_task`:

    >>> from sweeps.tasks.testing import check_task
    >>> task = Levels([1.0, 3.0, 2.0, 2.0])
    >>> check_task(task, Candidate(model={"level": 2.0}))
    >>> task.evaluate(Candidate(model={"level": 2.0})).metrics
    {'val_mae': 1.0, 'test_mae': 0.0}
    >>> task.evaluation_id() == Levels([1.0, 3.0, 2.0, 2.0], n_test=1).evaluation_id()
    False

    Attributes:
        directions: the metrics that may be an objective, and which way each is better: what `evaluate` measures inside
            the training part. For the gate, `val_x` needs a `test_x` among the metrics; where the objective has none,
            that of the default metric is compared.
        default_metric: the objective where `metric=` is not given.
        on_demand: more of them, that `measure` measures where they are asked for.
        n_reports: how often `evaluate` reports, as after each fold: no pruner is asked after the last. None where
            it may vary.
    """

    directions: ClassVar[Mapping[str, Direction]]
    default_metric: ClassVar[str]
    on_demand: ClassVar[Mapping[str, Direction]] = {"predict_ms": "minimize", "model_bytes": "minimize"}
    n_reports: int | None = None

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the dataset's content."""

    @abstractmethod
    def split_options(self) -> Mapping[str, Any]:
        """All that, beside the content, decides what a `test_` score is measured on."""

    def describe_data(self) -> Mapping[str, str]:
        """What was read, each a few words by its name: said before the first trial, and tags of the parent run.

        Nothing by default. Names such as "rows" or "on_duplicates" become tags `sweeps.data.rows`.
        """
        return {}

    @abstractmethod
    def check(self, candidate: Candidate) -> None:
        """Refuse, before the first trial, a candidate that does not fit the task or could not be stored.

        Raises:
            ConfigError: a model or vectorizer of another task, or arguments that it refuses.
            ModelError: a model that cannot be stored as plain data.
        """

    @abstractmethod
    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        """Fit and score a candidate.

        Args:
            candidate: checked.
            report: to be called after each step (fold, epoch) with that step's scores, for a pruner to judge.

        Raises:
            Pruned: from `report`.
        """

    def measure(self, candidate: Candidate, evaluation: Evaluation, names: Collection[str]) -> Mapping[str, float]:
        """Metrics of `on_demand`: those of the model that would be served, which is fitted for them.

        `predict_ms` is the median time of one prediction, `model_bytes` the size of what is stored.

        Args:
            candidate: checked.
            evaluation: of it.
            names: at least one.
        """
        return self._measure(self.refit(candidate), candidate, names)

    def _measure(self, predictor: Predictor, candidate: Candidate, names: Collection[str]) -> dict[str, float]:
        found: dict[str, float] = {}
        if "predict_ms" in names:
            found["predict_ms"] = predict_ms(predictor, self.inputs())
        if "model_bytes" in names:
            found["model_bytes"] = model_bytes(predictor, candidate.trusted_types)
        return found

    @abstractmethod
    def refit(self, candidate: Candidate) -> Predictor:
        """Fit a candidate on the whole training part."""

    @abstractmethod
    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        """The `test_` metrics of a refitted model."""

    def plots(self, tried: Sequence[Tried]) -> Mapping[str, Figure]:
        """Figures about a finished study, by file name, for its parent run; none by default.

        Args:
            tried: every completed trial.
        """
        return {}

    @abstractmethod
    def example(self) -> pd.DataFrame:
        """A small input for the model's signature; made up, so that no data leaves with the model."""

    def inputs(self) -> pd.DataFrame:
        """A few inputs as they will come, to time predictions by; the example, unless the task knows better."""
        return self.example()

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        """Read back what `Predictor.save` wrote.

        Raises:
            ModelError: the files need types that are neither built in nor among `trusted`.
        """

    def evaluation_id(self) -> str:
        """Equal for two models if and only if their `test_` scores compare: same content, task, filters and split."""
        described = {
            "content": self.fingerprint,
            "task": f"{type(self).__module__}.{type(self).__qualname__}",
            "split": dict(self.split_options()),
        }
        return _digest(described)

    def selection_id(self) -> str:
        """Equal for two models if and only if their `val_` scores compare as well: the same folds, too."""
        return _digest({"evaluation": self.evaluation_id(), "selection": dict(self.selection_options())})

    def selection_options(self) -> Mapping[str, Any]:
        """All that, beside what decides about `test_` scores, decides what `val_` scores are measured on."""
        return {"n_reports": self.n_reports}


def _digest(described: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:32]
