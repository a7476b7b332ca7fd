"""What is said where Hydra, OmegaConf or a YAML file refuses: their message, its cause, and what to type instead."""

from __future__ import annotations

import difflib
import re
import shlex
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from sweeps.base.errors import ConfigError, first_line
from sweeps.compose.config_file import unreadable
from sweeps.compose.override_text import to_text
from sweeps.compose.root_config import RootConfig  # registers the schema and the resolvers before Hydra composes

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
REFUSALS = (ValueError, TypeError, OSError, AssertionError, RecursionError, ArithmeticError, LookupError)
"""What Hydra raises beside those, while it composes, for some of what can be typed or stand in a file."""

_GROUPS = ("model", "vectorizer", "dataset", "sampler", "pruner", "experiment")
_LONGEST = 400  # characters of a message that quotes what was typed


@contextmanager
def composing(arguments: Sequence[str], folders: Sequence[Path], *, is_ours: bool) -> Iterator[None]:
    """Say in one message what Hydra refuses inside a `with` block that does nothing but compose.

    Args:
        arguments: what was typed.
        folders: with config files.
        is_ours: whether for our own app, whose keys are known.

    Raises:
        ConfigError: in place of `COMPOSITION_ERRORS` and `REFUSALS`.
    """
    try:
        yield
    except (*COMPOSITION_ERRORS, *REFUSALS) as error:
        raise ConfigError(explain(error, arguments, folders, is_ours=is_ours)) from error


def explain(error: Exception, arguments: Sequence[str], folders: Sequence[Path] = (), *, is_ours: bool) -> str:
    """The whole message.

    Args:
        error: one of `COMPOSITION_ERRORS` or `REFUSALS`.
        arguments: what was typed.
        folders: with config files.
        is_ours: whether for our own app, whose keys are known.
    """
    if not isinstance(error, COMPOSITION_ERRORS):
        return _explain_refusal(error, arguments, folders)
    parts = [str(error).strip()]
    if isinstance(error, OmegaConfBaseException) and error.full_key and error.full_key not in parts[0]:
        parts[0] = f"{error.full_key}: {parts[0]}"
    if isinstance(error, OverrideParseException):
        parts.insert(0, _quoted(str(error.override)))
    if isinstance(error, yaml.YAMLError):
        parts.insert(0, "A YAML file cannot be read:")
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None:
        parts.append(first_line(cause))
    if is_ours:
        parts = _advice(str(error), arguments) + parts
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _explain_refusal(error: Exception, arguments: Sequence[str], folders: Sequence[Path]) -> str:
    unfit = [line for override in _parsed(arguments) if (line := _unfit_option(override))]
    if unfit:
        return "\n".join(unfit)
    if wrong := unreadable(folders, arguments):
        return wrong
    if isinstance(error, ArithmeticError) and (key := re.search(r"full_key: (\S+)", str(error))):
        return f"{key[1]}: {first_line(error)}"
    where = traceback.extract_tb(error.__traceback__)[-1].line or ""
    said = str(error).strip() or where  # of an assertion
    said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
    return f"Hydra cannot compose this command line: {type(error).__name__}: {said}"


def _unfit_option(override: Override) -> str:
    """What is wrong with an override that chooses an option by something else than a name; "" for any other."""
    group = override.key_or_group
    if override.is_sweep_override() or (group not in _GROUPS and "/" not in group):
        return ""
    value = override.value()
    if value is None or (override.is_delete() and not isinstance(value, str)):
        return f"{override.input_line}: to choose no option of {group}, type ~{group}, or leave it out."
    if len(str(value)) > 255:
        return f"{group}: the name of an option has at most 250 characters; this has {len(str(value)):,}."
    if not isinstance(value, str | QuotedString):
        return f"{override.input_line}: an option of {group} is chosen by its name, as in {group}=NAME."
    return ""


def _advice(message: str, arguments: Iterable[str]) -> list[str]:
    """What to type instead of a key that Hydra does not find."""
    refused = re.match(r"Could not override '(?P<key>[^']+)'", message)
    if refused is None:
        sweeper = next((text for text in arguments if text.startswith("hydra/sweeper=")), None)
        return [f"{sweeper}: this app has a sweeper of its own; leave it out."] if sweeper else []
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


def _quoted(argument: str) -> str:
    """What to type for an argument that Hydra cannot parse: its value as a text, quoted for the shell, too."""
    refusal = f"{argument}: this is not in Hydra's override grammar; quote special characters"
    key, equals, value = argument.partition("=")
    quoted = f"{key}={to_text(value)}"
    if not equals or not _parsed([quoted]):
        return f"{refusal}."
    return f"{refusal}: " + (shlex.quote(quoted) if set(quoted) & set('"$`\\!') else f'"{quoted}"')


def _parsed(arguments: Iterable[str]) -> list[Override]:
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        with suppress(HydraException):  # an option such as -m, or what Hydra's own message is about
            overrides.append(parser.parse_override(argument))
    return overrides
