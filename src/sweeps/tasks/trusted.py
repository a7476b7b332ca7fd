"""Which types a stored scikit-learn model may hold, and reading and writing one under that rule.

A `.skops` file names the types of its parts; skops imports and builds only those it is told to trust. What is trusted
is decided here, in the installed package, and by the person who loads, never by the file.

How skops treats a trusted name (read in `skops.io`, 0.16) sets the bar for the list below. The name is good for every
kind of node, so whoever writes a file may, with arguments of their own choosing that are themselves made of trusted
types, *call* it (`ConstructorFromReduceNode`), build it with `__new__` and `__setstate__` (`ObjectNode`), or put the
class or function itself where a callable is expected (`TypeNode`, `FunctionNode`). A bound method needs a name of its
own (`MethodNode`), and so do `functools.partial` and `operator.*`. A name may therefore stand here only if calling it
with anything does no more than build plain data or compute a number.

skops trusts scikit-learn's estimators by itself, whatever is in them: `sweeps.tasks.stored_parts` looks into what is
built. skops 0.16 leaves trees untrusted for want of such a check (its `UNTRUSTED_TYPE_REASONS`, scikit-learn pull
request 34558).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import skops.io
from numpy.lib import format as npy

from sweeps.base.atomic_file import replacing
from sweeps.base.errors import ModelError
from sweeps.tasks.stored_file import as_model_error, check_archive, reason
from sweeps.tasks.stored_parts import check_parts

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


_COMPILED = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.tree._tree.Tree",
    }
)


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
            foreign, or holds what `check_parts` refuses.
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
    except ModelError as error:
        raise ModelError(f"{file}: is refused, {error}. Log or download the model anew.") from error
    except Exception as error:  # skops raises whatever the types in the file raise
        raise ModelError(f"{file}: cannot be loaded, {reason(error)}. Log or download the model anew.") from error


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
        raise ModelError(f"{_type_name(obj)} cannot be stored as plain data by skops: {reason(error)}.") from error
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
    except ModelError as error:
        raise ModelError(f"{_type_name(obj)} would not be loaded again: {error}.") from error
    except Exception as error:  # as in load_skops
        raise ModelError(
            f"{_type_name(obj)} can be written by skops and not read back, {reason(error)}. "
            "Its class must be importable by name, and its state plain data."
        ) from error
    with replacing(file) as partial:
        partial.write_bytes(data)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror}); a stored model was expected there.") from error


def _untrusted(data: bytes, trusted: Collection[str], file: Path) -> list[str]:
    what = f"{file}: not a skops file, or a damaged one"
    check_archive(io.BytesIO(data), what)
    with as_model_error(what):
        found: list[str] = skops.io.get_untrusted_types(data=data)
        if not _COMPILED.isdisjoint(found):
            _check_dimensions(data, file)
    return sorted(set(found) - ALLOWED_TYPES - set(trusted))


def _check_dimensions(data: bytes, file: Path) -> None:
    """Refuse arrays without a dimension, at which scikit-learn's trees crash while they are built (1.9)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        todo = [json.loads(archive.read("schema.json"))]
        while todo:
            node = todo.pop()
            todo += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
            if isinstance(node, dict) and node.get("__class__") == "ndarray" and "file" in node:
                with archive.open(node["file"]) as stored:
                    is_first = npy.read_magic(stored) == (1, 0)
                    read_header = npy.read_array_header_1_0 if is_first else npy.read_array_header_2_0
                    if read_header(stored)[0] == ():
                        raise ModelError(f"{file}: is refused, {node['file']} in it has no dimension.")


def _build(data: bytes, trusted: Collection[str]) -> Any:
    obj = skops.io.loads(data, trusted=sorted(ALLOWED_TYPES | set(trusted)))
    check_parts(obj, trusted)
    return obj


def _type_name(obj: object) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
