"""Predictions of models that do not exist."""

from __future__ import annotations

import numpy as np

from sweeps.base.predictions import Predictions

LABELS = ("a", "b", "c")


def made_up(quality: float, seed: int, groups: bool = False, numbers: bool = False, n: int = 120) -> list[Predictions]:
    """Three folds and a test part; the rows follow from the sizes alone."""
    of_rows, of_model = np.random.default_rng(0), np.random.default_rng(seed)
    found = []
    for part in ("val", "val", "val", "test"):
        users = of_rows.integers(0, 15, n) if groups else None
        if numbers:
            truth = of_rows.normal(size=n)
            predicted = truth + of_model.normal(scale=1.0 - quality, size=n)
            if users is not None:
                predicted = predicted + 0.5 * of_model.normal(size=15)[users]
        else:
            truth = of_rows.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
            predicted = np.where(of_model.random(n) < quality, truth, of_model.choice(["a", "b", "c"], n))
        found.append(Predictions(part, truth, predicted, users))
    return found
