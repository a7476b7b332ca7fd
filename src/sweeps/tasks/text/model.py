"""The winner of a text-classification sweep, fitted: labels with a confidence, and a directory to keep it in.

The directory holds `model.skops`, plain data that loads without unpickling (see `sweeps.tasks.trusted`), and
`text_model.json`: calibration, threshold, and what a reader wants to know without loading the model.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sweeps.base.atomic_file import replacing
from sweeps.base.errors import DataError, ModelError
from sweeps.tasks.stored_file import as_model_error, read_json
from sweeps.tasks.supervised import Supervised
from sweeps.tasks.text import quick_text
from sweeps.tasks.text.bounded import is_bounded
from sweeps.tasks.text.calibration import Calibration, Threshold, as_columns, said_of, says_something
from sweeps.tasks.text.input import as_texts
from sweeps.tasks.text.svm.sparse_svc import ordinary, quickened
from sweeps.tasks.trusted import load_skops, save_skops

__all__ = ["SupervisedTextModel", "TextModel", "limit_seconds"]

_FORMAT_VERSION = 2
_MODEL_FILE = "model.skops"
_ABOUT_FILE = "text_model.json"
_CANNOT = "The model cannot predict"
_SECONDS = 60.0  # that a supervised model may take, unless it is told otherwise
_NEEDED_TO_LOAD = ("scikit-learn", "skops", "numpy", "scipy", "pandas")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TextModel:
    """A fitted vectorizer and classifier, with a confidence for every label.

    Labels are the classifier's own `predict`, unless there is a threshold. The confidence of a label is its calibrated
    probability, see `Calibration`; it may be below 0.5. Where calibration was impossible (a fold that cannot be fitted)
    or has not been tried, it is the classifier's `predict_proba`; where it has none, NaN, and `no_confidence` says why.

    A single NaN also stands where the label is none of the training labels (RadiusNeighborsClassifier's
    `outlier_label`), since nothing was learnt about it.

    Attributes:
        pipeline: fitted `Pipeline` of the steps `vectorizer` and `model`.
        text_column: the column that `predict` reads.
        calibration: fitted on what the classifier says out of fold; None where there is none.
        threshold: from where on a text is given the positive label; None where the classifier's `predict` decides.
        no_confidence: why every confidence is NaN; empty where there are confidences.
    """

    pipeline: Pipeline
    text_column: str
    calibration: Calibration | None = None
    threshold: Threshold | None = None
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
        folds: Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
        threshold: Threshold | None = None,
    ) -> Self:
        """Fits clones of both on the training part; the arguments stay unfitted.

        They are fitted once on everything and once a fold, for the calibration; the vectorizer with the model, so that
        no text is scored by a vocabulary it was part of.

        Args:
            vectorizer: an unfitted transformer of texts.
            model: an unfitted classifier.
            texts: n texts; a missing one counts as the empty string.
            labels: array of n labels.
            text_column: the name under which texts will come to `predict`.
            folds: rows to fit on and rows to score, of each calibration fold.
            threshold: see the class.

        Raises:
            DataError: an entry of `texts` is neither a string nor missing.
        """
        documents, truth = as_texts(texts), np.asarray(labels)
        pipeline = Pipeline([("vectorizer", clone(vectorizer)), ("model", quickened(model))])
        fitted = clone(pipeline).fit(documents, truth)
        calibration, reason = None, ""
        if not says_something(fitted):
            reason = f"{type(model).__name__} has neither predict_proba nor decision_function"
        else:
            try:
                calibration = _calibrated(pipeline, documents, truth, folds)
            except ValueError as error:  # a fold can be too small to fit (min_df, NuSVC's nu)
                reason = f"calibration failed: {error}"
                if hasattr(fitted, "predict_proba"):
                    _log.warning("The confidence of predictions will be the classifier's own: %s", reason)
                    reason = ""
        if reason:
            _log.warning("Predictions will have no confidence: %s", reason)
        fitted.set_params(model=ordinary(fitted["model"]))
        return cls(fitted, text_column, calibration, threshold, reason)

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
        if self.threshold is not None:
            return self.score(documents)[0]
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
        if self._decide is not None:
            decided = self._decide(features)
            labels, said = quick_text.labels(model, decided), as_columns(decided)
        else:
            labels = np.asarray(model.predict(features))
            said = said_of(model, features) if self.calibration or self.threshold else np.empty(0)
        if self.threshold is not None:
            labels = self.threshold.labels(said, model.classes_)
        if self.no_confidence:
            return labels, np.full(len(labels), np.nan)
        probabilities = self.calibration.probabilities(said) if self.calibration else model.predict_proba(features)
        return labels, self._confidences(labels, probabilities)

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
            save_skops(self.pipeline, partial / _MODEL_FILE, trusted)
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
        pipeline = load_skops(directory / _MODEL_FILE, trusted)
        with as_model_error(f"{directory / _MODEL_FILE}: holds no fitted vectorizer and model"):
            if not isinstance(pipeline, Pipeline) or list(pipeline.named_steps) != ["vectorizer", "model"]:
                raise ModelError(f"{directory / _MODEL_FILE}: holds no fitted vectorizer and model. Log it anew.")
        kind = TextModel if is_bounded(pipeline, trusted) else SupervisedTextModel
        model = kind(pipeline, **about)
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

    def _confidences(self, labels: npt.NDArray[Any], probabilities: Any) -> npt.NDArray[np.float64]:
        confidences = np.full(len(labels), np.nan)
        column_of = {label: column for column, label in enumerate(self.pipeline.classes_.tolist())}
        columns = np.array([column_of.get(label, -1) for label in labels.tolist()])
        known = np.flatnonzero(columns >= 0)
        confidences[known] = np.asarray(probabilities)[known, columns[known]]
        # A mean of votes may exceed 1 by a rounding error.
        clipped: npt.NDArray[np.float64] = np.clip(confidences, 0.0, 1.0)
        return clipped

    @cached_property
    def _vectorize(self) -> quick_text.Vectorize:
        return quick_text.quick_vectorizer(self.pipeline.named_steps["vectorizer"])

    @cached_property
    def _decide(self) -> quick_text.Decide | None:
        """The classifier's decisions, where labels follow from them, and confidences by the calibration."""
        return None if self.calibration is None else quick_text.decision(self.pipeline.named_steps["model"])

    def _about(self) -> dict[str, Any]:
        pinned = dict(requirement.split("==", 1) for requirement in self.pip_requirements())
        return {
            "format_version": _FORMAT_VERSION,
            "text_column": self.text_column,
            "label_dtype": str(self.pipeline.classes_.dtype),
            "calibration": None if self.calibration is None else self.calibration.as_data(),
            "threshold": None if self.threshold is None else vars(self.threshold),
            "no_confidence": self.no_confidence,
            "versions": pinned,
        }


class SupervisedTextModel(TextModel):
    """A text model that is not known to come to an end with every text; it predicts in a process of its own."""

    @cached_property
    def process(self) -> Supervised:
        """What predicts; its `seconds` may be set."""
        return Supervised(TextModel(**{one.name: getattr(self, one.name) for one in fields(self)}), _SECONDS)

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


def _calibrated(
    pipeline: Pipeline,
    texts: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    folds: Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]],
) -> Calibration:
    """Fit on what clones of a pipeline say of the texts of each fold.

    Raises:
        ValueError: a fold cannot be fitted, or lacks a label.
    """
    said, truth = [], []
    for fit, score in folds:
        if len(np.unique(labels[fit])) < len(np.unique(labels)):
            raise ValueError("a label has too few examples for every fold to have one")
        fitted = clone(pipeline).fit(texts[fit], labels[fit])
        said.append(said_of(fitted["model"], fitted["vectorizer"].transform(texts[score])))
        truth.append(labels[score])
    return Calibration.fit(np.concatenate(said), np.concatenate(truth))


def _read_about(file: Path) -> dict[str, Any]:
    """The fields of a stored model, but for its pipeline."""
    about = read_json(file)
    with as_model_error(f"{file} is not readable as a stored text model"):
        if about["format_version"] != _FORMAT_VERSION:
            raise ModelError(
                f"{file}: has format version {about['format_version']!r}, this version of sweeps reads "
                f"{_FORMAT_VERSION}. Load it with the version of sweeps that wrote it, or sweep again."
            )
        calibration, threshold = about["calibration"], about["threshold"]
        found = {
            "text_column": about["text_column"],
            "calibration": None if calibration is None else Calibration.of_data(calibration),
            "threshold": None if threshold is None else Threshold(threshold["is_second"], threshold["value"]),
            "no_confidence": about["no_confidence"],
        }
    if not isinstance(found["text_column"], str) or not isinstance(found["no_confidence"], str):
        raise ModelError(f"{file}: text_column and no_confidence must be strings.")
    return found


def _top_level_module(part: Any) -> str:
    owner = part if hasattr(part, "__qualname__") else type(part)
    return str(owner.__module__).partition(".")[0]
