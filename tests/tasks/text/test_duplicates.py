"""Texts that stand more than once: never in two parts, and nothing changes where there are none."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold, train_test_split

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.base import Candidate
from sweeps.tasks.text.data import TextData
from sweeps.tasks.text.duplicates import Grouping, n_with_two_labels, same_texts
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.task import TextClassification

TFIDF = {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"}
KNN = {"_target_": "sklearn.neighbors.KNeighborsClassifier", "n_neighbors": 1}
SVM = {"_target_": "sklearn.svm.LinearSVC"}


def text_data(texts: Any, labels: Any, **options: Any) -> TextData:
    as_objects = [np.array(list(values), dtype=object) for values in (texts, labels)]
    return TextData(*as_objects, "text", None, "f", "made up", **options)


def repeated(n_texts: int, times: int, seed: int = 0) -> TextData:
    """Random words under random labels, each row several times, shuffled."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(f"word{word}" for word in rng.integers(0, 200, 12)) for _ in range(n_texts)]
    labels = rng.choice(["a", "b"], n_texts)
    order = rng.permutation(np.repeat(np.arange(n_texts), times))
    return text_data([texts[i] for i in order], [str(labels[i]) for i in order])


def parts(task: TextClassification) -> list[tuple[set[str], set[str]]]:
    """The different texts to fit on and to score, of each fold and of the split."""
    return [(set(task.data.texts[fit]), set(task.data.texts[score])) for fit, score in task._parts]


@pytest.mark.parametrize(
    ("first", "second", "are_same"),
    [
        ("a b", " a \t b\n", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a\u00a0b", "a b", True),
        ("a b", "a B", False),
        ("ab", "a b", False),
        ("\ufb01", "fi", False),
        ("a.", "a", False),
    ],
)
def test_texts_that_are_the_same(first: str, second: str, are_same: bool) -> None:
    assert same_texts([first, "other", second]).tolist() == [0, 1, 0 if are_same else 2]


def test_a_set_without_duplicates_keeps_its_split_bit_for_bit() -> None:
    labels = [("a", "b", "b", "c")[i * i % 7 % 4] for i in range(600)]
    for rule in ("group", "drop", "keep"):
        data = text_data([f"text number {i}" for i in range(600)], labels)
        task = TextClassification(data, test_size=0.25, split_seed=7, n_folds=4, on_duplicates=rule)
        digest = hashlib.sha256()
        for rows in (rows for part in task._parts for rows in part):
            digest.update(rows.astype("<i8").tobytes())
        # Of the split as it was before there were groups.
        assert digest.hexdigest() == "5a9aedb3079962b1000e4ce5cc51bae5ed302f0b8d38b38897cb5f49a77f7874"


def test_the_same_text_is_never_on_both_sides() -> None:
    data = repeated(60, 5)
    scores = {}
    for rule in ("group", "drop", "keep"):
        task = TextClassification(data, on_duplicates=rule)
        scores[rule] = task.evaluate(Candidate(KNN, TFIDF)).metrics
        shared = [len(fit & score) for fit, score in parts(task)]
        assert (sum(shared) > 0) == (rule == "keep")
        n_used = sum(len(rows) for rows in task._parts[-1])
        assert n_used == (60 if rule == "drop" else 300)
    # Random labels cannot be learnt, only remembered.
    assert scores["keep"]["val_accuracy"] > 0.9
    assert scores["keep"]["test_accuracy"] > 0.9
    assert scores["group"]["val_accuracy"] < 0.75
    assert scores["group"]["test_accuracy"] < 0.85


@settings(deadline=None, max_examples=150)
@given(
    rows=st.lists(st.tuples(st.integers(0, 25), st.sampled_from("ab")), min_size=20, max_size=80),
    n_folds=st.integers(2, 4),
    test_size=st.sampled_from([0.2, 0.3, 0.5]),
    rule=st.sampled_from(["group", "drop"]),
)
def test_any_split_is_a_partition_with_every_class_in_every_part_or_refused(rows, n_folds, test_size, rule) -> None:
    data = text_data([f"text {number}" for number, _ in rows], [label for _, label in rows])
    try:
        task = TextClassification(data, test_size, 3, n_folds, rule)
    except DataError:
        first: dict[int, str] = {}
        for number, label in rows:
            first.setdefault(number, label)
        assert min(list(first.values()).count(label) for label in "ab") < 12  # else the split must succeed
        return
    used = np.sort(np.concatenate(task._parts[-1]))
    expected = np.unique(same_texts(data.texts), return_index=True)[1] if rule == "drop" else np.arange(len(rows))
    assert np.array_equal(used, np.sort(expected))
    train = np.sort(task._train)
    assert np.array_equal(np.sort(np.concatenate([score for _, score in task._parts[:-1]])), train)
    for (fit, score), (fit_texts, score_texts) in zip(task._parts, parts(task), strict=True):
        assert not fit_texts & score_texts
        assert set(data.labels[fit]) == set(data.labels[score]) == {label for _, label in rows}
    for fit, score in task._parts[:-1]:
        assert np.array_equal(np.sort(np.concatenate([fit, score])), train)


@settings(deadline=None)
@given(labels=st.lists(st.sampled_from("ab"), min_size=20, max_size=60), seed=st.integers(0, 99))
def test_single_rows_are_split_as_scikit_learn_splits_them(labels: list[str], seed: int) -> None:
    values = np.array([*labels, *"aabbaabb"], dtype=object)
    rows = np.arange(len(values))
    grouping = Grouping(rows[::-1], values)
    theirs = train_test_split(rows, test_size=0.3, stratify=values, random_state=seed)
    for mine, their in zip(grouping.hold_out(0.3, seed), theirs, strict=True):
        assert np.array_equal(grouping.rows(mine), their)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed).split(rows, values)
    for mine, their in zip(grouping.folds(3, seed), folds, strict=True):
        assert np.array_equal(mine[0], their[0])
        assert np.array_equal(mine[1], their[1])


def test_the_calibration_of_the_winner_keeps_texts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = repeated(60, 5)
    seen: list[Any] = []
    original = TfidfVectorizer.fit_transform

    def fit_transform(self: TfidfVectorizer, texts: Any, y: Any = None) -> Any:
        seen.append(texts)
        return original(self, texts, y)

    task = TextClassification(data)
    texts = data.texts[task._train]
    with monkeypatch.context() as patched:
        patched.setattr(TfidfVectorizer, "fit_transform", fit_transform)
        fitted = task.refit(Candidate(SVM, TFIDF))
    whole, *folds = seen
    assert len(whole) == len(texts)
    assert len(folds) == task.n_folds
    for fold in folds:
        left_out = len(texts) - len(fold)
        assert sum(text not in set(fold) for text in texts) == left_out > 0
    # Out of fold the labels are noise, so the calibration must not be sure of any text that it was fitted on.
    assert fitted.score(data.texts)[1].max() < 0.8
    kept = TextClassification(data, on_duplicates="keep").refit(Candidate(SVM, TFIDF))
    assert kept.score(data.texts)[1].max() > 0.9


def test_what_was_read_is_described() -> None:
    texts = [f"text {i}" for i in range(40)]
    data = text_data(
        [*texts, "text 0", " text  1 ", "text 39"], [*["a", "b"] * 20, "a", "a", "b"], dropped="x", notes=("y",)
    )
    described = TextClassification(data).describe_data()
    assert described == {
        "rows": "43",
        "classes": "a 22, b 21",
        "duplicates": "3 (on_duplicates=group)",
        "duplicates_across_the_split": "0",
        "texts_with_two_labels": "1",
        "dropped": "x",
        "odd": "y",
    }
    kept = TextClassification(repeated(30, 4), on_duplicates="keep")
    across = sum(text in set(kept.data.texts[kept._train]) for text in kept.data.texts[kept._test])
    assert kept.describe_data()["duplicates_across_the_split"] == str(across)
    assert across > 0
    dropped = TextClassification(data, on_duplicates="drop").describe_data()["dropped"]
    assert dropped == "x; 3 rows whose text stands in an earlier row"
    alone = TextClassification(text_data(texts, ["a", "b"] * 20)).describe_data()
    assert alone == {"rows": "40", "classes": "a 20, b 20", "duplicates": "0", "dropped": "none"}


def test_texts_with_two_labels_are_counted() -> None:
    groups, labels = np.array([0, 1, 0, 1, 2, 0]), np.array(["a", "a", "b", "a", "a", "b"], dtype=object)
    assert n_with_two_labels(groups, labels) == 1


def test_the_rule_is_part_of_the_evaluation_id_where_it_makes_a_difference() -> None:
    alone = text_data([f"text {i}" for i in range(40)], ["a", "b"] * 20)
    for data, n_ids in ((repeated(40, 2), 3), (alone, 1)):
        ids = {TextClassification(data, on_duplicates=rule).evaluation_id() for rule in ("group", "drop", "keep")}
        assert len(ids) == n_ids


def test_a_class_with_enough_rows_and_too_few_texts_is_refused() -> None:
    data = text_data([*(f"text {i}" for i in range(40)), *["the same"] * 40], [*"a" * 40, *"b" * 40])
    with pytest.raises(DataError, match=r"too few different texts in some classes \('b' has 1\)"):
        TextClassification(data)
    assert TextClassification(data, on_duplicates="keep").on_duplicates == "keep"


@pytest.mark.parametrize("rule", ["groups", None, True, ""])
def test_a_rule_that_there_is_not(rule: Any) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.on_duplicates=.*must be one of group, drop, keep"):
        TextClassification(repeated(20, 1), on_duplicates=rule)


def test_the_reviews_have_some_and_they_stay_together() -> None:
    task = TextClassification(load_reviews())
    assert task.describe_data()["duplicates"] == "28 (on_duplicates=group)"
    assert all(not fit & score for fit, score in parts(task))
    assert [len(rows) for rows in task._parts[-1]] == pytest.approx([4_000, 1_000], abs=10)
