"""Begin a sweep from Python, or again: compose as Hydra's command line does, then run what the commands run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from sweeps.api.function_config import config_of
from sweeps.base.errors import ConfigError, SweepsError
from sweeps.base.redact import without_passwords
from sweeps.base.working_directory import check_working_directory
from sweeps.compose._hydra_compat import composed_for_sweep
from sweeps.compose.composition_error import COMPOSITION_ERRORS, explain
from sweeps.compose.config_file import refuse_bombs
from sweeps.compose.override_text import as_typed, to_text
from sweeps.compose.settings import SweeperConfig
from sweeps.execution.keyword_function import KeywordFunction
from sweeps.execution.main_module import CalledInWorkerError, in_worker
from sweeps.execution.trial import run_trial
from sweeps.study.command_file import Command
from sweeps.sweep.preflight import CheckedStudy
from sweeps.sweep.run_sweep import run_sweep

_OURS = "sweeps.conf"
_OF_A_FUNCTION = "function"  # what the config of a plain function is called while it is composed
_SWEEPER = "hydra/sweeper"


@dataclass(frozen=True)
class Call:
    """What a sweep is begun with, beside its overrides.

    Attributes:
        function: what trials run, as `module:name`; None where another process cannot find it by that.
        config_dir: of the primary config; None for one that is registered with Hydra.
        config_name: of the primary config.
        space: of a plain function, as a config holds it; None for an app, whose function takes its config.
    """

    function: str | None
    config_dir: str | None = None
    config_name: str = "config"
    space: Mapping[str, Any] | None = None


def begin_own_app(overrides: Sequence[str], config_dir: Path | None = None) -> list[CheckedStudy]:
    """Run a sweep of our own app, as `python -m sweeps.run -m` does.

    Args:
        overrides: as typed.
        config_dir: more options, as of `--config-dir`.

    Raises:
        SweepsError: anything that the user can mend.
    """
    more = [f"hydra.searchpath=[{to_text(f'file://{config_dir.absolute()}')}]"] if config_dir else []
    arguments = ("-m", *more, *overrides)
    command = Command(arguments, f"sweeps.run_sweep({[*more, *overrides]})", module="sweeps.run")
    with (
        _our_errors(arguments, config_dir, is_ours=True),
        composed_for_sweep(None, _OURS, "config", "run", arguments[1:]) as (config, context),
    ):
        return run_sweep(as_typed(config.hydra.overrides.task), config, context, run_trial, command)


def begin(call: Call, function: Callable[..., Any], overrides: Sequence[str]) -> list[CheckedStudy]:
    """Run a sweep over an app's function, or a plain one.

    Args:
        call: what to begin.
        function: what trials run.
        overrides: as typed.

    Raises:
        SweepsError: anything that the user can mend.
    """
    name = _name_of(function)
    if call.space is None:
        shown = f"sweeps.run_sweep({[*overrides]}, {call.config_dir!r}, {call.config_name!r}, {name})"
    else:
        shown = f"sweeps.optimize({name}, {dict(call.space)}) {' '.join(overrides)}"
    command = Command(tuple(overrides), shown, call=asdict(call))
    folder = None if call.config_dir is None else Path(call.config_dir).absolute()
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"config_dir={call.config_dir} is not a folder.")
    ours = [] if any(text.startswith(f"{_SWEEPER}=") for text in overrides) else [f"{_SWEEPER}=sweeps"]
    with (
        _our_errors(overrides, folder, is_ours=False),
        _task_of(call, function) as task,
        composed_for_sweep(folder, None, call.config_name, name, [*ours, *overrides]) as (config, context),
    ):
        if config.hydra.sweeper.get("_target_") != SweeperConfig._target_:
            raise ConfigError(f"{_SWEEPER} must be sweeps here; leave {_SWEEPER}=... out.")
        return run_sweep(as_typed(config.hydra.overrides.task), config, context, task, command)


@contextmanager
def _task_of(call: Call, function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What trials run; a plain function's config is registered with Hydra meanwhile."""
    if call.space is None:
        yield function
        return
    config, tuples = config_of(function, call.space)
    store, file = ConfigStore.instance(), f"{_OF_A_FUNCTION}.yaml"
    before = store.repo.get(file)
    node = {**config, "hydra": {"sweeper": {"search_space": dict(call.space)}}}
    store.store(_OF_A_FUNCTION, node, provider="hydra-sweeps")
    try:
        yield KeywordFunction(function, tuples)
    finally:
        del store.repo[file]
        if before is not None:
            store.repo[file] = before


@contextmanager
def _our_errors(arguments: Sequence[str], config_dir: Path | None, *, is_ours: bool) -> Iterator[None]:
    """Raise what a command would print, in the same words.

    Args:
        arguments: what was typed.
        config_dir: the caller's config files.
        is_ours: whether for our own app.
    """
    if in_worker():
        raise CalledInWorkerError
    check_working_directory()
    try:
        refuse_bombs([config_dir] if config_dir else [])
        yield
    except COMPOSITION_ERRORS as error:
        raise ConfigError(without_passwords(explain(error, arguments, is_ours=is_ours))) from error
    except SweepsError as error:
        error.args = (without_passwords(str(error)), *error.args[1:])  # a notebook keeps what it shows
        raise


def reference_to(function: Callable[..., Any]) -> str | None:
    """`module:name` of a function that another process finds by it; None for those of scripts and notebooks."""
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "")
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def function_at(reference: str) -> Callable[..., Any]:
    """The function of a reference.

    Raises:
        ConfigError: it is not there any more.
    """
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The function {reference} of this study cannot be imported: {error}.") from error
    function: Callable[..., Any] = found
    return function


def _name_of(function: Callable[..., Any]) -> str:
    """What studies and experiments are called by default."""
    innermost = getattr(function, "func", function)  # of functools.partial
    name = getattr(innermost, "__name__", type(innermost).__name__)
    return name if name.isidentifier() else "function"
