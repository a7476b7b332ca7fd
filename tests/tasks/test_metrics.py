"""Metrics, against scikit-learn and the textbook."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, precision_score, recall_score

from sweeps.tasks.metrics import classification_scores, confidence_scores, is_better

labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30)


@given(labels)
@settings(max_examples=200, deadline=None)
def test_scores_over_all_classes_are_scikit_learns_macro_means(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    assert classification_scores(truth, predicted, None) == pytest.approx(
        {
            "accuracy": accuracy_score(truth, predicted),
            "precision": precision_score(truth, predicted, average="macro", zero_division=0),
            "recall": recall_score(truth, predicted, average="macro", zero_division=0),
            "f1": f1_score(truth, predicted, average="macro", zero_division=0),
        }
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.booleans())
@settings(max_examples=200, deadline=None)
def test_scores_of_one_class_are_the_textbooks_counts(pairs: list[tuple[bool, bool]], positive: bool) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    hits = sum(t == p == positive for t, p in pairs)
    claimed, real = sum(p == positive for _, p in pairs), sum(t == positive for t, _ in pairs)
    scores = classification_scores(truth, predicted, positive)
    assert scores == pytest.approx(
        {
            "accuracy": sum(t == p for t, p in pairs) / len(pairs),
            "precision": hits / claimed if claimed else 0.0,
            "recall": hits / real if real else 0.0,
            "f1": 2 * hits / (claimed + real) if claimed + real else 0.0,
        }
    )
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_better_is_strict_and_follows_the_direction(direction: Any) -> None:
    assert is_better(0.9, 0.8, direction) == (direction == "maximize")
    assert is_better(0.8, 0.9, direction) == (direction == "minimize")
    assert not is_better(0.8, 0.8, direction)
    assert not is_better(math.nan, 0.8, direction)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=10, max_size=60))
@settings(max_examples=200, deadline=None)
def test_confidence_scores_are_the_brier_score_and_the_error_of_ten_bins(rows: list[tuple[bool, float]]) -> None:
    truth, second = np.array([label for label, _ in rows]), np.array([p for _, p in rows])
    predicted = second > 0.5
    found = confidence_scores(predicted == truth, np.where(predicted, second, 1 - second))
    assert found["brier"] == pytest.approx(brier_score_loss(truth, second), abs=1e-12)
    ordered = sorted(zip(np.where(predicted, second, 1 - second), predicted == truth, strict=True), key=lambda x: x[0])
    error, start = 0.0, 0
    for index in range(10):
        size = len(rows) // 10 + (index < len(rows) % 10)
        part = ordered[start : start + size]
        error += size / len(rows) * abs(sum(c for c, _ in part) / size - sum(bool(h) for _, h in part) / size)
        start += size
    assert found["ece"] == pytest.approx(error, abs=1e-9)


def test_without_a_confidence_nothing_is_measured() -> None:
    assert confidence_scores(np.array([True, False]), np.array([0.5, math.nan])) == {}
