"""A bounded memory of computed things, so that trials share work; what is evicted is computed again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Cache:
    """Least-recently-used results, bounded by their size.

    Attributes:
        max_bytes: the most that the entries may hold together. A larger single result is returned, but not kept.
    """

    max_bytes: int
    _entries: OrderedDict[Hashable, tuple[Any, int]] = field(default_factory=OrderedDict)
    _held: int = 0

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
        if size <= self.max_bytes:
            self._entries[key] = (result, size)
            self._held += size
            while self._held > self.max_bytes:
                _, (_, freed) = self._entries.popitem(last=False)
                self._held -= freed
        return result
