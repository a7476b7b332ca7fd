"""Texts that stand more than once, and splits that do not tear them apart.

A model that has seen a text in its training part is not tested by the same text. Rows with one text are one *group*;
splits are scikit-learn's, of the first row of each group, and the others follow theirs. Without duplicates every group
is a row, so these are scikit-learn's own splits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

RULES = ("group", "drop", "keep")


def same_texts(texts: Iterable[str]) -> np.ndarray:
    """The group of each text: equal numbers for texts that are the same.

    The same are texts that are equal in Unicode's form NFC, without blanks around them and with one for each run of
    blanks inside.

    Returns:
        Shape (n,), int64, numbered from 0 by first appearance.
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(_normal(text), len(numbers)) for text in texts], dtype=np.int64)


def _normal(text: str) -> str:
    return " ".join((text if text.isascii() else unicodedata.normalize("NFC", text)).split())


def first_of_each(groups: np.ndarray) -> np.ndarray:
    """The position of the first row of each group, ascending."""
    return np.flatnonzero(~pd.Series(groups).duplicated().to_numpy())


def n_with_two_labels(groups: np.ndarray, labels: np.ndarray) -> int:
    """How many groups hold more than one label."""
    pairs = pd.DataFrame({"group": groups, "label": labels}).drop_duplicates()
    return int(pairs["group"].value_counts().gt(1).sum())


class Grouping:
    """Rows in groups, each taken for the label of its first row.

    Args:
        groups: of each row, shape (n,).
        labels: of each row, shape (n,).

    Attributes:
        labels: of the groups, by first appearance.
    """

    def __init__(self, groups: np.ndarray, labels: np.ndarray) -> None:
        numbers, _ = pd.factorize(groups)  # by first appearance, so that without duplicates they are the rows
        self.labels = labels[first_of_each(groups)]
        self._rows = np.argsort(numbers, kind="stable")  # group after group
        self._ends = np.cumsum(np.bincount(numbers))

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """The rows of some groups, in the order of the groups."""
        starts = np.append(0, self._ends[:-1])[chosen]
        lengths = self._ends[chosen] - starts
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.asarray(self._rows[np.repeat(starts, lengths) + offsets])

    def hold_out(self, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Groups to train on and groups to test on: scikit-learn's stratified `train_test_split`.

        Raises:
            ValueError: scikit-learn's, where a class has too few groups.
        """
        train, test = train_test_split(
            np.arange(len(self.labels)), test_size=test_size, stratify=self.labels, random_state=seed
        )
        return train, test

    def folds(self, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit on and rows to score, of each fold: scikit-learn's `StratifiedKFold` of the groups.

        Raises:
            ValueError: scikit-learn's, where a class has too few groups.
        """
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        return [(self.rows(fit), self.rows(score)) for fit, score in folds.split(self.labels, self.labels)]
