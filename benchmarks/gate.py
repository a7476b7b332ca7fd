"""How often each rule of the gate promotes what is no improvement, by a large set that no rule sees.

    python benchmarks/gate.py labeled_data.csv                  Davidson's tweets, test parts of 200, 500 and 1,000 rows
    python benchmarks/gate.py FILE --text COLUMN --label COLUMN  other texts, some 15,000 rows at least

For each size 240 models (logistic regression, linear SVM, two naive Bayes, on six vectorizers) are fitted on training
rows, four times as many as test rows, and predict out of fold and on all other rows. A repetition draws the test part
from the other rows; the rest, which no rule sees, says what is true. Twenty sweeps of twelve models follow each other:
each takes its best by `val_f1`, and each rule keeps a champion of its own. The metric is F1, the mean over the classes.
Intervals are of 95 %, by drawing repetitions.

A/A: for one pair the two predictions of each row are swapped at random, so that neither model is better; selected: the
predictions of fifty models are mixed so, and the best of them by `val_f1` meets another one.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.svm import LinearSVC

from sweeps.base.predictions import Predictions
from sweeps.compose.settings import Promote
from sweeps.tasks.comparison import mean_score
from sweeps.tasks.scores_of_sums import LabelScore
from sweeps.tracking.models.gate import Contender, Gate
from trivial.command import table

N_SWEEPS, N_EACH, N_FOLDS = 20, 12, 3
VECTORIZERS = [{"ngram_range": ngrams, "min_df": min_df} for ngrams, min_df in product([(1, 1), (1, 2)], [1, 2, 5])]
RULES = ("strictly better on test", "auto", "evidence")

Decide = Callable[[Contender, Contender], bool]


@dataclass(frozen=True)
class Model:
    """What one model predicts.

    Attributes:
        folds: rows of the training part and predictions, of each fold.
        others: predictions of all rows that are not in the training part.
        val: its score out of fold.
    """

    folds: Sequence[Predictions]
    others: np.ndarray
    val: float


def models(seed: int) -> Iterator[tuple[int, Any]]:
    """240 unfitted models, each with the number of its vectorizer."""
    rng = np.random.default_rng(seed)
    for index in range(N_SWEEPS * N_EACH):
        balanced = rng.choice([None, "balanced"])
        strength, alpha = 10.0 ** rng.uniform(-1.5, 2), 10.0 ** rng.uniform(-2.5, 0.5)
        yield (
            int(rng.integers(len(VECTORIZERS))),
            [
                LogisticRegression(C=strength, class_weight=balanced, max_iter=300),
                LinearSVC(C=strength / 10, class_weight=balanced),
                MultinomialNB(alpha=alpha),
                ComplementNB(alpha=alpha),
            ][index % 4],
        )


def fitted(texts: np.ndarray, labels: np.ndarray, train: np.ndarray, others: np.ndarray, seed: int) -> list[Model]:
    """The models, fitted on the training rows."""
    folds = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(train, labels[train]))
    parts = [(train[fit], train[score]) for fit, score in folds] + [(train, others)]
    score = LabelScore("f1", tuple(np.unique(labels).tolist()))
    wanted = list(models(seed))

    def of_vectorizer(number: int) -> list[tuple[int, Model]]:
        predicted: dict[int, list[np.ndarray]] = {}
        for fit, to_score in parts:
            vectorizer = TfidfVectorizer(sublinear_tf=True, **VECTORIZERS[number])
            x_fit, x_score = vectorizer.fit_transform(texts[fit]), vectorizer.transform(texts[to_score])
            for index, (of, model) in enumerate(wanted):
                if of == number:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ConvergenceWarning)
                        found = model.fit(x_fit, labels[fit]).predict(x_score)
                    predicted.setdefault(index, []).append(found)
        made = []
        for index, (*of_folds, of_others) in predicted.items():
            kept = [Predictions("val", labels[rows], found) for (_, rows), found in zip(parts, of_folds, strict=False)]
            made.append((index, Model(kept, of_others, mean_score(score, kept, "val"))))
        return made

    found = Parallel(n_jobs=2)(delayed(of_vectorizer)(number) for number in range(len(VECTORIZERS)))
    return [model for _, model in sorted((pair for made in found for pair in made), key=lambda pair: pair[0])]


def contender(
    model: Model, labels: np.ndarray, test: np.ndarray, score: LabelScore, number: int, n_trials: int
) -> Contender:
    """What the gate knows of a model; `labels` and `test` are of and among the other rows."""
    of_test = Predictions("test", labels[test], model.others[test])
    tested = mean_score(score, [of_test], "test")
    return Contender(str(number), tested, model.val, "same", "same", [*model.folds, of_test], n_trials)


def decisions() -> dict[str, Decide]:
    def gate(rule: Promote) -> Decide:
        made = Gate(rule, "test_f1", "val_f1", "maximize")
        return lambda mine, theirs: made.decide(mine, theirs).promoted

    def strictly(mine: Contender, theirs: Contender) -> bool:
        assert mine.test is not None
        assert theirs.test is not None
        return mine.test > theirs.test

    return dict(zip(RULES, (strictly, gate(Promote.auto), gate(Promote.evidence)), strict=True))


@dataclass
class Counts:
    """Of one repetition: promotions, those that were no improvement, improvements, those that were missed; drift."""

    promoted: int = 0
    false: int = 0
    improvements: int = 0
    missed: int = 0
    drift: float = 0.0


def repetition(found: Sequence[Model], labels: np.ndarray, n_test: int, score: LabelScore, seed: int) -> list[Counts]:
    """Twenty sweeps in a row under each rule."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    test, unseen = np.sort(order[:n_test]), order[n_test:]
    truths = [score.of(labels[unseen], model.others[unseen]) for model in found]
    sweeps = rng.permutation(len(found)).reshape(N_SWEEPS, N_EACH)
    winners = [int(max(sweep, key=lambda index: found[index].val)) for sweep in sweeps]
    known = {index: contender(found[index], labels, test, score, index, N_EACH) for index in winners}
    counted = []
    for decide in decisions().values():
        counts, champion = Counts(), winners[0]
        for winner in winners[1:]:
            is_improvement = truths[winner] > truths[champion]
            is_promoted = decide(known[winner], known[champion])
            counts.improvements += is_improvement
            counts.missed += is_improvement and not is_promoted
            counts.promoted += is_promoted
            counts.false += is_promoted and not is_improvement
            champion = winner if is_promoted else champion
        counts.drift = (known[champion].test or 0.0) - truths[champion]
        counted.append(counts)
    return counted


def share(above: Sequence[float], below: Sequence[float]) -> str:
    """A share of all repetitions, with its interval by drawing repetitions."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(above), (2_000, len(above)))
    totals = np.asarray(below)[drawn].sum(axis=1)
    low, high = np.quantile(np.asarray(above)[drawn].sum(axis=1)[totals > 0] / totals[totals > 0], [0.025, 0.975])
    return f"{sum(above) / max(1, sum(below)):.3f} [{low:.3f}, {high:.3f}]"


def a_a(found: Sequence[Model], labels: np.ndarray, n_test: int, score: LabelScore, seed: int, n_mixed: int) -> bool:
    """Whether `evidence` promotes the best by `val_` of models that are mixed, row by row, over another of them."""
    rng = np.random.default_rng(seed)
    chosen = [found[index] for index in rng.permutation(len(found))[:n_mixed]]
    test = np.sort(rng.permutation(len(labels))[:n_test])

    def mixed(predictions: Sequence[np.ndarray]) -> np.ndarray:
        return rng.permuted(np.stack(predictions), axis=0)

    of_folds = [mixed([model.folds[fold].y_pred for model in chosen]) for fold in range(N_FOLDS)]
    of_others = mixed([model.others for model in chosen])
    equal = []
    for index in range(n_mixed):
        folds = [Predictions("val", chosen[0].folds[fold].y_true, of_folds[fold][index]) for fold in range(N_FOLDS)]
        equal.append(Model(folds, of_others[index], mean_score(score, folds, "val")))
    if n_mixed > 2:
        best = max(range(n_mixed), key=lambda index: equal[index].val)
        other = (best + 1 + int(rng.integers(n_mixed - 1))) % n_mixed
    else:
        best, other = 0, 1
    mine = contender(equal[best], labels, test, score, best, n_mixed if n_mixed > 2 else 1)
    return decisions()["evidence"](mine, contender(equal[other], labels, test, score, other, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--text", default="tweet")
    parser.add_argument("--label", default="class")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--trainings", type=int, default=4, help="training parts, among which repetitions are divided")
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 500, 1000])
    parser.add_argument("--a-a", type=int, default=1_000, help="pairs of equal models for each size")
    arguments = parser.parse_args()
    frame = pd.read_csv(arguments.file)
    texts, labels = frame[arguments.text].astype(str).to_numpy(), frame[arguments.label].astype(str).to_numpy()
    score = LabelScore("f1", tuple(np.unique(labels).tolist()))
    rows, equal = [], []
    for n_test in arguments.sizes:
        counted: list[list[Counts]] = []
        promoted: dict[int, list[bool]] = {2: [], 50: []}
        for training in range(arguments.trainings):
            order = np.random.default_rng(training).permutation(len(texts))
            train, others = order[: 4 * n_test], order[4 * n_test :]
            found = fitted(texts, labels, train, others, training)
            counted.extend(
                repetition(found, labels[others], n_test, score, 1_000 * training + number)
                for number in range(arguments.repetitions // arguments.trainings)
            )
            for n_mixed, results in promoted.items():
                n_pairs = arguments.a_a // arguments.trainings // (1 if n_mixed == 2 else 4)
                results.extend(
                    a_a(found, labels[others], n_test, score, 10_000 * training + number, n_mixed)
                    for number in range(n_pairs)
                )
        for index, rule in enumerate(RULES):
            of_rule = [of_all[index] for of_all in counted]
            n_promoted = [one.promoted for one in of_rule]
            drift = float(np.mean([one.drift for one in of_rule]))
            false = share([one.false for one in of_rule], n_promoted)
            missed = share([one.missed for one in of_rule], [one.improvements for one in of_rule])
            rows.append([str(n_test), rule, f"{np.mean(n_promoted):.1f}", false, missed, f"{drift:+.4f}"])
        equal.append([str(n_test), *(f"{np.mean(results):.3f} of {len(results)}" for results in promoted.values())])
        print(f"test parts of {n_test} rows: done", flush=True)
    table(["test rows", "rule", "promotions of 19", "false [95 %]", "missed improvements [95 %]", "drift"], rows)
    print()
    table(["test rows", "equal models promoted by evidence", "best of 50 equal ones promoted"], equal)


if __name__ == "__main__":
    main()
