"""Runs made by hand, with the params, metrics and tags of trials, so that both compare in one MLflow view."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import ConfigError, SweepsError
from sweeps.tracking.by_hand.model import log_handmade_model
from sweeps.tracking.client import connect, experiment_id, unreachable
from sweeps.tracking.entries import command_tags, fit_name, log_measured, milliseconds, shown, start_single_run
from sweeps.tracking.predictions.batch import PredictionBatch
from sweeps.tracking.predictions.runs import log_predictions

_NO_VECTORIZER = "none"
_LONGEST = 1e9  # seconds, of a batch of predictions


class Tracker:
    """Logs runs into one experiment; `sweeps.tracking.get_tracker` makes one.

    Args:
        experiment_name: made on first use.
        dataset: the param `dataset` of the runs.
        positive_label: of prediction logs.

    Raises:
        ConfigError: the experiment has no name.
        TrackingError: the tracking server or store is out of reach.
    """

    def __init__(self, experiment_name: str, *, dataset: str, positive_label: object = None) -> None:
        if not (isinstance(experiment_name, str) and experiment_name.strip()):
            raise ConfigError(f"experiment_name must be a name, not {experiment_name!r}.")
        self.experiment_name = experiment_name
        self._dataset = dataset
        self._positive_label = positive_label
        self._client = connect()
        self._experiment = experiment_id(self._client, experiment_name)
        self._last_run = ""

    def log_model_training(
        self,
        model: Any,
        model_name: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any] | None = None,
        vectorizer_type: str = _NO_VECTORIZER,
        *,
        tags: Mapping[str, str] | None = None,
        trusted_types: Sequence[str] = (),
    ) -> str:
        """Log a fitted model with its params and metrics as one run.

        Args:
            model: a fitted scikit-learn pipeline or estimator, a `TextModel` or a `Recommender`; None: the params and
                metrics alone.
            model_name: the param `model_type`, such as `svm`.
            metrics: finite numbers by name; sweeps use `train_`, `val_` and `test_` with `accuracy`, `precision`,
                `recall`, `f1`, and `overfitting` = train_f1 - test_f1.
            params: hyperparameters by their own names (`C`, `kernel`).
            vectorizer_type: the param `vectorizer_type`, such as `tfidf`.
            tags: more tags of the run.
            trusted_types: types to allow in the stored model beyond the built-in list.

        Returns:
            The run's id.

        Raises:
            ConfigError: a metric is no finite number, a name or tag is no text, two names are one to MLflow, or a param
                has the name of one that every run has.
            ModelError: the model cannot be stored as plain data; its run is FAILED.
            TrackingError: MLflow is out of reach, or refuses.
        """
        contract = {"model_type": model_name, "vectorizer_type": vectorizer_type, "dataset": self._dataset}
        params = params or {}
        _check_texts("model_name", [model_name])
        _check_texts("vectorizer_type", [vectorizer_type])
        _check_run(contract, params, metrics, tags or {})
        values = {name: _finite(name, value) for name, value in metrics.items()}
        choices = {"model": model_name, "vectorizer": vectorizer_type}
        made_by = command_tags() | dict(tags or {})
        status = "FAILED"
        try:
            run_id = start_single_run(self._client, self._experiment, choices, made_by, datetime.now())
            try:
                log_measured(self._client, run_id, shown(contract | dict(params)), values, milliseconds(None))
                if model is not None:
                    log_handmade_model(self._client, run_id, model, trusted_types)
                status = "FINISHED"
            finally:
                self._client.set_terminated(run_id, status)
        except SweepsError:
            raise
        except Exception as error:
            raise unreachable(error) from error
        self._last_run = run_id
        return run_id

    def log_prediction_batch(
        self,
        predictions: Sequence[Any] | np.ndarray,
        confidences: Sequence[float] | np.ndarray | None = None,
        *,
        source: str = "notebook",
        seconds: float = 0.0,
        run_id: str | None = None,
        version: str | None = None,
        inputs: Sequence[Any] | None = None,
    ) -> str:
        """Log predictions as one run of the experiment `<experiment_name>-predictions`, as the service does.

        Args:
            predictions: n labels or ratings.
            confidences: n numbers in [0, 1], NaN where there is none.
            source: who asked.
            seconds: that the model took; 0 where it is not known.
            run_id: the run that the model came from; default: the last one that this tracker has logged.
            version: the registered model's version, if it has one.
            inputs: n inputs, logged with their predictions; default: they are not.

        Returns:
            The run's id.

        Raises:
            ConfigError: there are no predictions, not as many confidences or inputs, or no source.
            TrackingError: MLflow is out of reach, or refuses.
        """
        labels = _listed("predictions", predictions)
        if not labels:
            raise ConfigError("predictions must not be empty.")
        if not (isinstance(source, str) and source.strip()):
            raise ConfigError(f"source must say who asked, such as notebook; it is {source!r}.")
        sure = None if confidences is None else _confidences(confidences)
        asked = None if inputs is None else _listed("inputs", inputs)
        for name, values in (("confidences", sure), ("inputs", asked)):
            if values is not None and len(values) != len(labels):
                raise ConfigError(
                    f"{name} must have one entry per prediction: there are {len(values)} for {len(labels)} predictions."
                )
        if not 0 <= seconds <= _LONGEST:
            raise ConfigError(f"seconds must be 0 or more; it is {seconds}.")
        labels, positive = self._compared(labels)
        batch = PredictionBatch.of(
            labels,
            sure,
            model=self.experiment_name,
            version=version,
            run_id=run_id or self._last_run,
            source=source,
            seconds=seconds,
            positive_label=positive,
            inputs=asked,
        )
        try:
            return log_predictions(self._client, batch)
        except SweepsError:
            raise
        except Exception as error:
            raise unreachable(error) from error

    def _compared(self, labels: list[Any]) -> tuple[list[Any], str | None]:
        """Labels, and the positive one as text: 1 and True where nothing was said and all labels are 0 and 1."""
        if self._positive_label is not None:
            return labels, str(self._positive_label)
        if all(label in (0, 1) for label in labels):
            return [int(label) for label in labels], "1"
        return labels, None


def _check_run(
    contract: Mapping[str, str], params: Mapping[str, Any], metrics: Mapping[str, float], tags: Mapping[str, str]
) -> None:
    """Refuse what MLflow would refuse, or mix up, of a run.

    Args:
        contract: the params that every run has.
        params: the other params.
        metrics: by name.
        tags: by name.
    """
    _check_names("tags", tags)
    _check_texts("tags", tags.values())
    _check_names("params", params)
    _check_names("metrics", metrics)
    clashes = sorted(contract.keys() & params.keys())
    if clashes:
        raise ConfigError(f"params: {', '.join(clashes)} is a param that every run has; give yours another name.")
    _check_names("params", {**contract, **params})


def _listed(name: str, values: Any) -> list[Any]:
    """A column, an array or whatever can be gone through, as a list of plain values."""
    if isinstance(values, pd.DataFrame):
        return list(values.to_dict("records"))
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} must be a list, not a {type(values).__name__}.")
    return [value.tolist() if isinstance(value, np.generic | np.ndarray) else value for value in values]


def _confidences(values: Any) -> list[float]:
    numbers = _listed("confidences", values)
    for number in numbers:
        is_number = isinstance(number, Real) and not isinstance(number, bool)
        if number is not None and not (is_number and (number != number or 0 <= number <= 1)):
            raise ConfigError(f"confidences must be numbers from 0 to 1, one per prediction; {number!r} is not.")
    return [math.nan if number is None else float(number) for number in numbers]


def _check_texts(what: str, values: Iterable[object]) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ConfigError(f"{what}: {value!r} must be text.")


def _check_names(what: str, named: Mapping[str, Any]) -> None:
    """Names become keys of MLflow, which knows fewer characters; see `fit_name`."""
    if not isinstance(named, Mapping):
        raise ConfigError(f"{what} must be a mapping of names to values, not a {type(named).__name__}.")
    _check_texts(what, named)
    if "" in named:
        raise ConfigError(f"{what}: a name must not be empty.")
    keys: dict[str, str] = {}
    for name in named:
        other = keys.setdefault(fit_name(name), name)
        if other != name:
            raise ConfigError(
                f"{what}: {other!r} and {name!r} are the same name to MLflow, {fit_name(name)}; rename one."
            )


def _finite(name: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:  # a whole number of more than three hundred digits
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"metrics: {name} must be a finite number; it is {value!r}.")
    return number
