"""What shared work costs is charged to whoever uses it, made or found."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sweeps.base.cache import SPENT, SharedCache, sweep_folder
from sweeps.tasks.clock import Clock

COST = 0.05  # seconds


def work(seconds: float = COST) -> None:
    """Use the CPU."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


@dataclass(frozen=True)
class Made:
    array: np.ndarray


@dataclass(frozen=True)
class KeptInMemory:
    thing: object


def make() -> Made:
    work()
    return Made(np.arange(3.0))


def about(seconds: float) -> object:
    return pytest.approx(seconds, abs=0.4 * COST)


@pytest.mark.parametrize("kind", ["memory", "file", "other process"])
def test_work_that_was_made_before_costs_the_same(tmp_path: Path, kind: str) -> None:
    with sweep_folder(tmp_path) as folder:
        caches = [SharedCache(10**6), SharedCache(10**6)]
        for cache in caches:
            cache.share(None if kind == "memory" else folder, 10**6)
        first, again = Clock(), Clock()
        with first.phase("fit", fits=True):
            made = caches[0].get_or_share(("k",), Made, make)
        with again.phase("fit", fits=True):
            found = caches[kind == "other process"].get_or_share(("k",), Made, make)
    assert np.array_equal(made.array, found.array)
    assert first.fit_seconds == about(COST)
    assert again.fit_seconds == about(COST)
    assert again.seconds["fit"] < COST / 2, "it was not made again"


def test_shared_work_within_shared_work_is_charged_once() -> None:
    cache = SharedCache(10**6)

    def outer() -> Made:
        cache.get_or_share(("inner",), Made, make)
        work()
        return Made(np.arange(2.0))

    cache.get_or_share(("inner",), Made, make)
    for _ in range(2):
        clock = Clock()
        with clock.phase("fit", fits=True):
            cache.get_or_share(("outer",), Made, outer)
        assert clock.fit_seconds == about(2 * COST)


def test_a_phase_that_does_not_fit_is_charged_for_the_shared_work_alone() -> None:
    cache = SharedCache(10**6)
    for _ in range(2):
        clock = Clock()
        with clock.phase("score"):
            work()
            cache.get_or_share(("k",), Made, make)
        assert clock.fit_seconds == about(COST)


def test_what_no_file_holds_has_its_cost_in_memory(tmp_path: Path) -> None:
    def compute() -> KeptInMemory:
        work()
        return KeptInMemory(object())

    with sweep_folder(tmp_path) as folder:
        cache = SharedCache(10**6)
        cache.share(folder, 10**6)
        for _ in range(2):
            before = SPENT.whole
            cache.get_or_share(("k",), KeptInMemory, compute)
            assert SPENT.whole - before == about(COST)


def test_waiting_costs_nothing() -> None:
    clock = Clock()
    with clock.phase("fit", fits=True):
        time.sleep(2 * COST)
    assert clock.fit_seconds == about(0.0)
    assert clock.seconds["fit"] >= 2 * COST
