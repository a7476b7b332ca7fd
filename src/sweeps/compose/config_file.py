"""Config files that Hydra cannot read, or would read for minutes: which one it is, and what is wrong with it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
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
    """Refuse files whose aliases stand for more values than a config can have: composing them takes hours.

    Raises:
        ConfigError: which file, and how many.
    """
    for file in _files(folders):
        with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):  # refused where it is used
            text = file.read_text(encoding="utf-8")
            n_written, n_values = _sizes(text) if "&" in text and "*" in text else (0, 0)
            if n_values > max(_MOST_VALUES, _MOST_TIMES * n_written):
                raise ConfigError(
                    f"{file}: with its aliases (*name) written out this file has {n_values:,} values; at most "
                    f"{_MOST_VALUES:,} fit in a config."
                )


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
        text = file.read_text(encoding="utf-8")
        loaded = yaml.safe_load(text)
        _sizes(text)
    except UnicodeDecodeError as error:
        return f"it must be UTF-8; byte {error.start + 1} is not ({error.reason})."
    except RecursionError:
        return "its values are nested too deeply, or in a circle."
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
            with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):
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


def _sizes(text: str) -> tuple[int, int]:
    """How many values a YAML text has as it is written, and with each alias written out."""

    @cache
    def size(node: Any) -> int:
        if isinstance(node, yaml.MappingNode):
            return 1 + sum(size(value) for _, value in node.value)
        return 1 + sum(map(size, node.value)) if isinstance(node, yaml.SequenceNode) else 1

    n_values = size(yaml.compose(text, Loader=yaml.SafeLoader))
    return size.cache_info().currsize, n_values
