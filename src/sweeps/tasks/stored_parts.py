"""What is inside a model built from a file of unknown origin: nothing that crashes compiled code or opens files.

Types are one thing (`sweeps.tasks.trusted`), their state is another: arrays whose indices compiled code follows without
looking, a vectorizer that opens the file a text names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM
from sklearn.tree._tree import Tree

from sweeps.base.errors import ModelError

_BOOSTING = (GradientBoostingClassifier, GradientBoostingRegressor)
_LIBSVM = (SVC, NuSVC, SVR, NuSVR, OneClassSVM)
_MOST_WORDS_OF_A_TERM = 30  # a text has nearly as many terms of each length as words, all of them in memory at once
_MOST_JOBS = 1_024


def check_parts(root: object, trusted: Collection[str]) -> None:
    """Look at every object inside a model.

    Args:
        root: the model.
        trusted: full names of what the person who loads it allows; a vectorizer may call functions of these names.

    Raises:
        ModelError: a part points outside of its own arrays, or would read a file, call a function that the file chose,
            or need memory without bound.
        Exception: a part lacks what its class always has.
    """
    for value, n_features in walk(root):
        if isinstance(value, Tree):
            inner = value.children_left != -1
            _check_splits(inner, value.children_left, value.children_right, value.feature, n_features)
        elif isinstance(value, TreePredictor):
            nodes = value.nodes
            _check_splits(nodes["is_leaf"] == 0, nodes["left"], nodes["right"], nodes["feature_idx"], n_features)
            categorical = nodes["is_categorical"] != 0
            _require(nodes["bitset_idx"][categorical] < len(value.raw_left_cat_bitsets), "a tree's categories")
        elif isinstance(value, KDTree | BallTree):
            _check_neighbour_tree(value)
        elif sparse.issparse(value):
            if hasattr(value, "check_format"):  # scipy's compressed matrices
                value.check_format(full_check=True)
        elif isinstance(value, BaseEstimator):
            _check_estimator(value, trusted)


def walk(root: object) -> Iterator[tuple[Any, int | None]]:
    """Every object inside a model but plain scalars, with the number of features of the estimator that it stands in.

    One part may be shared by owners of different widths, and comes once for each.
    """
    seen: set[tuple[int, int | None]] = set()
    todo: list[tuple[object, int | None]] = [(root, None)]
    while todo:
        value, n_features = todo.pop()
        if isinstance(value, str | int | float | type | None) or (id(value), n_features) in seen:
            continue
        seen.add((id(value), n_features))
        yield value, n_features
        if isinstance(value, Tree | TreePredictor | KDTree | BallTree) or sparse.issparse(value):
            continue
        width = getattr(value, "__dict__", {}).get("n_features_in_", n_features)
        todo.extend((part, width) for part in _parts(value))


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from value.flat
    else:
        yield from getattr(value, "__dict__", {}).values()


def _check_estimator(model: Any, trusted: Collection[str]) -> None:
    state = vars(model)
    if isinstance(model, CountVectorizer | HashingVectorizer) or "decode_error" in state:
        _check_vectorizer(state, trusted)
    if isinstance(state.get("vocabulary_"), dict):
        columns = np.array(list(state["vocabulary_"].values()))
        is_numbered = columns.dtype.kind in "iu" and np.array_equal(np.sort(columns), np.arange(columns.size))
        _require(np.array(is_numbered), "a vocabulary's columns")
    n_jobs = state.get("n_jobs")
    if n_jobs is not None and (not isinstance(n_jobs, int) or n_jobs > _MOST_JOBS):
        raise ModelError(f"n_jobs={n_jobs!r} is not a whole number up to {_MOST_JOBS:,}")
    if isinstance(model, _BOOSTING) and "estimators_" in state:
        _check_boosting(model)
    elif isinstance(model, _LIBSVM) and "support_vectors_" in state:
        _check_libsvm(model)
    elif isinstance(model, KNeighborsClassifier | RadiusNeighborsClassifier) and "_y" in state:
        _check_neighbours(model)


def _check_vectorizer(state: dict[str, Any], trusted: Collection[str]) -> None:
    """A vectorizer of texts, scikit-learn's or one that is built like it."""
    if state.get("input", "content") != "content":
        raise ModelError(f"a vectorizer with input={state['input']!r} would open the files that texts name")
    for name in ("preprocessor", "tokenizer", "analyzer", "strip_accents"):
        called = state.get(name)
        if callable(called) and not {_name_of(called), _name_of(type(called))} & set(trusted):
            raise ModelError(f"a vectorizer's {name} is the function {_name_of(called)}, which is not trusted by name")
    if not isinstance(state.get("token_pattern"), str | None):
        raise ModelError(f"token_pattern={state['token_pattern']!r} is not a text")
    if "ngram_range" in state:
        shortest, longest = state["ngram_range"]
        if not shortest <= longest <= _MOST_WORDS_OF_A_TERM:
            raise ModelError(
                f"ngram_range={state['ngram_range']} has more than {_MOST_WORDS_OF_A_TERM} words in a term"
            )


def _name_of(called: Any) -> str:
    return f"{getattr(called, '__module__', '')}.{getattr(called, '__qualname__', '')}"


def _check_libsvm(model: Any) -> None:
    vectors, weights = model.support_vectors_, model._dual_coef_
    n_classes = len(model.classes_) if isinstance(model, SVC | NuSVC) else 2
    n_rows = len(model.support_)
    if not callable(model.kernel) and model.kernel != "precomputed":
        _require(np.array(vectors.shape == (n_rows, model.n_features_in_)), "support vectors")
    _require(np.array(weights.shape == (n_classes - 1, n_rows)), "an SVM's weights")
    _require(np.array(not sparse.issparse(weights) or weights.nnz == (n_classes - 1) * n_rows), "an SVM's weights")
    _require(np.array(sparse.issparse(weights) == sparse.issparse(vectors) == bool(model._sparse)), "support vectors")
    _require((model.support_ >= 0) & (model.support_ < model.shape_fit_[0]), "an SVM's support")
    counts = model._n_support
    _require(np.array(counts.shape == (n_classes,)) & (counts >= 0) & (counts <= n_rows), "an SVM's support")
    if isinstance(model, SVC | NuSVC):
        _require(np.array(counts.sum() == n_rows), "an SVM's support")
    n_pairs = n_classes * (n_classes - 1) // 2
    _require(np.array(model._intercept_.shape == (n_pairs,)), "an SVM's intercepts")
    has_scales = vars(model).get("_effective_probability", model.probability)  # the first since scikit-learn 1.9
    for scales in (model._probA, model._probB):
        _require(np.array(scales.size == n_pairs or (scales.size == 0 and not has_scales)), "an SVM's probabilities")


def _check_neighbours(model: Any) -> None:
    columns, classes = model._y, model.classes_
    if columns.ndim == 1:
        columns, classes = columns[:, None], [classes]
    _require(np.array(columns.shape == (model.n_samples_fit_, len(classes))), "a neighbour's classes")
    _require(np.array(model._fit_X.shape == (model.n_samples_fit_, model.n_features_in_)), "neighbours")
    _require((columns >= 0) & (columns < [len(of_one) for of_one in classes]), "a neighbour's classes")
    if isinstance(model, KNeighborsClassifier) and not 0 < model.n_neighbors <= model.n_samples_fit_:
        raise ModelError(f"n_neighbors={model.n_neighbors} of {model.n_samples_fit_} rows")


def _check_splits(inner: Any, left: Any, right: Any, feature: Any, n_features: int | None) -> None:
    """`inner`, `left`, `right`, `feature`: one entry a node; a builder writes children after their parent."""
    if n_features is None or inner.size == 0:
        raise ModelError("a tree is empty or stands outside of an estimator")
    position, left, right = np.flatnonzero(inner), left[inner], right[inner]
    _require((position < left) & (left < inner.size) & (position < right) & (right < inner.size), "a tree's children")
    _require((feature[inner] >= 0) & (feature[inner] < n_features), "a tree's features")


def _check_boosting(model: Any) -> None:
    # Gradient boosting reads its trees' nodes directly, past the check of columns that each tree estimator makes.
    fits = [isinstance(t.tree_, Tree) and t.n_features_in_ == model.n_features_in_ for t in model.estimators_.flat]
    _require(np.array(fits), "gradient boosting's trees")


def _check_neighbour_tree(tree: Any) -> None:
    """The nodes are a heap: node i has the children 2i + 1 and 2i + 2, a leaf a slice of the index array."""
    data, index, nodes, bounds, *rest = tree.__getstate__()
    (n_samples, n_features), n_nodes = data.shape, nodes.shape[0]
    leaf = nodes["is_leaf"] != 0
    _require(np.array(n_nodes > 0), "a neighbour tree's nodes")
    _require(leaf | (2 * np.arange(n_nodes) + 2 < n_nodes), "a neighbour tree's children")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _require((start >= 0) & (start <= end) & (end <= index.shape[0]), "a neighbour tree's leaves")
    _require((index >= 0) & (index < n_samples), "a neighbour tree's samples")
    n_bounds = 2 if isinstance(tree, KDTree) else 1
    _require(np.array(bounds.shape == (n_bounds, n_nodes, n_features)), "a neighbour tree's bounds")
    metric = next(part for part in rest if isinstance(part, DistanceMetric))
    if type(metric).__name__.startswith("Minkowski"):  # the only one allowed that reads its weights
        _require(np.array(metric.__getstate__()[1].size in (0, n_features)), "a distance's weights")


def _require(holds: Any, what: str) -> None:
    if not np.all(holds):
        raise ModelError(f"{what} point outside of its arrays")
