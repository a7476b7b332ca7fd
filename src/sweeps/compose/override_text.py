"""Values as Hydra override text and back, so that a trial's parameters can be typed on a command line."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import OmegaConf

from sweeps.base.errors import ConfigError


def to_text(value: Any) -> str:
    """Write a value so that Hydra's override parser reads back the same value.

    Args:
        value: None, bool, int, float, str, or lists of those.

    Returns:
        The part of an override after `=`. Strings are always quoted, and an OmegaConf interpolation in one is escaped,
        so `(?u)\\b\\w+\\b`, `a,b` and `${x}` stay what they are.

    Raises:
        ConfigError: a value of another type, or `???`, which OmegaConf reads as a missing value.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if value == "???":
        raise ConfigError("'???' means a missing value in Hydra, so it cannot be a choice.")
    if isinstance(value, str):
        return QuotedString(_escape_interpolation(value), Quote.single).with_quotes()
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_text(item) for item in value) + "]"
    raise ConfigError(f"{value!r} of type {type(value).__name__} cannot be written as a Hydra override.")


def from_text(text: str) -> Any:
    """Read override text (`[1,2]`, `0.5`, `'a,b'`) as the value Hydra would assign.

    Raises:
        hydra.errors.HydraException: the text is not in Hydra's grammar.
    """
    return plain(_parser().parse_override(f"key={text}").value())


def as_typed(node: Any) -> list[str]:
    """`hydra.overrides.task`, or `.hydra`, as plain texts: what was typed may hold interpolations of the app's keys."""
    texts: Any = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
    return list(map(str, texts))


def plain(element: Any) -> Any:
    """An element of Hydra's parser as a plain value: quoted strings lose their quotes."""
    if isinstance(element, QuotedString):
        return element.text
    return [plain(item) for item in element] if isinstance(element, list) else element


def stored(value: Any) -> Any:
    """The value as a config has to hold it, so that it is itself when it is resolved: `${` is escaped."""
    if isinstance(value, str):
        return _escape_interpolation(value)
    return [stored(item) for item in value] if isinstance(value, list | tuple) else value


def unescape(value: Any) -> Any:
    """Undo what `to_text` does to `${`, as OmegaConf does when it resolves a value."""
    return OmegaConf.to_container(OmegaConf.create({"value": value}), resolve=True)["value"]  # type: ignore[index,call-overload]  # a dict


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _escape_interpolation(text: str) -> str:
    """Put a backslash before `${`, doubling those that stand there, as OmegaConf's grammar asks."""
    pieces = text.split("${")
    escaped = []
    for piece in pieces[:-1]:
        backslashes = len(piece) - len(piece.rstrip("\\"))
        escaped.append(piece + "\\" * (backslashes + 1))
    return "${".join([*escaped, pieces[-1]])
