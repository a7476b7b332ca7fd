"""An app with a conf tree: each model's search space stands beside its defaults, and Hydra instantiates the model.

One fit:  python examples/classifier/app.py model=forest model.max_depth=5
A sweep:  python examples/classifier/app.py -m model=forest,linear hydra.sweeper.n_trials=12
"""

import hydra
from omegaconf import DictConfig
from sklearn.datasets import load_wine
from sklearn.model_selection import cross_val_score

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


@hydra.main(config_path="conf", config_name="config", **VERSION)
def main(config: DictConfig) -> float:
    model = hydra.utils.instantiate(config.model)
    features, labels = load_wine(return_X_y=True)
    return float(cross_val_score(model, features, labels, cv=config.n_folds).mean())


if __name__ == "__main__":
    main()
