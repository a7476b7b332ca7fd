"""A structured config: its classes have no room for a search space, so that stands under `hydra.sweeper`.

One fit:  python examples/structured.py model=ridge model.alpha=2
A sweep:  python examples/structured.py -m model=ridge,trees
"""

from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from sklearn.datasets import load_diabetes
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


@dataclass
class RidgeConfig:
    alpha: float = 1.0


@dataclass
class TreesConfig:
    n_estimators: int = 50
    min_samples_leaf: int = 5


SEARCH_SPACE = {
    "model/ridge": {"alpha": {"type": "float", "low": 1e-3, "high": 1e3, "log": True}},
    "model/trees": {
        "n_estimators": {"type": "int", "low": 10, "high": 200, "log": True},
        "min_samples_leaf": {"type": "int", "low": 1, "high": 20},
    },
}


@dataclass
class Config:
    defaults: list[Any] = field(
        default_factory=lambda: [{"model": "ridge"}, {"override hydra/sweeper": "sweeps"}, "_self_"]
    )
    hydra: Any = field(
        default_factory=lambda: {"sweeper": {"direction": "maximize", "n_trials": 12, "search_space": SEARCH_SPACE}}
    )
    model: Any = MISSING
    n_folds: int = 5


store = ConfigStore.instance()
store.store(name="config", node=Config)
store.store(group="model", name="ridge", node=RidgeConfig)
store.store(group="model", name="trees", node=TreesConfig)


@hydra.main(config_name="config", **VERSION)
def main(config: Config) -> float:
    is_ridge = OmegaConf.get_type(config.model) is RidgeConfig
    options = dict(config.model)
    model = Ridge(**options) if is_ridge else ExtraTreesRegressor(random_state=0, **options)
    features, target = load_diabetes(return_X_y=True)
    return float(cross_val_score(model, features, target, cv=config.n_folds).mean())


if __name__ == "__main__":
    main()
