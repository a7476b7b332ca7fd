"""A bounded memory of computed things; what is evicted is computed again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Cache:
    """Least-recently-used results of one process, bounded by their size.

    Args:
        max_bytes: the most that the entries may hold together. A larger single result is returned, but not kept.

    Attributes:
        held_bytes: what the entries hold now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._entries: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get_or_compute(self, key: Hashable, compute: Callable[[], tuple[Any, int]]) -> Any:
        """The result under a key, computed on first use.

        Args:
            key: stands for the content: equal keys must mean equal results.
            compute: returns the result and its size in bytes.
        """
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][0]
        result, size = compute()
        self.put(key, result, size)
        return result

    def get(self, key: Hashable) -> Any:
        """The result under a key, None where it is not held."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: Hashable, result: Any, size: int) -> None:
        """Hold a result of so many bytes, and let go of what was not used for longest."""
        self.forget(key)
        if size <= self.max_bytes:
            self._entries[key] = (result, size)
            self.held_bytes += size
            self.resize(self.max_bytes)

    def forget(self, key: Hashable) -> None:
        """Let go of an entry, if it is held."""
        _, size = self._entries.pop(key, (None, 0))
        self.held_bytes -= size

    def resize(self, max_bytes: int) -> None:
        """Set the bound, and keep to it."""
        self.max_bytes = max_bytes
        while self.held_bytes > max_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.held_bytes -= freed
