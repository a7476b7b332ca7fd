"""`experiment=latentlens` on made-up ratings of MovieLens 25M's shape: `python benchmarks/latentlens.py [share]`.

25 million half stars by 162,541 users of 59,047 movies, with long-tailed activity and popularity (`share` of all three,
1 by default), are written as a CSV; then the real command runs on it in a process of its own. Prints the seconds of
each phase and each trial, and the peak memory. Needs about 3 GB of disk and a few minutes at full shape.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

N_RATINGS, N_USERS, N_ITEMS = 25_000_095, 162_541, 59_047  # https://grouplens.org/datasets/movielens/25m/
_SPREAD_OF_USERS, _SPREAD_OF_ITEMS = 1.2, 2.2  # of log-normal weights


def write_ratings(file: Path, share: float) -> None:
    """Write the ratings, each pair once, as MovieLens does: by user, with half stars and times."""
    random = np.random.default_rng(0)
    n_ratings, n_users, n_items = (int(n * share) for n in (N_RATINGS, N_USERS, N_ITEMS))
    of_users = random.lognormal(sigma=_SPREAD_OF_USERS, size=n_users)
    of_items = random.lognormal(sigma=_SPREAD_OF_ITEMS, size=n_items)
    pairs = np.empty(0, np.int64)
    while len(pairs) < n_ratings:
        users = np.searchsorted(np.cumsum(of_users) / of_users.sum(), random.random(n_ratings))
        items = np.searchsorted(np.cumsum(of_items) / of_items.sum(), random.random(n_ratings))
        drawn = np.minimum(users, n_users - 1) * n_items + np.minimum(items, n_items - 1)
        pairs = np.unique(np.concatenate([pairs, drawn]))
    pairs = np.sort(random.choice(pairs, n_ratings, replace=False))
    users, items = pairs // n_items, pairs % n_items
    taste = 0.4 * random.normal(size=n_users)[users] + 0.5 * random.normal(size=n_items)[items]
    stars = np.clip(np.round(2 * (3.5 + taste + 0.9 * random.normal(size=n_ratings))) / 2, 0.5, 5.0)
    times = random.integers(789_652_009, 1_574_327_703, n_ratings)
    frame = pd.DataFrame({"userId": users + 1, "movieId": items + 1, "rating": stars, "timestamp": times})
    frame.to_csv(file, index=False)


def main() -> None:
    """Make the ratings, run the experiment, and print what it took."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ratings.csv"
        start = time.perf_counter()
        write_ratings(file, share)
        print(f"ratings made: {time.perf_counter() - start:.0f} s, {file.stat().st_size / 2**20:.0f} MiB")
        command = [sys.executable, "-m", "sweeps.run", "-m", "experiment=latentlens", f"dataset.path={file}"]
        command += [f"dataset.n_users={int(40_000 * share)}", f"dataset.n_items={int(20_000 * share)}"]
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{time.perf_counter() - start:7.1f} s  {line}", end="")
        code = process.wait()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"exit code {code}, {time.perf_counter() - start:.0f} s, peak memory {peak:.1f} GiB")
        (trials,) = Path(folder).glob("multirun/*/trials.csv")
        columns = ["number", "k", "val_rmse", "test_rmse", "seconds_load", "seconds_fit", "seconds_score"]
        print(pd.read_csv(trials)[columns].to_string(index=False))


if __name__ == "__main__":
    main()
