"""Shared folds and dot products against a plain loop: `python benchmarks/shared_work.py [rows]`.

The same parameters, once through `TextClassification.evaluate`, once through scikit-learn's `cross_validate` on a
Pipeline and a fit on the whole training part, in one process. Prints seconds, their ratio and the largest difference of
any metric.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline

from sweeps.base.build import build
from sweeps.tasks.base import Candidate
from sweeps.tasks.text.data import TextData
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification

N_TRIALS = 12
N_FOLDS = 3
SEED = 42


def draw(random: np.random.Generator) -> Candidate:
    """One random SVM or logistic regression over TF-IDF."""
    vectorizer = {
        "_target_": "sklearn.feature_extraction.text.TfidfVectorizer",
        "min_df": 2,
        "ngram_range": [1, int(random.integers(1, 3))],
    }
    scale = float(10 ** random.uniform(-1, 2))
    if random.random() < 0.5:
        return Candidate(
            {"_target_": "sklearn.linear_model.LogisticRegression", "C": scale, "max_iter": 1000}, vectorizer
        )
    kernel = ["linear", "rbf"][random.integers(2)]
    return Candidate({"_target_": "sklearn.svm.SVC", "C": scale, "kernel": kernel}, vectorizer)


def plain(data: TextData, candidate: Candidate) -> dict[str, float]:
    """What a hand-written loop does: `val_f1` by cross-validation, then `train_f1` and `test_f1`."""
    train, test = train_test_split(np.arange(len(data.labels)), test_size=0.2, stratify=data.labels, random_state=SEED)
    pipeline = make_pipeline(build(candidate.vectorizer, "vectorizer"), build(candidate.model, "model"))

    def f1(fitted: object, rows: np.ndarray) -> float:
        return float(f1_score(data.labels[rows], fitted.predict(data.texts[rows]), pos_label=data.positive_label))

    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED).split(train, data.labels[train])
    scores = [
        f1(clone(pipeline).fit(data.texts[train[fit]], data.labels[train[fit]]), train[score]) for fit, score in folds
    ]
    whole = pipeline.fit(data.texts[train], data.labels[train])
    return {"val_f1": float(np.mean(scores)), "train_f1": f1(whole, train), "test_f1": f1(whole, test)}


def main() -> None:
    """Run both on the same candidates and print the table."""
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    whole = load_reviews()
    data = TextData(
        whole.texts[:n_rows], whole.labels[:n_rows], whole.text_column, whole.positive_label, "benchmark", "reviews"
    )
    random = np.random.default_rng(0)
    candidates = [draw(random) for _ in range(N_TRIALS)]
    task = TextClassification(data, test_size=0.2, split_seed=SEED, n_folds=N_FOLDS, on_duplicates="keep")

    print(f"{'model':<20} {'ours s':>8} {'plain s':>8} {'ratio':>7} {'difference':>11}")
    totals = np.zeros(2)
    largest = 0.0
    for candidate in candidates:
        start = time.perf_counter()
        ours = task.evaluate(candidate).metrics
        middle = time.perf_counter()
        theirs = plain(data, candidate)
        seconds = np.array([middle - start, time.perf_counter() - middle])
        totals += seconds
        difference = max(abs(ours[name] - value) for name, value in theirs.items())
        largest = max(largest, difference)
        name = candidate.model["_target_"].rpartition(".")[2] + " " + str(candidate.model.get("kernel", ""))
        print(f"{name:<20} {seconds[0]:8.2f} {seconds[1]:8.2f} {seconds[1] / seconds[0]:7.1f} {difference:11.1e}")
    print(f"{'all':<20} {totals[0]:8.2f} {totals[1]:8.2f} {totals[1] / totals[0]:7.1f} {largest:11.1e}")


if __name__ == "__main__":
    main()
