"""`experiment=latentlens` on made-up ratings of MovieLens 25M's shape: `python benchmarks/latentlens.py [share]`.

25 million half stars by 162,541 users of 59,047 movies, with long-tailed activity and popularity (`share` of all three,
1 by default), are written as a CSV; then the real command runs on it in a process of its own. Prints the seconds of
each phase and each trial, and the peak memory. Needs about 3 GB of disk and a few minutes at full shape.

Surprise would need hours and more memory than there is, so its need is extrapolated: its `fit` adds up each pair of
ratings by one user, its `test` looks at each rating of the pair's user. The seconds for each of these are measured on
growing samples of the same ratings, where they should agree, and multiplied by their number at full shape.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from surprise import Dataset, KNNBasic, Reader

N_RATINGS, N_USERS, N_ITEMS = 25_000_095, 162_541, 59_047  # https://grouplens.org/datasets/movielens/25m/
N_ACTIVE, N_RATED = 40_000, 20_000  # users and movies that the experiment keeps
SAMPLES = (0.0125, 0.025, 0.05, 0.1)  # shares of those
N_PREDICTIONS = 3_000
_SPREAD_OF_USERS, _SPREAD_OF_ITEMS = 1.2, 2.2  # of log-normal weights


def ratings_like_movielens_25m(share: float) -> pd.DataFrame:
    """Ratings, each pair once, as MovieLens has them: by user, with half stars and times."""
    random = np.random.default_rng(0)
    n_ratings, n_users, n_items = (int(n * share) for n in (N_RATINGS, N_USERS, N_ITEMS))
    of_users = np.cumsum(random.lognormal(sigma=_SPREAD_OF_USERS, size=n_users))
    of_items = np.cumsum(random.lognormal(sigma=_SPREAD_OF_ITEMS, size=n_items))
    pairs = np.empty(0, np.int64)
    while len(pairs) < n_ratings:
        users = np.searchsorted(of_users, np.sort(random.uniform(0, of_users[-1], n_ratings)))
        items = np.searchsorted(of_items, random.uniform(0, of_items[-1], n_ratings))
        pairs = np.unique(np.concatenate([pairs, users * n_items + items]))
        print(f"{len(pairs)} of {n_ratings} pairs drawn", flush=True)
    kept = np.sort(random.permutation(len(pairs))[:n_ratings])
    users, items = np.divmod(pairs[kept], n_items)
    taste = 0.4 * random.normal(size=n_users)[users] + 0.5 * random.normal(size=n_items)[items]
    stars = np.clip(np.round(2 * (3.5 + taste + 0.9 * random.normal(size=n_ratings))) / 2, 0.5, 5.0)
    times = random.integers(789_652_009, 1_574_327_703, n_ratings)
    return pd.DataFrame({"userId": users + 1, "movieId": items + 1, "rating": stars, "timestamp": times})


def most_frequent(ratings: pd.DataFrame, n_users: int, n_items: int) -> pd.DataFrame:
    """The ratings of the most rated movies by the most active users, as the experiment keeps them."""
    users = ratings["userId"].value_counts().nlargest(n_users).index
    items = ratings["movieId"].value_counts().nlargest(n_items).index
    kept = ratings[ratings["userId"].isin(users) & ratings["movieId"].isin(items)]
    return kept.sample(frac=1, random_state=42)[["userId", "movieId", "rating"]]


def work_of(ratings: pd.DataFrame) -> tuple[float, float, int]:
    """Of a trial on four fifths: pairs of ratings by one user; ratings looked at to predict the rest; and how many."""
    n_train = math.floor(0.8 * len(ratings))
    train, test = ratings["userId"].iloc[:n_train], ratings["userId"].iloc[n_train:]
    by_user = train.value_counts().astype(float)
    return float((by_user**2).sum()), float(by_user.reindex(test).sum()), len(test)


def print_surprises_need(ratings: pd.DataFrame, share: float) -> None:
    """Time Surprise on growing samples, and extrapolate to the whole."""
    seconds_a_pair, seconds_a_rating = 0.0, 0.0
    print("Surprise on samples: the most active users, the most rated movies")
    print(f"{'users':>6} {'movies':>6} {'ratings':>9} {'fit s':>7} {'ns a pair':>10} {'us a test':>10} {'a rating':>9}")
    for part in SAMPLES:
        kept = most_frequent(ratings, int(part * share * N_ACTIVE), int(part * share * N_RATED))
        n_train = math.floor(0.8 * len(kept))
        trainset = Dataset.load_from_df(kept.iloc[:n_train], Reader(rating_scale=(0.5, 5))).build_full_trainset()
        testset = list(kept.iloc[n_train:].itertuples(index=False, name=None))
        pairs, looked_at, n_test = work_of(kept)
        model = KNNBasic(k=40, sim_options={"name": "cosine", "user_based": False}, verbose=False)
        start = time.process_time()
        model.fit(trainset)
        middle = time.process_time()
        n_predicted = len(model.test(testset[:N_PREDICTIONS]))
        fit, of_one = middle - start, (time.process_time() - middle) / n_predicted
        seconds_a_pair, seconds_a_rating = fit / pairs, of_one * n_test / looked_at
        print(
            f"{trainset.n_users:6} {trainset.n_items:6} {len(kept):9} {fit:7.1f} {1e9 * seconds_a_pair:10.1f} "
            f"{1e6 * of_one:10.0f} {1e9 * seconds_a_rating:9.0f}",
            flush=True,
        )
    kept = most_frequent(ratings, int(share * N_ACTIVE), int(share * N_RATED))
    pairs, looked_at, _ = work_of(kept)
    n_items = kept["movieId"].nunique()
    fit, test = seconds_a_pair * pairs, seconds_a_rating * looked_at
    print(
        "growth law: fit = pairs of ratings by one user x ns a pair; test = ratings of the pairs' users x ns a rating"
    )
    print(
        f"extrapolated with the largest sample's: {len(kept)} ratings, {pairs:.2e} pairs, {looked_at:.2e} ratings: "
        f"fit {fit / 60:.0f} min, test {test / 60:.0f} min, {5 * 8 * n_items**2 / 2**30:.1f} GiB in five matrices"
    )


def main() -> None:
    """Make the ratings, run the experiment, and print what it took and what Surprise would need."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratings.csv"
        start = time.perf_counter()
        ratings = ratings_like_movielens_25m(share)
        pa.csv.write_csv(pa.Table.from_pandas(ratings, preserve_index=False), file)
        print(f"ratings made: {time.perf_counter() - start:.0f} s, {file.stat().st_size / 2**20:.0f} MiB", flush=True)
        command = [sys.executable, "-m", "sweeps.run", "-m", "experiment=latentlens", f"dataset.path={file}"]
        command += [f"dataset.n_users={int(N_ACTIVE * share)}", f"dataset.n_items={int(N_RATED * share)}"]
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{time.perf_counter() - start:7.1f} s  {line}", end="", flush=True)
        code = process.wait()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"exit code {code}, {time.perf_counter() - start:.0f} s, peak memory {peak:.1f} GiB")
        (trials,) = Path(folder).glob("multirun/*/trials.csv")
        columns = ["number", "k", "val_rmse", "test_rmse", "seconds_load", "seconds_fit", "seconds_score"]
        print(pd.read_csv(trials)[columns].to_string(index=False), flush=True)
    print_surprises_need(ratings, share)


if __name__ == "__main__":
    main()
