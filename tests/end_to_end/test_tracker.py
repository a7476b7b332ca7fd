"""Runs made by hand are of the same shape as trials."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import SVC

from sweeps.base.errors import ConfigError, ModelError
from sweeps.tracking import get_tracker
from sweeps.tracking.by_hand.tracker import Tracker
from sweeps.tracking.models.load import load

from .conftest import Workbench, text_csv

TEXTS = ["good", "fine", "kind", "bad", "ugly", "sad"]
LABELS = ["fair", "fair", "fair", "hate", "hate", "hate"]
METRICS = {"train_f1": 0.75, "test_f1": 0.68, "overfitting": 0.07}
PARAMS = {"C": 0.056, "kernel": "linear"}


@pytest.fixture
def tracker(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", bench.uri)
    monkeypatch.chdir(bench.folder)
    yield get_tracker(experiment_name="hate_speech_detection")
    mlflow.set_tracking_uri(None)


def fitted() -> Pipeline:
    return make_pipeline(TfidfVectorizer(), SVC(kernel="linear", C=0.056)).fit(TEXTS, LABELS)


def test_a_run_by_hand_has_params_metrics_and_a_model_that_predicts(tracker: Tracker, bench: Workbench) -> None:
    pipeline = fitted()
    run_id = tracker.log_model_training(
        model=pipeline, model_name="svm", metrics=METRICS, params=PARAMS, vectorizer_type="tfidf"
    )
    run = bench.client.get_run(run_id)
    contract = {"model_type": "svm", "vectorizer_type": "tfidf", "dataset": "hate_speech_detection"}
    assert run.data.params == contract | {"C": "0.056", "kernel": "linear"}
    assert run.data.metrics == METRICS
    assert (run.info.status, run.info.run_name) == ("FINISHED", "svm tfidf")
    (file,) = [bench.folder / "in.csv"]
    file.write_text("text\n" + "\n".join(TEXTS) + "\n")
    finished = bench.predict(f"runs:/{run_id}/model", str(file))
    assert finished.code == 0, finished.err
    assert [line.split(",")[1] for line in finished.out.splitlines()[1:]] == pipeline.predict(TEXTS).tolist()


def test_it_compares_with_a_trial_in_one_view(tracker: Tracker, bench: Workbench, texts: object) -> None:
    bench.sweep(*text_csv(texts), "model=svm", "n_trials=1", "experiment_name=hate_speech_detection", "promote=never")  # type: ignore[arg-type]
    mlflow.set_tracking_uri(bench.uri)
    tracker.log_model_training(fitted(), "svm", METRICS, PARAMS, "tfidf")
    frame = mlflow.search_runs(experiment_names=["hate_speech_detection"], order_by=["metrics.test_f1 DESC"])
    trial = frame[frame["tags.sweeps.kind"] == "trial"].iloc[0]
    by_hand = frame[frame["tags.sweeps.kind"] == "run"].iloc[0]
    shared = [f"params.{name}" for name in ("model_type", "vectorizer_type", "dataset", "C", "kernel")]
    shared += [f"metrics.{name}" for name in METRICS]
    assert trial[shared].notna().all()
    assert by_hand[shared].notna().all()


def test_other_models(tracker: Tracker, bench: Workbench) -> None:
    vectors = np.eye(6)
    classifier = LogisticRegression().fit(vectors, LABELS)
    run_id = tracker.log_model_training(classifier, "logistic", METRICS)
    (logged,) = bench.client.search_logged_models([bench.client.get_run(run_id).info.experiment_id])
    assert mlflow.sklearn.load_model(logged.model_uri).predict(vectors).tolist() == classifier.predict(vectors).tolist()

    long = make_pipeline(TfidfVectorizer(), MaxAbsScaler(), LogisticRegression()).fit(TEXTS, LABELS)
    run_id = tracker.log_model_training(long, "logistic", METRICS, vectorizer_type="scaled")
    labels, confidences = load(bench.client, f"runs:/{run_id}/model").score(TEXTS)  # type: ignore[attr-defined]
    assert labels.tolist() == long.predict(TEXTS).tolist()
    assert confidences == pytest.approx(long.predict_proba(TEXTS).max(axis=1))

    assert bench.client.get_run(tracker.log_model_training(None, "rules", METRICS)).info.status == "FINISHED"
    assert "MLFLOW_EXPERIMENT_ID" not in os.environ  # a sweep of this process would be filed there


class Unstorable(LogisticRegression):
    pass


def test_what_cannot_be_stored_fails_its_run(tracker: Tracker, bench: Workbench) -> None:
    for model, message in ((object(), "cannot be stored as plain data"), (Unstorable(), "Unstorable")):
        with pytest.raises(ModelError, match=message):
            tracker.log_model_training(model, "mine", METRICS)
    assert [run.info.status for run in bench.runs("run")] == ["FAILED", "FAILED"]


def test_wrong_values_are_refused_before_anything_is_logged(tracker: Tracker, bench: Workbench) -> None:
    with pytest.raises(ConfigError, match="test_f1 must be a finite number; it is nan"):
        tracker.log_model_training(None, "svm", {"test_f1": float("nan")})
    with pytest.raises(ConfigError, match="'model_type' and 'model#type' are the same name"):
        tracker.log_model_training(None, "svm", {}, params={"model#type": "mine"})
    with pytest.raises(ConfigError, match="model_type is a param that every run has"):
        tracker.log_model_training(None, "svm", METRICS, {"model_type": "x"})
    with pytest.raises(ConfigError, match="there are 1 for 2 predictions"):
        tracker.log_prediction_batch([0, 1], [0.5])
    assert bench.runs() == []


def test_predictions_by_hand_are_logged_as_the_service_logs_them(tracker: Tracker, bench: Workbench) -> None:
    trained = tracker.log_model_training(None, "svm", METRICS)
    run_id = tracker.log_prediction_batch(
        np.array([0, 1, 1]), confidences=np.array([0.5, 1.0, np.nan]), source="notebook"
    )
    run = bench.client.get_run(run_id)
    assert bench.client.get_experiment(run.info.experiment_id).name == "hate_speech_detection-predictions"
    assert run.data.params == {"model": "hate_speech_detection", "source": "notebook", "trial_run_id": trained}
    assert run.data.metrics["n_predictions"] == 3
    assert run.data.metrics["n_positive"] == 2
    assert run.data.metrics["mean_confidence"] == 0.75


def test_the_positive_label_can_be_named(tracker: Tracker, bench: Workbench) -> None:
    named = get_tracker("hate_speech_detection", positive_label="hate")
    metrics = [
        bench.client.get_run(one.log_prediction_batch(LABELS)).data.metrics.get("n_positive")
        for one in (named, tracker)
    ]
    assert metrics == [3, None]


def test_the_duration_is_logged_where_it_is_known(tracker: Tracker, bench: Workbench) -> None:
    runs = [tracker.log_prediction_batch(LABELS, seconds=seconds) for seconds in (0.25, 0)]
    assert [bench.client.get_run(run).data.metrics.get("duration_seconds") for run in runs] == [0.25, None]


@pytest.mark.parametrize(
    ("wrong", "message"), [({"predictions": []}, "must not be empty"), ({"source": " "}, "say who asked")]
)
def test_a_batch_of_nothing_or_of_nobody_is_refused(
    tracker: Tracker, bench: Workbench, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tracker.log_prediction_batch(**({"predictions": LABELS} | wrong))
    assert bench.runs() == []


def test_an_experiment_needs_a_name(tracker: Tracker) -> None:
    with pytest.raises(ConfigError, match="must be a name"):
        get_tracker(" ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model_name": 5}, "model_name: 5 must be text"),
        ({"tags": {"a": 1}}, "tags: 1 must be text"),
        ({"params": {1: 2}}, "params: 1 must be text"),
        ({"params": {"": 2}}, "params: a name must not be empty"),
        ({"metrics": {"f@1": 1.0, "f#1": 2.0}}, "are the same name to MLflow, f_1"),
        ({"metrics": {"f": 10**400}}, "must be a finite number"),
        ({"metrics": None}, "metrics must be a mapping of names"),
    ],
)
def test_arguments_that_make_no_run_are_refused_before_there_is_one(
    tracker: Tracker, bench: Workbench, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tracker.log_model_training(**({"model": None, "model_name": "svm", "metrics": METRICS} | wrong))
    assert bench.runs() == []


@pytest.mark.parametrize("model", [LogisticRegression(), make_pipeline(TfidfVectorizer(), LogisticRegression())])
def test_a_model_that_is_not_fitted_is_refused(tracker: Tracker, model: Any) -> None:
    with pytest.raises(ModelError, match="is not fitted; call its fit first"):
        tracker.log_model_training(model, "logistic", METRICS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predictions": None}, "predictions must be a list"),
        ({"predictions": "hate"}, "predictions must be a list"),
        ({"confidences": [[0.1, 0.9], [0.5, 0.5]]}, "confidences must be numbers"),
        ({"confidences": [5, 0.5]}, "5 is not"),
        ({"confidences": ["a", "b"]}, "'a' is not"),
        ({"confidences": [0.5]}, "there are 1 for 2 predictions"),
        ({"seconds": math.nan}, "seconds must be 0 or more; it is nan"),
        ({"seconds": -1}, "seconds must be 0 or more; it is -1"),
    ],
)
def test_predictions_that_cannot_be_counted_are_refused(
    tracker: Tracker, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tracker.log_prediction_batch(**({"predictions": [1, 0]} | arguments))


def test_whatever_can_be_gone_through_is_counted(tracker: Tracker, bench: Workbench) -> None:
    inputs = pd.DataFrame({"text": ["a", "b"], "row": [1, 2]})
    run_id = tracker.log_prediction_batch(
        (label for label in [1, 0]), confidences=(c for c in (0.5, None)), inputs=inputs
    )
    measured = bench.client.get_run(run_id).data.metrics
    assert (measured["n_predictions"], measured["n_positive"], measured["mean_confidence"]) == (2, 1, 0.5)
