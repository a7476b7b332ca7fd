"""What every task's split is told: the size of the test part, seeds, folds and repeats."""

from __future__ import annotations

from typing import Any

from sweeps.base.errors import ConfigError


def check_split(test_size: Any, split_seed: Any, n_folds: Any, n_repeats: Any, *, fewest_folds: int) -> None:
    """Refuse what cannot be.

    Args:
        test_size: a share of the rows.
        split_seed: of the split and the folds; each repeat adds one to it.
        n_folds: of one repeat.
        n_repeats: partings into folds.
        fewest_folds: that the task takes.

    Raises:
        ConfigError: one of them is out of range.
    """
    if isinstance(test_size, bool) or not isinstance(test_size, int | float) or not 0 < test_size < 1:
        raise ConfigError(f"dataset.test_size={test_size}: a share of the rows above 0 and below 1, such as 0.2.")
    if not _is_whole(n_folds, fewest_folds):
        raise ConfigError(f"dataset.n_folds={n_folds}: a whole number of folds, at least {fewest_folds}.")
    if not _is_whole(n_repeats, 1):
        raise ConfigError(f"dataset.n_repeats={n_repeats}: how often to part the rows into folds, at least 1.")
    if not _is_whole(split_seed, 0) or split_seed + n_repeats > 2**32:
        raise ConfigError(f"dataset.split_seed={split_seed}: a whole number from 0 to {2**32 - n_repeats}.")


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
