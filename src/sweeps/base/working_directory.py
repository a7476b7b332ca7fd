"""The folder where a command is typed: it has to be there, and what is written goes below it unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from sweeps.base.errors import ConfigError


def check_working_directory() -> None:
    """Make sure that it is there.

    Raises:
        ConfigError: somebody has removed it.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError(
            "The working directory has been removed. Change to a folder that is there (cd FOLDER), then try again."
        ) from error


def is_writable(path: Path) -> bool:
    """Whether a file or a folder can be written to, or made, by permissions and the kind of its file system."""
    path = path.absolute()
    there = next(one for one in (path, *path.parents) if os.path.exists(one))  # noqa: PTH110 - Path.exists raises where a name is too long
    return os.access(there, os.W_OK)
