"""Which types a stored scikit-learn model may hold, and reading and writing one under that rule.

A `.skops` file names the types of its parts; skops imports and builds only those it is told to trust. What is trusted
is decided here, in the installed package, and by the person who loads, never by the file.

How skops treats a trusted name (read in `skops.io`, 0.16) sets the bar for the list below. The name is good for every
kind of node, so whoever writes a file may, with arguments of their own choosing that are themselves made of trusted
types, *call* it (`ConstructorFromReduceNode`), build it with `__new__` and `__setstate__` (`ObjectNode`), or put the
class or function itself where a callable is expected (`TypeNode`, `FunctionNode`). A bound method needs a name of its
own (`MethodNode`), and so do `functools.partial` and `operator.*`. A name may therefore stand here only if calling it
with anything does no more than build plain data or compute a number.

What this does not promise: skops trusts scikit-learn's estimators by itself, and a file made to hold arrays that
disagree with one another can still crash compiled code (libsvm, say). The containers whose indices compiled code
follows without looking (trees, neighbour trees, sparse matrices) are checked after loading. skops 0.16 leaves trees
untrusted for want of that check (its `UNTRUSTED_TYPE_REASONS`, scikit-learn pull request 34558).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

from sweeps.base.errors import ModelError

__all__ = ["ALLOWED_TYPES", "load_skops", "save_skops", "untrusted_types"]

ALLOWED_TYPES: frozenset[str] = frozenset(
    {
        # Containers: a vectorizer's dtype, the training part kept by SVC, k-NN and label propagation, named estimators
        "numpy.dtype",
        "scipy.sparse._csc.csc_array",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csr.csr_matrix",
        "sklearn.utils._bunch.Bunch",
        # Calibration; a splitter is a parameter there and in the *CV classifiers
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.ShuffleSplit",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.model_selection._split.StratifiedShuffleSplit",
        # Trees, forests and boosting (the losses and links: skops 0.16 trusts them itself, 0.13 did not)
        "sklearn._loss._loss.CyHalfMultinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.ExponentialLoss",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        # Neighbours on dense features; PyFuncDistance is left out, since it calls any function it holds
        "sklearn.metrics._dist_metrics.ChebyshevDistance64",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        # Parts of the multi-class wrappers and of the multi-layer perceptron
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        # Gaussian processes; PairwiseKernel is left out, since its metric may be any callable
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.ExpSineSquared",
        "sklearn.gaussian_process.kernels.Exponentiation",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        # Decision thresholds tuned by a score: the scorers, and as the only functions here, pure ones of two arrays
        "sklearn.metrics._classification.accuracy_score",
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._classification.f1_score",
        "sklearn.metrics._classification.precision_score",
        "sklearn.metrics._classification.recall_score",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    }
)
"""Types trusted beyond skops' defaults: what scikit-learn's classifiers and vectorizers of text hold once fitted."""


_BOOSTING = (GradientBoostingClassifier, GradientBoostingRegressor)


def untrusted_types(file: Path, trusted: Collection[str]) -> list[str]:
    """The types that a `.skops` file holds and nobody vouches for; nothing in the file is imported or run.

    Args:
        file: the file to look into.
        trusted: full names (`module.Class`) allowed beyond skops' defaults and `ALLOWED_TYPES`.

    Returns:
        Full names, sorted.

    Raises:
        ModelError: the file is missing, cut short, or not a skops file.
    """
    return _untrusted(_read(file), trusted, file)


def load_skops(file: Path, trusted: Collection[str]) -> Any:
    """The object in a `.skops` file, if every type in it is trusted.

    Args:
        file: the file to load. It is read once, so that what is checked is what is built.
        trusted: full names allowed beyond skops' defaults and `ALLOWED_TYPES`. Trust a function or a class only if
            calling it with any argument is harmless (see the module's docstring).

    Raises:
        ModelError: a type is not trusted (named, with the option that allows it), or the file is missing, corrupt,
            foreign, or holds a tree or matrix whose indices point outside of it.
    """
    data = _read(file)
    if unknown := _untrusted(data, trusted, file):
        raise ModelError(
            f"{file}: holds types that are not known to be safe: {', '.join(unknown)}. If you trust where the file "
            f"comes from and know these types, allow them by name: `{' '.join(f'--trust {name}' for name in unknown)}` "
            f"for prediction, or SWEEPS_TRUST={','.join(unknown)} in the environment."
        )
    try:
        return _build(data, trusted)
    except Exception as error:  # skops raises whatever the types in the file raise
        raise ModelError(f"{file}: cannot be loaded, {_reason(error)}. Log or download the model anew.") from error


def save_skops(obj: object, file: Path, trusted: Collection[str]) -> None:
    """Stores a fitted object as a `.skops` file that `load_skops` loads under the same `trusted`.

    It is loaded back before it is written, and written under another name first: the file is complete or absent.

    Args:
        obj: a fitted estimator.
        file: where to; its directory exists, a file of that name is replaced.
        trusted: full names allowed beyond skops' defaults and `ALLOWED_TYPES`.

    Raises:
        ModelError: a type is not trusted (named, with the key that allows it), or skops cannot store the object.
    """
    try:
        data: bytes = skops.io.dumps(obj)
    except Exception as error:  # skops raises whatever the object's own __reduce__ and __getstate__ raise
        raise ModelError(f"{_type_name(obj)} cannot be stored as plain data by skops: {_reason(error)}.") from error
    unknown = _untrusted(data, trusted, file)
    if nameless := [name for name in unknown if "<" in name]:
        raise ModelError(
            f"{_type_name(obj)} cannot be stored: {', '.join(nameless)} cannot be imported by name. "
            "Replace it by a function at the top level of an installed module."
        )
    if unknown:
        raise ModelError(
            f"{_type_name(obj)} holds types that are not known to be safe to load: {', '.join(unknown)}. If you know "
            f"them, allow them in the model's YAML: `trusted_types: [{', '.join(unknown)}]`; whoever loads the model "
            "then has to allow them as well."
        )
    try:
        _build(data, trusted)
    except Exception as error:  # as in load_skops
        raise ModelError(
            f"{_type_name(obj)} can be written by skops and not read back, {_reason(error)}. "
            "Its class must be importable by name, and its state plain data."
        ) from error
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); a stored model was expected there.") from error


def _untrusted(data: bytes, trusted: Collection[str], file: Path) -> list[str]:
    try:
        found: list[str] = skops.io.get_untrusted_types(data=data)
    except Exception as error:  # zipfile, json, and skops' nodes, each with their own, over a file of unknown origin
        raise ModelError(f"{file}: not a skops file, or a damaged one, {_reason(error)}.") from error
    return sorted(set(found) - ALLOWED_TYPES - set(trusted))


def _build(data: bytes, trusted: Collection[str]) -> Any:
    obj = skops.io.loads(data, trusted=sorted(ALLOWED_TYPES | set(trusted)))
    _check_indices(obj)
    return obj


def _type_name(obj: object) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(". ")


def _check_indices(root: object) -> None:
    """Raises ValueError where a tree, a k-d tree or a sparse matrix inside `root` points outside of its own arrays."""
    seen: set[tuple[int, int | None]] = set()
    todo: list[tuple[object, int | None]] = [(root, None)]
    while todo:
        value, n_features = todo.pop()
        # One part may be shared by owners of different widths, so the width belongs to the key.
        if isinstance(value, str | int | float | type | None) or (id(value), n_features) in seen:
            continue
        seen.add((id(value), n_features))
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
        elif hasattr(value, "check_format"):  # scipy's compressed matrices
            value.check_format(full_check=True)
        else:
            attributes = getattr(value, "__dict__", {})
            if "estimators_" in attributes and isinstance(value, _BOOSTING):
                _check_boosting(value)
            width = attributes.get("n_features_in_", n_features)
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


def _check_splits(inner: Any, left: Any, right: Any, feature: Any, n_features: int | None) -> None:
    """`inner`, `left`, `right`, `feature`: one entry a node; a builder writes children after their parent."""
    if n_features is None or inner.size == 0:
        raise ValueError("a tree is empty or stands outside of an estimator")
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
        raise ValueError(f"{what} point outside of its arrays")
