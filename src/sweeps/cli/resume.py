"""Resume a study that was interrupted or ended early: `python -m sweeps.resume multirun/<study> [key=value ...]`."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError
from sweeps.study.command_file import STORAGE, arguments_again, recall, storage_of
from sweeps.study.folder import StudyFolder
from sweeps.study.storage import find_study


def main(argv: Sequence[str] | None = None) -> None:
    """Type the command of a sweep again, in the folder where it was typed, with the name of its study."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.resume", description=__doc__)
    parser.add_argument("folder", type=Path, help="a study's folder, such as multirun/reviews-20261121-120000-1")
    parser.add_argument("overrides", nargs="*", help="more overrides, such as n_trials=100 or storage=URL")
    arguments = parser.parse_args(argv)
    run_command(lambda: _resume(StudyFolder(arguments.folder.absolute()), arguments.overrides))


def _resume(folder: StudyFolder, overrides: Sequence[str]) -> None:
    command = recall(folder)
    typed = dict(override.partition("=")[::2] for override in overrides)
    storage = storage_of(command, folder, typed.get("storage") or typed.get("hydra.sweeper.storage"))
    _go_where_it_was_typed(Path(str(command.get("directory", "."))), folder)
    if find_study(storage, str(command["study_name"])) is None:
        raise ConfigError(f"{storage} has no study {command['study_name']}; there is nothing to resume.")
    if command.get("call"):
        from sweeps.api.study import Study  # composes; the commands below do so themselves

        Study(folder.path, storage).resume_with(overrides)
        return
    arguments = arguments_again(command, overrides)
    os.environ.pop(STORAGE, None)
    if storage != folder.storage_url:
        os.environ[STORAGE] = storage
    if command.get("module"):
        sys.argv = [str(command["module"]), *arguments]
        runpy.run_module(str(command["module"]), run_name="__main__", alter_sys=True)
    else:
        sys.argv = [str(command["script"]), *arguments]
        if not Path(sys.argv[0]).exists():
            raise ConfigError(
                f"The script that began the sweep is gone: {sys.argv[0]}. Put it back; or, if it was moved, type the "
                f"sweep's command again with its new place and {command['prefix']}study_name={command['study_name']}"
            )
        runpy.run_path(str(command["script"]), run_name="__main__")


def _go_where_it_was_typed(directory: Path, folder: StudyFolder) -> None:
    """Change to the folder where a sweep began; one that was moved with its studies is where those are."""
    if directory.is_dir():
        os.chdir(directory)
    elif not folder.path.is_relative_to(Path.cwd()):
        raise ConfigError(
            f"The sweep was typed in {directory}, which is gone. Make it again; or, if it was moved, change to "
            f"where it is now, then resume."
        )
