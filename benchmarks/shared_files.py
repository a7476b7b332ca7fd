"""Is reading shared work back cheaper than computing it? `python benchmarks/shared_files.py [ratings] [texts]`.

Everything that goes through the files of `sweeps.cache`: k-NN's baselines, means and deviations, and sorted neighbours
on ratings of MovieLens 1M's shape, and the features of a fold of reviews. Prints what computing, storing and reading
take, the checksum of a first read included, and the size. An entry belongs into a file where reading beats computing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from knn_shape import ratings_like_movielens
from sweeps.base.cache import SharedCache
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset
from sweeps.tasks.ratings.knn.engine import Engine, Settings
from sweeps.tasks.ratings.knn.estimates import Biases, Spread
from sweeps.tasks.ratings.knn.neighbours import Neighbours, Pairs, nearest
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import Features


def row(name: str, kind: type, compute: Callable[[], Any]) -> None:
    """Compute, store and read one thing, and print what each took."""
    compute()  # loads compiled code, warms memory
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in (SharedCache(0), SharedCache(0), SharedCache(0)):
            if seconds:
                cache.share(Path(folder), 2**36)
            start = time.perf_counter(), time.process_time()
            cache.get_or_share(("benchmark",), kind, compute)
            seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        size = sum(file.stat().st_size for file in Path(folder).glob("*.arrays"))
    computed, stored, read = seconds
    ratios = f"{computed[0] / read[0]:7.1f} {computed[1] / max(read[1], 1e-6):7.1f}"
    print(f"{name:<28} {size / 2**20:8.1f} {computed[0]:9.4f} {stored[0]:9.4f} {read[0]:9.4f} {ratios}")


def main() -> None:
    """Print the table."""
    n_ratings, n_texts = (int(one) for one in [*sys.argv[1:], *["1000000", "4000"][len(sys.argv) - 1 :]])
    print(f"{'':<28} {'MiB':>8} {'compute s':>9} {'+ store':>9} {'read':>9} {'ratio':>7} {'of CPU':>7}")
    frame = ratings_like_movielens(n_ratings)
    n_test = n_ratings // 5
    train, test = frame[:-n_test], frame[-n_test:]
    trainset = ArrayTrainset.of_ratings(*(train[column].to_numpy() for column in train), rating_scale=(1, 5))
    arrays = trainset.arrays
    row("k-NN baselines", Biases, lambda: Biases.of(arrays))
    row("k-NN means and deviations", Spread, lambda: Spread.of(arrays.by_user, 1.0))
    users = np.array([trainset._raw2inner_id_users.get(one, -1) for one in test.iloc[:, 0]])
    items = np.array([trainset._raw2inner_id_items.get(one, -1) for one in test.iloc[:, 1]])
    known = (users >= 0) & (items >= 0)
    for similarity in ("cosine", "pearson"):
        settings = Settings(1, "basic", similarity, False, 1, 100.0)
        engine = Engine(arrays, (trainset.n_users, trainset.n_items), settings)
        pairs = Pairs.of(items[known], users[known])
        row(f"k-NN neighbours, {similarity}", Neighbours, lambda e=engine, p=pairs: nearest(e._co_ratings, p, 100))
    texts = load_reviews().texts[:n_texts]
    fit, score = texts[n_texts // 5 :], texts[: n_texts // 5]

    def features() -> Features:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=20000)
        return Features(vectorizer.fit_transform(fit), vectorizer.transform(score))

    row("features of a fold", Features, features)


if __name__ == "__main__":
    main()
