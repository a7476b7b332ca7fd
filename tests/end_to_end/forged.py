"""Stored models as a stranger forges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

ENDLESS = r"(?:[a-z]+)+$"
"""A token pattern that takes time exponential in the length of a text like the next one."""
HOPELESS = "a" * 60 + "!"


def put_vectorizer(folder: Path, **options: Any) -> None:
    """Give the model in a folder another vectorizer, as a stranger would: without looking."""
    texts, labels = ["aa bb", "bb", "aa", "bb aa"], ["fair", "hate", "fair", "hate"]
    pipeline = Pipeline([("vectorizer", TfidfVectorizer(token_pattern=r"[ab]+")), ("model", LogisticRegression())])
    pipeline.fit(texts, labels).named_steps["vectorizer"].set_params(**options)
    (file,) = folder.rglob("*.skops")
    skops.io.dump(pipeline, file)
