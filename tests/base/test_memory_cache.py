"""The cache of one process."""

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.base.cache import Cache


class ReferenceCache:
    """Least recently used, written the plain way."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.sizes: OrderedDict[int, int] = OrderedDict()

    def use(self, key: int, size: int) -> bool:
        """Whether the key was held; held or not, it is the latest one now, if it fits at all."""
        if key in self.sizes:
            self.sizes.move_to_end(key)
            return True
        if size <= self.bound:
            self.sizes[key] = size
        while sum(self.sizes.values()) > self.bound:
            del self.sizes[next(iter(self.sizes))]
        return False


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=60))
@settings(max_examples=300, deadline=None)
def test_the_cache_holds_what_a_plain_least_recently_used_one_holds(bound: int, uses: list[tuple[int, int]]) -> None:
    cache, reference = Cache(bound), ReferenceCache(bound)
    for key, size in uses:
        computed = []

        def compute(key: int = key, size: int = size, computed: list[int] = computed) -> tuple[str, int]:
            computed.append(key)
            return f"result of {key}", size

        assert cache.get_or_compute(key, compute) == f"result of {key}"
        assert (not computed) == reference.use(key, size)


def test_a_result_larger_than_the_cache_is_returned_and_evicts_nothing() -> None:
    cache = Cache(10)
    kept = cache.get_or_compute("small", lambda: (["small"], 10))
    assert cache.get_or_compute("large", lambda: ("large", 11)) == "large"
    assert cache.get_or_compute("large", lambda: ("computed again", 11)) == "computed again"
    assert cache.get_or_compute("small", lambda: (["another"], 10)) is kept


def test_a_computation_that_raises_leaves_nothing_behind() -> None:
    def fail() -> tuple[Any, int]:
        raise ValueError("no")

    cache = Cache(10)
    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute("key", fail)
    assert cache.get_or_compute("key", lambda: (1, 10)) == 1
    assert cache.get_or_compute("key", lambda: (2, 10)) == 1
