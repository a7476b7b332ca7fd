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
from sweeps.models import knn_engine
from sweeps.models.knn import KNN

Testset = list[tuple[int, int, float]]


def run(model: AlgoBase, trainset: Trainset, testset: Testset) -> tuple[float, float, list[Prediction]]:
    """Seconds of fit and of test, and the predictions."""
    start = time.perf_counter()
    model.fit(trainset)
    middle = time.perf_counter()
    predictions = model.test(testset)
    return middle - start, time.perf_counter() - middle, predictions


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
    ours = []
    for _ in range(repeats):
        forget()
        fit, test, predictions = run(KNN(k=40, similarity="cosine", user_based=False), trainset, testset)
        ours.append((fit + test, fit, test))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    total, fit, test = (statistics.median(column) for column in zip(*ours, strict=True))
    surprises = KNNBasic(k=40, sim_options={"name": "cosine", "user_based": False}, verbose=False)
    their_fit, their_test, references = run(surprises, trainset, testset)
    difference = max(abs(one.est - other.est) for one, other in zip(predictions, references, strict=True))
    same = all(one.details == other.details for one, other in zip(predictions, references, strict=True))

    print(f"{n_ratings} ratings, {trainset.n_users} users, {trainset.n_items} items; {len(testset)} predictions")
    print(f"{'seconds':<10} {'fit':>8} {'test':>8} {'total':>8}")
    print(f"{'ours':<10} {fit:8.2f} {test:8.2f} {total:8.2f}   (peak of the process: {peak:.2f} GiB)")
    print(f"{'Surprise':<10} {their_fit:8.2f} {their_test:8.2f} {their_fit + their_test:8.2f}")
    print(f"ratio {(their_fit + their_test) / total:.1f}; largest difference {difference:.1e}; same details: {same}")


if __name__ == "__main__":
    main()
