"""Text classification: a vectorizer and a classifier, selected by cross-validation inside the training part."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.base import clone

from sweeps.base.build import TARGET
from sweeps.base.cache import SHARED, Key
from sweeps.base.errors import ConfigError, DataError, ModelError, first_line
from sweeps.base.predictions import Predictions
from sweeps.base.reporting import Report, no_report
from sweeps.tasks.base import N_INPUTS, Candidate, Evaluation, Predictor, Task
from sweeps.tasks.clock import Clock
from sweeps.tasks.metrics import SCORES, Direction, classification_scores, confidence_scores, over_folds
from sweeps.tasks.rows import SHOWN_CHARACTERS
from sweeps.tasks.serving_cost import one_thread
from sweeps.tasks.split import check_split
from sweeps.tasks.text.calibration import Threshold, said_of, says_something
from sweeps.tasks.text.candidate import build_parts
from sweeps.tasks.text.data import SHOWN_LABELS, TextData
from sweeps.tasks.text.duplicates import RULES, Grouping, first_of_each, n_with_two_labels, same_texts
from sweeps.tasks.text.model import TextModel
from sweeps.tasks.text.svm import sparse_svc
from sweeps.tasks.text.svm.sparse_svc import SparseSVC
from sweeps.tasks.text.terms import fit_vectorizer

_CHECK_ROWS_PER_CLASS = 50


@dataclass(frozen=True)
class Features:
    """What a vectorizer that is fitted on one part makes of it and of the part to score.

    Attributes:
        x_fit: of the rows to fit on, shape (n_fit, n_features).
        x_score: of the rows to score, with the same columns.
    """

    x_fit: Any
    x_score: Any


class TextClassification(Task):
    """Stratified train/test split with its own seed; stratified k-fold inside the training part selects.

    Args:
        data: texts and labels.
        test_size: share of the rows held out for `test_`.
        split_seed: seed of the split and the folds; not the sweep's `seed`, so that sweeps compare.
        n_folds: folds for `val_`, at least 2.
        on_duplicates: what to do about texts that stand more than once (see `same_texts`). "group": all rows of one
            are in one part of the split, and in one fold; "drop": the first row of each is used; "keep": each row for
            itself.
        threshold: "f1": a text is given the positive label from where on F1 is highest out of fold; in a fold's scores,
            by the other folds. None: the model's own labels.
        n_repeats: how often the training part is parted into folds, at other seeds; `val_` is the mean over all.

    Raises:
        ConfigError: a threshold without a positive label, a share, a number of folds or a rule out of range.
        DataError: a class with too few rows, or too few different texts, for the split and the folds.
    """

    directions: ClassVar[Mapping[str, Direction]] = {
        **{f"val_{name}": "maximize" for name in SCORES},
        "val_overfitting": "minimize",
        "fit_seconds": "minimize",
        **{f"train_{name}": "maximize" for name in SCORES},
    }
    default_metric: ClassVar[str] = "val_f1"

    def __init__(
        self,
        data: TextData,
        test_size: float = 0.2,
        split_seed: int = 42,
        n_folds: int = 3,
        on_duplicates: Literal["group", "drop", "keep"] = "group",
        threshold: Literal["f1"] | None = None,
        n_repeats: int = 1,
    ) -> None:
        check_split(test_size, split_seed, n_folds, n_repeats, fewest_folds=2)
        if on_duplicates not in RULES:
            raise ConfigError(f"dataset.on_duplicates={on_duplicates}: it must be one of {', '.join(RULES)}.")
        _check_threshold(threshold, data)
        self.data = data
        self.test_size = test_size
        self.split_seed = split_seed
        self.n_folds = n_folds
        self.n_repeats = n_repeats
        self.n_reports = n_folds * n_repeats
        self.threshold = threshold
        self._same = same_texts(data.texts)
        has_duplicates = len(first_of_each(self._same)) < len(self._same)
        self.on_duplicates = on_duplicates if has_duplicates else None
        """The rule where it makes a difference."""
        self._groups = np.arange(len(self._same)) if on_duplicates == "keep" else self._same
        self._train, self._test = self._split()
        train = self._grouping(self._train)
        self._folds = [fold for repeat in range(n_repeats) for fold in train.folds(n_folds, split_seed + repeat)]
        """Rows of the training part to fit on and to score."""
        self._parts = [(self._train[fit], self._train[score]) for fit, score in self._folds]
        """Rows to fit on and to score: of each fold, then of training and test part."""
        self._parts.append((self._train, self._test))

    @property
    def fingerprint(self) -> str:
        """A hash of texts and labels in order."""
        return self.data.fingerprint

    def split_options(self) -> Mapping[str, Any]:
        """Size and seed of the test part, what is done about duplicates, and the class that its scores are of."""
        return {
            "test_size": float(self.test_size),
            "split_seed": self.split_seed,
            "on_duplicates": self.on_duplicates,
            "positive_label": None if self.data.positive_label is None else str(self.data.positive_label),
        }

    def selection_options(self) -> Mapping[str, Any]:
        """Folds and repeats."""
        return {"n_folds": self.n_folds, "n_repeats": self.n_repeats}

    def describe_data(self) -> Mapping[str, str]:
        """Rows, classes with their counts, duplicates, what was left out, and what is odd."""
        labels = self.data.labels.tolist()
        counts = [f"{str(label)[:SHOWN_CHARACTERS]} {n:,}" for label, n in Counter(labels).most_common()]
        if len(counts) > SHOWN_LABELS:
            counts[SHOWN_LABELS:] = [f"and {len(counts) - SHOWN_LABELS} more"]
        n_again = len(labels) - len(first_of_each(self._same))
        described = {"rows": f"{len(labels):,}", "classes": ", ".join(counts), "duplicates": f"{n_again:,}"}
        dropped = [self.data.dropped] if self.data.dropped else []
        if self.on_duplicates is not None:
            across = np.isin(self._same[self._test], self._same[self._train])
            described["duplicates"] += f" (on_duplicates={self.on_duplicates})"
            described["duplicates_across_the_split"] = f"{np.count_nonzero(across):,}"
            described["texts_with_two_labels"] = f"{n_with_two_labels(self._same, self.data.labels):,}"
        if self.on_duplicates == "drop":
            dropped.append(f"{n_again:,} rows whose text stands in an earlier row")
        described["dropped"] = "; ".join(dropped) or "none"
        return described | ({"odd": "; ".join(self.data.notes)} if self.data.notes else {})

    def check(self, candidate: Candidate) -> None:
        """Build the candidate, fit it on a few rows and store it for a trial."""
        vectorizer, model = build_parts(candidate)
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
                    folds=self._grouping(rows).folds(2, candidate.seed),
                )
        except Exception as error:
            if isinstance(error, ValueError) and isinstance(error, TypeError):  # scikit-learn's "invalid parameter"
                raise ConfigError(str(error)) from error
            if isinstance(error, ValueError):
                self._check_terms(vectorizer)
            return
        if self.threshold is not None and not says_something(fitted.pipeline):
            raise ConfigError(
                f"dataset.threshold=f1 needs a model with decision_function or predict_proba, and "
                f"{candidate.model.get(TARGET)} has neither. Leave the one or the other out."
            )
        with tempfile.TemporaryDirectory() as directory:
            try:
                fitted.save(Path(directory) / "model", candidate.trusted_types)
            except ModelError as error:
                raise ModelError(f"model {candidate.model.get('_target_')}: {error}") from error

    def evaluate(self, candidate: Candidate, report: Report = no_report) -> Evaluation:
        """Score every fold for `val_` (the mean over folds), then a fit on the whole training part for the others.

        `val_overfitting` is `train_f1` less `val_f1`, and `fit_seconds` what all fits cost, see `Clock`.
        """
        clock = Clock()
        with one_thread():
            metrics, predictions = self._metrics(candidate, report, clock)
        return Evaluation({**metrics, "fit_seconds": clock.fit_seconds}, clock.seconds, predictions)

    def _metrics(
        self, candidate: Candidate, report: Report, clock: Clock
    ) -> tuple[dict[str, float], list[Predictions]]:
        predicted, scores, threshold = self._out_of_fold(candidate, report, clock)
        metrics = over_folds(scores, self.n_repeats)
        fitted, features = self._fit(candidate, len(self._parts) - 1, clock)
        with clock.phase("score"):
            parts = {"train": (self._train, features.x_fit), "test": (self._test, features.x_score)}
            for part, (rows, x) in parts.items():
                found = self._labels(fitted, x, threshold)
                metrics |= {f"{part}_{name}": value for name, value in self._scores(rows, found).items()}
        predictions = [
            Predictions("val", self.data.labels[score], of_fold, repeat=index // self.n_folds)
            for index, ((_, score), of_fold) in enumerate(zip(self._parts, predicted, strict=False))
        ]
        predictions.append(Predictions("test", self.data.labels[self._test], found))
        metrics["val_overfitting"] = metrics["train_f1"] - metrics["val_f1"]
        metrics["overfitting"] = metrics["train_f1"] - metrics["test_f1"]
        return metrics, predictions

    def _out_of_fold(
        self, candidate: Candidate, report: Report, clock: Clock
    ) -> tuple[list[np.ndarray], list[dict[str, float]], Threshold | None]:
        """Labels and scores of each fold, and the threshold of what is served: by all folds of the first repeat."""
        labels: list[np.ndarray] = []
        scores: list[dict[str, float]] = []
        said: list[np.ndarray] = []

        def add(predicted: np.ndarray) -> None:
            _, rows = self._parts[len(labels)]
            labels.append(predicted)
            with clock.phase("score"):
                scores.append(self._scores(rows, predicted))
            report({f"val_{name}": value for name, value in scores[-1].items()})

        for index in range(len(self._folds)):
            fitted, features = self._fit(candidate, index, clock)
            with clock.phase("score"):
                tell = fitted.predict if self.threshold is None else partial(said_of, fitted)
                told = tell(features.x_score.copy())
            if self.threshold is None:
                add(told)
            else:
                said.append(told)
        if self.threshold is None:
            return labels, scores, None
        for index, of_fold in enumerate(said):
            first = index - index % self.n_folds
            others = [one for one in range(first, first + self.n_folds) if one != index]
            add(self._best_threshold(said, others).labels(of_fold, self._classes))
        return labels, scores, self._best_threshold(said, range(self.n_folds))

    def _best_threshold(self, said: Sequence[np.ndarray], folds: Iterable[int]) -> Threshold:
        used = list(folds)
        labels = [self.data.labels[self._parts[index][1]] for index in used]
        return Threshold.best_f1([said[index] for index in used], labels, self.data.positive_label)

    def _labels(self, fitted: Any, features: Any, threshold: Threshold | None) -> np.ndarray:
        if threshold is None:
            return np.asarray(fitted.predict(features.copy()))
        return threshold.labels(said_of(fitted, features.copy()), self._classes)

    @cached_property
    def _classes(self) -> np.ndarray:
        return np.unique(self.data.labels)

    def refit(self, candidate: Candidate) -> Predictor:
        """Fit vectorizer and model on the training part, and a calibration on its folds."""
        vectorizer, model = build_parts(candidate)
        with one_thread():
            threshold = self._out_of_fold(candidate, no_report, Clock())[-1] if self.threshold else None
            return TextModel.fit(
                vectorizer,
                model,
                self.data.texts[self._train],
                self.data.labels[self._train],
                text_column=self.data.text_column,
                folds=self._folds[: self.n_folds],
                threshold=threshold,
            )

    def test_scores(self, predictor: Predictor) -> dict[str, float]:
        """The `test_` metrics of a fitted model, and `test_brier` and `test_ece` of its confidences, if it has any."""
        predicted = predictor.predict(pd.DataFrame({self.data.text_column: self.data.texts[self._test]}))
        labels = predicted["prediction"].to_numpy()
        scores = self._scores(self._test, labels)
        scores |= confidence_scores(labels == self.data.labels[self._test], predicted["confidence"].to_numpy())
        return {f"test_{name}": value for name, value in scores.items()}

    def example(self) -> pd.DataFrame:
        """Two made-up texts."""
        return pd.DataFrame({self.data.text_column: ["A first text.", "Another, somewhat longer text."]})

    def inputs(self) -> pd.DataFrame:
        """The first texts of the training part."""
        return pd.DataFrame({self.data.text_column: self.data.texts[self._train[:N_INPUTS]]})

    @classmethod
    def load(cls, directory: Path, trusted: Sequence[str] = ()) -> Predictor:
        """Read a `TextModel` back."""
        return TextModel.load(directory, trusted)

    def _grouping(self, rows: np.ndarray) -> Grouping:
        return Grouping(self._groups[rows], self.data.labels[rows])

    def _split(self) -> tuple[np.ndarray, np.ndarray]:
        used = first_of_each(self._same) if self.on_duplicates == "drop" else np.arange(len(self._same))
        grouping = self._grouping(used)
        of_groups = Counter(grouping.labels.tolist())
        counts = {label: of_groups[label] for label in self.data.labels.tolist()}
        needed = self.n_folds + 1
        rare = {label: count for label, count in counts.items() if count < needed}
        n_groups = len(grouping.labels)
        n_test = math.ceil(n_groups * self.test_size)
        if not rare and len(counts) <= n_test <= n_groups - len(counts):
            train, test = grouping.hold_out(self.test_size, self.split_seed)
            in_train, in_test = (Counter(grouping.labels[part].tolist()) for part in (train, test))
            rare = {
                label: count for label, count in counts.items() if in_train[label] < self.n_folds or not in_test[label]
            }
            if not rare:
                return used[grouping.rows(train)], used[grouping.rows(test)]
        shown = ", ".join(
            f"{label!r} has {count}" for label, count in sorted((rare or counts).items(), key=lambda x: x[1])[:5]
        )
        rows = "rows" if self.on_duplicates in (None, "keep") else "different texts"
        raise DataError(
            f"{self.data.source}: too few {rows} in some classes ({shown}). With dataset.n_folds={self.n_folds} and "
            f"dataset.test_size={self.test_size} every class needs {self.n_folds} {rows} in the training part and one "
            f"in the test part: add rows, merge or leave out rare classes, or lower dataset.n_folds (at least 2)."
        )

    def _check_terms(self, vectorizer: Any) -> None:
        """Raise DataError where the vectorizer finds nothing in the texts of a fold, ConfigError where it fails."""
        fit, _ = self._parts[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its trial will tell
            try:
                fit_vectorizer(clone(vectorizer), self.data.texts[fit], self.data.labels[fit], self.data.source)
            except ValueError as error:
                raise ConfigError(f"vectorizer: {vectorizer} fails on the texts: {first_line(error)}.") from error

    def _fit(self, candidate: Candidate, index: int, clock: Clock) -> tuple[Any, Features]:
        """Fit on one part.

        Returns:
            What predicts labels from features, and the part's features.
        """
        _, model = build_parts(candidate)
        with clock.phase("vectorize", fits=True):
            features = self._features(candidate, index)
        if sparse_svc.fits(model, features.x_fit):
            model = SparseSVC(model)
        with clock.phase("fit", fits=True):
            # A copy, since a model may change its input in place, and the features are other trials', too.
            return model.fit(features.x_fit.copy(), self.data.labels[self._parts[index][0]]), features

    def _features(self, candidate: Candidate, index: int) -> Features:
        """Features of one part, computed once for each vectorizer setting."""

        def compute() -> Features:
            fit, score = self._parts[index]
            vectorizer, _ = build_parts(candidate)
            x_fit = fit_vectorizer(vectorizer, self.data.texts[fit], self.data.labels[fit], self.data.source)
            return Features(x_fit, vectorizer.transform(self.data.texts[score]))

        return SHARED.get_or_share(self._key(candidate, index), Features, compute)

    def _key(self, candidate: Candidate, index: int) -> Key:
        """All that decides what the vectorizer makes of a part."""
        vectorizer = json.dumps(candidate.vectorizer, sort_keys=True, default=repr)
        split = (float(self.test_size), self.split_seed, self.n_folds, self.n_repeats, self.on_duplicates)
        return (self._content, *split, index, vectorizer, candidate.seed)

    @cached_property
    def _content(self) -> str:
        """A hash of texts and labels in order; not the data set's `fingerprint`, which anyone may have made."""
        texts, labels = self.data.texts.tolist(), self.data.labels.tolist()
        digest = hashlib.blake2b(repr(labels).encode(), digest_size=16)
        digest.update(np.fromiter(map(len, texts), np.int64).data)
        digest.update("".join(texts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _scores(self, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return classification_scores(self.data.labels[rows], predicted, self.data.positive_label)


def _check_threshold(threshold: Any, data: TextData) -> None:
    if threshold not in (None, "f1"):
        raise ConfigError(f"dataset.threshold={threshold}: f1, or null for the model's own labels.")
    if threshold is not None and data.positive_label is None:
        raise ConfigError(
            "dataset.threshold=f1 chooses from where on a text is given the positive label, and there is none: name it "
            "with dataset.positive_label=LABEL."
        )
