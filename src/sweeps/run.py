"""The main command: `python -m sweeps.run -m model=svm,logistic` sweeps, without `-m` the composed config runs once."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import sweeps.config  # noqa: F401 - registers the schema and the resolvers before Hydra composes
from sweeps.errors import Interrupted, SweepsError
from sweeps.redact import without_passwords
from sweeps.signals import raise_interrupted

_FULL_ERROR = "HYDRA_FULL_ERROR"


@hydra.main(config_path="pkg://sweeps.conf", config_name="config", version_base="1.3")
def _app(config: DictConfig) -> Any:
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from sweeps.trial import run_trial

        return run_trial(config)
    from sweeps.single import run_single

    return run_single(config, HydraConfig.get().runtime)


def main() -> None:
    """Run the command line; errors that the user can mend end in one message and exit code 1."""
    signal.signal(signal.SIGTERM, raise_interrupted)
    signal.signal(signal.SIGINT, raise_interrupted)  # a shell's background jobs start with it ignored
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"  # Hydra hands exceptions on instead of printing them and exiting
    try:
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
        parts.insert(0, f"{error.override}: not in Hydra's override grammar; quote what has special characters.")
    if isinstance(error, yaml.YAMLError):
        parts.insert(0, "A YAML file cannot be read:")
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None:
        parts.append(str(cause).strip())
    if isinstance(error, HydraException):
        parts += _advice(sys.argv[1:])
    sys.stderr.write(without_passwords("\n".join(dict.fromkeys(part for part in parts if part))) + "\n")
    sys.exit(1)


def _advice(arguments: list[str]) -> list[str]:
    """Hydra composes a sweep with the group's default option first, and refuses a fixed key that this one lacks."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        try:
            overrides.append(parser.parse_override(argument))
        except HydraException:
            continue  # an option such as -m, or what Hydra's own message is about
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    return [
        f"If only some of the options in {group}=... have this key, write {override.key_or_group}="
        f"choice({override.get_value_element_as_str()}): it applies where the key exists."
        for override in overrides
        if (group := override.key_or_group.partition(".")[0]) in swept and not override.is_sweep_override()
    ]


if __name__ == "__main__":
    main()
