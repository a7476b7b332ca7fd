"""The winner of a recommendation sweep, fitted: ratings predicted, items recommended, and a directory to keep it in.

The directory holds `arrays.npz` (numbers and text, read with pickling off) and `recommender.json`. A k-NN model is its
options and its ratings; any other Surprise algorithm is its ratings and the arrays and scalars among its attributes.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from surprise import (
    NMF,
    SVD,
    AlgoBase,
    BaselineOnly,
    CoClustering,
    KNNBaseline,
    KNNBasic,
    KNNWithMeans,
    KNNWithZScore,
    NormalPredictor,
    Prediction,
    SlopeOne,
    SVDpp,
    Trainset,
)

from sweeps.base.build import locate_class
from sweeps.base.errors import DataError, ModelError
from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.knn.arrays import arrays_of
from sweeps.tasks.ratings.knn.state import trainset_of, trainset_state
from sweeps.tasks.stored_file import as_model_error, check_archive, read_json
from sweeps.tasks.values import as_name, whole_number

_FORMAT_VERSION = 1
_ARRAYS_FILE = "arrays.npz"
_ABOUT_FILE = "recommender.json"
_NEEDED_TO_LOAD = ("scikit-surprise", "numpy", "pandas", "numba")
_CANNOT = "The model cannot predict"
_ALGORITHMS: tuple[type[AlgoBase], ...] = (
    *(KNN, KNNBaseline, KNNBasic, KNNWithMeans, KNNWithZScore),
    *(NMF, SVD, BaselineOnly, CoClustering, NormalPredictor, SlopeOne, SVDpp),
)
_BUILT_IN = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in _ALGORITHMS}
_TRAINSET = "trainset."  # prefix of the arrays that make up the trainset


@dataclass(frozen=True, eq=False)
class Recommender:
    """A fitted Surprise algorithm behind data frames.

    Attributes:
        algorithm: fitted.
        user_column: the column of raw user ids that `predict` reads.
        item_column: the column of raw item ids.
    """

    algorithm: AlgoBase
    user_column: str
    item_column: str

    @as_model_error(_CANNOT, DataError)
    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predicted ratings for pairs of raw ids.

        Unknown ids are handled as Surprise does: the algorithm predicts without them where it can (a baseline, say);
        otherwise the mean of all ratings stands in, and `was_impossible` is true.

        Args:
            frame: n rows with the user and the item column; ids may also be written as text.

        Returns:
            A frame with the same index and the columns `prediction`, float64, and `was_impossible`, bool.

        Raises:
            DataError: a column is missing.
        """
        missing = [column for column in (self.user_column, self.item_column) if column not in frame.columns]
        if missing:
            raise DataError(
                f"The input has no column {' and no column '.join(map(repr, missing))}; its columns are: "
                f"{', '.join(map(str, frame.columns))}. The model reads {self.user_column} and {self.item_column}."
            )
        users = self._like(frame[self.user_column], self.algorithm.trainset.to_raw_uid)
        items = self._like(frame[self.item_column], self.algorithm.trainset.to_raw_iid)
        values, impossible = estimates(self.algorithm, users, items)
        return pd.DataFrame({"prediction": values, "was_impossible": impossible}, index=frame.index)

    @as_model_error(_CANNOT, DataError)
    def recommend(self, user: Hashable, n: int = 10) -> pd.DataFrame:
        """The items with the highest predictions among those that a user has not rated.

        Args:
            user: raw id; an unknown user has rated nothing.
            n: how many items at most, 0 or more.

        Returns:
            The item column, `prediction` and `was_impossible` (see `predict`), the highest prediction first; of equal
            ones, the item that came first in the data.

        Raises:
            DataError: n is negative.
        """
        if n < 0:
            raise DataError(f"n={n}: how many items to recommend, 0 or more.")
        trainset: Trainset = self.algorithm.trainset
        (raw,) = self._like(pd.Series([user]), trainset.to_raw_uid)
        try:
            rated = {item for item, _ in trainset.ur[trainset.to_inner_uid(raw)]}
        except ValueError:
            rated = set()
        unseen = [trainset.to_raw_iid(item) for item in trainset.all_items() if item not in rated]
        values, impossible = estimates(self.algorithm, [raw] * len(unseen), unseen)
        best = np.argsort(-values, kind="stable")[:n]
        items = [unseen[i] for i in best]
        return pd.DataFrame({self.item_column: items, "prediction": values[best], "was_impossible": impossible[best]})

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        """Write arrays and scalars, complete or not at all.

        Raises:
            ModelError: an attribute of the algorithm is neither, or its class is neither built in nor trusted.
        """
        about, arrays = self._described(trusted)
        partial = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}")
        partial.mkdir(parents=True)
        try:
            np.savez_compressed(partial / _ARRAYS_FILE, allow_pickle=False, **arrays)
            (partial / _ABOUT_FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")
            partial.rename(directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Self:
        """Read a stored recommender back, and predict a pair with it.

        Raises:
            ModelError: damaged, of a newer format, or of a class that is neither built in nor trusted.
        """
        what = f"{directory} holds no recommender that a sweep has stored"
        with as_model_error(what):
            about = read_json(directory / _ABOUT_FILE)
            check_archive(directory / _ARRAYS_FILE, what)
            with np.load(directory / _ARRAYS_FILE, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            if int(about["format"]) > _FORMAT_VERSION:
                raise ModelError(f"{directory} was stored by a newer version of sweeps; upgrade sweeps.")
            kind = _trusted_class(about["algorithm"], trusted)
            algorithm = _restored(kind, dict(about["scalars"]), arrays)
            trainset: Trainset = algorithm.trainset
            estimates(algorithm, [trainset.to_raw_uid(0)], [trainset.to_raw_iid(0)])
        user_column, item_column = about.get("user_column"), about.get("item_column")
        if not isinstance(user_column, str) or not isinstance(item_column, str):
            raise ModelError(f"{directory / _ABOUT_FILE}: user_column and item_column must be strings.")
        return cls(algorithm, user_column, item_column)

    def pip_requirements(self) -> list[str]:
        """Pinned requirements of what loading needs."""
        package = type(self.algorithm).__module__.partition(".")[0]
        own = [] if package in ("surprise", "sweeps") else packages_distributions().get(package, [])
        return [f"{name}=={version(name)}" for name in dict.fromkeys([*_NEEDED_TO_LOAD, *own])]

    def _described(self, trusted: Sequence[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        kind = type(self.algorithm)
        name = f"{kind.__module__}.{kind.__qualname__}"
        _trusted_class(name, trusted)
        scalars, arrays = _taken_apart(self.algorithm)
        about = {
            "format": _FORMAT_VERSION,
            "algorithm": name,
            "user_column": self.user_column,
            "item_column": self.item_column,
            "scalars": scalars,
        }
        return about, arrays

    @staticmethod
    def _like(ids: pd.Series, to_raw: Any) -> list[Hashable]:
        """Ids of the kind that the trainset has: `"7"` is user 7 where users are numbers, and 7 is `"7"` where not."""
        known = to_raw(0)
        values = ids.tolist()
        if isinstance(known, str):
            return [as_name(value) for value in values]
        numbers = map(whole_number, values)  # one by one: as a column they would be floats where one is text
        return [value if number is None else number for value, number in zip(values, numbers, strict=True)]


def estimates(
    algorithm: AlgoBase, users: Sequence[Hashable], items: Sequence[Hashable]
) -> tuple[np.ndarray, np.ndarray]:
    """What a fitted algorithm predicts for pairs of raw ids.

    Returns:
        Clipped estimates, float64, and whether each was impossible, bool; both of shape (n,).
    """
    if isinstance(algorithm, KNN):
        found = algorithm.predict_inner(*algorithm.inner_ids(users, items))
        return found.values[0], found.impossible[0]
    predictions: Iterable[Prediction] = [algorithm.predict(user, item) for user, item in zip(users, items, strict=True)]
    pairs = [(prediction.est, prediction.details["was_impossible"]) for prediction in predictions]
    return np.array([value for value, _ in pairs], np.float64), np.array([impossible for _, impossible in pairs], bool)


def _taken_apart(algorithm: AlgoBase) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if isinstance(algorithm, KNN):
        return _split(algorithm.state(), "KNN")
    trainset: Trainset = algorithm.trainset
    ratings = arrays_of(trainset)
    if ratings is None:
        raise ModelError("a recommender can only be stored when it is fitted on finite ratings")
    scalars, arrays = _split({f"{_TRAINSET}{k}": v for k, v in trainset_state(trainset, ratings).items()}, "trainset")
    attributes = {k: v for k, v in vars(algorithm).items() if k != "trainset"}
    for name, value in list(attributes.items()):
        for lists in ("ur", "ir"):  # k-NN algorithms keep the trainset's own lists under other names
            if value is getattr(trainset, lists):
                scalars[name] = {"trainset": lists}
                del attributes[name]
    own_scalars, own_arrays = _split(attributes, type(algorithm).__name__)
    return scalars | own_scalars, arrays | own_arrays


def _split(state: Mapping[str, Any], owner: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    scalars: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            arrays[name] = value
        else:
            scalars[name] = {"value": _plain(value, f"{owner}.{name}")}
    return scalars, arrays


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise ModelError(
        f"{where} is a {type(value).__name__}: a recommender is stored as ratings, arrays and scalars, so this "
        f"algorithm cannot be."
    )


def _restored(kind: type[AlgoBase], scalars: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> AlgoBase:
    values = {name: entry["value"] for name, entry in scalars.items() if "value" in entry} | dict(arrays)
    if issubclass(kind, KNN):
        return kind.from_state(values)
    trainset = trainset_of({k.removeprefix(_TRAINSET): v for k, v in values.items() if k.startswith(_TRAINSET)})
    algorithm: AlgoBase = object.__new__(kind)
    vars(algorithm).update({k: v for k, v in values.items() if not k.startswith(_TRAINSET)})
    vars(algorithm).update({k: getattr(trainset, e["trainset"]) for k, e in scalars.items() if e.get("trainset")})
    algorithm.trainset = trainset
    return algorithm


def _trusted_class(name: str, trusted: Sequence[str]) -> type[AlgoBase]:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in trusted:
        raise ModelError(
            f"The recommender is a {name}, which is neither Surprise's nor ours. If you trust that class: "
            f"`trusted_types: [{name}]` in the model's YAML to store it, and --trust {name} to load it."
        )
    kind = locate_class(name, "the stored algorithm")
    if not issubclass(kind, AlgoBase):
        raise ModelError(f"{name} is not a Surprise algorithm.")
    return kind
