"""The main command: `python -m sweeps.run -m model=svm,logistic` sweeps, without `-m` the composed config runs once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from sweeps.base.command import refuse_foreign_package, until_nobody_reads
from sweeps.base.errors import ConfigError, Interrupted, SweepsError
from sweeps.base.redact import without_passwords
from sweeps.base.signals import raise_interrupts
from sweeps.base.working_directory import check_working_directory, is_writable
from sweeps.compose._hydra_compat import VERSION
from sweeps.compose.composition_error import COMPOSITION_ERRORS, explain

_FULL_ERROR = "HYDRA_FULL_ERROR"


@hydra.main(config_path="pkg://sweeps.conf", config_name="config", **VERSION)
def _app(config: DictConfig) -> Any:
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from sweeps.execution.trial import run_trial

        return run_trial(config)
    from sweeps.sweep.single_run import run_single

    return run_single(config, HydraConfig.get().runtime)


def main() -> None:
    """Run the command line; errors that the user can mend end in one message and exit code 1."""
    raise_interrupts()
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"  # Hydra hands exceptions on instead of printing them and exiting
    try:
        refuse_foreign_package()
        check_working_directory()
        with until_nobody_reads():
            _app()
    except (SweepsError, *COMPOSITION_ERRORS) as error:
        if before == "1":
            raise
        _exit_with(error)
    except OSError as error:  # of Hydra, which makes the folder of a run without -m
        path = None if error.filename is None else Path(error.filename)
        if before == "1" or path is None or path.exists() or is_writable(path):
            raise
        _exit_with(
            ConfigError(
                f"{path} cannot be made: {error.strerror}. Change to a folder that can be written, or choose "
                f"another place: hydra.run.dir=FOLDER"
            )
        )
    except Interrupted as interrupt:
        sys.exit(128 + interrupt.received)
    finally:
        if before is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = before


def _exit_with(error: Exception) -> NoReturn:
    text = explain(error, sys.argv[1:]) if not isinstance(error, SweepsError) else str(error).strip()
    sys.stderr.write(without_passwords(text) + "\n")
    sys.exit(1)
