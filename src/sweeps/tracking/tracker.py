"""Runs made by hand, with the params, metrics and tags of trials, so that both compare in one MLflow view."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Real
from typing import Any

import numpy as np

from sweeps.errors import ConfigError, SweepsError
from sweeps.tracking.client import connect, experiment_id, unreachable
from sweeps.tracking.entries import command_tags, log_measured, shown, start_single_run
from sweeps.tracking.handmade_model import log_handmade_model
from sweeps.tracking.prediction_batch import PredictionBatch
from sweeps.tracking.prediction_runs import log_predictions

_NO_VECTORIZER = "none"


class Tracker:
    """Logs runs into one experiment; `sweeps.tracking.get_tracker` makes one.

    Args:
        experiment_name: made on first use.
        dataset: the param `dataset` of the runs.
        positive_label: of prediction logs.

    Raises:
        TrackingError: the tracking server or store is out of reach.
    """

    def __init__(self, experiment_name: str, *, dataset: str, positive_label: object = None) -> None:
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
            ConfigError: a metric is no finite number, or a param has the name of one that every run has.
            ModelError: the model cannot be stored as plain data; its run is FAILED.
            TrackingError: MLflow is out of reach, or refuses.
        """
        contract = {"model_type": model_name, "vectorizer_type": vectorizer_type, "dataset": self._dataset}
        params = params or {}
        clashes = sorted(contract.keys() & params.keys())
        if clashes:
            raise ConfigError(f"params: {', '.join(clashes)} is a param of every run; give yours another name.")
        values = {name: _finite(name, value) for name, value in metrics.items()}
        choices = {"model": model_name, "vectorizer": vectorizer_type}
        made_by = {key: value for key, value in command_tags("").items() if value} | dict(tags or {})
        status = "FAILED"
        try:
            run_id = start_single_run(self._client, self._experiment, choices, made_by, datetime.now())
            try:
                log_measured(self._client, run_id, shown(contract | dict(params)), values, _now())
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
            seconds: that the model took.
            run_id: the run that the model came from; default: the last one that this tracker has logged.
            version: the registered model's version, if it has one.
            inputs: n inputs, logged with their predictions; default: they are not.

        Returns:
            The run's id.

        Raises:
            ConfigError: there are not as many confidences or inputs as predictions.
            TrackingError: MLflow is out of reach, or refuses.
        """
        labels = np.asarray(predictions).tolist()
        for name, values in (("confidences", confidences), ("inputs", inputs)):
            if values is not None and len(values) != len(labels):
                raise ConfigError(f"{name}: {len(values)} for {len(labels)} predictions; one for each is expected.")
        labels, positive = self._compared(labels)
        batch = PredictionBatch.of(
            labels,
            None if confidences is None else np.asarray(confidences, float).tolist(),
            model=self.experiment_name,
            version=version,
            run_id=run_id or self._last_run,
            source=source,
            seconds=seconds,
            positive_label=positive,
            inputs=inputs,
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


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise ConfigError(f"metrics: {name} is {value!r}; a finite number is expected.")
    return float(value)


def _now() -> int:
    return int(time.time() * 1000)
