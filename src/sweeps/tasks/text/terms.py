"""A vectorizer that finds nothing in any text, told as what it is: a setting that does not fit the texts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

from sweeps.base.errors import DataError

_ANYTHING = {"token_pattern": r"\S+", "stop_words": None, "min_df": 1, "max_df": 1.0}


def fit_vectorizer(vectorizer: Any, texts: np.ndarray, labels: np.ndarray, source: str) -> Any:
    """What `vectorizer.fit_transform(texts, labels)` gives.

    Args:
        vectorizer: unfitted; fitted afterwards.
        texts: shape (n,), of str.
        labels: shape (n,).
        source: what to call the data in messages.

    Raises:
        DataError: a `CountVectorizer` or `TfidfVectorizer` is left without a term.
        ValueError: the vectorizer's own.
    """
    try:
        return vectorizer.fit_transform(texts, labels)
    except ValueError as error:
        is_known = isinstance(vectorizer, CountVectorizer) and not isinstance(error, TypeError)  # an invalid parameter
        reason = _why_no_term(vectorizer, texts) if is_known else ""
        if not reason:
            raise
        raise DataError(f"{source}: the vectorizer finds no term in {len(texts):,} texts. {reason}") from error


def _why_no_term(vectorizer: CountVectorizer, texts: np.ndarray) -> str:
    options = vectorizer.get_params()
    rules = ", ".join(f"{name}={options[name]!r}" for name in ("token_pattern", "stop_words", "min_df", "max_df"))
    anything = clone(vectorizer).set_params(**_ANYTHING)
    try:
        analyze = vectorizer.build_analyzer()
        n_empty = sum(not analyze(text) for text in texts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            anything.fit(texts)
    except ValueError:
        return ""  # another setting is wrong, and scikit-learn says which
    if n_empty == len(texts):
        return (
            f"By {rules} every text is empty, all {n_empty:,}. If they are emoji or single characters: "
            "\"++vectorizer.token_pattern='\\S+'\""
        )
    return (
        f"By {rules} {n_empty:,} of them are empty, and no term of the others is in enough texts and not in too many: "
        "++vectorizer.min_df=1 ++vectorizer.max_df=1.0"
    )
