"""One k-NN trial against Surprise: `python benchmarks/knn_one_trial.py [rows] [repeats]`.

Ratings of MovieLens 1M's shape (1,000,000 by default; the users and items stay), item-based cosine, k = 40: fit on four
fifths, test on the rest, from the same trainset, in one process. Ours runs `repeats` times (3) with nothing shared
between the runs, after a small trial that loads the compiled kernels; the median counts. Surprise runs once.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time

from surprise import AlgoBase, KNNBasic, Prediction, Trainset

from knn_shape import N_RATINGS, ratings_like_movielens, split
from sweeps.tasks.ratings.knn import engine as knn_engine
from sweeps.tasks.ratings.knn.algorithm import KNN

Testset = list[tuple[int, int, float]]


def run(model: AlgoBase, trainset: Trainset, testset: Testset) -> tuple[list[float], list[Prediction]]:
    """Seconds of fit, of test, of both, and of the processors (all threads); and the predictions."""
    start, cpu_start = time.perf_counter(), time.process_time()
    model.fit(trainset)
    middle = time.perf_counter()
    predictions = model.test(testset)
    end = time.perf_counter()
    return [middle - start, end - middle, end - start, time.process_time() - cpu_start], predictions


def forget() -> None:
    """Empty what trials share."""
    knn_engine.SHARED = type(knn_engine.SHARED)(knn_engine.SHARED.max_bytes)


def main() -> None:
    """Run both and print the table."""
    n_ratings = int(sys.argv[1]) if len(sys.argv) > 1 else N_RATINGS
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    small, small_test = split(ratings_like_movielens(1000, 60, 40), 200)
    KNN(user_based=False).fit(small).test(small_test)
    trainset, testset = split(ratings_like_movielens(n_ratings), n_ratings // 5)
    runs = []
    for _ in range(repeats):
        forget()
        seconds, predictions = run(KNN(k=40, similarity="cosine", user_based=False), trainset, testset)
        runs.append(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ours = [statistics.median(column) for column in zip(*runs, strict=True)]
    surprises = KNNBasic(k=40, sim_options={"name": "cosine", "user_based": False}, verbose=False)
    theirs, references = run(surprises, trainset, testset)
    difference = max(abs(one.est - other.est) for one, other in zip(predictions, references, strict=True))
    same = all(one.details == other.details for one, other in zip(predictions, references, strict=True))

    print(f"{n_ratings} ratings, {trainset.n_users} users, {trainset.n_items} items; {len(testset)} predictions")
    print(f"{'seconds':<10} {'fit':>8} {'test':>8} {'both':>8} {'of CPU':>8}")
    for name, seconds in (("Surprise", theirs), ("ours", ours)):
        print(f"{name:<10} " + " ".join(f"{one:8.2f}" for one in seconds))
    print(f"{'ratio':<10} " + " ".join(f"{their / our:8.1f}" for their, our in zip(theirs, ours, strict=True)))
    print(f"largest difference {difference:.1e}; same details: {same}; peak before Surprise {peak:.2f} GiB")


if __name__ == "__main__":
    main()
