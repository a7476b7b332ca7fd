"""The allow-list: what it names, and that nothing in a file runs before every type in it is trusted."""

import importlib
import inspect
import json
import os
import zipfile
from collections import Counter
from functools import partial
from itertools import count
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from sweeps.base.errors import ModelError
from sweeps.tasks.trusted import ALLOWED_TYPES, load_skops, save_skops, untrusted_types

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)


class Majority(ClassifierMixin, BaseEstimator):
    """A foreign estimator: plain, and not on the list."""

    def fit(self, X: Any, y: Any) -> "Majority":
        self.classes_ = np.unique(y)
        self.label_ = Counter(np.asarray(y).tolist()).most_common(1)[0][0]
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.label_)


class Touch:
    """Leaves a mark wherever a loader might run code of a file's choosing."""

    def __init__(self, marker: str) -> None:
        self.marker = marker
        Path(marker).touch()

    def __reduce__(self) -> Any:
        return type(self), (self.marker,)

    def __setstate__(self, state: Any) -> None:
        Path(state["marker"]).touch()


class TouchByState(Touch):
    def __reduce__(self) -> Any:
        return object.__reduce__(self)


def name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def resolve(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def write_schema(file: Path, schema: dict[str, Any]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "_skops_version": "0.16.0"} | schema))
    return file


IDS = count(1)


def node(loader: str, name: str, **rest: Any) -> dict[str, Any]:
    module, _, attribute = name.rpartition(".")
    return {"__class__": attribute, "__module__": module, "__loader__": loader, "__id__": next(IDS)} | rest


def json_node(value: object) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(value), is_json=True)


def arguments(*values: object) -> dict[str, Any]:
    return node("TupleNode", "builtins.tuple", content=[json_node(value) for value in values])


@pytest.mark.parametrize("name", sorted(ALLOWED_TYPES))
def test_a_name_on_the_list_exists_and_is_a_class_or_a_score(name: str) -> None:
    assert name == "numpy.dtype" or name.startswith(("sklearn.", "scipy.sparse."))
    found = resolve(name)
    if not inspect.isclass(found):
        assert name.startswith("sklearn.metrics._classification.")
        assert name.endswith("_score")


def test_the_list_holds_no_function_caller() -> None:
    callers = {"PyFuncDistance64", "PairwiseKernel", "FunctionTransformer", "partial", "methodcaller", "eval", "system"}
    assert callers.isdisjoint(name.rpartition(".")[2] for name in ALLOWED_TYPES)


def test_round_trip(tmp_path: Path) -> None:
    model = SVC().fit(sparse.csr_matrix(np.abs(X)), Y)
    save_skops(model, tmp_path / "m.skops", trusted=())
    assert untrusted_types(tmp_path / "m.skops", ()) == []
    np.testing.assert_array_equal(load_skops(tmp_path / "m.skops", ()).predict(X), model.predict(X))
    assert [path.name for path in tmp_path.iterdir()] == ["m.skops"]


def malicious_schemas(marker: Path) -> dict[str, dict[str, Any]]:
    command = f"touch {marker}"
    python = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    function = node("FunctionNode", "os.system")
    nothing = {"content": node("DictNode", "builtins.dict", content={}, key_types=arguments())}
    key_type = node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.eval")])
    return {
        "os.system by reduce": node("ConstructorFromReduceNode", "os.system", content=arguments(command)),
        "posix.system by reduce": node("ConstructorFromReduceNode", "posix.system", content=arguments(command)),
        "eval by reduce": node("ConstructorFromReduceNode", "builtins.eval", content=arguments(python)),
        "eval as a loss": node("LossNode", "builtins.eval", __reduce__={"args": arguments(python)}, **nothing),
        "eval as a key's type": node("DictNode", "builtins.dict", content={python: json_node(1)}, key_types=key_type),
        "eval as a list": node("ListNode", "builtins.eval", content=[json_node(python)]),
        "partial": node(
            "PartialNode",
            "functools.partial",
            content={
                "func": function,
                "args": arguments(command),
                "kwds": node("DictNode", "builtins.dict", content={}, key_types=arguments()),
                "namespace": json_node(None),
            },
        ),
        "operator": node("OperatorFuncNode", "operator.methodcaller", attrs=arguments("system", command)),
        "a method": node(
            "MethodNode",
            "sklearn.pipeline.Pipeline",
            content={"func": "fit", "obj": node("ObjectNode", "sklearn.pipeline.Pipeline", content=None)},
        ),
        "a function inside a trusted estimator": node(
            "ObjectNode",
            "sklearn.preprocessing._function_transformer.FunctionTransformer",
            content=node(
                "DictNode",
                "builtins.dict",
                content={"func": function},
                key_types=node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str")]),
            ),
        ),
        "init": node("ConstructorFromReduceNode", name_of(Touch), content=arguments(str(marker))),
        "setstate": node(
            "ObjectNode",
            name_of(Touch),
            content=node(
                "DictNode",
                "builtins.dict",
                content={"marker": json_node(str(marker))},
                key_types=node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str")]),
            ),
        ),
        "an old protocol": node("FunctionNode", "builtins.eval", protocol=0)
        | {"content": {"module_path": "builtins", "function": "eval"}},
    }


@pytest.mark.parametrize("kind", malicious_schemas(Path("marker")))
def test_a_malicious_file_is_refused_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    file = write_schema(tmp_path / "m.skops", malicious_schemas(marker)[kind])
    assert untrusted_types(file, ()) != []
    with pytest.raises(ModelError, match=r"not known to be safe: .*--trust .*SWEEPS_TRUST="):
        load_skops(file, ())
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["init", "setstate"])
def test_the_marker_would_show_that_code_ran(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    file = write_schema(tmp_path / "m.skops", malicious_schemas(marker)[kind])
    load_skops(file, trusted=[name_of(Touch)])
    assert marker.exists()


@pytest.mark.parametrize("cls", [Touch, TouchByState])
def test_a_class_that_runs_code_is_named_at_save_and_not_run_at_load(cls: type, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    model = LogisticRegression().fit(X, Y)
    model.extra_ = cls(str(marker))
    with pytest.raises(ModelError, match=name_of(cls)):
        save_skops(model, tmp_path / "m.skops", trusted=())
    skops.io.dump(model, tmp_path / "m.skops")
    marker.unlink()
    with pytest.raises(ModelError, match=f"--trust {name_of(cls)}"):
        load_skops(tmp_path / "m.skops", trusted=())
    assert not marker.exists()


def test_a_foreign_estimator_needs_its_name_at_save_and_again_at_load(tmp_path: Path) -> None:
    file, name = tmp_path / "m.skops", name_of(Majority)
    model = Majority().fit(X, Y)
    with pytest.raises(ModelError, match=rf"trusted_types: \[{name}\]"):
        save_skops(model, file, trusted=())
    assert list(tmp_path.iterdir()) == []
    save_skops(model, file, trusted=[name])
    assert untrusted_types(file, ()) == [name]
    assert untrusted_types(file, [name]) == []
    with pytest.raises(ModelError, match=f"--trust {name}"):
        load_skops(file, trusted=())
    assert load_skops(file, trusted=[name]).label_ == model.label_


@pytest.mark.parametrize(
    "model",
    [
        CountVectorizer(tokenizer=str.split),
        FunctionTransformer(os.system),
        FunctionTransformer(partial(os.system, "true")),
        FunctionTransformer(methodcaller("strip")),
        CountVectorizer(tokenizer=Majority().predict),
        CountVectorizer(tokenizer=lambda text: text.split()),
        CountVectorizer(tokenizer=open),
        CountVectorizer(tokenizer=(token for token in "ab")),
    ],
    ids=["builtin method", "function", "partial", "operator", "method", "lambda", "builtin", "generator"],
)
def test_what_is_not_plain_data_is_not_stored(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        save_skops(model, tmp_path / "m.skops", trusted=())
    assert list(tmp_path.iterdir()) == []


def test_a_local_class_is_refused_even_when_it_is_trusted(tmp_path: Path) -> None:
    class Local(Majority):
        pass

    with pytest.raises(ModelError, match="not read back"):
        save_skops(Local().fit(X, Y), tmp_path / "m.skops", trusted=[f"{Local.__module__}.Local"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", b"PK\x03\x04 and no more"], ids=["empty", "text", "torn header"]
)
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "m.skops"
    file.write_bytes(content)
    for read in (untrusted_types, load_skops):
        with pytest.raises(ModelError, match="not a skops file"):
            read(file, ())


def test_a_truncated_a_damaged_and_a_missing_file(tmp_path: Path) -> None:
    file = tmp_path / "m.skops"
    with pytest.raises(ModelError, match="cannot be read"):
        load_skops(file, ())
    save_skops(LogisticRegression().fit(X, Y), file, ())
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="not a skops file"):
        load_skops(file, ())
    file.write_bytes(bytes([*whole[:200], *(byte ^ 0xFF for byte in whole[200:220]), *whole[220:]]))
    with pytest.raises(ModelError, match="not a skops file"):
        load_skops(file, ())
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("another.json", "{}")
    with pytest.raises(ModelError, match=r"schema\.json"):
        load_skops(file, ())


def tampered_tree() -> DecisionTreeClassifier:
    model = DecisionTreeClassifier().fit(X, Y)
    model.tree_.children_left[0] = 10**6
    return model


def tampered_cycle() -> DecisionTreeClassifier:
    model = DecisionTreeClassifier().fit(X, Y)
    model.tree_.children_left[0] = 0
    return model


def tampered_feature() -> DecisionTreeClassifier:
    model = DecisionTreeClassifier().fit(X, Y)
    model.tree_.feature[0] = 3
    return model


def tampered_width() -> DecisionTreeClassifier:
    model = DecisionTreeClassifier(max_features=3, random_state=0).fit(X[:, ::-1], Y)
    model.n_features_in_ = 1
    return model


def tampered_boosting() -> GradientBoostingClassifier:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, Y)
    model.n_features_in_ = 1
    return model


def tampered_histogram() -> HistGradientBoostingClassifier:
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, Y)
    model._predictors[0][0].nodes["left"][0] = 10**6
    return model


def tampered_matrix() -> SVC:
    model = SVC().fit(sparse.csr_matrix(np.abs(X)), Y)
    model.support_vectors_.indices[0] = 10**6
    return model


def tampered_neighbours() -> KNeighborsClassifier:
    model = KNeighborsClassifier(algorithm="kd_tree", leaf_size=5).fit(X, Y)
    state = list(model._tree.__getstate__())
    state[1] = state[1].copy()
    state[1][0] = 10**6
    model._tree.__setstate__(tuple(state))
    return model


@pytest.mark.parametrize(
    "tampered",
    [
        tampered_tree,
        tampered_cycle,
        tampered_feature,
        tampered_width,
        tampered_boosting,
        tampered_histogram,
        tampered_matrix,
        tampered_neighbours,
    ],
)
def test_indices_that_compiled_code_would_follow_blindly_are_refused(tampered: Any, tmp_path: Path) -> None:
    skops.io.dump(tampered(), tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"point outside|indices must be"):
        load_skops(tmp_path / "m.skops", ())
