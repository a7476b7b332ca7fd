"""Where an option of a config group is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from sweeps.base.build import BuildError
from sweeps.base.errors import ConfigError

ConfigSources = Iterable[Any]  # items with `path` and `schema`


def locate_option(config_sources: ConfigSources, group: str, choice: str) -> str:
    """The file of an option as a user would open it, found along `hydra.runtime.config_sources`.

    Raises:
        ConfigError: several folders have the option; Hydra would take the first and say nothing.
    """
    files = list(dict.fromkeys(_files(config_sources, f"{group}/{choice}.yaml")))
    if len(files) > 1:
        raise ConfigError(f"{group}={choice} is written in several files; give yours another name: {', '.join(files)}.")
    return files[0] if files else f"{group}/{choice}.yaml"


@contextmanager
def naming_its_file(runtime: Any) -> Iterator[None]:
    """Put the file of an option before what is wrong with the object that it describes.

    Args:
        runtime: Hydra's `hydra.runtime` of the composition: the options chosen and the search path.

    Raises:
        ConfigError: in place of a `BuildError`, whose message begins with the group's name.
    """
    try:
        yield
    except BuildError as error:
        group = str(error).partition(":")[0].partition(".")[0]
        if group not in runtime.choices:
            raise
        raise ConfigError(
            f"{locate_option(runtime.config_sources, group, str(runtime.choices[group]))}: {error}"
        ) from error


def _files(config_sources: ConfigSources, name: str) -> Iterator[str]:
    for source in config_sources:
        if source.schema == "file":
            folder = Path(source.path)
        elif source.schema == "pkg" and source.path:
            try:
                folder = Path(str(resources.files(source.path.replace("/", "."))))
            except (ImportError, TypeError):
                continue
        else:
            continue
        if (folder / name).is_file():
            file, here = (folder / name).resolve(), Path.cwd().resolve()
            yield str(file.relative_to(here) if file.is_relative_to(here) else file)
