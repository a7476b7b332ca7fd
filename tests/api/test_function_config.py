"""A plain function's config: its defaults, and the space beside them."""

from __future__ import annotations

import enum
import functools
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.api.function_config import config_of, space_data
from sweeps.base.errors import ConfigError

X = {"x": {"type": "float", "low": 0, "high": 1}}


class Colour(enum.IntEnum):
    RED = 1


def train(x: float = 0.5, sizes: tuple[int, ...] = (1, 2), name: str = "${oc.env:HOME}", hook: Any = print) -> float:
    return x


def positional_only(x: float = 1.0, /) -> float:
    return x


def test_each_of_optunas_distributions_is_a_leaf() -> None:
    space = {
        "lr": FloatDistribution(1e-3, 1.0, log=True),
        "dropout": FloatDistribution(0.0, 0.5, step=0.1),
        "momentum": FloatDistribution(0.0, 1.0),
        "depth": IntDistribution(2, 10, step=2),
        "width": IntDistribution(1, 1024, log=True),
        "kernel": CategoricalDistribution(["linear", None, True, 1.5]),
        "optimizer": {"lr": FloatDistribution(0.0, 1.0)},
    }
    assert space_data(space) == {
        "lr": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1},
        "momentum": {"type": "float", "low": 0.0, "high": 1.0},
        "depth": {"type": "int", "low": 2, "high": 10, "step": 2},
        "width": {"type": "int", "low": 1, "high": 1024, "log": True},
        "kernel": {"type": "categorical", "choices": ["linear", None, True, 1.5]},
        "optimizer": {"lr": {"type": "float", "low": 0.0, "high": 1.0}},
    }


def test_a_space_keeps_its_language_as_plain_data() -> None:
    space = {"a": {"type": "categorical", "choices": ("${x}", (1, 2))}}
    assert space_data(space) == {"a": {"type": "categorical", "choices": ["\\${x}", [1, 2]]}}


@pytest.mark.parametrize("space", [{}, None, ["x"], "x"])
def test_what_is_no_space_is_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match="The space must be a mapping of parameters to distributions"):
        space_data(space)


def test_what_no_config_can_hold_is_refused_in_a_space() -> None:
    with pytest.raises(ConfigError, match="space: x must be made of texts, numbers, lists and mappings"):
        space_data({"x": {"type": "categorical", "choices": [object()]}})


def test_the_config_has_the_defaults_that_it_can_hold_as_they_are() -> None:
    config, tuples = config_of(train, X)
    assert config == {"x": 0.5, "sizes": [1, 2], "name": "\\${oc.env:HOME}"}
    assert tuples == {"sizes"}


def test_a_default_that_would_come_back_as_another_is_left_to_the_function() -> None:
    def fit(x: float = 1.0, colour: Colour = Colour.RED, pairs: Any = ((1, 2),), by: Any = None) -> float:
        return x

    assert config_of(fit, X)[0] == {"x": 1.0, "by": None}
    with pytest.raises(ConfigError, match="The default of colour cannot stand in a config"):
        config_of(fit, {"colour": {}})


def test_partial_gives_defaults_to_a_function_that_has_none() -> None:
    def fit(x: float, data: object) -> float:
        return x

    assert config_of(functools.partial(fit, x=0.25, data=object()), X)[0] == {"x": 0.25}
    with pytest.raises(ConfigError, match="parameter x has no default, with which the first trial would run: write x="):
        config_of(fit, X)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y=1.0: y, "space: x is no parameter of the function; it has: y."),
        (lambda **rest: 0.0, "space: x is no parameter of the function; it has: none."),
        (lambda x=1.0, hydra=2: x, "The function's parameter hydra must be called otherwise"),
        (positional_only, "parameter x must be called otherwise, and be given by keyword"),
        (5, "has no signature to read its parameters from"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(function: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of(function, X)
    assert message in str(refused.value)
