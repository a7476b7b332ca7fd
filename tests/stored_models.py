"""Stored models of each kind, small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import surprise
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion
from sklearn.svm import SVC, LinearSVC

from sweeps.tasks.ratings.knn.algorithm import KNN
from sweeps.tasks.ratings.knn.arrays import ArrayTrainset
from sweeps.tasks.ratings.model import Recommender
from sweeps.tasks.ratings.task import Recommendation
from sweeps.tasks.text.model import TextModel
from sweeps.tasks.text.task import TextClassification
from sweeps.tracking.models.pyfunc import save_predictor

TEXTS = ["good fine day", "fine good sun", "bad sad rain", "sad bad mud", "good sun", "bad mud", "fine day", "sad rain"]
LABELS = ["fair", "fair", "hate", "hate", "fair", "hate", "fair", "hate"]


TEXT_KINDS: dict[str, tuple[Any, Any]] = {
    "logistic": (TfidfVectorizer(), LogisticRegression()),
    "naive_bayes": (CountVectorizer(), MultinomialNB()),
    "linear_svm": (TfidfVectorizer(), LinearSVC()),
    "svm": (TfidfVectorizer(), SVC(kernel="linear")),
    "svm_with_probabilities": (CountVectorizer(), SVC(kernel="rbf")),
    "neighbours": (TfidfVectorizer(), KNeighborsClassifier(3)),
    "forest": (CountVectorizer(), RandomForestClassifier(n_estimators=2)),
    "boosting": (CountVectorizer(), GradientBoostingClassifier(n_estimators=2)),
    "union": (
        FeatureUnion([("words", TfidfVectorizer()), ("hashed", HashingVectorizer(n_features=8))]),
        LogisticRegression(),
    ),
}
RATING_KINDS: dict[str, Callable[[], surprise.AlgoBase]] = {
    "knn": lambda: KNN(k=2),
    "knn_baseline": lambda: KNN(k=2, algorithm="baseline", similarity="pearson_baseline", user_based=False),
    "knn_surprise": lambda: surprise.KNNWithMeans(k=2, verbose=False),
    "svd": lambda: surprise.SVD(n_factors=2, n_epochs=2, random_state=1),
    "svdpp": lambda: surprise.SVDpp(n_factors=2, n_epochs=2, random_state=1),
    "nmf": lambda: surprise.NMF(n_factors=2, n_epochs=2, random_state=1),
    "slope_one": surprise.SlopeOne,
    "co_clustering": lambda: surprise.CoClustering(random_state=1, n_epochs=2),
    "baseline": lambda: surprise.BaselineOnly(verbose=False),
}
KINDS = [*TEXT_KINDS, *RATING_KINDS]


def store(kind: str, folder: Path) -> None:
    """Fit a model of a kind and store it."""
    if kind in TEXT_KINDS:
        texts, labels = TEXTS, LABELS
        if kind == "svm_with_probabilities":  # three classes
            texts, labels = [*TEXTS, "train bus", "bus car", "train car"], [*LABELS, *["other"] * 3]
        folds = list(StratifiedKFold(2).split(texts, labels))
        text_model = TextModel.fit(*TEXT_KINDS[kind], texts, labels, text_column="text", folds=folds)
        save_predictor(text_model, TextClassification, folder, ())
        return
    users, items = np.array(["a", "a", "b", "b", "c", "c", "a", "b"]), np.array([1, 2, 1, 3, 2, 3, 3, 2])
    ratings = np.array([4.0, 3.0, 5.0, 2.0, 1.0, 4.0, 2.0, 3.0])
    fitted = RATING_KINDS[kind]().fit(ArrayTrainset.of_ratings(users, items, ratings, (1.0, 5.0)))
    save_predictor(Recommender(fitted, "user", "item"), Recommendation, folder, ())
