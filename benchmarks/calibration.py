"""How well `confidence` tells how often a label is right, beside the confidence without our calibration.

    python benchmarks/calibration.py --davidson labeled_data.csv --toxicity toxicity_en.csv

Each model of `conf/model` with the defaults of `conf/vectorizer/tfidf.yaml`, on the reviews, on 6,000 of Davidson's
tweets (three classes) and on the toxicity comments. Five outer folds: a row's confidence is of a model that was neither
fitted nor calibrated with it. Before: the model's own `predict_proba`, and for models without one scikit-learn's
`CalibratedClassifierCV(method="sigmoid", ensemble=False)`. Intervals are of 95 %, by drawing rows; labels are compared
with those of the plain pipeline.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

from sweeps.base.build import build
from sweeps.tasks.metrics import confidence_scores
from sweeps.tasks.text.model import TextModel
from sweeps.tasks.text.reviews import load_reviews
from trivial.command import table

CONF = Path(__file__).parents[1] / "conf"
MODELS = ("svm", "linear_svm", "logistic", "naive_bayes")
N_DRAWS = 1_000


def part_of(group: str, option: str) -> Any:
    """A vectorizer or model with its defaults, unfitted."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    assert isinstance(config, dict)
    config.pop("search_space")
    return build(config, group)


def data(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    reviews = load_reviews()
    yield "reviews", reviews.texts, reviews.labels
    for name, text, label in (("davidson", "tweet", "class"), ("toxicity", "text", "is_toxic")):
        if (file := getattr(arguments, name)) is not None:
            frame = pd.read_csv(file).sample(frac=1.0, random_state=0).head(6_000)
            yield name, frame[text].to_numpy(object), frame[label].astype(str).to_numpy(object)


def before(pipeline: Pipeline, texts: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> tuple[Any, np.ndarray]:
    """Labels, and their confidences without our calibration."""
    fitted = clone(pipeline).fit(texts, labels)
    predicted = fitted.predict(unseen)
    sure = fitted
    if not hasattr(fitted, "predict_proba"):
        folds = StratifiedKFold(3, shuffle=True, random_state=42)
        sure = CalibratedClassifierCV(clone(pipeline), cv=folds, ensemble=False).fit(texts, labels)
    columns = np.searchsorted(sure.classes_, predicted)
    return predicted, sure.predict_proba(unseen)[np.arange(len(unseen)), columns]


def interval(hits: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> dict[str, np.ndarray]:
    """95 % intervals of our calibration error and of how much our Brier score is lower."""
    rng = np.random.default_rng(0)
    errors, gains = [], []
    for _ in range(N_DRAWS):
        rows = rng.integers(0, len(hits), len(hits))
        of_ours, of_theirs = (confidence_scores(hits[rows], of[rows]) for of in (ours, theirs))
        errors.append(of_ours["ece"])
        gains.append(of_theirs["brier"] - of_ours["brier"])
    return {"ece": np.quantile(errors, [0.025, 0.975]), "gain": np.quantile(gains, [0.025, 0.975])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--davidson", type=Path)
    parser.add_argument("--toxicity", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name, texts, labels in data(arguments):
        for option in MODELS:
            vectorizer, model = part_of("vectorizer", "tfidf"), part_of("model", option)
            pipeline = Pipeline([("vectorizer", vectorizer), ("model", model)])
            hits, ours, theirs, same = [], [], [], True
            for train, unseen in StratifiedKFold(5, shuffle=True, random_state=1).split(texts, labels):
                folds = list(StratifiedKFold(3, shuffle=True, random_state=42).split(train, labels[train]))
                fitted = TextModel.fit(vectorizer, model, texts[train], labels[train], text_column="text", folds=folds)
                found, sure = fitted.score(texts[unseen])
                expected, was = before(pipeline, texts[train], labels[train], texts[unseen])
                same &= bool((found == expected).all())
                hits.append(found == labels[unseen])
                ours.append(sure)
                theirs.append(was)
            right, now, then = (np.concatenate(of) for of in (hits, ours, theirs))
            of_ours, of_theirs, bounds = (
                confidence_scores(right, now),
                confidence_scores(right, then),
                interval(right, now, then),
            )
            rows.append(
                [
                    name,
                    str(len(right)),
                    option,
                    f"{of_theirs['ece']:.3f}",
                    f"{of_ours['ece']:.3f} [{bounds['ece'][0]:.3f}, {bounds['ece'][1]:.3f}]",
                    f"{of_theirs['brier']:.4f}",
                    f"{of_ours['brier']:.4f}",
                    f"[{bounds['gain'][0]:+.4f}, {bounds['gain'][1]:+.4f}]",
                    "equal" if same else "DIFFERENT",
                ]
            )
    header = ["data", "rows", "model", "ECE before", "ECE [95 %]", "Brier before", "Brier", "lower by [95 %]", "labels"]
    table(header, rows)


if __name__ == "__main__":
    main()
