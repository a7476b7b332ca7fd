"""The smallest app: no conf folder, and the search space on the command line.

python examples/sphere.py -m hydra/sweeper=sweeps 'x=interval(-5,5)' 'y=interval(-5,5)' hydra.sweeper.n_trials=20
"""

from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


@dataclass
class Config:
    x: float = 1.0
    y: float = 1.0


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(config_name="config", **VERSION)
def main(config: Config) -> float:
    return config.x**2 + config.y**2


if __name__ == "__main__":
    main()
