"""A published table, reproduced with its own protocol.

Source: `discussion19_1.ipynb` of github.com/mgesteban/recommender-system-algorithm-comparison at commit 35cc332:
Surprise's algorithms with their defaults on GroupLens' ml-latest-small of 2018, `cross_validate(..., measures=["RMSE",
"MAE"], cv=5)`. Its folds were drawn without a seed, so ours are others, and a mean over five may differ by chance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from surprise import NMF, SVD, AlgoBase, CoClustering, Dataset, Reader
from surprise.model_selection import KFold, cross_validate

from sweeps.tasks.ratings.knn.algorithm import KNN

RATINGS = Path(__file__).parents[5] / "shared" / "data" / "ml-latest-small" / "ratings.csv"

# Mean and standard deviation among the folds, of RMSE and of MAE.
PUBLISHED: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "KNNBasic": ((0.9483, 0.0040), (0.7268, 0.0035)),
    "SVD": ((0.8738, 0.0037), (0.6714, 0.0032)),
    "NMF": ((0.9213, 0.0086), (0.7059, 0.0054)),
    "CoClustering": ((0.9472, 0.0048), (0.7326, 0.0024)),
}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("KNNBasic", KNN(similarity="msd", user_based=True)),
        pytest.param("SVD", SVD(random_state=0), marks=pytest.mark.slow),
        pytest.param("NMF", NMF(random_state=0), marks=pytest.mark.slow),
        pytest.param("CoClustering", CoClustering(random_state=0), marks=pytest.mark.slow),
    ],
)
def test_cross_validation_of_ml_latest_small(name: str, model: AlgoBase) -> None:
    if not RATINGS.is_file():
        pytest.skip("no ml-latest-small in the data folder beside the checkout")
    frame = pd.read_csv(RATINGS)
    assert (len(frame), frame.userId.nunique(), frame.movieId.nunique()) == (100836, 610, 9724)  # as published
    data = Dataset.load_from_df(frame[["userId", "movieId", "rating"]], Reader(rating_scale=(0.5, 5.0)))
    found = cross_validate(model, data, measures=["RMSE", "MAE"], cv=KFold(5, random_state=0))
    for measure, (mean, deviation) in zip(("test_rmse", "test_mae"), PUBLISHED[name], strict=True):
        # Twice the standard deviation of the difference between two means of five folds.
        assert np.mean(found[measure]) == pytest.approx(mean, abs=2 * deviation * np.sqrt(2 / 5)), measure
