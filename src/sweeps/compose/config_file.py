"""Config files that Hydra cannot read, or would read for minutes: which one it is, and what is wrong with it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from sweeps.base.errors import ConfigError, first_line
from sweeps.compose import override_text

_SEARCHPATH = "hydra.searchpath"
_MOST_VALUES, _MOST_TIMES = 10_000, 20  # of a file with aliases; OmegaConf takes some 0.1 ms for each value
_MOST_LEVELS = 50  # of nested values; OmegaConf calls itself some ten times for each


def typed_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders of config files that a command line names, with `--config-dir` or `hydra.searchpath`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", "-cd", type=Path)
    try:
        options, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError:  # Hydra says so
        return []
    folders = [options.config_dir] if options.config_dir else []
    for argument in rest:
        if argument.startswith(f"{_SEARCHPATH}="):
            with suppress(HydraException):
                found = override_text.plain(OverridesParser.create().parse_override(argument).value())
                folders += [Path(str(one).removeprefix("file://")) for one in found if "pkg://" not in str(one)]
    return [folder for folder in folders if folder.is_dir()]


def refuse_bombs(folders: Iterable[Path]) -> None:
    """Refuse files that Hydra would compose for hours, or until Python's stack is used up.

    Raises:
        ConfigError: which file: its values are nested too deeply, or its aliases stand for too many, or for themselves.
    """
    for file in _files(folders):
        with suppress(OSError, ValueError, yaml.YAMLError):  # refused where it is used
            text = file.read_text(encoding="utf-8")
            if wrong := _too_deep(text) or _too_large(text):
                raise ConfigError(f"{file}: {wrong}")


def unreadable(folders: Sequence[Path], arguments: Iterable[str]) -> str:
    """What is wrong with the config files of some folders, one line for each; only for those that are named.

    Args:
        folders: to look in.
        arguments: what was typed, with the names of options.
    """
    words = {word for argument in arguments for word in re.findall(r"[^][=,/@'\"\s]+", argument)}
    named = [file for file in _files(folders) if file.stem in words]
    lines = [f"{file}: {wrong}" for file in named if (wrong := _wrong(file))]
    return "\n".join(lines or _circles(folders))


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(file for file in folder.rglob("*.yaml") if file.is_file())


def _wrong(file: Path) -> str:
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        return f"it must be UTF-8; byte {error.start + 1} is not ({error.reason})."
    except (OSError, ValueError, yaml.YAMLError) as error:
        return f"{first_line(error)}."
    if isinstance(loaded, Mapping | None | str):  # Hydra takes a lone word for a key
        return ""
    return f"it must be a mapping of keys to values, such as `C: 1.0`; it is a {type(loaded).__name__}."


def _circles(folders: Iterable[Path]) -> list[str]:
    """Where defaults lists name one another in a circle, which Hydra follows until Python gives up."""
    graph: dict[str, set[str]] = {}
    for folder in folders:
        for file in _files([folder]):
            with suppress(OSError, ValueError, yaml.YAMLError):
                name = file.relative_to(folder).with_suffix("").as_posix()
                graph.setdefault(name, set()).update(_named(name, yaml.safe_load(file.read_text(encoding="utf-8"))))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"The defaults lists of these files name one another in a circle: {' -> '.join(error.args[1][::-1])}."]
    return []


def _named(name: str, config: Any) -> Iterator[str]:
    """The options that a config's defaults list names, as paths."""
    around = name.rpartition("/")[0]
    for entry in (config.get("defaults") or []) if isinstance(config, Mapping) else []:
        for key, value in entry.items() if isinstance(entry, Mapping) else [("", entry)]:
            path = "/".join(filter(None, (str(key).partition("@")[0], str(value))))
            yield path.lstrip("/") if path.startswith("/") else "/".join(filter(None, (around, path)))


def _too_deep(text: str) -> str:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):  # which does not call itself
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_LEVELS:
            return f"its values are nested too deeply, in more than {_MOST_LEVELS} levels."
    return ""


def _too_large(text: str) -> str:
    """What is wrong with the aliases of a YAML text that is not too deep; "" for nothing."""
    if "&" not in text or "*" not in text:
        return ""
    sizes: dict[Any, int | None] = {}  # how many values a node stands for; None for one that is being counted

    def size(node: Any) -> int:
        if node not in sizes:
            sizes[node] = None
            parts = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
            sizes[node] = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(map(size, parts)))
        found = sizes[node]
        if found is None:
            raise _CircleError
        return found

    try:
        n_values = size(yaml.compose(text, Loader=yaml.SafeLoader))
    except _CircleError:
        return "an alias (*name) stands for a value that holds it, in a circle."
    if n_values <= max(_MOST_VALUES, _MOST_TIMES * len(sizes)):
        return ""
    return f"with its aliases (*name) written out it has {n_values:,} values; at most {_MOST_VALUES:,} fit in a config."


class _CircleError(Exception):
    """A YAML node holds itself."""
