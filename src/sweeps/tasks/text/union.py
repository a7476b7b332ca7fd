"""Several vectorizers side by side, each by a name of its own in the YAML."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import FeatureUnion


class Union(FeatureUnion):  # type: ignore[misc]  # scikit-learn ships no types
    """Makes scikit-learn's own `FeatureUnion` of named parts.

    Its list of pairs has no keys that a search space, or `vectorizer.char.min_df=2` on the command line, could name.

    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> Union(word=CountVectorizer(), char=CountVectorizer(analyzer="char_wb"))
    FeatureUnion(transformer_list=[('word', CountVectorizer()),
                                   ('char', CountVectorizer(analyzer='char_wb'))])

    Args:
        parts: an unfitted vectorizer each, by its name.
    """

    def __new__(cls, **parts: Any) -> FeatureUnion:
        return FeatureUnion(list(parts.items()))
