"""What characters gain over words, on rows that no model has seen.

    python benchmarks/text_features.py --davidson labeled_data.csv --toxicity toxicity_en.csv

A linear SVM on each option of `conf/vectorizer` with its defaults, on the reviews, the toxicity comments, and on 8,000
of Davidson's tweets, once by its three classes (F1 is the mean over them) and once as hate or not. Five outer folds; C
is chosen inside each training part, of 0.03, 0.1, 0.3 and 1 by F1 over three folds. The gain over `tfidf` has its 95 %
interval by a bootstrap of the same rows for both.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from sweeps.base.build import build
from sweeps.base.predictions import Predictions
from sweeps.tasks.comparison import compare
from sweeps.tasks.scores_of_sums import LabelScore
from sweeps.tasks.text.reviews import load_reviews
from trivial.command import table

CONF = Path(__file__).parents[1] / "conf" / "vectorizer"
OPTIONS = ("tfidf", "char", "word_char")
STRENGTHS = (0.03, 0.1, 0.3, 1.0)


def vectorizer(option: str) -> Any:
    """With its defaults, unfitted."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{option}.yaml"))
    assert isinstance(config, dict)
    config.pop("search_space")
    return build(config, "vectorizer")


def data(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray, str | None]]:
    """Name, texts, labels, and the label that F1 is of."""
    reviews = load_reviews()
    yield "reviews", reviews.texts, reviews.labels, "great"
    if arguments.toxicity is not None:
        frame = pd.read_csv(arguments.toxicity)
        yield "toxicity", frame["text"].to_numpy(object), frame["is_toxic"].to_numpy(object), "Toxic"
    if arguments.davidson is not None:
        frame = pd.read_csv(arguments.davidson).sample(8_000, random_state=0)
        texts, classes = frame["tweet"].to_numpy(object), frame["class"].astype(str).to_numpy(object)
        yield "davidson", texts, classes, None
        yield "davidson, hate or not", texts, np.where(classes == "0", "hate", "other").astype(object), "hate"


def out_of_fold(texts: np.ndarray, labels: np.ndarray, option: str, positive: str | None) -> np.ndarray:
    """The label that each row is given by a model that has not seen it."""
    found = np.empty(len(labels), object)
    how: dict[str, Any] = {"average": "macro"} if positive is None else {"pos_label": positive}
    for train, unseen in StratifiedKFold(5, shuffle=True, random_state=1).split(texts, labels):
        totals = np.zeros(len(STRENGTHS))
        for fit, score in StratifiedKFold(3, shuffle=True, random_state=2).split(train, labels[train]):
            made = vectorizer(option)
            x_fit, x_score = made.fit_transform(texts[train[fit]]), made.transform(texts[train[score]])
            for index, strength in enumerate(STRENGTHS):
                model = LinearSVC(C=strength, class_weight="balanced").fit(x_fit, labels[train[fit]])
                totals[index] += f1_score(labels[train[score]], model.predict(x_score), **how)
        made = vectorizer(option)
        model = LinearSVC(C=STRENGTHS[int(totals.argmax())], class_weight="balanced")
        found[unseen] = model.fit(made.fit_transform(texts[train]), labels[train]).predict(
            made.transform(texts[unseen])
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--davidson", type=Path)
    parser.add_argument("--toxicity", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name, texts, labels, positive in data(arguments):
        classes = tuple(np.unique(labels).tolist())
        score = LabelScore("f1", classes) if positive is None else LabelScore("f1", classes, "one", positive)
        words: list[Predictions] = []
        for option in OPTIONS:
            started = time.perf_counter()
            ours = [Predictions("test", labels, out_of_fold(texts, labels, option, positive))]
            seconds = time.perf_counter() - started
            words = words or ours
            found = compare(ours, words, score)
            gain = f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            f1 = score.of(labels, ours[0].y_pred)
            rows.append([name, str(len(labels)), option, f"{f1:.4f}", "" if ours is words else gain, f"{seconds:.0f}"])
            print(*rows[-1], flush=True)
    print()
    table(["data", "rows", "vectorizer", "F1", "gain over tfidf [95 %]", "seconds"], rows)


if __name__ == "__main__":
    main()
