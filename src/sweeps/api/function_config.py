"""The config of a plain Python function: its parameters' defaults, and the search space that mirrors them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from numbers import Integral, Real
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text
from sweeps.compose.scope import SEARCH_SPACE

_TAKEN = ("defaults", "hydra", SEARCH_SPACE)  # what these keys mean at the root of a config
_NOT_PLAIN = object()


def space_data(space: Mapping[str, Any]) -> dict[str, Any]:
    """A search space as a config holds it, each of Optuna's distributions as a leaf of the search-space language.

    Raises:
        ConfigError: it is not a mapping, or holds what no config can.
    """
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(
            f"The space must be a mapping of parameters to distributions, such as "
            f"{{'lr': {{'type': 'float', 'low': 0.001, 'high': 0.1, 'log': True}}}}; it is {space!r}."
        )
    found = {}
    for name, leaf in space.items():
        data = _plain(_with_leaves(leaf))
        if data is _NOT_PLAIN:
            raise ConfigError(f"space: {name} must be made of texts, numbers, lists and mappings; it is {leaf!r}.")
        found[str(name)] = data
    return found


def config_of(function: Callable[..., Any], space: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The defaults of a function's parameters, as far as a config can hold them, and which of them are tuples.

    Args:
        function: takes its parameters by keyword.
        space: from `space_data`; each searched parameter must have a default.

    Raises:
        ConfigError: a searched parameter is none of the function's or lacks a default, or another one does.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{function!r} has no signature to read its parameters from; wrap it in a function."
        ) from error
    named = {one.name: one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    unknown = [name for name in space if name not in named]
    if unknown:
        raise ConfigError(
            f"space: {', '.join(unknown)} is no parameter of the function; it has: {', '.join(named) or 'none'}. A "
            f"searched parameter stands there with its default, as in def train(lr=0.1)."
        )
    config: dict[str, Any] = {}
    for name, one in named.items():
        if name in _TAKEN or one.kind is one.POSITIONAL_ONLY:
            raise ConfigError(f"The function's parameter {name} must be called otherwise, and be given by keyword.")
        if one.default is one.empty:
            raise ConfigError(
                f"The function's parameter {name} has no default, with which the first trial would run: write "
                f"{name}=VALUE in its definition, or give it with functools.partial."
            )
        value = _plain(one.default, may_be_tuple=True)
        if value is not _NOT_PLAIN:
            config[name] = value
        elif name in space:
            raise ConfigError(f"The default of {name} cannot stand in a config: {one.default!r}.")
    return config, frozenset(name for name in config if isinstance(named[name].default, tuple))


def _with_leaves(node: Any) -> Any:
    """A part of a search space, with Optuna's distributions in its language."""
    if isinstance(node, Mapping):
        return {key: _with_leaves(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_with_leaves(item) for item in node]
    return _with_leaves(_leaf_of(node)) if isinstance(node, BaseDistribution) else node


def _leaf_of(distribution: BaseDistribution) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(distribution.choices)}
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        raise ConfigError(f"space: {distribution!r} must be a float, int or categorical distribution.")
    kind = "int" if isinstance(distribution, IntDistribution) else "float"
    leaf: dict[str, Any] = {"type": kind, "low": distribution.low, "high": distribution.high}
    if distribution.log:
        return leaf | {"log": True}
    return leaf if distribution.step is None else leaf | {"step": distribution.step}


def _plain(value: Any, *, may_be_tuple: bool = False) -> Any:
    """A value as a config holds it; `_NOT_PLAIN` for one that would be another when it is read back."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _NOT_PLAIN
    if isinstance(value, str):
        return _NOT_PLAIN if value == "???" else override_text.stored(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, list) or (may_be_tuple and isinstance(value, tuple)):
        items = [_plain(item) for item in value]
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items) else items
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        inner = {key: _plain(item) for key, item in value.items()}
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in inner.values()) else inner
    return _NOT_PLAIN
