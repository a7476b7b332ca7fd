"""The computing part of a sweep against Surprise: `python benchmarks/knn_sweep.py [rows] [trials] [timed trials]`.

200 random settings over k from 1 to 100, four similarities, users and items, on one split of ratings of MovieLens 1M's
shape (1,000,000 by default): each is built, fitted and scored (RMSE of the test fifth), one after the other as trials
are, ours on one trainset of arrays. Surprise's total is extrapolated from trials run for real, one of each of the eight
kinds (or as many as asked): its time hardly depends on k. Trials of both must give the same RMSE.
"""

from __future__ import annotations

import itertools
import sys
import time

import numpy as np
from surprise import KNNBasic, accuracy

from knn_shape import N_RATINGS, ratings_like_movielens, split
from sweeps.models.knn import KNN
from sweeps.models.knn_ratings import ArrayTrainset

Kind = tuple[str, bool]
KINDS: list[Kind] = list(itertools.product(("cosine", "msd", "pearson", "pearson_baseline"), (False, True)))


def main() -> None:
    """Run the sweep and the sample of Surprise's trials, and print the table."""
    arguments = [int(one) for one in sys.argv[1:]] + [N_RATINGS, 200, len(KINDS)][len(sys.argv) - 1 :]
    n_ratings, n_trials, n_timed = arguments
    ratings = ratings_like_movielens(n_ratings)
    n_test = n_ratings // 5
    random = np.random.default_rng(1)
    settings = [(KINDS[random.integers(len(KINDS))], int(random.integers(1, 101))) for _ in range(n_trials)]
    small, small_test = split(ratings_like_movielens(1000, 60, 40), 200)
    for similarity, user_based in KINDS:  # loads the compiled kernels
        KNN(similarity=similarity, user_based=user_based).fit(small).test(small_test)

    start, cpu_start = time.perf_counter(), time.process_time()
    train, test = ratings[:-n_test], ratings[-n_test:]
    trainset = ArrayTrainset.of_ratings(*(train[column].to_numpy() for column in train), rating_scale=(1, 5))
    pairs = KNN().fit(trainset).inner_ids(test["user"].tolist(), test["item"].tolist())
    truth = test["rating"].to_numpy()
    ours: dict[tuple[Kind, int], float] = {}
    seconds: list[float] = []
    for (similarity, user_based), k in settings:
        trial_start = time.perf_counter()
        model = KNN(k=k, similarity=similarity, user_based=user_based).fit(trainset)
        errors = model.predict_inner(*pairs).values[0] - truth
        ours[(similarity, user_based), k] = float(np.sqrt(np.mean(errors**2)))
        seconds.append(time.perf_counter() - trial_start)
    our_total, our_cpu = time.perf_counter() - start, time.process_time() - cpu_start

    trainset_of_lists, testset = split(ratings, n_test)
    their_total, their_cpu, difference = 0.0, 0.0, 0.0
    print(f"{n_ratings} ratings, {n_trials} trials, {n_test} predictions each")
    print(f"{'similarity':<18} {'based on':<9} {'k':>4} {'Surprise s':>11} {'ours, same k':>13} {'trials':>7}")
    for kind in KINDS[:n_timed]:
        of_kind = [place for place, (one, _) in enumerate(settings) if one == kind]
        if not of_kind:
            continue
        similarity, user_based = kind
        k = settings[of_kind[0]][1]
        surprises = KNNBasic(k=k, sim_options={"name": similarity, "user_based": user_based}, verbose=False)
        start, cpu_start = time.perf_counter(), time.process_time()
        reference = accuracy.rmse(surprises.fit(trainset_of_lists).test(testset), verbose=False)
        taken = time.perf_counter() - start
        their_total += taken * len(of_kind)
        their_cpu += (time.process_time() - cpu_start) * len(of_kind)
        difference = max(difference, abs(reference - ours[kind, k]))
        based_on = "users" if user_based else "items"
        first = seconds[of_kind[0]]
        print(f"{similarity:<18} {based_on:<9} {k:4} {taken:11.2f} {first:13.2f} {len(of_kind):7}", flush=True)
    print(f"{'':<10} {'total s':>9} {'of CPU':>9}")
    print(f"{'Surprise':<10} {their_total:9.0f} {their_cpu:9.0f}   (extrapolated from the trials above)")
    print(f"{'ours':<10} {our_total:9.2f} {our_cpu:9.2f}   (median trial {np.median(seconds):.3f} s)")
    print(f"{'ratio':<10} {their_total / our_total:9.0f} {their_cpu / our_cpu:9.0f}")
    print(f"largest difference of an RMSE {difference:.1e}")


if __name__ == "__main__":
    main()
