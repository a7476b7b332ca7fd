"""Draws with replacement of a part's rows, or of groups of them, as sums of what each adds to a metric.

A draw of a stratum takes one unit less than there are and scales the sums up, so that they vary as much as they should
where a class is rare (Rao and Wu, Resampling inference with complex survey data, 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeps.base.predictions import Predictions
from sweeps.tasks.scores_of_sums import ErrorScore, ScoreOfSums

N_DRAWS = 2_000
SEED = 20_261_126
_CHUNK = 2**22  # numbers of a draw that are held at once


@dataclass(frozen=True)
class Stratum:
    """Units that are drawn together: kinds of rows with their numbers, or groups of rows.

    Attributes:
        terms: what one unit adds to the sums, shape (n_kinds, m).
        counts: units of each kind, shape (n_kinds,).
    """

    terms: np.ndarray
    counts: np.ndarray

    def whole(self) -> np.ndarray:
        """The sums of all units, shape (m,)."""
        return np.asarray(self.counts @ self.terms)

    def draw(self, rng: np.random.Generator, n_draws: int) -> np.ndarray:
        """The sums of draws, shape (n_draws, m)."""
        n_units = int(self.counts.sum())
        if n_units == 1:
            return np.repeat(self.whole()[np.newaxis], n_draws, axis=0)
        shares = self.counts / n_units
        at_once = max(1, _CHUNK // len(shares))
        sums = [
            rng.multinomial(n_units - 1, shares, size=min(at_once, n_draws - start)) @ self.terms
            for start in range(0, n_draws, at_once)
        ]
        return np.concatenate(sums) * (n_units / (n_units - 1))


def strata_of(
    terms: np.ndarray, classes: np.ndarray | None = None, groups: np.ndarray | None = None
) -> Sequence[Stratum]:
    """The strata of a part, or of a fold: all its groups together, or its rows by class.

    Args:
        terms: what each row adds to the sums, shape (n, m).
        classes: of the rows, shape (n,); None for one stratum.
        groups: of the rows, shape (n,); None where each stands for itself.
    """
    if groups is not None:
        _, codes = np.unique(groups, return_inverse=True)
        of_groups = np.zeros((codes.max() + 1, terms.shape[1]))
        np.add.at(of_groups, codes, terms)
        return [Stratum(of_groups, np.ones(len(of_groups), np.int64))]
    if classes is None:
        return [_stratum(terms)]
    return [_stratum(terms[classes == label]) for label in np.unique(classes)]


def classes_of(one: Predictions, score: ScoreOfSums) -> np.ndarray | None:
    """The classes that rows have; None for numbers, which have none."""
    return None if isinstance(score, ErrorScore) else one.y_true


def _stratum(terms: np.ndarray) -> Stratum:
    kinds, counts = np.unique(terms, axis=0, return_counts=True)
    return Stratum(kinds, counts)
