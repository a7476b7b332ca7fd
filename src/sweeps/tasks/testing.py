"""Checks that the author of a task can run in a test of their own.

from sweeps.tasks.testing import check_task

def test_my_task_keeps_the_rules():
    check_task(MyTask(my_data), Candidate(model={"_target_": "my_package.MyModel", "depth": 3}))
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sweeps.tasks.base import Candidate, Evaluation, Task
from sweeps.tasks.metrics import TIMINGS, on_test

_PICKLES = {".pkl", ".pickle", ".joblib", ".dill"}


def check_task(task: Task, candidate: Candidate) -> None:
    """Check that a task keeps the rules that a sweep relies on.

    >>> from sweeps.tasks.text.data import text_data_from_frame
    >>> from sweeps.tasks.text.task import TextClassification
    >>> frame = pd.DataFrame({"text": [f"{word} {n}" for n in range(20) for word in ("good", "bad")]})
    >>> frame["label"] = ["yes", "no"] * 20
    >>> columns = {"text_column": "text", "label_column": "label", "positive_label": "yes"}
    >>> data = text_data_from_frame(frame, **columns, source="made up", on_bad_rows="error")
    >>> model = {"_target_": "sklearn.naive_bayes.MultinomialNB"}
    >>> vectorizer = {"_target_": "sklearn.feature_extraction.text.CountVectorizer"}
    >>> check_task(TextClassification(data), Candidate(model, vectorizer))
    >>> class Forgetful(TextClassification):
    ...     default_metric = "accuracy"
    >>> check_task(Forgetful(data), Candidate(model, vectorizer))
    Traceback (most recent call last):
    AssertionError: broken rule: default_metric is one of directions

    Args:
        task: loaded and split, small enough to fit `candidate` a few times.
        candidate: one that fits the task.

    Raises:
        AssertionError: names the rule that is broken.
    """
    _require(task.default_metric in task.directions, "default_metric is one of directions")
    _require(not any(name.startswith("test_") for name in task.directions), "no test_ metric is an objective")
    _require(task.evaluation_id() == task.evaluation_id(), "evaluation_id() gives the same id twice")
    described = task.describe_data()
    _require(
        all(isinstance(one, str) for pair in described.items() for one in pair), "describe_data() gives words by name"
    )
    task.check(candidate)

    first, second = task.evaluate(candidate), task.evaluate(candidate)
    for metric in task.directions:
        _require(metric in first.metrics, f"evaluate() measures {metric}")
    counterpart = on_test(task.default_metric)
    _require(counterpart in first.metrics, f"evaluate() measures {counterpart}, which the gate compares")
    _require(all(math.isfinite(value) for value in first.metrics.values()), "every metric is a finite number")
    _require(
        _without_timings(first.metrics) == _without_timings(second.metrics),
        "evaluate() gives the same metrics for the same candidate",
    )

    _check_predictor(task, candidate, first)
    more = task.measure(candidate, first, tuple(task.on_demand)) if task.on_demand else {}
    _require(set(more) == set(task.on_demand), "measure() measures what on_demand names")


def _check_predictor(task: Task, candidate: Candidate, evaluation: Evaluation) -> None:
    predictor = task.refit(candidate)
    scores = task.test_scores(predictor)
    measured = {name: value for name, value in evaluation.metrics.items() if name.startswith("test_")}
    found = {name: value for name, value in scores.items() if name in measured}
    _require(bool(found) and found == measured, "test_scores() of the refitted model are the trial's test_ metrics")
    example = task.example()
    predicted = predictor.predict(example)
    _require(len(predicted) == len(example), "predict() gives one row for each row of its input")
    _require("prediction" in predicted.columns, "predict() gives a column named prediction")

    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "model"
        predictor.save(stored, candidate.trusted_types)
        files = [file for file in stored.rglob("*") if file.is_file()]
        _require(not any(file.suffix in _PICKLES for file in files), "save() writes no pickle")
        loaded = type(task).load(stored, candidate.trusted_types)
    pd.testing.assert_frame_equal(loaded.predict(example), predicted, obj="predictions after save() and load()")


def _without_timings(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMINGS}


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise AssertionError(f"broken rule: {rule}")
