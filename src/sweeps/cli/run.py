"""The main command: `python -m sweeps.run -m model=svm,logistic` sweeps, without `-m` the composed config runs once."""

from __future__ import annotations

import difflib
import os
import re
import sys
from contextlib import suppress
from typing import Any, NoReturn

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sweeps.base.command import refuse_foreign_package, until_nobody_reads
from sweeps.base.errors import Interrupted, SweepsError, first_line
from sweeps.base.redact import without_passwords
from sweeps.base.signals import raise_interrupts
from sweeps.compose.root_config import RootConfig  # registers the schema and the resolvers before Hydra composes

_FULL_ERROR = "HYDRA_FULL_ERROR"


# Hydra 1.3 warns where its version is not named, 1.4 where it is.
_VERSION: dict[str, Any] = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}


@hydra.main(config_path="pkg://sweeps.conf", config_name="config", **_VERSION)
def _app(config: DictConfig) -> Any:
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from sweeps.execution.trial import run_trial

        return run_trial(config)
    from sweeps.sweep.single_run import run_single

    return run_single(config, HydraConfig.get().runtime)


def main() -> None:
    """Run the command line; errors that the user can mend end in one message and exit code 1."""
    raise_interrupts()
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"  # Hydra hands exceptions on instead of printing them and exiting
    try:
        refuse_foreign_package()
        with until_nobody_reads():
            _app()
    except (SweepsError, HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if before == "1":
            raise
        _exit_with(error)
    except Interrupted as interrupt:
        sys.exit(128 + interrupt.received)
    finally:
        if before is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = before


def _exit_with(error: Exception) -> NoReturn:
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
    if isinstance(error, HydraException):
        parts += _advice(str(error), sys.argv[1:])
    sys.stderr.write(without_passwords("\n".join(dict.fromkeys(part for part in parts if part))) + "\n")
    sys.exit(1)


def _advice(message: str, arguments: list[str]) -> list[str]:
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


def _parsed(arguments: list[str]) -> list[Override]:
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        with suppress(HydraException):  # an option such as -m, or what Hydra's own message is about
            overrides.append(parser.parse_override(argument))
    return overrides
