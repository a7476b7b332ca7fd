"""An app that trains a model, logs it, and says what it is measured on, or leaves one of these out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import hydra
import mlflow
import numpy as np
import pandas as pd
from hydra.core.config_store import ConfigStore
from sklearn.dummy import DummyRegressor

import sweeps


@dataclass
class Config:
    defaults: list[Any] = field(default_factory=lambda: [{"override hydra/sweeper": "sweeps"}, "_self_"])
    hydra: Any = field(
        default_factory=lambda: {
            "sweeper": {
                "study_name": "s",
                "metric": "val_error",
                "n_jobs": 1,
                "registered_model_name": "level",
                "params": {"guess": "1.0,2.0,3.0"},
            }
        }
    )
    guess: float = 1.0
    truth: float = 2.2  # of the test part
    logs_model: bool = True
    returns_test: bool = True
    named_by: str = "text"


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(config: Config) -> dict[str, float]:
    model = DummyRegressor(strategy="constant", constant=config.guess).fit([[0.0]], [config.guess])
    truth = np.full(3, config.truth)
    with mlflow.start_run():
        if config.logs_model:
            mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
        if config.named_by == "text":
            sweeps.evaluation_id(f"three rows of {config.truth}")
        if config.named_by == "input":
            data = pd.DataFrame({"y": truth})
            mlflow.log_input(mlflow.data.from_pandas(data, name="rows"), context="test")
    sweeps.log_predictions("val", [2.12, 2.12], model.predict([[0.0]] * 2))
    sweeps.log_predictions("test", truth, model.predict([[0.0]] * 3), groups=["a", "a", "b"])
    error = {"val_error": abs(config.guess - 2.12)}
    return error | ({"test_error": abs(config.guess - config.truth)} if config.returns_test else {})


if __name__ == "__main__":
    main()
