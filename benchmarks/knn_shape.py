"""Made-up ratings with the shape of MovieLens: long-tailed activity and popularity, seeded."""

from __future__ import annotations

import numpy as np
import pandas as pd
from surprise import Dataset, Reader, Trainset

N_RATINGS, N_USERS, N_ITEMS = 1_000_000, 6_040, 3_706  # MovieLens 1M: 1,000,209 ratings
_SPREAD_OF_USERS, _SPREAD_OF_ITEMS = 1.05, 1.35  # of log-normal weights; gives MovieLens 1M's variances, about


def ratings_like_movielens(
    n_ratings: int = N_RATINGS, n_users: int = N_USERS, n_items: int = N_ITEMS, seed: int = 0
) -> pd.DataFrame:
    """Stars from 1 to 5 by `user` of `item`, each pair once, in random order."""
    random = np.random.default_rng(seed)
    of_users = random.lognormal(sigma=_SPREAD_OF_USERS, size=n_users)
    of_items = random.lognormal(sigma=_SPREAD_OF_ITEMS, size=n_items)
    pairs = np.empty(0, np.int64)
    while len(pairs) < n_ratings:
        users = random.choice(n_users, n_ratings, p=of_users / of_users.sum())
        items = random.choice(n_items, n_ratings, p=of_items / of_items.sum())
        pairs = np.unique(np.concatenate([pairs, users * n_items + items]))
    pairs = random.permutation(pairs)[:n_ratings]
    users, items = pairs // n_items, pairs % n_items
    tastes = 0.4 * random.normal(size=n_users)[users] + 0.5 * random.normal(size=n_items)[items]
    stars = np.clip(np.rint(3.6 + tastes + 0.9 * random.normal(size=n_ratings)), 1, 5)
    return pd.DataFrame({"user": users, "item": items, "rating": stars})


def split(ratings: pd.DataFrame, n_test: int) -> tuple[Trainset, list[tuple[int, int, float]]]:
    """Surprise's trainset of all rows but the last `n_test`, and those as a testset."""
    trainset = Dataset.load_from_df(ratings.iloc[:-n_test], Reader(rating_scale=(1, 5))).build_full_trainset()
    return trainset, list(ratings.iloc[-n_test:].itertuples(index=False, name=None))
