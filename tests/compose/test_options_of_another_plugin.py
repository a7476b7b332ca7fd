"""Options of `hydra/sweeper/sampler` that another plugin registers, as hydra-optuna-sweeper does, in either order."""

from __future__ import annotations

import subprocess
import sys

import pytest

OURS = "import hydra_plugins.sweeps_sweeper.sweeper"
THEIRS = """
from dataclasses import dataclass
from typing import Any
from hydra.core.config_store import ConfigStore

@dataclass
class TPESamplerConfig:
    _target_: str = "optuna.samplers.TPESampler"
    seed: Any = None
    n_startup_trials: int = 3

ConfigStore.instance().store(group="hydra/sweeper/sampler", name="tpe", node=TPESamplerConfig, provider="another")
"""
COMPOSE = """
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
with initialize(version_base=None):
    for sampler in ("tpe", "motpe", "nsgaii"):
        overrides = ["hydra/sweeper=sweeps", f"hydra/sweeper/sampler={sampler}"]
        node = compose(overrides=overrides, return_hydra_config=True).hydra.sweeper.sampler
        print(node._target_, node.get("n_startup_trials"))
print(ConfigStore.instance().load("hydra/sweeper/sampler/tpe.yaml").provider)
"""


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["after ours", "before ours"])
def test_they_stay_as_they_are_and_ours_stand_beside_them(order: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*order, COMPOSE])], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "optuna.samplers.TPESampler 3",
        "optuna.samplers.TPESampler 10",
        "optuna.samplers.NSGAIISampler None",
        "another",
    ]
