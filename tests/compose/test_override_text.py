"""Values as override text: what is written is what Hydra reads back, whatever the value is made of."""

import math
from datetime import date
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import sweeps.compose.root_config  # noqa: F401 - registers the schema that conf/config.yaml starts from
from sweeps.base.errors import ConfigError
from sweeps.compose.override_text import from_text, to_text

# Pieces of the grammars of Hydra and OmegaConf: texts made of them are the ones that quoting gets wrong.
PIECES = ["\\", "${", "$", "{", "}", "'", '"', "a", "b", ",", ":", "=", "[", "]", "(", ")", " ", "\n", "\t", "é", "#"]
tricky_texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
# "???" is OmegaConf's mark of a value that is missing: no config can hold it as a text.
texts = (tricky_texts | st.text(max_size=20)).filter(lambda text: text != "???")
TINY = 5e-324
floats = st.floats(allow_nan=False) | st.sampled_from([math.inf, -math.inf, TINY, -TINY, 1e-7, 1e22, -0.0, 1e16])
scalars = st.none() | st.booleans() | st.integers() | floats | texts
# An interpolation is escaped for OmegaConf, which undoes it when the config is read.
nested_lists = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def identical(left: Any, right: Any) -> bool:
    """Equal and of the same types throughout: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(identical, left, right))
    return repr(left) == repr(right)


def assigned(value: Any) -> Any:
    """What a config holds after an update with the value's text, as a trial's job does it."""
    config = OmegaConf.create({"key": None})
    OmegaConf.update(config, "key", from_text(to_text(value)), merge=False)
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)["key"]


@given(nested_lists)
@example("${x}")
@example("\\${x}")
@example("\\\\${x}\\")
@example(["${", "\\'", ["a,b", None]])
@example(r"(?u)\b\w+\b")
@example("null")
@example("1e3")
@example("[1,2]")
@example(" leading and trailing ")
@settings(max_examples=400, deadline=None)
def test_a_config_holds_the_value_that_was_written(value: Any) -> None:
    assert identical(assigned(value), value)


@given(nested_lists.filter(lambda value: "${" not in repr(value)))
@settings(max_examples=300, deadline=None)
def test_text_without_interpolation_reads_back_as_the_value_itself(value: Any) -> None:
    assert identical(from_text(to_text(value)), value)


@given(nested_lists)
@settings(max_examples=200, deadline=None)
def test_the_text_is_one_plain_override_and_never_a_sweep(value: Any) -> None:
    override = OverridesParser.create().parse_override(f"model.key={to_text(value)}")
    assert override.key_or_group == "model.key"
    assert not override.is_sweep_override()


@given(texts)
@settings(max_examples=200, deadline=None)
def test_a_text_stays_a_text_even_where_it_looks_like_something_else(text: str) -> None:
    assert isinstance(from_text(to_text(text)), str)


def test_not_a_number_stays_not_a_number() -> None:
    assert math.isnan(assigned(float("nan")))


def test_a_tuple_is_written_as_the_list_that_yaml_knows() -> None:
    assert from_text(to_text((1, 2, ("a", None)))) == [1, 2, ["a", None]]


def test_an_empty_list_stays_one() -> None:
    assert assigned([]) == []


@pytest.mark.parametrize("value", ["???", ["a", "???"]])
def test_the_mark_of_a_missing_value_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"'\?\?\?' means a missing value"):
        to_text(value)


@pytest.mark.parametrize(
    "value", [date(2026, 1, 1), {}, {"a": 1}, {1: "a"}, [{"a b": 3}], {1, 2}, b"bytes", Ellipsis], ids=repr
)
def test_a_value_that_no_override_can_carry_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"of type \w+ cannot be written as a Hydra override"):
        to_text(value)


@given(st.lists(nested_lists, min_size=1, max_size=6))
@example(["${seed}", "\\${seed}", "\\\\${seed}", "${oc.env:HOME}"])
@settings(max_examples=25, deadline=None)
def test_hydra_composes_the_values_that_were_written(values: list[Any]) -> None:
    texts_of_values = [f"+model.value{index}={to_text(value)}" for index, value in enumerate(values)]
    with initialize_config_module("sweeps.conf", version_base="1.3"):
        config = compose("config", texts_of_values)
    model = OmegaConf.to_container(config.model, resolve=True, throw_on_missing=True)
    assert isinstance(model, dict)
    for index, value in enumerate(values):
        assert identical(model[f"value{index}"], value)
