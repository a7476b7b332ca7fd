"""The user's script in a worker: executed once as `__mp_main__`, never its `if __name__ == "__main__"` part."""

from __future__ import annotations

import io
import runpy
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_NAME = "__mp_main__"  # as multiprocessing calls it, so that libraries know it
_HIDDEN = "_sweeps_script"  # what a stand-in calls the script whose place it has
_starting = threading.Lock()
_worker = threading.Event()


class CalledInWorkerError(BaseException):
    """A script without a guard has called its main function in a worker, which never starts a sweep."""


def in_worker() -> bool:
    """Whether this process runs trials for another."""
    return _worker.is_set()


def script() -> ModuleType:
    """The script of this process, also while another thread hides it from multiprocessing."""
    main = sys.modules["__main__"]
    found: ModuleType = main.__dict__.get(_HIDDEN, main)
    return found


@dataclass(frozen=True)
class MainModule:
    """Where the script of this process can be found by another on this machine.

    Attributes:
        name: of the module, for `python -m name`.
        path: of the script, where it was started as one.
    """

    name: str | None
    path: str | None

    @classmethod
    def here(cls) -> MainModule | None:
        """This process's own; None in a notebook or an interactive session."""
        main = script()
        if main.__spec__ is not None:
            return cls(main.__spec__.name, None)
        path = getattr(main, "__file__", None)
        return None if path is None or not Path(path).is_file() else cls(None, str(Path(path).absolute()))

    def load(self) -> None:
        """Execute it, as `__main__` of this process.

        One that calls its main function without a guard stops there, with everything defined before that call.
        """
        _worker.set()
        module = ModuleType(_NAME)
        module.__file__ = self.path
        sys.modules["__main__"] = sys.modules[_NAME] = module
        try:
            if self.name is not None:
                module.__dict__.update(runpy.run_module(self.name, run_name=_NAME, alter_sys=True))
            elif self.path is not None:
                sys.path.insert(0, str(Path(self.path).parent))
                code = compile(Path(self.path).read_bytes(), self.path, "exec")
                with redirect_stderr(io.StringIO()):  # what Hydra says of a call that ends here
                    exec(code, module.__dict__)  # noqa: S102 - the user's own script
        except (CalledInWorkerError, SystemExit):
            pass  # Hydra exits where it cannot compose, as for a module of this name
        finally:
            sys.modules["__main__"] = sys.modules[_NAME] = module


@dataclass(frozen=True)
class MainFunction:
    """A function of the script, found by its name where it is called.

    Attributes:
        name: in the module.
        depth: how many decorators that keep what they wrap, such as `hydra.main`, stand around it there.
    """

    name: str
    depth: int

    def __call__(self, *arguments: Any) -> Any:
        """Call the function of this process's script."""
        return _unwrapped(getattr(sys.modules["__main__"], self.name))[self.depth](*arguments)


def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that another process finds in the script by its name; as it is where it cannot be found so."""
    name = getattr(function, "__name__", "")
    found = getattr(script(), name, None)
    if found is None or getattr(function, "__module__", None) != "__main__" or MainModule.here() is None:
        return function
    for depth, one in enumerate(_unwrapped(found)):
        if one is function:
            return MainFunction(name, depth)
    return function


@contextmanager
def hidden_from_multiprocessing() -> Iterator[None]:
    """Keep multiprocessing from importing the script in a new process, where its surroundings are not set up yet.

    What the script defines is found meanwhile: another thread may pickle or unpickle something of it.
    """
    with _starting:
        main, stand_in = sys.modules["__main__"], ModuleType("__main__")

        def defined(name: str) -> Any:
            if name.startswith("__"):  # `__file__` is what multiprocessing imports by
                raise AttributeError(name)
            return getattr(main, name)

        stand_in.__dict__.update({_HIDDEN: main, "__getattr__": defined})
        sys.modules["__main__"] = stand_in
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _unwrapped(function: Any) -> list[Any]:
    chain = [function]
    while hasattr(chain[-1], "__wrapped__"):
        chain.append(chain[-1].__wrapped__)
    return chain
