"""Predictions in a trial's folder: written, sampled, read back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from sweeps.base import predictions
from sweeps.base.predictions import Predictions, keep_predictions, log_predictions, read_predictions
from sweeps.base.reporting import CurrentTrial, introduce, no_report, reporting_to


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """The folder where a running trial keeps them."""
    with reporting_to(no_report):
        introduce(CurrentTrial(0, "s", 1, tmp_path), "m")
        yield tmp_path / predictions.FOLDER


def made_up(n: int, part: str = "val", groups: bool = True) -> Predictions:
    rng = np.random.default_rng(n)
    users = rng.integers(0, 9, n) if groups else None
    return Predictions(part, rng.normal(size=n), rng.normal(size=n), users)


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """To the precision that predictions are kept in."""
    return one is other is None or np.allclose(one, other, rtol=1e-6, atol=0)  # type: ignore[arg-type]


def equal(one: Predictions, other: Predictions) -> bool:
    arrays = [(of.y_true, of.y_pred, of.groups) for of in (one, other)]
    return one.part == other.part and all(_same(a, b) for a, b in zip(*arrays, strict=True))  # type: ignore[arg-type]


def test_what_is_kept_is_read_in_order(kept: Path) -> None:
    given = [*(made_up(n, groups=n % 2 == 0) for n in range(3, 15)), made_up(5, "test")]
    keep_predictions(given)
    found = read_predictions(kept)
    assert len(found) == len(given)
    assert all(equal(one, other) for one, other in zip(found, given, strict=True) if one.groups is not None)
    assert [one.groups is None for one in found] == [one.groups is None for one in given]
    assert not any(one.is_sample for one in found)


def test_labels_are_kept_as_they_are_and_calls_by_hand_are_read_alike(kept: Path) -> None:
    labels = np.array(["fair", "hate", "ü"], dtype=object)
    keep_predictions([Predictions("val", labels, labels[::-1])])
    log_predictions("val", [1, 0], [1, 1])
    first, second = read_predictions(kept)
    assert first.y_true.tolist() == labels.tolist()
    assert second.y_pred.tolist() == [1, 1]


def test_of_many_rows_a_sample_is_kept_the_same_each_time(kept: Path) -> None:
    given = [made_up(700), made_up(301, "test")]
    with mock.patch.object(predictions, "_MOST_ROWS", 100):
        for _ in range(2):
            keep_predictions(given)
    first, again, test, test_again = read_predictions(kept)
    assert (len(first.y_true), len(test.y_true)) == (69, 30)
    assert first.is_sample
    assert equal(first, again)
    assert equal(test, test_again)
    places = [given[0].y_true.tolist().index(value) for value in first.y_true]
    assert places == sorted(places)
    assert np.allclose(first.y_pred, given[0].y_pred[places], rtol=1e-6)
    assert len(set(places)) == len(places)


def test_outside_of_a_sweep_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keep_predictions([made_up(3)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x00" * 50])
def test_of_a_damaged_file_nothing_is_read(kept: Path, damage: bytes) -> None:
    keep_predictions([made_up(20), made_up(9, "test")])
    (kept / "test-0.npz").write_bytes(damage)
    assert read_predictions(kept) == []


def test_of_a_file_cut_off_or_of_something_else_nothing_is_read(kept: Path) -> None:
    keep_predictions([made_up(2000)])
    file = kept / "val-0.npz"
    whole = file.read_bytes()
    for length in range(0, len(whole), len(whole) // 20):
        file.write_bytes(whole[:length])
        assert read_predictions(kept) == []
    np.savez(file, other=np.arange(3))
    assert read_predictions(kept) == []
    np.savez(file, y_true=np.array([{}], dtype=object), y_pred=np.arange(1))
    assert read_predictions(kept) == []
