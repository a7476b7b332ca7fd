"""An app whose config has types: members of an Enum, a number that must not be null."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore


class Optimizer(Enum):
    adam = 1
    sgd = 2


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "sweeps"}, "_self_"])
    hydra: Any = field(default_factory=lambda: {"sweeper": {"study_name": "s", "n_jobs": 1}})
    optimizer: Optimizer = Optimizer.adam
    lr: float = 0.1
    layers: int = 1


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(config: Config) -> float:
    assert isinstance(config.optimizer, Optimizer)
    return config.lr + config.optimizer.value


if __name__ == "__main__":
    main()
