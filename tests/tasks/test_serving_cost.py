"""Time and size of what is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from sweeps.tasks.base import Candidate
from sweeps.tasks.serving_cost import model_bytes, predict_ms
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification


class Slow:
    """Takes its time, 1 ms more at each call, and sees what it is given; it also stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen: list[pd.DataFrame] = []
        self.threads: set[int] = set()

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        self.seen.append(frame)
        self.threads |= {pool["num_threads"] for pool in threadpool_info()}
        self.now += 0.001 * len(self.seen)
        return pd.DataFrame({"prediction": frame["x"]})

    def perf_counter(self) -> float:
        return self.now

    def save(self, directory: Path, trusted: Sequence[str] = ()) -> None:
        (directory / "deeper").mkdir(parents=True)
        (directory / "a").write_bytes(b"12345")
        (directory / "deeper" / "b").write_bytes(b"678")

    def pip_requirements(self) -> list[str]:
        return []


def test_one_row_at_a_time_is_timed_with_one_thread_and_the_median_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr("sweeps.tasks.serving_cost.time", slow)
    assert predict_ms(slow, pd.DataFrame({"x": range(7)})) == pytest.approx(16.5), "the median of 2 to 31"
    assert len(slow.seen) == 31, "and one before, which is not counted"
    assert {len(frame) for frame in slow.seen} == {1}
    assert [int(frame["x"].iloc[0]) for frame in slow.seen] == [0, *np.arange(30) % 7]
    assert slow.threads <= {1}


def test_the_size_is_that_of_all_files() -> None:
    assert model_bytes(Slow()) == 8


@pytest.mark.parametrize("model", ["sklearn.naive_bayes.MultinomialNB", "sklearn.svm.LinearSVC"])
def test_a_text_model_is_measured_as_it_is_served(model: str) -> None:
    reviews = load_reviews()
    task = TextClassification(reviews)
    candidate = Candidate({"_target_": model}, {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"})
    found = task.measure(candidate, task.evaluate(candidate), ("predict_ms", "model_bytes"))
    assert found["model_bytes"] == model_bytes(task.refit(candidate))
    assert found["predict_ms"] > 0
    inputs = task.inputs()
    assert set(inputs.iloc[:, 0]) <= set(reviews.texts[task._train])
    assert len(inputs) == 30
