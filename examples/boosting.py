"""Gradient boosting on a table, each configuration under three seeds: the objective is the mean.

python examples/boosting.py -m 'learning_rate=tag(log,interval(0.01,0.5))' 'max_leaf_nodes=range(4,64)' \
    'l2=tag(log,interval(0.001,10))' hydra.sweeper.n_trials=10
"""

from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "sweeps"}, "_self_"])
    hydra: Any = field(
        default_factory=lambda: {
            "sweeper": {"direction": "maximize", "metric": "accuracy", "repeat": {"seed": [1, 2, 3]}}
        }
    )
    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    l2: float = 0.01
    seed: int = 0


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(config_name="config", **VERSION)
def main(config: Config) -> dict[str, float]:
    model = HistGradientBoostingClassifier(
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.max_leaf_nodes,
        l2_regularization=config.l2,
        max_iter=30,
        random_state=config.seed,
    )
    features, labels = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=config.seed)
    scores = cross_val_score(model, features, labels, cv=folds)
    return {"accuracy": float(scores.mean()), "worst_fold": float(scores.min())}


if __name__ == "__main__":
    main()
