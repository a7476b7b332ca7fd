"""Building what a config node describes, and every message for a node that describes nothing."""

import builtins
import re
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC

from sweeps.base.build import build, locate, parameters_of
from sweeps.base.errors import ConfigError, Interrupted


class Recorder:
    """Keeps what it was made with."""

    def __init__(self, pair: Any = (1, 1), items: Any = None, listed: Any = [], **others: Any) -> None:  # noqa: B006
        self.pair = pair
        self.items = items
        self.listed = listed
        self.others = others


class Picky:
    """Refuses what is not positive."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be positive, got {size}")


class Plain:
    """Takes nothing."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Plain

    __hash__ = None  # type: ignore[assignment]


class Raising:
    """Raises the exception of a name."""

    def __init__(self, kind: str) -> None:
        raise {**vars(builtins), "Interrupted": Interrupted(signal.SIGINT)}[kind]


class Touching:
    """Leaves a mark when it is made."""

    def __init__(self, path: str, **parts: Any) -> None:
        Path(path).touch()


def touch(path: str, **parts: Any) -> str:
    """Leaves a mark when it is called."""
    Path(path).touch()
    return path


HERE = __name__


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path for modules that break."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_node_becomes_the_object_with_its_arguments() -> None:
    model = build({"_target_": "sklearn.svm.SVC", "C": 0.5, "kernel": "rbf"}, "model")
    assert type(model) is SVC
    assert (model.C, model.kernel) == (0.5, "rbf")


def test_a_sequence_becomes_a_tuple_where_the_default_is_one_and_scikit_learn_takes_it() -> None:
    vectorizer = build({"_target_": "sklearn.feature_extraction.text.CountVectorizer", "ngram_range": [1, 2]}, "v")
    assert isinstance(vectorizer, CountVectorizer)
    assert vectorizer.ngram_range == (1, 2)
    assert set(vectorizer.fit(["one two"]).vocabulary_) == {"one", "two", "one two"}


def test_a_sequence_stays_a_list_where_the_default_is_not_a_tuple() -> None:
    made = build({"_target_": f"{HERE}.Recorder", "items": [1, 2], "listed": [3], "unknown": [4]}, "x")
    assert (made.items, made.listed, made.others) == ([1, 2], [3], {"unknown": [4]})


def test_only_the_argument_itself_becomes_a_tuple_and_not_the_lists_in_it() -> None:
    assert build({"_target_": f"{HERE}.Recorder", "pair": [[1], [2]]}, "x").pair == ([1], [2])
    assert build({"_target_": f"{HERE}.Recorder", "pair": []}, "x").pair == ()
    assert build({"_target_": f"{HERE}.Recorder", "pair": "ab"}, "x").pair == "ab"
    assert build({"_target_": f"{HERE}.Recorder", "pair": None}, "x").pair is None


def test_inner_nodes_are_built_first_in_arguments_lists_and_mappings() -> None:
    node = {
        "_target_": "sklearn.calibration.CalibratedClassifierCV",
        "estimator": {"_target_": "sklearn.svm.LinearSVC", "C": 3.0},
    }
    calibrated = build(node, "model")
    assert isinstance(calibrated, CalibratedClassifierCV)
    assert isinstance(calibrated.estimator, LinearSVC)
    assert calibrated.estimator.C == 3.0

    steps = [["one", {"_target_": "sklearn.linear_model.LogisticRegression"}]]
    pipeline = build({"_target_": "sklearn.pipeline.Pipeline", "steps": steps}, "model")
    assert isinstance(pipeline, Pipeline)
    assert isinstance(pipeline.steps[0][1], LogisticRegression)

    built = build({"a": [{"_target_": f"{HERE}.Plain"}], "b": {"c": 1}}, "x")
    assert built == {"a": [Plain()], "b": {"c": 1}}


def test_a_built_node_is_never_shared_between_two_builds() -> None:
    node = {"_target_": f"{HERE}.Recorder", "items": [1], "more": {"a": [2]}}
    first, second = build(node, "x"), build(node, "x")
    first.items.append(9)
    first.others["more"]["a"].append(9)
    assert (second.items, second.others) == ([1], {"more": {"a": [2]}})
    assert node == {"_target_": f"{HERE}.Recorder", "items": [1], "more": {"a": [2]}}


@pytest.mark.parametrize("value", [None, True, 3, 2.5, "text", [1, [2]], {"a": {"b": []}}])
def test_plain_values_pass_unchanged(value: Any) -> None:
    assert build(value, "x") == value


def test_attributes_of_attributes_are_found() -> None:
    assert locate("pathlib.Path.cwd", "x")() == Path.cwd()


@pytest.mark.parametrize("name", ["SVC", "", ".", "sklearn.svm.", ".svm", "sklearn svm", "a.b-c", 3, None, ["a.b"]])
def test_a_target_that_is_no_dotted_name_is_named_with_its_key(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\._target_: .* is not a dotted name such as sklearn\.svm\.SVC"):
        build({"_target_": name}, "model")


def test_an_unknown_package_asks_for_the_name_or_an_install() -> None:
    with pytest.raises(ConfigError, match=r"^model\._target_: no module named 'no_such_package' .*install the package"):
        build({"_target_": "no_such_package.models.Thing"}, "model")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sklearn.svm.SCV", r"sklearn\.svm has no 'SCV'; check 'sklearn\.svm\.SCV' for a typo"),
        ("sklearn.no_such_module.SVC", r"sklearn has no 'no_such_module'"),
        ("sklearn.svm.SVC.no_such_method", r"sklearn\.svm\.SVC has no 'no_such_method'"),
    ],
)
def test_an_unknown_attribute_is_named_with_the_module_that_lacks_it(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\._target_: {message}"):
        build({"_target_": target}, "model")


def test_a_module_that_needs_a_missing_package_says_which(importable: Path) -> None:
    (importable / "needs_more.py").write_text("import no_such_dependency\n")
    with pytest.raises(ConfigError, match=r"importing needs_more failed: No module named 'no_such_dependency'"):
        build({"_target_": "needs_more.Model"}, "model")


def test_a_module_that_imports_a_missing_name_says_which(importable: Path) -> None:
    (importable / "wants_name.py").write_text("from json import no_such_name\n")
    with pytest.raises(
        ConfigError, match=r"importing wants_name failed: ImportError: cannot import name 'no_such_name'"
    ):
        build({"_target_": "wants_name.Model"}, "model")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("unreadable", "def broken(:\n"),
        ("ends_the_program", "raise SystemExit(3)\n"),
        ("asks_back", "def __getattr__(name):\n    1 / 0\n"),
        ("raises_a_value", "raise ValueError('at import')\n"),
        ("divides", "1 / 0\n"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_one_message(importable: Path, name: str, source: str) -> None:
    (importable / f"{name}.py").write_text(source)
    with pytest.raises(ConfigError, match=rf"^model\._target_: importing {name}.* failed: "):
        build({"_target_": f"{name}.Model"}, "model")


@pytest.mark.parametrize("name", ["sys.version_info", "os.system", "pathlib.Path.cwd", "sklearn.svm", f"{HERE}.touch"])
def test_a_target_that_is_no_class_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\._target_: {re.escape(name)} is not a class, and must be one"):
        build({"_target_": name}, "model")


def test_a_function_is_called_only_where_the_caller_says_so_and_never_inside_another_node(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    node = {"_target_": f"{HERE}.touch", "path": str(mark)}
    with pytest.raises(ConfigError, match=r"^dataset\._target_: .*touch is not a class"):
        build(node, "dataset")
    with pytest.raises(ConfigError, match=r"^dataset\.inner\._target_: .*touch is not a class"):
        build({"_target_": f"{HERE}.Recorder", "inner": node}, "dataset", may_be_function=True)
    assert not mark.exists()
    assert build(node, "dataset", may_be_function=True) == str(mark)
    assert mark.exists()
    with pytest.raises(ConfigError, match=r"^dataset\._target_: sys\.version_info is not a class or a function"):
        build({"_target_": "sys.version_info"}, "dataset", may_be_function=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "sklearn.svm.SVC", "gama": 1},
        [[{"a": {"_target_": "sklearn.svm.SCV"}}]],
    ],
)
@pytest.mark.parametrize("place", ["outside", "inside", "before"])
def test_nothing_is_called_where_any_node_is_wrong(tmp_path: Path, wrong: Any, place: str) -> None:
    mark = tmp_path / "mark"
    touching = {"_target_": f"{HERE}.Touching", "path": str(mark)}
    node = {
        "outside": {**touching, "part": wrong},
        "inside": {"_target_": f"{HERE}.Recorder", "part": touching, "wrong": wrong},
        "before": [touching, wrong],
    }[place]
    with pytest.raises(ConfigError, match=r"^x"):
        build(node, "x")
    assert not mark.exists()


@pytest.mark.parametrize(
    "kind", ["KeyError", "ZeroDivisionError", "OSError", "MemoryError", "NotImplementedError", "SystemExit"]
)
def test_whatever_a_constructor_raises_is_an_error_of_its_key(kind: str) -> None:
    node = {"_target_": f"{HERE}.Recorder", "items": [{"_target_": f"{HERE}.Raising", "kind": kind}]}
    with pytest.raises(ConfigError, match=rf"^model\.items\[0\]: .*Raising fails with these arguments: {kind}\.$"):
        build(node, "model")


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "Interrupted"])
def test_an_interrupt_passes_through_a_constructor(kind: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        build({"_target_": f"{HERE}.Raising", "kind": kind}, "model")


def test_an_argument_that_the_target_lacks_is_named_with_those_that_it_has() -> None:
    with pytest.raises(ConfigError, match=r"model\.gama: sklearn\.svm\.SVC takes no argument 'gama'; .*gamma"):
        build({"_target_": "sklearn.svm.SVC", "gama": 1}, "model")


def test_a_wrong_argument_of_an_inner_node_is_named_with_its_whole_path() -> None:
    node = {"_target_": f"{HERE}.Recorder", "items": [{"_target_": "sklearn.svm.SVC", "gama": 1}]}
    with pytest.raises(ConfigError, match=r"^model\.items\[0\]\.gama: "):
        build(node, "model")


def test_an_argument_for_a_class_without_any_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^x: .*Plain does not accept its arguments"):
        build({"_target_": f"{HERE}.Plain", "size": 1}, "x")


def test_a_missing_argument_and_a_refused_value_give_the_targets_own_words() -> None:
    with pytest.raises(ConfigError, match=r"^x: .*Picky does not accept its arguments: .*size"):
        build({"_target_": f"{HERE}.Picky"}, "x")
    with pytest.raises(ConfigError, match=r"^x: .*Picky does not accept its arguments: size must be positive, got -1"):
        build({"_target_": f"{HERE}.Picky", "size": -1}, "x")


def test_an_error_that_is_ours_passes_through_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConfigError("the message itself")

    module = types.ModuleType("refusing_module")
    module.refuse = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "refusing_module", module)
    with pytest.raises(ConfigError, match=r"^the message itself$"):
        build({"_target_": "refusing_module.refuse"}, "x", may_be_function=True)


def test_a_callable_whose_arguments_python_cannot_tell_is_called_as_written() -> None:
    assert dict(parameters_of(dict)) == {}
    assert build({"_target_": "builtins.dict", "a": 1, "b": [2]}, "x") == {"a": 1, "b": [2]}
