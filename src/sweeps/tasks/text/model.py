"""The winner of a text-classification sweep, fitted: labels with a confidence, and a directory to keep it in.

The directory holds `model.skops`, plain data that loads without unpickling (see `sweeps.tasks.trusted`), and
`text_model.json`, what a reader wants to know without loading it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sweeps.base.atomic_file import replacing
from sweeps.base.errors import DataError, ModelError
from sweeps.tasks.stored_file import as_model_error, read_json
from sweeps.tasks.supervised import Supervised
from sweeps.tasks.text import quick_text
from sweeps.tasks.text.bounded import is_bounded
from sweeps.tasks.text.duplicates import Grouping
from sweeps.tasks.text.input import as_texts
from sweeps.tasks.text.svm.sparse_svc import ordinary, quickened
from sweeps.tasks.trusted import load_skops, save_skops

__all__ = ["SupervisedTextModel", "TextModel", "limit_seconds"]

_FORMAT_VERSION = 1
_MODEL_FILE = "model.skops"
_ABOUT_FILE = "text_model.json"
_CANNOT = "The model cannot predict"
_SECONDS = 60.0  # that a supervised model may take, unless it is told otherwise
_NEEDED_TO_LOAD = ("scikit-learn", "skops", "numpy", "scipy", "pandas")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TextModel:
    """A fitted vectorizer and classifier, with a confidence for every label.

    Labels are always the classifier's own `predict`. The confidence of a label is, in this order:

    * the classifier's `predict_proba` of that label;
    * where it has none (SVC, LinearSVC, RidgeClassifier, a hinge loss, ...): scikit-learn's sigmoid calibration of
      its `decision_function`, fitted by cross-validation on the training part;
    * where it has no `decision_function` either (a hard VotingClassifier, OutputCodeClassifier), or calibration is
      impossible (a class with a single example, a fold that cannot be fitted): NaN, and `no_confidence` says why.

    A single NaN also stands where the label is none of the training labels (RadiusNeighborsClassifier's
    `outlier_label`), since nothing was learnt about it.

    Attributes:
        pipeline: fitted `Pipeline` of the steps `vectorizer` and `model`.
        text_column: the column that `predict` reads.
        calibrated: fitted `CalibratedClassifierCV` whose estimator is `pipeline`; None where it is not needed.
        no_confidence: why every confidence is NaN; empty where there are confidences.
    """

    pipeline: Pipeline
    text_column: str
    calibrated: CalibratedClassifierCV | None = None
    no_confidence: str = ""

    @classmethod
    def fit(
        cls,
        vectorizer: Any,
        model: Any,
        texts: Iterable[str | None],
        labels: npt.ArrayLike,
        *,
        text_column: str,
        seed: int,
        n_folds: int,
        groups: npt.NDArray[Any] | None = None,
    ) -> Self:
        """Fits clones of both on the training part; the arguments stay unfitted.

        A classifier that needs calibration is fitted once on everything and once a fold, the vectorizer with it, so
        that no text is scored by a vocabulary it was part of.

        Args:
            vectorizer: an unfitted transformer of texts.
            model: an unfitted classifier.
            texts: n texts; a missing one counts as the empty string.
            labels: array of n labels.
            text_column: the name under which texts will come to `predict`.
            seed: seed of the shuffle into calibration folds.
            n_folds: calibration folds, at least 2; fewer are used where a class has fewer examples.
            groups: array of n; rows of one group, such as those of one text, are in one calibration fold. None: each
                row is a group.

        Raises:
            DataError: an entry of `texts` is neither a string nor missing.
        """
        fitted = cls._fit(
            vectorizer, quickened(model), as_texts(texts), np.asarray(labels), text_column, seed, n_folds, groups
        )
        for pipeline in [fitted.pipeline] + ([fitted.calibrated.estimator] if fitted.calibrated else []):
            pipeline.set_params(model=ordinary(pipeline["model"]))
        return fitted

    @classmethod
    def _fit(
        cls,
        vectorizer: Any,
        model: Any,
        texts: npt.NDArray[Any],
        labels: npt.NDArray[Any],
        text_column: str,
        seed: int,
        n_folds: int,
        groups: npt.NDArray[Any] | None,
    ) -> Self:
        pipeline = Pipeline([("vectorizer", clone(vectorizer)), ("model", model)])
        if hasattr(pipeline, "predict_proba"):
            return cls(pipeline.fit(texts, labels), text_column)
        if not hasattr(pipeline, "decision_function"):
            pipeline.fit(texts, labels)
            # A StackingClassifier knows only when fitted that its default final estimator has probabilities.
            if hasattr(pipeline, "predict_proba"):
                return cls(pipeline, text_column)
            reason = f"{type(model).__name__} has neither predict_proba nor decision_function"
        else:
            grouping = Grouping(np.arange(len(labels)) if groups is None else groups, labels)
            smallest_class = min(int(np.sum(grouping.labels == label)) for label in np.unique(labels))
            try:
                n_folds = min(n_folds, smallest_class)
                folds = grouping.folds(n_folds, seed)
                calibrated = CalibratedClassifierCV(pipeline, cv=folds, ensemble=False).fit(texts, labels)
            except ValueError as error:
                # A class can be too small to split, or a fold too small to fit (min_df, NuSVC's nu).
                reason = f"calibration failed, with {smallest_class} examples of the rarest label: {error}"
                pipeline.fit(texts, labels)
            else:
                calibrated.cv = n_folds  # what is stored holds no row numbers
                return cls(_calibrated_pipeline(calibrated), text_column, calibrated)
        _log.warning("Predictions will have no confidence: %s", reason)
        return cls(pipeline, text_column, no_confidence=reason)

    @as_model_error(_CANNOT, DataError)
    def labels(self, texts: Iterable[str | None]) -> npt.NDArray[Any]:
        """The classifier's predictions, one for each of n texts, as an array of n labels of the training labels' type.

        A missing text (None, NaN, NA) is predicted as the empty string.

        Raises:
            DataError: an entry is neither a string nor missing.
        """
        documents = as_texts(texts)
        if not len(documents):
            return np.empty(0, dtype=self.pipeline.classes_.dtype)
        return np.asarray(self.pipeline.predict(documents))

    @as_model_error(_CANNOT, DataError)
    def score(self, texts: Iterable[str | None]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """Labels and confidences of n texts, each vectorized once.

        A missing text (None, NaN, NA) is predicted as the empty string.

        Returns:
            An array of n labels of the training labels' type, and one of n floats in [0, 1] or NaN (see the class).

        Raises:
            DataError: an entry is neither a string nor missing.
        """
        documents = as_texts(texts)
        if not len(documents):
            return np.empty(0, dtype=self.pipeline.classes_.dtype), np.empty(0)
        features, model = self._vectorize(documents), self.pipeline.named_steps["model"]
        if self._decide is None:
            labels = np.asarray(model.predict(features))
            return labels, self._confidences(labels, lambda: self._scorer.predict_proba(features))
        decided = self._decide(features)
        labels = quick_text.labels(model, decided)
        if self.calibrated is None:
            return labels, self._confidences(labels, lambda: quick_text.probabilities(decided))
        (only,) = self.calibrated.calibrated_classifiers_
        return labels, self._confidences(labels, lambda: quick_text.calibrated_probabilities(only, decided))

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Labels and confidences for a frame of texts.

        Args:
            frame: n rows with the text column, or with a single column of whatever name. A missing text (None, NaN,
                NA) is predicted as the empty string.

        Returns:
            A frame of n rows with the index of `frame` and two columns: `prediction`, of the training labels' type, and
            `confidence`, float64 in [0, 1] or NaN (see the class).

        Raises:
            DataError: there is no such column, or an entry in it is neither a string nor missing.
        """
        labels, confidences = self.score(self._text_series(frame))
        return pd.DataFrame({"prediction": labels, "confidence": confidences}, index=frame.index)

    def save(self, directory: Path, trusted: Collection[str] = ()) -> None:
        """Stores the model in a new directory, which is complete or absent.

        Args:
            directory: absent, or empty; its parents are made.
            trusted: full names of types to allow beyond the package's allow-list (`trusted_types` in the YAML).

        Raises:
            ModelError: a type is not trusted or cannot be stored, or the directory is not empty.
        """
        if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
            raise ModelError(f"{directory}: exists and is not an empty directory. Name another, or remove it.")
        with replacing(directory) as partial:
            partial.mkdir(parents=True)
            # The calibrated classifier holds the pipeline, so one file is enough for both.
            save_skops(self.pipeline if self.calibrated is None else self.calibrated, partial / _MODEL_FILE, trusted)
            (partial / _ABOUT_FILE).write_text(json.dumps(self._about(), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    @as_model_error("The stored text model cannot be loaded")
    def load(directory: Path, trusted: Collection[str] = ()) -> TextModel:
        """Loads what `save` stored, and predicts a text with it; see `SupervisedTextModel`.

        Args:
            directory: the directory given to `save`.
            trusted: full names of types to allow beyond the package's allow-list (`--trust` on the command line). What
                was trusted when the model was saved is not trusted here by itself.

        Raises:
            ModelError: a type is not trusted, or the directory holds no such model, or a damaged one.
            PredictionTimeoutError: it does not come to an end with a short text.
        """
        about = _read_about(directory / _ABOUT_FILE)
        stored = load_skops(directory / _MODEL_FILE, trusted)
        calibrated = stored if isinstance(stored, CalibratedClassifierCV) else None
        with as_model_error(f"{directory / _MODEL_FILE}: holds no fitted vectorizer and model"):
            pipeline = stored if calibrated is None else _calibrated_pipeline(calibrated)
            if not isinstance(pipeline, Pipeline) or list(pipeline.named_steps) != ["vectorizer", "model"]:
                raise ModelError(f"{directory / _MODEL_FILE}: holds no fitted vectorizer and model. Log it anew.")
        kind = TextModel if is_bounded(stored, trusted) else SupervisedTextModel
        model = kind(pipeline, about["text_column"], calibrated, about["no_confidence"])
        model.score(["A short text."])
        return model

    def pip_requirements(self) -> list[str]:
        """What has to be installed to load the model here stored, pinned as it is installed here (`name==version`).

        Beside the libraries used by this module: the distributions that define the vectorizer, the classifier and
        their parameters. A class of a module that no distribution owns (a script) is not listed.
        """
        distributions = packages_distributions()
        names = {
            name
            for part in [self.pipeline, *self.pipeline.get_params(deep=True).values()]
            for name in distributions.get(_top_level_module(part), [])
        }
        return [f"{name}=={version(name)}" for name in [*_NEEDED_TO_LOAD, *sorted(names - set(_NEEDED_TO_LOAD))]]

    def _text_series(self, frame: pd.DataFrame) -> pd.Series[Any]:
        matches = [i for i, name in enumerate(frame.columns) if name == self.text_column]
        if len(matches) != 1 and frame.shape[1] != 1:
            raise DataError(
                f"A frame to predict needs one column {self.text_column!r}, or a single column of any name; this one "
                f"has {', '.join(repr(name) for name in frame.columns) or 'none'}."
            )
        return frame.iloc[:, matches[0] if matches else 0]

    def _confidences(self, labels: npt.NDArray[Any], probabilities: Callable[[], Any]) -> npt.NDArray[np.float64]:
        confidences = np.full(len(labels), np.nan)
        if self.no_confidence:
            return confidences
        column_of = {label: column for column, label in enumerate(self._scorer.classes_.tolist())}
        columns = np.array([column_of.get(label, -1) for label in labels.tolist()])
        known = np.flatnonzero(columns >= 0)
        confidences[known] = np.asarray(probabilities())[known, columns[known]]
        # A mean of votes may exceed 1 by a rounding error.
        clipped: npt.NDArray[np.float64] = np.clip(confidences, 0.0, 1.0)
        return clipped

    @cached_property
    def _vectorize(self) -> quick_text.Vectorize:
        return quick_text.quick_vectorizer(self.pipeline.named_steps["vectorizer"])

    @cached_property
    def _decide(self) -> quick_text.Decide | None:
        """The classifier's decisions, where labels and confidences follow from them."""
        model = self.pipeline.named_steps["model"]
        if self.calibrated is None:
            return quick_text.decision(model) if type(model) is LogisticRegression else None
        (only,) = self.calibrated.calibrated_classifiers_
        is_simple = only.method == "sigmoid" and len(model.classes_) == 2
        return quick_text.decision(model) if is_simple else None

    @cached_property
    def _scorer(self) -> Any:
        """What has `predict_proba` for features: the classifier, or its calibration without the vectorizer."""
        classifier = self.pipeline.named_steps["model"]
        if self.calibrated is None:
            return classifier
        scorer = copy(self.calibrated)
        (only,) = self.calibrated.calibrated_classifiers_
        scorer.calibrated_classifiers_ = [copy(only)]
        scorer.calibrated_classifiers_[0].estimator = classifier
        return scorer

    def _about(self) -> dict[str, Any]:
        pinned = dict(requirement.split("==", 1) for requirement in self.pip_requirements())
        return {
            "format_version": _FORMAT_VERSION,
            "text_column": self.text_column,
            "label_dtype": str(self.pipeline.classes_.dtype),
            "calibrated": self.calibrated is not None,
            "no_confidence": self.no_confidence,
            "versions": pinned,
        }


class SupervisedTextModel(TextModel):
    """A text model that is not known to come to an end with every text; it predicts in a process of its own."""

    @cached_property
    def process(self) -> Supervised:
        """What predicts; its `seconds` may be set."""
        return Supervised(TextModel(self.pipeline, self.text_column, self.calibrated, self.no_confidence), _SECONDS)

    def __getstate__(self) -> dict[str, Any]:
        """All but the process."""
        return {name: value for name, value in vars(self).items() if name != "process"}

    def labels(self, texts: Iterable[str | None]) -> npt.NDArray[Any]:
        """As `TextModel.labels`.

        Raises:
            PredictionTimeoutError: it takes too long.
        """
        found: npt.NDArray[Any] = self.process.call("labels", as_texts(texts))
        return found

    def score(self, texts: Iterable[str | None]) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
        """As `TextModel.score`.

        Raises:
            PredictionTimeoutError: it takes too long.
        """
        found: tuple[npt.NDArray[Any], npt.NDArray[np.float64]] = self.process.call("score", as_texts(texts))
        return found


def limit_seconds(predictor: object, seconds: float) -> None:
    """Set how long a model may take to predict, if it is one that is supervised."""
    if isinstance(predictor, SupervisedTextModel):
        predictor.process.seconds = seconds


def _calibrated_pipeline(calibrated: CalibratedClassifierCV) -> Any:
    # Without an ensemble, scikit-learn fits its one estimator on everything: that is the pipeline, and not to be fitted
    # again.
    (only,) = calibrated.calibrated_classifiers_
    return only.estimator


def _read_about(file: Path) -> dict[str, Any]:
    about = read_json(file)
    with as_model_error(f"{file} is not readable as a stored text model"):
        format_version, text_column, reason = about["format_version"], about["text_column"], about["no_confidence"]
    if format_version != _FORMAT_VERSION:
        raise ModelError(
            f"{file}: has format version {format_version!r}, this version of sweeps reads {_FORMAT_VERSION}. "
            "Load it with the version of sweeps that wrote it."
        )
    if not isinstance(text_column, str) or not isinstance(reason, str):
        raise ModelError(f"{file}: text_column and no_confidence must be strings.")
    return about


def _top_level_module(part: Any) -> str:
    owner = part if hasattr(part, "__qualname__") else type(part)
    return str(owner.__module__).partition(".")[0]
