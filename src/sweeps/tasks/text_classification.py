"""Text classification: a vectorizer and a classifier, selected by cross-validation inside the training part."""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import StratifiedKFold, train_test_split

from sweeps.build import build
from sweeps.cache import Cache
from sweeps.datasets.text import TextData
from sweeps.errors import ConfigError, DataError, ModelError
from sweeps.metrics import Direction, classification_scores
from sweeps.models import gram_svc
from sweeps.models.gram_svc import Gram, GramSVC
from sweeps.tasks.base import Candidate, Evaluation, Predictor, Report, Task, no_report
from sweeps.tasks.clock import Clock
from sweeps.tasks.text_model import TextModel

_CACHE_BYTES = 2 * 2**30
_GRAM_BYTES = 2**30  # for one vectorizer setting, all folds together
_CHECK_ROWS_PER_CLASS = 50


@dataclass(frozen=True)
class _Prepared:
    """The features of one part to fit on and of one to score, by a vectorizer fitted on the former alone.

    Attributes:
        fit: row numbers, shape (n_fit,), with their features `x_fit`, shape (n_fit, n_features).
        score: row numbers, shape (n_score,), with their features `x_score`.
    """

    fit: np.ndarray
    x_fit: Any
    score: np.ndarray
    x_score: Any

    def n_bytes(self) -> int:
        return sum(_n_bytes(x) for x in (self.x_fit, self.x_score))


class _Fitted(Protocol):
    """A model fitted on one part."""

    def predict_fit(self) -> np.ndarray: ...

    def predict_score(self) -> np.ndarray: ...


@dataclass(frozen=True)
class _OnFeatures:
    """Any model, fitted on the features of a part."""

    model: Any
    part: _Prepared

    def predict_fit(self) -> np.ndarray:
        return np.asarray(self.model.predict(self.part.x_fit.copy()))

    def predict_score(self) -> np.ndarray:
        return np.asarray(self.model.predict(self.part.x_score.copy()))


class TextClassification(Task):
    """Stratified train/test split with its own seed; stratified k-fold inside the training part selects.

    Args:
        data: texts and labels.
        test_size: share of the rows held out for `test_`.
        split_seed: seed of the split and the folds; not the sweep's `seed`, so that sweeps compare.
        n_folds: folds for `val_`, at least 2.

    Raises:
        ConfigError: a share or a number of folds out of range.
        DataError: a class with too few rows for the split and the folds.
    """

    directions: ClassVar[Mapping[str, Direction]] = {
        "val_f1": "maximize",
        "val_accuracy": "maximize",
        "val_precision": "maximize",
        "val_recall": "maximize",
    }
    default_metric: ClassVar[str] = "val_f1"

    def __init__(self, data: TextData, test_size: float = 0.2, split_seed: int = 42, n_folds: int = 3) -> None:
        _check_options(test_size, split_seed, n_folds)
        self.data = data
        self.test_size = test_size
        self.split_seed = split_seed
        self.n_folds = n_folds
        self._cache = Cache(_CACHE_BYTES)
        self._train, self._test = self._split()
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=split_seed)
        self._folds = [
            (self._train[fit], self._train[score])
            for fit, score in folds.split(self._train, self.data.labels[self._train])
        ]

    @property
    def fingerprint(self) -> str:
        """A hash of texts and labels in order."""
        return self.data.fingerprint

    def split_options(self) -> Mapping[str, Any]:
        """Size and seed of the test part, and the class that its scores are of."""
        return {
            "test_size": float(self.test_size),
            "split_seed": self.split_seed,
            "positive_label": None if self.data.positive_label is None else str(self.data.positive_label),
        }

    def check(self, candidate: Candidate) -> None:
        """Build the candidate, fit it on a few rows and store it for a trial."""
        vectorizer, model = self._build(candidate)
        labels = self.data.labels[self._train]
        rows = np.concatenate([self._train[labels == c][:_CHECK_ROWS_PER_CLASS] for c in np.unique(labels)])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its trial will tell
                fitted = TextModel.fit(
                    vectorizer,
                    model,
                    self.data.texts[rows],
                    self.data.labels[rows],
                    text_column=self.data.text_column,
                    seed=candidate.seed,
                    n_folds=2,
                )
        except Exception as error:
            if isinstance(error, ValueError) and isinstance(error, TypeError):  # scikit-learn's "invalid parameter"
                raise ConfigError(str(error)) from error
            return
        with tempfile.TemporaryDirectory() as directory:
            try:
                fitted.save(Path(directory) / "model", candidate.trusted_types)
            except ModelError as error:
                raise ModelError(f"model {candidate.model.get('_target_')}: {error}") from error

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        """Score every fold for `val_` (the mean over folds), then a fit on the whole training part for the others."""
        clock = Clock()
        with clock.phase("vectorize"):
            *folds, whole = self._prepare(candidate)
        fold_scores = []
        for index, fold in enumerate(folds):
            fold_scores.append(self._scores(fold.score, self._fit(candidate, index, fold, clock).predict_score()))
            report({f"val_{name}": value for name, value in fold_scores[-1].items()})
        metrics = {f"val_{name}": float(np.mean([scores[name] for scores in fold_scores])) for name in fold_scores[0]}
        fitted = self._fit(candidate, len(folds), whole, clock)
        with clock.phase("score"):
            predicted = {"train": (whole.fit, fitted.predict_fit()), "test": (whole.score, fitted.predict_score())}
        for part, (rows, labels) in predicted.items():
            metrics |= {f"{part}_{name}": value for name, value in self._scores(rows, labels).items()}
        metrics["overfitting"] = metrics["train_f1"] - metrics["test_f1"]
        return Evaluation(metrics, clock.seconds)

    def refit(self, candidate: Candidate) -> Predictor:
        """Fit vectorizer and model, and a calibration where the model has no probabilities, on the training part."""
        vectorizer, model = self._build(candidate)
        return TextModel.fit(
            vectorizer,
            model,
            self.data.texts[self._train],
            self.data.labels[self._train],
            text_column=self.data.text_column,
            seed=candidate.seed,
            n_folds=self.n_folds,
        )

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        """The `test_` metrics of a fitted model."""
        frame = pd.DataFrame({self.data.text_column: self.data.texts[self._test]})
        scores = self._scores(self._test, predictor.predict(frame)["prediction"].to_numpy())
        return {f"test_{name}": value for name, value in scores.items()}

    def example(self) -> pd.DataFrame:
        """Two made-up texts."""
        return pd.DataFrame({self.data.text_column: ["A first text.", "Another, somewhat longer text."]})

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        """Read a `TextModel` back."""
        return TextModel.load(directory, trusted)

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        labels = self.data.labels
        counts = Counter(labels.tolist())
        needed = self.n_folds + 1
        rare = {label: count for label, count in counts.items() if count < needed}
        n_test = math.ceil(len(labels) * self.test_size)
        if not rare and len(counts) <= n_test <= len(labels) - len(counts):
            train, test = train_test_split(
                np.arange(len(labels)), test_size=self.test_size, stratify=labels, random_state=self.split_seed
            )
            in_train, in_test = Counter(labels[train].tolist()), Counter(labels[test].tolist())
            rare = {
                label: count for label, count in counts.items() if in_train[label] < self.n_folds or not in_test[label]
            }
            if not rare:
                return train, test
        shown = ", ".join(
            f"{label!r} has {count}" for label, count in sorted((rare or counts).items(), key=lambda x: x[1])[:5]
        )
        raise DataError(
            f"{self.data.source}: too few rows in some classes ({shown}). With dataset.n_folds={self.n_folds} and "
            f"dataset.test_size={self.test_size} every class needs {self.n_folds} rows in the training part and one in "
            f"the test part: add rows, merge or leave out rare classes, or lower dataset.n_folds (at least 2)."
        )

    def _build(self, candidate: Candidate) -> tuple[Any, Any]:
        if not candidate.vectorizer:
            raise ConfigError("vectorizer=none does not fit text classification; choose vectorizer=tfidf or count.")
        vectorizer, model = build(candidate.vectorizer, "vectorizer"), build(candidate.model, "model")
        if not (hasattr(vectorizer, "fit_transform") and hasattr(vectorizer, "transform")):
            raise ConfigError(
                f"vectorizer: {candidate.vectorizer.get('_target_')} does not turn texts into features (no "
                f"fit_transform and transform); text classification needs one such as vectorizer=tfidf."
            )
        if not (isinstance(model, BaseEstimator) and is_classifier(model)):
            raise ConfigError(
                f"model: {candidate.model.get('_target_', 'a model without _target_')} is not a classifier in "
                f"scikit-learn's sense; text classification needs one such as model=svm."
            )
        return _seeded(vectorizer, candidate.seed), _seeded(model, candidate.seed)

    def _fit(self, candidate: Candidate, index: int, part: _Prepared, clock: Clock) -> _Fitted:
        """Fit on one part: an SVC on the products that all SVCs of a vectorizer setting share, others as they are."""
        _, model = self._build(candidate)
        labels = self.data.labels[part.fit]
        with clock.phase("vectorize"):
            grams = self._grams(candidate) if gram_svc.fits(model, part.x_fit) else None
        with clock.phase("fit"):
            if grams is not None:
                return GramSVC(model, grams[index]).fit(labels)
            # A copy, since a model may change its input in place, and the features are other trials', too.
            return _OnFeatures(model.fit(part.x_fit.copy(), labels), part)

    def _grams(self, candidate: Candidate) -> list[Gram] | None:
        needed = sum(Gram.n_bytes_for(len(fit), len(score)) for fit, score in self._parts())
        if needed > _GRAM_BYTES:
            warnings.warn(
                f"SVC runs without shared dot products, which would need {needed / 2**30:.1f} GiB for so many rows",
                stacklevel=2,
            )
            return None

        def compute() -> tuple[list[Gram], int]:
            grams = [Gram.of(part.x_fit, part.x_score) for part in self._prepare(candidate)]
            return grams, sum(gram.n_bytes for gram in grams)

        grams: list[Gram] = self._cache.get_or_compute(("gram", _key(candidate)), compute)
        return grams

    def _parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit on and to score: of each fold, and of training and test part."""
        return [*self._folds, (self._train, self._test)]

    def _prepare(self, candidate: Candidate) -> list[_Prepared]:
        """Features of every fold and of the whole training part, computed once for each vectorizer setting."""

        def compute() -> tuple[list[_Prepared], int]:
            prepared = []
            for fit, score in self._parts():
                vectorizer, _ = self._build(candidate)
                x_fit = vectorizer.fit_transform(self.data.texts[fit], self.data.labels[fit])
                prepared.append(_Prepared(fit, x_fit, score, vectorizer.transform(self.data.texts[score])))
            return prepared, sum(part.n_bytes() for part in prepared)

        prepared: list[_Prepared] = self._cache.get_or_compute(("features", _key(candidate)), compute)
        return prepared

    def _scores(self, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return classification_scores(self.data.labels[rows], predicted, self.data.positive_label)


def _key(candidate: Candidate) -> str:
    return json.dumps([candidate.vectorizer, candidate.seed], sort_keys=True, default=repr)


def _check_options(test_size: Any, split_seed: Any, n_folds: Any) -> None:
    if isinstance(test_size, bool) or not isinstance(test_size, int | float) or not 0 < test_size < 1:
        raise ConfigError(f"dataset.test_size={test_size}: a share of the rows above 0 and below 1, such as 0.2.")
    if isinstance(split_seed, bool) or not isinstance(split_seed, int) or not 0 <= split_seed < 2**32:
        raise ConfigError(f"dataset.split_seed={split_seed}: a whole number from 0 to {2**32 - 1}.")
    if isinstance(n_folds, bool) or not isinstance(n_folds, int) or n_folds < 2:
        raise ConfigError(f"dataset.n_folds={n_folds}: a whole number of folds, at least 2.")


def _seeded(model: Any, seed: int) -> Any:
    """Give the seed to every `random_state` that the YAML leaves open, so that one seed means one result."""
    if not hasattr(model, "get_params"):
        return model
    open_states = {
        name: seed
        for name, value in model.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return model.set_params(**open_states)


def _n_bytes(features: Any) -> int:
    if sparse.issparse(features):
        parts = (getattr(features, name, None) for name in ("data", "indices", "indptr"))
        return sum(part.nbytes for part in parts if part is not None)
    return int(getattr(features, "nbytes", 0))
