"""Computed work that trials share: in memory within a process, and in files among the processes of a sweep.

A sweep makes a folder with `sweep_folder()`; each of its processes calls `share(folder, max_bytes)` once. Code that
computes something worth keeping asks `SHARED` for it, under a key that stands for the content.
"""

from __future__ import annotations

from sweeps.base.cache.cost import SPENT
from sweeps.base.cache.folder import sweep_folder
from sweeps.base.cache.memory import Cache
from sweeps.base.cache.shared import SHARED, Key, SharedCache, share

__all__ = ["SHARED", "SPENT", "Cache", "Key", "SharedCache", "share", "sweep_folder"]
