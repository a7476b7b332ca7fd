"""Settings given as keyword arguments, as the overrides that one would type."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from sweeps.base.errors import ConfigError
from sweeps.compose.override_text import to_text
from sweeps.compose.settings import SweeperConfig

_GROUPS = ("sampler", "pruner")
_NOT_GIVEN_HERE = ("_target_", "_recursive_", "objective", "params", "search_space", "dry_run")
_SETTINGS = [name for name in SweeperConfig.__dataclass_fields__ if name not in _NOT_GIVEN_HERE]


def overrides_of(settings: Mapping[str, Any], prefix: str) -> list[str]:
    """The overrides that say the same.

    Args:
        settings: by name; `sampler` and `pruner` name an option, whose own arguments are `sampler.NAME`.
        prefix: what stands before a setting's name: nothing in our own app, `hydra.sweeper.` in any other.

    Raises:
        ConfigError: there is no such setting, or no override can say its value.
    """
    overrides = []
    for name, value in settings.items():
        known = name.partition(".")[0]
        if known not in _SETTINGS:
            close = difflib.get_close_matches(known, _SETTINGS, n=1)
            raise ConfigError(
                f"{name} is not a setting of a sweep.{f' Did you mean {close[0]}?' if close else ''} The settings are: "
                f"{', '.join(_SETTINGS)}."
            )
        if name in _GROUPS:
            overrides.append(f"{prefix.replace('.', '/')}{name}={value}")
        else:
            overrides.append(f"{prefix}{name}={_text(value)}")
    return overrides


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_text(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return to_text(value)
