"""Build the object that a config node describes: `_target_` names a class, the other keys are its arguments.

A file of strangers may name anything, so nothing is called before every `_target_` in the node is known to be a class.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra_sweeps import DISTRIBUTION
from sweeps.base.errors import ConfigError, SweepsError

TARGET = "_target_"
_EXTRAS = {"surprise": "recommend"}  # what a package that may be missing is installed with


class BuildError(ConfigError):
    """A config node describes no object; the message begins with its key."""


def locate(dotted_name: str, where: str) -> Any:
    """Import the object that a dotted name stands for.

    Args:
        dotted_name: `package.module.attribute`, attributes of attributes included.
        where: the config key that holds the name, for the message.

    Raises:
        BuildError: no such module or attribute, or the module fails to import.
    """
    parts = dotted_name.split(".") if isinstance(dotted_name, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise BuildError(f"{where}: {dotted_name!r} is not a dotted name such as sklearn.svm.SVC.")
    for split in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:split])
        try:
            found = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name in _EXTRAS:
                raise BuildError(
                    f"{where}: {dotted_name} needs {error.name}, which is not installed: "
                    f"pip install '{DISTRIBUTION}[{_EXTRAS[error.name]}]'"
                ) from error
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                continue
            raise BuildError(f"{where}: importing {module_name} failed: {error}.") from error
        except (Exception, SystemExit) as error:  # a module may do anything while it is imported
            raise BuildError(f"{where}: importing {module_name} failed: {_said(error)}.") from error
        for position, attribute in enumerate(parts[split:], split):
            try:
                found = getattr(found, attribute)
            except AttributeError:
                parent = ".".join(parts[:position])
                raise BuildError(f"{where}: {parent} has no {attribute!r}; check {dotted_name!r} for a typo.") from None
            except (Exception, SystemExit) as error:  # a module may import what it offers when it is asked for it
                raise BuildError(f"{where}: importing {dotted_name} failed: {_said(error)}.") from error
        return found
    raise BuildError(
        f"{where}: no module named {parts[0]!r} for {dotted_name!r}; check the name, or install the package."
    )


def locate_class(dotted_name: str, where: str) -> type[Any]:
    """Import the class that a dotted name stands for.

    Raises:
        BuildError: as `locate`, or the name stands for something else.
    """
    found = locate(dotted_name, where)
    if not isinstance(found, type):
        raise BuildError(f"{where}: {dotted_name} is not a class, and must be one.")
    return found


def class_of(node: Mapping[str, Any], where: str) -> type[Any] | None:
    """The class that a config node describes an object of, for who wants to see it before it is called.

    Returns:
        None where the node has no `_target_`.

    Raises:
        BuildError: as `locate_class`.
    """
    return locate_class(node[TARGET], f"{where}.{TARGET}") if TARGET in node else None


def parameters_of(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The arguments that a callable takes, by name; empty where Python cannot tell (some extension types)."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def build(node: Any, where: str, *, may_be_function: bool = False) -> Any:
    """Build a resolved config node, inner nodes first.

    Every `_target_` and argument name is checked before the first of them is called. A sequence becomes a tuple where
    the class's own default is one: YAML has no tuples, and scikit-learn refuses a list for `ngram_range`.

    Args:
        node: plain containers and scalars, as `OmegaConf.to_container(..., resolve=True)` gives them.
        where: the config key of the node, such as `model`, for messages.
        may_be_function: whether the node's own `_target_` may be a function, as a loader of data is; those of nodes
            inside it must be classes.

    Returns:
        The object; containers without a `_target_` are built item by item.

    Raises:
        BuildError: an unknown target or one that is no class, an argument that it does not take, or that makes it fail.
    """
    return _made(_checked(node, where, may_be_function=may_be_function))


@dataclass(frozen=True)
class _Call:
    target: Callable[..., Any]
    arguments: Mapping[str, Any]
    as_tuples: frozenset[str]
    where: str
    name: str


def _checked(node: Any, where: str, *, may_be_function: bool = False) -> Any:
    """The node with a `_Call` in place of each mapping that has a `_target_`."""
    if isinstance(node, list):
        return [_checked(item, f"{where}[{index}]") for index, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    parts = {key: _checked(value, f"{where}.{key}") for key, value in node.items() if key != TARGET}
    if TARGET not in node:
        return parts
    name, place = node[TARGET], f"{where}.{TARGET}"
    target: Callable[..., Any] = locate(name, place) if may_be_function else locate_class(name, place)
    if not callable(target):
        raise BuildError(f"{place}: {name} is not a class or a function.")
    parameters = parameters_of(target)
    for key in parts:
        _check_argument(key, parameters, f"{where}.{key}", name)
    as_tuples = frozenset(key for key in parts if key in parameters and isinstance(parameters[key].default, tuple))
    return _Call(target, parts, as_tuples, where, name)


def _made(node: Any) -> Any:
    if isinstance(node, list):
        return [_made(item) for item in node]
    if isinstance(node, dict):
        return {key: _made(value) for key, value in node.items()}
    if not isinstance(node, _Call):
        return node
    arguments = {key: _made(value) for key, value in node.arguments.items()}
    arguments |= {key: tuple(arguments[key]) for key in node.as_tuples if isinstance(arguments[key], list)}
    return construct(node.target, arguments, node.where, node.name)


def construct(target: Callable[..., Any], arguments: Mapping[str, Any], where: str, name: str) -> Any:
    """Call a class or a function, whose failure is the fault of what was configured.

    Args:
        target: what to call.
        arguments: by name.
        where: the config key of the node, for the message.
        name: of the target, for the message.

    Raises:
        BuildError: whatever it raises but an error of this package, which passes; `SystemExit`, too, since what is
            built shall not end the program.
    """
    try:
        return target(**arguments)
    except SweepsError:
        raise
    except (TypeError, ValueError) as error:
        raise BuildError(f"{where}: {name} does not accept its arguments: {error}.") from error
    except (Exception, SystemExit) as error:
        raise BuildError(f"{where}: {name} fails with these arguments: {_said(error)}.") from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(":. ")


def _check_argument(key: str, parameters: Mapping[str, inspect.Parameter], where: str, target: str) -> None:
    takes_any = not parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    if takes_any or key in parameters:
        return
    names = ", ".join(name for name in parameters if name != "self")
    raise BuildError(f"{where}: {target} takes no argument {key!r}; it takes: {names}.")
