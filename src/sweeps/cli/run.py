"""The main command: `python -m sweeps.run -m model=svm,logistic` sweeps, without `-m` the composed config runs once."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from sweeps.base.command import refuse_foreign_package, until_nobody_reads
from sweeps.base.errors import ConfigError, Interrupted, SweepsError
from sweeps.base.redact import without_passwords
from sweeps.base.signals import raise_interrupts
from sweeps.base.working_directory import check_working_directory, is_writable
from sweeps.compose._hydra_compat import VERSION, running_context
from sweeps.compose.composition_error import COMPOSITION_ERRORS, REFUSALS, explain
from sweeps.compose.config_file import refuse_bombs, typed_folders
from sweeps.compose.override_text import as_typed

_FULL_ERROR = "HYDRA_FULL_ERROR"


@hydra.main(config_path="pkg://sweeps.conf", config_name="config", **VERSION)
def _app(config: DictConfig) -> Any:
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from sweeps.execution.trial import run_trial

        return run_trial(config)
    from sweeps.sweep.single_run import run_single

    with _refusing():
        return run_single(config, HydraConfig.get().runtime)


class BeforeRun(Callback):
    """Looks at a config that is to run once, before Hydra makes a folder for it; `conf/config.yaml` names this."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """End here for `dry_run=true`, which is the same without `-m`, and for what cannot run."""
        with _refusing():
            if config.dry_run:
                from sweeps.study.command_file import Command
                from sweeps.sweep.run_sweep import run_sweep

                run_sweep(as_typed(config.hydra.overrides.task), config, running_context(), _app, Command.typed())
                sys.exit(0)
            from sweeps.sweep.single_run import check_single

            folder = Path(config.hydra.run.dir)
            if not is_writable(folder):
                raise ConfigError(
                    f"{folder} cannot be made. Change to a folder that can be written, or choose another place: "
                    f"hydra.run.dir=FOLDER"
                )
            check_single(config, config.hydra.runtime, as_typed(config.hydra.overrides.task))


class _RefusedError(BaseException):
    """What the user can mend, as no `Exception`: Hydra would add lines of its own, or go on."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (SweepsError, *COMPOSITION_ERRORS) as error:
        raise _RefusedError(error) from error


def main() -> None:
    """Run the command line; errors that the user can mend end in one message and exit code 1."""
    raise_interrupts()
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"  # Hydra hands exceptions on instead of printing them and exiting
    try:
        refuse_foreign_package()
        check_working_directory()
        refuse_bombs(typed_folders(sys.argv[1:]))
        with until_nobody_reads():
            _app()
    except _RefusedError as refused:
        if before == "1":
            raise refused.error from None
        _show(refused.error)
    except (SweepsError, *COMPOSITION_ERRORS, *REFUSALS) as error:
        if before == "1" or not _is_of_the_user(error):
            raise
        _show(error)
    except Interrupted as interrupt:
        sys.exit(128 + interrupt.received)
    finally:
        if before is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = before


def _is_of_the_user(error: Exception) -> bool:
    """Whether it is one of ours, or was raised while Hydra composed, before it came back to us."""
    if isinstance(error, (SweepsError, *COMPOSITION_ERRORS)):
        return True
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [module for module in modules if module.partition(".")[0] in ("sweeps", "hydra_plugins")]
    return ours[-1:] == [__name__] and "hydra.main" in modules


def _show(error: Exception) -> None:
    arguments = sys.argv[1:]
    is_said = isinstance(error, SweepsError)
    text = str(error).strip() if is_said else explain(error, arguments, typed_folders(arguments), is_ours=True)
    sys.stderr.write(without_passwords(text) + "\n")
    sys.exit(1)
