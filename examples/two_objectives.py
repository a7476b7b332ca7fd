"""Two objectives: a fit that is close, and a polynomial of few terms. Every trial's two values are kept.

python examples/two_objectives.py -m 'degree=range(1,15)' 'strength=tag(log,interval(0.0001,10))'
"""

from dataclasses import dataclass, field
from typing import Any

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

DEFAULTS = [{"override hydra/sweeper": "sweeps"}, {"override hydra/sweeper/sampler": "nsgaii"}, "_self_"]

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: list(DEFAULTS))
    hydra: Any = field(default_factory=lambda: {"sweeper": {"direction": ["minimize", "minimize"], "n_trials": 30}})
    degree: int = 3
    strength: float = 1.0


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(config_name="config", **VERSION)
def main(config: Config) -> tuple[float, float]:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (200, 1))
    y = np.sin(4 * x[:, 0]) + random.normal(0, 0.2, 200)
    model = make_pipeline(PolynomialFeatures(config.degree), StandardScaler(), Ridge(config.strength))
    error = -cross_val_score(model, x, y, scoring="neg_root_mean_squared_error", cv=5).mean()
    return float(error), float(config.degree)


if __name__ == "__main__":
    main()
