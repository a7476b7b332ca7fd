"""Recommendation: rating prediction with scikit-surprise, selected by cross-validation inside the training part."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from surprise import AlgoBase

from sweeps.base.build import TARGET, BuildError, build, class_of, parameters_of
from sweeps.base.errors import ConfigError, DataError
from sweeps.base.predictions import Predictions
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.base import N_INPUTS, Candidate, Evaluation, Predictor, Task, Tried
from sweeps.tasks.clock import Clock
from sweeps.tasks.metrics import Direction, over_folds, rating_errors
from sweeps.tasks.ratings.curves import draw_curves
from sweeps.tasks.ratings.data import RatingsData
from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset, InnerIds
from sweeps.tasks.ratings.model import Recommender, estimates
from sweeps.tasks.split import check_split

if TYPE_CHECKING:  # it is slow to import, and only plots need it
    from matplotlib.figure import Figure

_CHECK_ROWS = 500
_KNN = f"{KNN.__module__}.{KNN.__qualname__}"
_CURVE_KS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100]
_CURVE_PAIRS = 200_000
_OVERFITTING_ROWS = 200_000


class Recommendation(Task):
    """Random or temporal hold-out with its own seed; k-fold, or growing windows of time, inside the training part.

    The random hold-out is that of `surprise.model_selection.train_test_split(data, test_size, random_state=split_seed)`
    and the folds are those of `surprise.model_selection.KFold(n_folds, random_state=split_seed)` on its training part.
    `split: time` tests on the latest ratings and validates each window on the ratings that follow it.

    Args:
        data: ratings.
        test_size: share of the ratings held out for `test_`.
        split_seed: seed of the split and the folds; not the sweep's `seed`, so that sweeps compare.
        n_folds: folds for `val_`; 1 holds out `test_size` of the training part once, for large data.
        split: random or time.
        n_repeats: how often the training part is parted into folds, at other seeds; `val_` is the mean over all.

    Raises:
        ConfigError: an option is out of range, or `split: time` without timestamps.
        DataError: too few ratings for the split and the folds.
    """

    directions: ClassVar[Mapping[str, Direction]] = {
        "val_rmse": "minimize",
        "val_mae": "minimize",
        "fit_seconds": "minimize",
    }
    default_metric: ClassVar[str] = "val_rmse"
    on_demand: ClassVar[Mapping[str, Direction]] = {"val_overfitting": "minimize", **Task.on_demand}

    def __init__(
        self,
        data: RatingsData,
        test_size: float = 0.2,
        split_seed: int = 42,
        n_folds: int = 3,
        split: Literal["random", "time"] = "random",
        n_repeats: int = 1,
    ) -> None:
        check_split(test_size, split_seed, n_folds, n_repeats, fewest_folds=1)
        if split not in ("random", "time"):
            raise ConfigError(f"dataset.split={split}: random or time.")
        if split == "time" and n_repeats > 1:
            raise ConfigError("dataset.n_repeats: dataset.split=time parts the ratings in one way only; leave it out.")
        if split == "time" and data.timestamps is None:
            raise ConfigError("dataset.split=time needs timestamps: name their column, dataset.timestamp_column=NAME.")
        self.data = data
        self.test_size = test_size
        self.split_seed = split_seed
        self.n_folds = n_folds
        self.n_repeats = n_repeats
        self.n_reports = n_folds * n_repeats
        self.split = split
        train, test = self._hold_out(np.arange(len(data.ratings)), split_seed)
        if min(len(train), len(test)) < 1 or len(train) <= n_folds:
            raise DataError(
                f"{data.source}: {len(data.ratings)} ratings are too few for test_size={test_size} and "
                f"n_folds={n_folds}."
            )
        self._whole = _Part(data, train, test)
        seeds = range(split_seed, split_seed + n_repeats)
        self._folds = [_Part(data, fit, score) for seed in seeds for fit, score in self._fold_rows(train, seed)]

    @property
    def fingerprint(self) -> str:
        """A hash of ids, ratings, timestamps and scale in order."""
        return self.data.fingerprint

    def split_options(self) -> Mapping[str, Any]:
        """Kind, size and seed of the test part."""
        return {"test_size": float(self.test_size), "split_seed": self.split_seed, "split": self.split}

    def selection_options(self) -> Mapping[str, Any]:
        """Folds and repeats."""
        return {"n_folds": self.n_folds, "n_repeats": self.n_repeats}

    def describe_data(self) -> Mapping[str, str]:
        """Ratings, users, items, scale, and what was left out."""
        low, high = self.data.scale
        return {
            "ratings": f"{len(self.data.ratings):,}",
            "users": f"{len(pd.unique(self.data.users)):,}",
            "items": f"{len(pd.unique(self.data.items)):,}",
            "scale": f"{low:g} to {high:g}",
            "dropped": self.data.dropped or "none",
        }

    def check(self, candidate: Candidate) -> None:
        """Build the candidate, fit it on a few ratings and store it for a trial."""
        algorithm = self._build(candidate)
        few = _Part(self.data, self._whole.fit[:_CHECK_ROWS], self._whole.score[:1])
        try:
            algorithm.fit(few.trainset)
        except Exception:  # noqa: BLE001 - so few ratings may defeat a sound candidate; its trial will tell
            return
        with tempfile.TemporaryDirectory() as directory:
            self._recommender(algorithm).save(Path(directory) / "model", candidate.trusted_types)

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        """Score every fold for `val_` (the mean over folds), then a fit on the whole training part for `test_`.

        `fit_seconds` is what all fits cost, see `Clock`; of k-NN with the search for neighbours.
        """
        clock = Clock()
        fold_scores, predictions = [], []
        for index, fold in enumerate(self._folds):
            predictions.append(self._predictions("val", candidate, fold, clock, index // self.n_folds))
            fold_scores.append(rating_errors(predictions[-1].y_true, predictions[-1].y_pred))
            report({f"val_{name}": value for name, value in fold_scores[-1].items()})
        metrics = over_folds(fold_scores, self.n_repeats)
        test = self._predictions("test", candidate, self._whole, clock)
        metrics |= {f"test_{name}": value for name, value in rating_errors(test.y_true, test.y_pred).items()}
        return Evaluation({**metrics, "fit_seconds": clock.fit_seconds}, clock.seconds, [*predictions, test])

    def measure(self, candidate: Candidate, evaluation: Evaluation, names: Collection[str]) -> Mapping[str, float]:
        """See `Task`; `val_overfitting` is `val_rmse` less the error on the ratings of the training part.

        Of a large one, that of the first in the order of the split, which is a random one unless `split: time`.
        """
        recommender = self.refit(candidate)
        found = self._measure(recommender, candidate, names)
        if "val_overfitting" in names:
            rows = self._whole.fit[:_OVERFITTING_ROWS]
            predicted = recommender.predict(self._pairs(rows))["prediction"].to_numpy()
            train_rmse = rating_errors(self.data.ratings[rows], predicted)["rmse"]
            found["val_overfitting"] = evaluation.metrics["val_rmse"] - train_rmse
        return found

    def refit(self, candidate: Candidate) -> Recommender:
        """Fit on the whole training part."""
        return self._recommender(self._build(candidate).fit(self._whole.trainset))

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        """The `test_` metrics of a fitted recommender."""
        rows = self._whole.score
        predicted = predictor.predict(self._pairs(rows))["prediction"].to_numpy()
        return {f"test_{name}": value for name, value in rating_errors(self.data.ratings[rows], predicted).items()}

    def example(self) -> pd.DataFrame:
        """A known pair, without its rating."""
        return self._pairs(self._whole.fit[:1])

    def inputs(self) -> pd.DataFrame:
        """The first pairs of the training part."""
        return self._pairs(self._whole.fit[:N_INPUTS])

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Recommender:
        """Read a `Recommender` back."""
        return Recommender.load(directory, trusted)

    def plots(self, tried: Sequence[Tried]) -> Mapping[str, Figure]:
        """`val_rmse` against k for k-NN, a line for each similarity, with the settings of its best trial otherwise.

        One pass gives the predictions for every k, so a line costs about as much as a trial. On large data it is drawn
        from a part of the ratings to score.
        """
        best: dict[str, Tried] = {}
        for one in sorted(tried, key=lambda one: one.metrics["val_rmse"]):
            if one.candidate.model.get(TARGET) == _KNN:
                best.setdefault(str(one.candidate.model.get("similarity", "cosine")), one)
        if not best:
            return {}
        lines = {similarity: self._curve(one.candidate) for similarity, one in best.items()}
        return {"rmse_by_k.png": draw_curves(lines, _CURVE_KS, "neighbours k", "val_rmse")}

    def _pairs(self, rows: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(
            {self.data.user_column: self.data.users[rows], self.data.item_column: self.data.items[rows]}
        )

    def _curve(self, candidate: Candidate) -> np.ndarray:
        """Mean `val_rmse` over folds for each of `_CURVE_KS`; NaN below `min_k`, where no neighbour counts."""
        errors = []
        for fold in self._folds:
            algorithm = self._build(candidate)
            assert isinstance(algorithm, KNN)  # noqa: S101 - for mypy: chosen by its target
            users, items = (ids[:_CURVE_PAIRS] for ids in fold.inner)
            values = algorithm.fit(fold.trainset).curves(users, items, _CURVE_KS).values
            truth = self.data.ratings[fold.score[:_CURVE_PAIRS]]
            errors.append([rating_errors(truth, row)["rmse"] for row in values])
        mean: np.ndarray = np.asarray(errors).mean(axis=0)
        mean[np.asarray(_CURVE_KS) < algorithm.min_k] = np.nan
        return mean

    def _hold_out(self, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to fit on and rows held out; Surprise's `ShuffleSplit` for one split, or the latest ratings."""
        n_held_out = math.ceil(self.test_size * len(rows))
        if self.split == "time":
            order = self._by_time(rows)
        else:
            order = rows[np.random.RandomState(seed).permutation(len(rows))]
        return order[: len(rows) - n_held_out], order[len(rows) - n_held_out :]

    def _fold_rows(self, train: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        if self.n_folds == 1:
            return [self._hold_out(train, seed)]
        if self.split == "time":
            windows = np.array_split(self._by_time(train), self.n_folds + 1)
            return [(np.concatenate(windows[:i]), windows[i]) for i in range(1, self.n_folds + 1)]
        order = np.arange(len(train))
        np.random.RandomState(seed).shuffle(order)  # Surprise's KFold
        folds = np.array_split(order, self.n_folds)
        return [(train[np.concatenate([*folds[:i], *folds[i + 1 :]])], train[fold]) for i, fold in enumerate(folds)]

    def _by_time(self, rows: np.ndarray) -> np.ndarray:
        assert self.data.timestamps is not None  # noqa: S101 - for mypy: checked on construction
        return rows[np.argsort(self.data.timestamps[rows], kind="stable")]

    @cached_property
    def _user_codes(self) -> np.ndarray:
        """Users as numbers, by first appearance."""
        return pd.factorize(self.data.users)[0].astype(np.int32)

    def _build(self, candidate: Candidate) -> AlgoBase:
        if candidate.vectorizer:
            raise ConfigError("vectorizer: recommendation has nothing to vectorize; leave it out, or vectorizer=none.")
        config = dict(candidate.model)
        kind = class_of(config, "model") or object
        if not issubclass(kind, AlgoBase):
            raise BuildError(
                f"model: {config.get(TARGET, 'a model without _target_')} is not a Surprise algorithm; recommendation "
                f"needs one such as model=knn."
            )
        if "random_state" in parameters_of(kind) and config.get("random_state") is None:
            config["random_state"] = candidate.seed
        algorithm: AlgoBase = build(config, "model")
        return algorithm

    def _predictions(self, name: str, candidate: Candidate, part: _Part, clock: Clock, repeat: int = 0) -> Predictions:
        """Fit on one part, and predict what it scores; rows of one user are in a group."""
        algorithm = self._build(candidate)
        with clock.phase("load"):
            trainset = part.trainset
        with clock.phase("fit", fits=True):
            algorithm.fit(trainset)
        with clock.phase("score"):
            predicted = part.predict(algorithm)
        users = self._user_codes[part.score]
        return Predictions(name, self.data.ratings[part.score], predicted, users, repeat=repeat)

    def _recommender(self, algorithm: AlgoBase) -> Recommender:
        return Recommender(algorithm, self.data.user_column, self.data.item_column)


@dataclass(frozen=True)
class _Part:
    """Ratings to fit on and to score.

    Attributes:
        fit: row numbers in the order that Surprise would fit them.
        score: row numbers to score.
    """

    data: RatingsData
    fit: np.ndarray
    score: np.ndarray

    @cached_property
    def trainset(self) -> ArrayTrainset:
        data, rows = self.data, self.fit
        return ArrayTrainset.of_ratings(data.users[rows], data.items[rows], data.ratings[rows], data.scale)

    @cached_property
    def inner(self) -> tuple[np.ndarray, np.ndarray]:
        """Inner ids of the users and items to score."""
        users, items = self.data.users[self.score].tolist(), self.data.items[self.score].tolist()
        return InnerIds(self.trainset).of(users, items)

    def predict(self, algorithm: AlgoBase) -> np.ndarray:
        """Clipped estimates of the rows to score."""
        if isinstance(algorithm, KNN):
            values: np.ndarray = algorithm.predict_inner(*self.inner).values[0]
            return values
        return estimates(algorithm, self.data.users[self.score].tolist(), self.data.items[self.score].tolist())[0]
