"""A sweep of k-NN against Surprise: `python benchmarks/knn_sweep.py [rows] [trials] [timed trials]`.

Ratings of MovieLens 1M's shape (1,000,000 by default) are written as a CSV; the real command draws 200 settings from
k 1 to 100, four similarities, users and items; tracking, the winner's refit, its registration and the plot included. It
scores each trial twice, on a validation part and on the test part. The computing part is then measured alone, in this
process: the same settings, one after the other, are built, fitted and scored on the test part. Surprise's total is
extrapolated from trials run for real on the test part alone, one of each of the eight kinds (or as many as asked): its
time hardly depends on k. All three must give the same RMSE.
"""

from __future__ import annotations

import itertools
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from surprise import Dataset, KNNBasic, Reader, accuracy

from knn_shape import N_RATINGS, ratings_like_movielens, split
from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset

SIMILARITIES = ("cosine", "msd", "pearson", "pearson_baseline")
SCALE = (1, 5)


def run_command(ratings: pd.DataFrame, n_trials: int) -> tuple[pd.DataFrame, float, float]:
    """Sweep with `sweeps.run`; its table of trials, and the seconds of the clock and of the processors."""
    with tempfile.TemporaryDirectory() as folder:
        ratings.to_csv(f"{folder}/ratings.csv", index=False)
        command = [sys.executable, "-m", "sweeps.run", "-m", "dataset=ratings_csv", "dataset.path=ratings.csv"]
        command += ["dataset.user_column=user", "dataset.item_column=item", "dataset.rating_column=rating"]
        command += ["dataset.scale=[1,5]", "dataset.n_folds=1", "model=knn", "sampler=random", f"n_trials={n_trials}"]
        command += ["model.algorithm=basic", "model.min_k=1", "model.shrinkage=100", "model.k=range(1,101)"]
        command += [f"model.similarity=choice({','.join(SIMILARITIES)})", "model.user_based=choice(true,false)"]
        start, cpu_start = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        seconds, cpu = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        (trials,) = Path(folder).glob("multirun/*/trials.csv")
        cpu_seconds = cpu.ru_utime + cpu.ru_stime - cpu_start.ru_utime - cpu_start.ru_stime
        return pd.read_csv(trials), seconds, cpu_seconds


def held_out(ratings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test part, as the command splits them: by `dataset.split_seed`, 42, and `dataset.test_size`, 0.2."""
    order = np.random.RandomState(42).permutation(len(ratings))
    n_train = len(ratings) - math.ceil(0.2 * len(ratings))
    return ratings.iloc[order[:n_train]], ratings.iloc[order[n_train:]]


def compute(train: pd.DataFrame, test: pd.DataFrame, trials: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """RMSE and seconds of each trial; those of the first include the trainset."""
    found, seconds = [], []
    start = time.perf_counter()
    trainset = ArrayTrainset.of_ratings(*(train[column].to_numpy() for column in train), rating_scale=SCALE)
    pairs = KNN().fit(trainset).inner_ids(test["user"].tolist(), test["item"].tolist())
    truth = test["rating"].to_numpy()
    for one in trials.itertuples():
        model = KNN(k=int(one.k), similarity=one.similarity, user_based=one.user_based).fit(trainset)
        errors = model.predict_inner(*pairs).values[0] - truth
        found.append(float(np.sqrt(np.mean(errors**2))))
        end = time.perf_counter()
        seconds.append(end - start)
        start = end
    return np.array(found), np.array(seconds)


def main() -> None:
    """Run the sweep, its computing part and the sample of Surprise's trials, and print the tables."""
    kinds = list(itertools.product(SIMILARITIES, (False, True)))
    n_ratings, n_trials, n_timed = [int(one) for one in sys.argv[1:]] + [N_RATINGS, 200, 8][len(sys.argv) - 1 :]
    ratings = ratings_like_movielens(n_ratings)
    train, test = held_out(ratings)
    small, small_test = split(ratings_like_movielens(1000, 60, 40), 200)
    for similarity, user_based in kinds:  # loads the compiled kernels
        KNN(similarity=similarity, user_based=user_based).fit(small).test(small_test)

    trials, command_seconds, command_cpu = run_command(ratings, n_trials)
    cpu_start = time.process_time()
    rmse, seconds = compute(train, test, trials)
    cpu = time.process_time() - cpu_start
    difference = float(np.abs(rmse - trials["test_rmse"]).max())
    print(f"{n_ratings} ratings, {n_trials} trials, {len(test)} predictions each", flush=True)

    trainset = Dataset.load_from_df(train, Reader(rating_scale=SCALE)).build_full_trainset()
    testset = list(test.itertuples(index=False, name=None))
    their_total, their_cpu, n_covered = 0.0, 0.0, 0
    print(f"{'similarity':<18} {'based on':<9} {'k':>4} {'Surprise s':>11} {'ours, same k':>13} {'trials':>7}")
    for similarity, user_based in kinds:
        of_kind = np.flatnonzero((trials["similarity"] == similarity) & (trials["user_based"] == user_based))
        if n_timed == 0 or not len(of_kind):
            continue
        n_timed, n_covered = n_timed - 1, n_covered + len(of_kind)
        first = of_kind[0]
        k = int(trials["k"][first])
        theirs = KNNBasic(k=k, sim_options={"name": similarity, "user_based": user_based}, verbose=False)
        start, cpu_start = time.perf_counter(), time.process_time()
        reference = accuracy.rmse(theirs.fit(trainset).test(testset), verbose=False)
        taken = time.perf_counter() - start
        their_total += taken * len(of_kind)
        their_cpu += (time.process_time() - cpu_start) * len(of_kind)
        difference = max(difference, abs(reference - rmse[first]))
        based_on = "users" if user_based else "items"
        print(f"{similarity:<18} {based_on:<9} {k:4} {taken:11.2f} {seconds[first]:13.2f} {len(of_kind):7}", flush=True)
    their_total, their_cpu = their_total * n_trials / n_covered, their_cpu * n_trials / n_covered
    print(f"{'':<26} {'total s':>9} {'ratio':>7} {'of CPU':>9} {'ratio':>7}")
    print(f"{'Surprise (extrapolated)':<26} {their_total:9.0f} {1:7} {their_cpu:9.0f} {1:7}")
    ours = (("whole command", command_seconds, command_cpu), ("computing part", float(seconds.sum()), cpu))
    for name, total, of_cpu in ours:
        ratios = their_total / total, their_cpu / of_cpu
        print(f"{name:<26} {total:9.2f} {ratios[0]:7.0f} {of_cpu:9.2f} {ratios[1]:7.0f}")
    print(f"median trial {np.median(seconds):.3f} s; largest difference of an RMSE {difference:.1e}")


if __name__ == "__main__":
    main()
