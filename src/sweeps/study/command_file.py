"""What was typed for a study: kept in its folder, so that the study can be resumed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweeps.base.atomic_file import write_yaml
from sweeps.base.errors import ConfigError
from sweeps.base.redact import without_passwords
from sweeps.execution.main_module import script
from sweeps.study.folder import StudyFolder
from sweeps.study.storage import absolute_address

STORAGE = "SWEEPS_STORAGE"  # environment variable: the URL of the study's database


@dataclass(frozen=True)
class Command:
    """What begins a sweep, and begins it again.

    Attributes:
        arguments: what was typed: overrides and, for a module or a script, options such as `-m`.
        shown: the whole command, as a user writes it.
        module: for `python -m`; None for a script.
        script: its path; None for a module.
        call: what Python needs to begin the sweep again, where neither a module nor a script does.
    """

    arguments: tuple[str, ...]
    shown: str
    module: str | None = None
    script: str | None = None
    call: Mapping[str, Any] | None = None

    @classmethod
    def typed(cls) -> Command:
        """The command line of this process."""
        main, (name, *arguments) = script().__spec__, sys.argv  # None for a script or a notebook
        shown = shlex.join([*(["python", "-m", main.name] if main else ["python", name]), *arguments])
        path = None if main else str(Path(name).absolute())
        return cls(tuple(arguments), shown, main.name if main else None, path)


def remember(folder: StudyFolder, command: Command, more: Mapping[str, str], prefix: str, storage: str | None) -> None:
    """Keep a command, without passwords and without `join`: that is for whoever resumes to type.

    Args:
        folder: the study's.
        command: that began the sweep.
        more: what of several that were typed this study is of, such as its dataset, by key.
        prefix: what stands before a setting's name: nothing in our own app, `hydra.sweeper.` in any other.
        storage: the URL of the study's database, None for the file in its folder.
    """
    kept = {
        "module": command.module,
        "script": command.script,
        "call": dict(command.call) if command.call else None,
        "arguments": [
            without_passwords(argument)
            for argument in command.arguments
            if not argument.removeprefix("hydra.sweeper.").startswith("join=")
        ],
        "directory": str(Path.cwd()),
        "study_name": folder.path.name,
        "more": dict(more),
        "prefix": prefix,
        "storage": without_passwords(storage) if storage else None,
    }
    write_yaml(folder.command, kept)


def arguments_again(command: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """The arguments that resume a study.

    Args:
        command: what was typed for it, from `recall`.
        overrides: more of them, which replace those of the same key.
    """
    more = [f"{key}={value}" for key, value in command["more"].items()]
    again = [*more, f"{command['prefix']}study_name='{command['study_name']}'", *overrides]
    replaced = tuple(f"{override.partition('=')[0]}=" for override in again)
    arguments = [argument for argument in command["arguments"] if not argument.startswith(replaced)]
    return [argument for argument in arguments if "***" not in argument] + again


def recall(folder: StudyFolder) -> Mapping[str, Any]:
    """What was typed for a study.

    Raises:
        ConfigError: the folder is not a study's.
    """
    try:
        command = yaml.safe_load(folder.command.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder.path} is not the folder of a study; type one such as multirun/<study_name>."
        ) from error
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{folder.command} cannot be read: {error}") from error
    if not isinstance(command, dict) or not {"arguments", "study_name", "storage", "more", "prefix"} <= set(command):
        raise ConfigError(f"{folder.command} is not the record of a command; type the sweep's command again instead.")
    return command


def storage_of(command: Mapping[str, Any], folder: StudyFolder, given: str | None) -> str:
    """The URL of a study's database: the file in its folder, or what was typed, `given` again with its password.

    Raises:
        ConfigError: a password is needed.
    """
    if command["storage"] is None and given is None:
        return folder.storage_url
    url = given or os.environ.get(STORAGE) or _absolute(str(command["storage"]), command)
    if "***" in url:
        raise ConfigError(f"The study is in {url}, which needs a password: type storage=URL with it, or set {STORAGE}.")
    return url


def _absolute(storage: str, command: Mapping[str, Any]) -> str:
    """A storage as it was meant where its command was typed, unless that folder is gone."""
    directory = Path(str(command.get("directory", ".")))
    return absolute_address(storage, directory) if directory.is_dir() else storage
