"""The layout of many training repositories: configs/ with experiment/ and hparams_search/, and a training loop.

python examples/template/src/train.py experiment=quick
python examples/template/src/train.py -m hparams_search=digits
"""

import hydra
import numpy as np
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import sweeps

VERSION = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}  # 1.4 wants none


def train(config: DictConfig) -> dict[str, float]:
    """Train for some epochs, and report the accuracy on held-out digits after each."""
    features, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(features / 16, labels, random_state=0)
    model = hydra.utils.instantiate(config.model, batch_size=config.data.batch_size)
    order = np.random.default_rng(config.seed)
    accuracy = 0.0
    for epoch in range(config.n_epochs):
        for batch in np.array_split(order.permutation(len(x)), len(x) // config.data.batch_size):
            model.partial_fit(x[batch], y[batch], classes=np.arange(10))
        accuracy = float(model.score(x_val, y_val))
        sweeps.report(accuracy, step=epoch)
    return {"train/accuracy": float(model.score(x, y)), "val/accuracy": accuracy}


@hydra.main(config_path="../configs", config_name="train.yaml", **VERSION)
def main(config: DictConfig) -> float | None:
    metric_dict = train(config)
    return metric_dict[config.optimized_metric] if config.optimized_metric else None


if __name__ == "__main__":
    main()
