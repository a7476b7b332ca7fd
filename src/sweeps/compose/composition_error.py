"""What is said where Hydra, OmegaConf or a YAML file refuses: their message, its cause, and what to type instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from contextlib import suppress

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from sweeps.base.errors import first_line
from sweeps.compose.root_config import RootConfig  # registers the schema and the resolvers before Hydra composes

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)


def explain(error: Exception, arguments: Iterable[str] | None) -> str:
    """The whole message.

    Args:
        error: one of `COMPOSITION_ERRORS`.
        arguments: what was typed for our own app, whose keys are known; None for another.
    """
    parts = [str(error).strip()]
    if isinstance(error, OverrideParseException):
        parts.insert(
            0,
            f"{error.override}: this is not in Hydra's override grammar; quote special characters.",
        )
    if isinstance(error, yaml.YAMLError):
        parts.insert(0, "A YAML file cannot be read:")
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None:
        parts.append(first_line(cause))
    if isinstance(error, HydraException) and arguments is not None:
        parts += _advice(str(error), arguments)
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _advice(message: str, arguments: Iterable[str]) -> list[str]:
    """What to type instead of a key that Hydra does not find."""
    refused = re.match(r"Could not override '(?P<key>[^']+)'", message)
    if refused is None:
        return []
    group, dot, _ = refused["key"].partition(".")
    if not dot:
        close = difflib.get_close_matches(group, RootConfig.__dataclass_fields__, n=1)
        return [f"Did you mean {key}?" for key in close] + ["python -m sweeps.run --help lists all keys."]
    overrides = _parsed(arguments)
    swept = any(override.key_or_group == group and override.is_sweep_override() for override in overrides)
    if group not in ("model", "vectorizer") or not swept:
        return []
    # A sweep is composed with the group's default option first, which may lack the key.
    return [
        f"If only some of the options in {group}=... have this key, write {override.key_or_group}="
        f"choice({override.get_value_element_as_str()}): it applies where the key exists."
        for override in overrides
        if override.key_or_group == refused["key"] and not override.is_sweep_override()
    ]


def _parsed(arguments: Iterable[str]) -> list[Override]:
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        with suppress(HydraException):  # an option such as -m, or what Hydra's own message is about
            overrides.append(parser.parse_override(argument))
    return overrides
