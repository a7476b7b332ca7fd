"""A model that somebody fitted by hand, stored as sweeps store theirs: plain data, never a pickle."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import mlflow.sklearn
import pandas as pd
from mlflow import MlflowClient
from mlflow.models import Model
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sweeps.base.errors import ModelError
from sweeps.tasks.ratings import is_recommender
from sweeps.tasks.text.model import TextModel
from sweeps.tasks.text.task import TextClassification
from sweeps.tasks.trusted import ALLOWED_TYPES, save_skops
from sweeps.tracking.client import filing_in
from sweeps.tracking.models.registry import log_predictor

_TEXT_COLUMN = "text"
_EXAMPLE = ["A first text.", "Another, somewhat longer text."]


def log_handmade_model(client: MlflowClient, run_id: str, model: Any, trusted_types: Sequence[str] = ()) -> str:
    """Log a fitted model.

    A scikit-learn pipeline from texts to labels becomes what sweeps register: `sweeps.predict` and `sweeps.serve` read
    it. So does a `TextModel` or a `Recommender`. Any other scikit-learn estimator becomes an MLflow scikit-learn model.

    Args:
        client: connected.
        run_id: the run it belongs to.
        model: fitted.
        trusted_types: types to allow in the stored form beyond the built-in list.

    Returns:
        The model's address.

    Raises:
        ModelError: it is none of these, is not fitted, or holds a type that is not trusted.
    """
    if isinstance(model, BaseEstimator):
        try:
            check_is_fitted(model)
        except NotFittedError as error:
            raise ModelError(f"The {type(model).__name__} is not fitted; call its fit first.") from error
    text_model = model if isinstance(model, TextModel) else _text_model(model)
    if text_model is not None:
        example = pd.DataFrame({text_model.text_column: _EXAMPLE})
        return log_predictor(client, run_id, TextClassification, text_model, example, trusted_types)[0]
    if is_recommender(model):
        from sweeps.tasks.ratings.task import Recommendation

        trainset = model.algorithm.trainset
        pair = {model.user_column: [trainset.to_raw_uid(0)], model.item_column: [trainset.to_raw_iid(0)]}
        return log_predictor(client, run_id, Recommendation, model, pd.DataFrame(pair), trusted_types)[0]
    if isinstance(model, BaseEstimator):
        return _log_estimator(client, run_id, model, trusted_types)
    raise ModelError(
        f"A {type(model).__name__} cannot be stored as plain data; a scikit-learn estimator or pipeline can. With "
        f"model=None the run has its params and metrics alone."
    )


def _text_model(model: Any) -> TextModel | None:
    """The pipeline as a text model, if texts are what it takes and labels what it gives."""
    if not isinstance(model, Pipeline) or len(model.steps) < 2 or not is_classifier(model):
        return None
    first = model.steps[0][1] if len(model.steps) == 2 else model[:-1]
    pipeline = Pipeline([("vectorizer", first), ("model", model.steps[-1][1])])
    lacks = "" if hasattr(pipeline, "predict_proba") else f"{type(model.steps[-1][1]).__name__} has no predict_proba"
    found = TextModel(pipeline, _TEXT_COLUMN, no_confidence=lacks)
    try:
        found.score(_EXAMPLE)
    except Exception:  # noqa: BLE001 - a pipeline of something else than texts, which fails in its own way
        return None
    return found


def _log_estimator(client: MlflowClient, run_id: str, model: BaseEstimator, trusted_types: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        save_skops(model, Path(folder) / "model.skops", trusted_types)  # refuses what is not trusted
    with filing_in(client.get_run(run_id).info.experiment_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, about a missing signature
        logged = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.sklearn,
            run_id=run_id,
            sk_model=model,
            serialization_format="skops",
            skops_trusted_types=sorted({*ALLOWED_TYPES, *trusted_types}),
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "scikit-learn", "skops")],
        )
    return str(logged.model_uri)
