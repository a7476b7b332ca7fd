"""Surprise's four k-NN algorithms, with an engine of our own that returns the same predictions faster."""

from __future__ import annotations

import copy
import gc
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise, repeat
from typing import Any, Literal

import numpy as np
from surprise import (
    AlgoBase,
    KNNBaseline,
    KNNBasic,
    KNNWithMeans,
    KNNWithZScore,
    Prediction,
    PredictionImpossible,
    Trainset,
)
from surprise.prediction_algorithms.knns import SymmetricAlgo

from sweeps.base.cache import Cache
from sweeps.base.errors import ConfigError, ModelError
from sweeps.tasks.ratings.knn.arrays import InnerIds, arrays_of
from sweeps.tasks.ratings.knn.co_ratings import SIMILARITIES, SimilarityName
from sweeps.tasks.ratings.knn.engine import Engine, Estimates, Settings
from sweeps.tasks.ratings.knn.estimates import ALGORITHMS, AlgorithmName
from sweeps.tasks.ratings.knn.state import State, trainset_of, trainset_state

EngineName = Literal["fast", "surprise"]
ENGINES: tuple[EngineName, ...] = ("fast", "surprise")

_MOST_NEIGHBOURS = 2**31 - 1  # nobody has more, as inner ids are int32
_SURPRISES = {
    "basic": KNNBasic,
    "with_means": KNNWithMeans,
    "with_zscore": KNNWithZScore,
    "baseline": KNNBaseline,
}


class KNN(AlgoBase):  # type: ignore[misc]  # Surprise ships no types
    """k nearest neighbours among users or items.

    `fit`, `test`, `predict`, `estimate` and `get_neighbors` are those of Surprise's algorithms and return what they do:
    the estimates differ by rounding alone, `details` not at all. `predict_pairs` and `curves` return arrays instead.

    Args:
        k: the most neighbours to average over, at least 1.
        min_k: with fewer neighbours of positive similarity, the prediction is the offset alone (a mean, a
            baseline), and impossible for `basic`; at least 1.
        algorithm: basic, with_means, with_zscore or baseline: Surprise's KNNBasic, KNNWithMeans, KNNWithZScore and
            KNNBaseline.
        similarity: cosine, msd, pearson or pearson_baseline.
        user_based: neighbours are users; otherwise items.
        min_support: pairs with fewer common ratings have similarity 0; at least 1.
        shrinkage: of pearson_baseline, at least 0; the others ignore it.
        engine: fast, or surprise to run Surprise's own code.

    Attributes:
        engine_used: after `fit`, the engine; `surprise` too where the trainset's inner ids are not numbered as Surprise
            numbers them.
        similarity_source: after `fit`, `rows` where similarities are computed row by row, `surprise` where Surprise's
            functions computed the matrix (the trainset has duplicate pairs, or the installed Surprise rounds in another
            way than its source says).

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        k: int = 40,
        min_k: int = 1,
        algorithm: AlgorithmName = "basic",
        similarity: SimilarityName = "cosine",
        user_based: bool = True,
        min_support: int = 1,
        shrinkage: float = 100,
        engine: EngineName = "fast",
    ) -> None:
        _check_choice("algorithm", algorithm, ALGORITHMS)
        _check_choice("similarity", similarity, SIMILARITIES)
        _check_choice("engine", engine, ENGINES)
        for name, value, lowest in (("k", k, 1), ("min_k", min_k, 1), ("min_support", min_support, 1)):
            _check_lowest(name, value, lowest, (int, np.integer))
        _check_lowest("shrinkage", shrinkage, 0, (int, float, np.integer, np.floating))
        k, min_k, min_support = int(k), int(min_k), int(min_support)
        if not isinstance(user_based, (bool, np.bool_)):
            raise ConfigError(f"user_based must be true or false, got {user_based!r}")
        sim_options = {
            "name": similarity,
            "user_based": bool(user_based),
            "min_support": min_support,
            "shrinkage": shrinkage,
        }
        super().__init__(sim_options=sim_options)
        self.k = k
        self.min_k = min_k
        self.algorithm = algorithm
        self.similarity = similarity
        self.user_based = bool(user_based)
        self.min_support = min_support
        self.shrinkage = shrinkage
        self.engine = engine
        self._engine: Engine | None = None
        self._surprises = _SURPRISES[algorithm](k=k, min_k=min_k, sim_options=dict(sim_options), verbose=False)

    @property
    def engine_used(self) -> EngineName:
        """Which engine `fit` chose."""
        return "surprise" if self._engine is None else "fast"

    @property
    def similarity_source(self) -> Literal["rows", "surprise"]:
        """What computes the similarities."""
        return "rows" if self._engine is not None and self._engine.rows_are_ours else "surprise"

    def fit(self, trainset: Trainset) -> KNN:
        """Learn the ratings of a trainset.

        Raises:
            DataError: a rating is not a finite number (fast engine).
            ZeroDivisionError: a similarity is 0/0 (the fast engine's is an `UndefinedSimilarityError`).
        """
        super().fit(trainset)
        self.__dict__.pop("_inner_ids", None)  # of an earlier trainset
        arrays = arrays_of(trainset) if self.engine == "fast" else None
        if arrays is None:
            self._engine = None
            self._surprises.fit(trainset)
        else:
            self._engine = Engine(arrays, (trainset.n_users, trainset.n_items), self._settings)
            self._lend(self._engine)
        self.sim = self._surprises.sim
        return self

    @property
    def _settings(self) -> Settings:
        return Settings(
            self.min_k, self.algorithm, self.similarity, self.user_based, self.min_support, float(self.shrinkage)
        )

    def _lend(self, engine: Engine) -> None:
        """Give Surprise's object what its `estimate` reads, without running its `fit`."""
        surprises = self._surprises
        SymmetricAlgo.fit(surprises, self.trainset)
        surprises.sim = _Rows(engine)
        if self.algorithm == "baseline":
            surprises.bu, surprises.bi = self.bu, self.bi = engine.biases.users, engine.biases.items
            surprises.bx, surprises.by = surprises.switch(self.bu, self.bi)
        elif self.algorithm != "basic":
            surprises.means, surprises.sigmas = engine.spread.means, engine.spread.sigmas

    def estimate(self, u: int, i: int) -> Any:
        """Predict one pair of inner ids with Surprise's own `estimate`; see Surprise's `AlgoBase`."""
        return self._surprises.estimate(u, i)

    def default_prediction(self) -> float:
        """The mean of all ratings."""
        return float(self.trainset.global_mean) if self._engine is None else self._engine.ratings.global_mean

    def test(self, testset: Iterable[tuple[Hashable, Hashable, float]], verbose: bool = False) -> list[Prediction]:
        """Predict every row of a testset; see Surprise's `AlgoBase.test`.

        Args:
            testset: rows of raw user id, raw item id and true rating.
            verbose: print each prediction; they are then made one by one.
        """
        rows = list(testset)
        if self._engine is None or verbose:
            predictions: list[Prediction] = super().test(rows, verbose)
            return predictions
        with _no_garbage_collection():
            uids, iids, ratings = zip(*rows, strict=True) if rows else ((), (), ())
        found = self.predict_inner(*self.inner_ids(uids, iids))
        counts, impossible = found.counts[0], found.impossible[0]
        with _no_garbage_collection():
            details: list[dict[str, Any]] = [{"actual_k": count, "was_impossible": False} for count in counts.tolist()]
            for place in np.flatnonzero((counts < 0) | impossible).tolist():
                details[place] = _details_without_neighbours(counts[place] < 0, impossible[place])
            made = zip(uids, iids, ratings, found.values[0].tolist(), details, strict=True)
            return list(map(tuple.__new__, repeat(Prediction), made))  # a named tuple, without a call of Python each

    def inner_ids(self, uids: Iterable[Hashable], iids: Iterable[Hashable]) -> tuple[np.ndarray, np.ndarray]:
        """Inner ids of raw ones, int32; -1 for those that are not in the trainset."""
        return self._inner_ids.of(uids, iids)

    @cached_property
    def _inner_ids(self) -> InnerIds:
        return InnerIds(self.trainset)

    def predict_inner(self, users: np.ndarray, items: np.ndarray, clip: bool = True) -> Estimates:
        """Predict many pairs.

        Args:
            users, items: inner ids from `inner_ids`, shape (n_pairs,).
            clip: keep estimates in the rating scale, as `predict` does.

        Returns:
            Arrays of shape (1, n_pairs).
        """
        return self.curves(users, items, [self.k], clip)

    def curves(self, users: np.ndarray, items: np.ndarray, ks: Sequence[int], clip: bool = True) -> Estimates:
        """Predict many pairs for several k in one pass: each row is what `predict_inner` returns for that k.

        Args:
            users, items: inner ids from `inner_ids`, shape (n_pairs,).
            ks: ascending, each at least 1.
            clip: keep estimates in the rating scale, as `predict` does.

        Returns:
            Arrays of shape (len(ks), n_pairs).

        Raises:
            ValueError: ks do not ascend, or none is given.
        """
        if not ks or ks[0] < 1 or any(k > following for k, following in pairwise(ks)):
            raise ValueError(f"ks must ascend from 1 or more, got {list(ks)}")
        if self._engine is not None:
            found = self._engine.estimate(users, items, [min(k, _MOST_NEIGHBOURS) for k in ks])
        else:
            ones = [[self._estimate_one(u, i, k) for u, i in zip(users, items, strict=True)] for k in ks]
            columns = np.array(ones, dtype=np.float64).reshape(len(ks), len(users), 3)
            found = Estimates(columns[..., 0], columns[..., 1].astype(np.int32), columns[..., 2].astype(np.bool_))
        if clip:
            low, high = self.trainset.rating_scale
            # As Python's min and max, which take the bound where the estimate is NaN.
            found.values[~(found.values < high)] = high
            found.values[~(found.values > low)] = low
        return found

    def _estimate_one(self, user: int, item: int, k: int) -> tuple[float, int, bool]:
        surprises = copy.copy(self._surprises)
        surprises.k = k
        known = user >= 0 and item >= 0
        try:
            found = surprises.estimate(user if user >= 0 else "unknown", item if item >= 0 else "unknown")
        except PredictionImpossible:
            return self.default_prediction(), 0 if known else -1, True
        return (found[0], found[1]["actual_k"], False) if known else (found, -1, False)

    def state(self) -> State:
        """Options and ratings as plain arrays and scalars: all that `from_state` needs, growing with the ratings.

        Raises:
            ModelError: the model is not fitted, or the trainset has ids or ratings that arrays cannot stand for.
        """
        arrays = arrays_of(self.trainset) if getattr(self, "trainset", None) is not None else None
        if arrays is None:
            raise ModelError("only a k-NN model that is fitted, on a trainset as Surprise makes them, can be stored")
        return {name: getattr(self, name) for name in _OPTIONS} | trainset_state(self.trainset, arrays)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> KNN:
        """The fitted model that `state` was taken from; its predictions are equal to the last bit.

        Raises:
            ModelError: an entry is missing or damaged.
            ConfigError: an option is out of range.
        """
        missing = [name for name in _OPTIONS if name not in state]
        if missing:
            raise ModelError(f"the stored k-NN model has no entry {missing[0]!r}")
        options = {name: np.asarray(state[name]).item() for name in _OPTIONS}
        return cls(**options).fit(trainset_of(state))


_OPTIONS = ("k", "min_k", "algorithm", "similarity", "user_based", "min_support", "shrinkage", "engine")


class _Rows:
    """What Surprise reads as its similarity matrix; rows are computed when they are read, and the last ones kept."""

    _HELD_BYTES = 2**26

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = Cache(self._HELD_BYTES)
        self._last: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, pair: tuple[int, int]) -> float:
        x, other = pair
        last, row = self._last
        if x != last:
            row = self._rows.get_or_compute(x, lambda: self._compute(x))
            self._last = (x, row)
        similarity: float = row[other]
        return similarity

    def _compute(self, x: int) -> tuple[np.ndarray, int]:
        row = self._engine.similarity_rows(np.array([x]))[0]
        return row, row.nbytes


def _details_without_neighbours(is_unknown: bool, impossible: bool) -> dict[str, Any]:
    """Surprise's `details` of a pair that is unknown or impossible."""
    if not impossible:
        return {"was_impossible": False}
    reason = "User and/or item is unknown." if is_unknown else "Not enough neighbors."
    return {"was_impossible": True, "reason": reason}


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """While many objects are made that stay: each full collection in between would walk all of the trainset again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _check_lowest(name: str, value: object, lowest: int, kind: tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= lowest:  # type: ignore[operator]  # a number
        number = "a number" if float in kind else "an integer"
        raise ConfigError(f"{name} must be {number} of at least {lowest}, got {value!r}")
