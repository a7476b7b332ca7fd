"""Build the object that a config node describes: `_target_` names a callable, the other keys are its arguments."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sweeps.base.errors import ConfigError

TARGET = "_target_"


def locate(dotted_name: str, where: str) -> Any:
    """Import the object that a dotted name stands for.

    Args:
        dotted_name: `package.module.attribute`, attributes of attributes included.
        where: the config key that holds the name, for the message.

    Raises:
        ConfigError: no such module or attribute, or the module fails to import.
    """
    parts = dotted_name.split(".") if isinstance(dotted_name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"{where}: {dotted_name!r} is not a dotted name such as sklearn.svm.SVC.")
    for split in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:split])
        try:
            found = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                continue
            raise ConfigError(f"{where}: importing {module_name} failed: {error}.") from error
        except Exception as error:  # a module may raise anything while it is imported
            raise ConfigError(f"{where}: importing {module_name} failed: {error}.") from error
        for position, attribute in enumerate(parts[split:], split):
            if not hasattr(found, attribute):
                parent = ".".join(parts[:position])
                raise ConfigError(f"{where}: {parent} has no {attribute!r}; check {dotted_name!r} for a typo.")
            found = getattr(found, attribute)
        return found
    raise ConfigError(
        f"{where}: no module named {parts[0]!r} for {dotted_name!r}; check the name, or install the package."
    )


def parameters_of(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The arguments that a callable takes, by name; empty where Python cannot tell (some extension types)."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def build(node: Any, where: str) -> Any:
    """Build a resolved config node, inner nodes first.

    A sequence becomes a tuple where the callable's own default is one: YAML has no tuples, and scikit-learn refuses
    a list for `ngram_range`.

    Args:
        node: plain containers and scalars, as `OmegaConf.to_container(..., resolve=True)` gives them.
        where: the config key of the node, such as `model`, for messages.

    Returns:
        What the callable returned; containers without a `_target_` are built item by item.

    Raises:
        ConfigError: an unknown target, an argument that it does not take, or one that it refuses.
    """
    if isinstance(node, list):
        return [build(item, f"{where}[{index}]") for index, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    if TARGET not in node:
        return {key: build(value, f"{where}.{key}") for key, value in node.items()}

    target = locate(node[TARGET], f"{where}.{TARGET}")
    if not callable(target):
        raise ConfigError(f"{where}.{TARGET}: {node[TARGET]} is not a class or a function.")
    parameters = parameters_of(target)
    arguments = {}
    for key, value in node.items():
        if key == TARGET:
            continue
        _check_argument(key, parameters, f"{where}.{key}", node[TARGET])
        built = build(value, f"{where}.{key}")
        wants_tuple = key in parameters and isinstance(parameters[key].default, tuple)
        arguments[key] = tuple(built) if wants_tuple and isinstance(built, list) else built
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {node[TARGET]} does not accept its arguments: {error}.") from error


def _check_argument(key: str, parameters: Mapping[str, inspect.Parameter], where: str, target: str) -> None:
    takes_any = not parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if takes_any or key in parameters:
        return
    names = ", ".join(name for name in parameters if name != "self")
    raise ConfigError(f"{where}: {target} takes no argument {key!r}; it takes: {names}.")
