"""Run one trial of a sweep again, alone: `python -m sweeps.rerun multirun/<study>/<trial>`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf

import sweeps.compose.root_config  # noqa: F401 - registers the resolvers that the stored config may use
from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the composed config that a trial's folder holds, tracked as a run of its own."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.rerun", description=__doc__)
    parser.add_argument("folder", type=Path, help="a trial's folder, such as multirun/reviews-20261121-120000-1/3")
    arguments = parser.parse_args(argv)
    run_command(lambda: _rerun(arguments.folder))


def _rerun(folder: Path) -> None:
    from sweeps.sweep.single_run import check_single, run_single

    stored = folder / ".hydra"
    try:
        config, hydra = (OmegaConf.load(_existing(stored / name)) for name in ("config.yaml", "hydra.yaml"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{stored}: a file cannot be read: {error}") from error
    if not (isinstance(config, DictConfig) and isinstance(hydra, DictConfig)):
        raise ConfigError(f"{stored}: config.yaml and hydra.yaml must be mappings.")
    check_single(config, hydra.hydra.runtime)
    run_single(config, hydra.hydra.runtime)


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise ConfigError(f"{file} is missing; name the folder of one trial, such as multirun/<study>/3.")
    return file
