"""Objects on their way to other processes: what the user's script defines goes by name where it can be found there."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import cloudpickle

_BY_VALUE: ContextVar[bool] = ContextVar("by_value", default=False)


@contextmanager
def by_value() -> Iterator[None]:
    """Inside the `with` block `dumps` sends what the script defines along: the other process cannot find the script."""
    token = _BY_VALUE.set(True)
    try:
        yield
    finally:
        _BY_VALUE.reset(token)


def dumps(value: Any) -> bytes:
    """Pickle an object: by name, or by value inside `by_value` and where a name does not do."""
    if not _BY_VALUE.get():
        try:
            return pickle.dumps(value)
        except Exception:  # noqa: BLE001, S110 - pickle has many for a lambda or a class in a function
            pass
    packed: bytes = cloudpickle.dumps(value)
    return packed


def unfit_names(function: Callable[..., Any]) -> list[str]:
    """The names that a function uses, of its own module or of a function around it, whose values cannot be pickled."""
    function = inspect.unwrap(function)
    if not inspect.isfunction(function):
        return []
    used = inspect.getclosurevars(function)
    return [name for name, value in {**used.globals, **used.nonlocals}.items() if not _can_be_pickled(value)]


def _can_be_pickled(value: Any) -> bool:
    try:
        dumps(value)
    except Exception:  # noqa: BLE001 - whatever its class raises
        return False
    return True
