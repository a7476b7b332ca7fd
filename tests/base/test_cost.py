"""What shared work costs is charged to whoever uses it, made or found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sweeps.base.cache import SPENT, SharedCache, sweep_folder
from sweeps.tasks.clock import Clock

COST = 0.25  # seconds, of which sums are exact


class Time:
    """Stands for the module `time`, and passes where the test says so."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def perf_counter(self) -> float:
        return self.wall

    def process_time(self) -> float:
        return self.cpu

    def work(self) -> None:
        """Use the CPU."""
        self.cpu += COST
        self.wall += COST

    def wait(self) -> None:
        self.wall += COST


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    for module in ("sweeps.base.cache.cost", "sweeps.tasks.clock"):
        monkeypatch.setattr(f"{module}.time", time)
    return time


@dataclass(frozen=True)
class Made:
    array: np.ndarray


@dataclass(frozen=True)
class KeptInMemory:
    thing: object


@pytest.fixture
def make(time: Time) -> Callable[[], Made]:
    def compute() -> Made:
        time.work()
        return Made(np.arange(3.0))

    return compute


@pytest.mark.parametrize("kind", ["memory", "file", "other process"])
def test_work_that_was_made_before_costs_the_same(
    tmp_path: Path, time: Time, make: Callable[[], Made], kind: str
) -> None:
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
    assert first.fit_seconds == COST
    assert again.fit_seconds == COST
    assert again.seconds["fit"] == 0, "it was not made again"


def test_shared_work_within_shared_work_is_charged_once(time: Time, make: Callable[[], Made]) -> None:
    cache = SharedCache(10**6)

    def outer() -> Made:
        cache.get_or_share(("inner",), Made, make)
        time.work()
        return Made(np.arange(2.0))

    cache.get_or_share(("inner",), Made, make)
    for _ in range(2):
        clock = Clock()
        with clock.phase("fit", fits=True):
            cache.get_or_share(("outer",), Made, outer)
        assert clock.fit_seconds == 2 * COST


def test_a_phase_that_does_not_fit_is_charged_for_the_shared_work_alone(time: Time, make: Callable[[], Made]) -> None:
    cache = SharedCache(10**6)
    for _ in range(2):
        clock = Clock()
        with clock.phase("score"):
            time.work()
            cache.get_or_share(("k",), Made, make)
        assert clock.fit_seconds == COST


def test_what_no_file_holds_has_its_cost_in_memory(tmp_path: Path, time: Time) -> None:
    def compute() -> KeptInMemory:
        time.work()
        return KeptInMemory(object())

    with sweep_folder(tmp_path) as folder:
        cache = SharedCache(10**6)
        cache.share(folder, 10**6)
        for _ in range(2):
            before = SPENT.whole
            cache.get_or_share(("k",), KeptInMemory, compute)
            assert SPENT.whole - before == COST


def test_waiting_costs_nothing(time: Time) -> None:
    clock = Clock()
    with clock.phase("fit", fits=True):
        time.wait()
    assert clock.fit_seconds == 0
    assert clock.seconds["fit"] == COST
