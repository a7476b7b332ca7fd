"""One store for all that trials share: this process's memory, in front of files that other processes map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from scipy import sparse

from sweeps.base.cache.cost import SPENT
from sweeps.base.cache.folder import MappedFile, SharedFolder
from sweeps.base.cache.memory import Cache
from sweeps.base.cache.packing import pack, unpack

_T = TypeVar("_T")
_MEMORY_BYTES = 2 * 2**30
_COST = ".cost"  # an array of a file, beside the result's fields

Key = tuple[str | int | float | bool | None, ...]


class SharedCache(Cache):
    """Results in memory and, once a folder is shared, in its files.

    Args:
        max_bytes: the most that this process's entries hold together, mapped files counted in full.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._folder: SharedFolder | None = None

    def share(self, folder: Path | None, max_bytes: int) -> None:
        """Share with all processes that name the same folder; with None, with none.

        Args:
            folder: made by `sweep_folder`.
            max_bytes: the most that its files may take, the same for all processes; 0 for no files.
        """
        self._folder = SharedFolder(folder, max_bytes) if folder is not None and max_bytes > 0 else None

    def get_or_share(self, key: Key, kind: type[_T], compute: Callable[[], _T]) -> _T:
        """The result under a key: from memory, from a file, or computed, by one process while the others wait.

        Args:
            key: stands for the content: equal keys must mean equal results, in all processes that share.
            kind: the result's type, a dataclass. Its fields are arrays, CSR matrices and scalars, or else it stays in
                this process's memory. Nobody may write to the arrays.
            compute: makes the result.
        """
        name = hashlib.blake2b(json.dumps([kind.__qualname__, *key]).encode(), digest_size=16).hexdigest()
        held: _Held[_T] | None = self.get(name)
        if held is None or not held.is_intact():
            held = self._from_files(name, kind, compute) or _Held(*SPENT.make(compute))
            self.put(name, held, _n_bytes(held.result))
        else:
            SPENT.use(held.cost)
        return held.result

    def _from_files(self, name: str, kind: type[_T], compute: Callable[[], _T]) -> _Held[_T] | None:
        """The result as a mapped file, or as computed where it cannot be one; None where no folder is shared."""
        folder = self._folder
        if folder is None:
            return None
        found = _read(folder, name, kind)
        if found is not None:
            return found
        with folder.computing(name):
            found = _read(folder, name, kind)
            if found is not None:
                return found
            computed, cost = SPENT.make(compute)
            arrays = pack(computed)
            file = None if arrays is None else folder.write(name, {**arrays, _COST: np.asarray(cost)})
        return _Held(computed, cost) if file is None else _unpacked(kind, file)


@dataclass(frozen=True)
class _Held(Generic[_T]):
    """A result in memory.

    Attributes:
        result: what was computed.
        cost: the CPU seconds of its making.
        file: that it is mapped from; None where it is not.
    """

    result: _T
    cost: float
    file: MappedFile | None = None

    def is_intact(self) -> bool:
        """Whether it is as it was made; counts as a use of its file."""
        return self.file is None or self.file.is_intact()


def _read(folder: SharedFolder, name: str, kind: type[_T]) -> _Held[_T] | None:
    file = folder.read(name)
    if file is None:
        return None
    try:
        held = _unpacked(kind, file)
    except (TypeError, ValueError, KeyError):  # the arrays of something else
        return None
    SPENT.use(held.cost)
    return held


def _unpacked(kind: type[_T], file: MappedFile) -> _Held[_T]:
    arrays = dict(file.arrays)
    cost = float(arrays.pop(_COST))
    return _Held(unpack(kind, arrays), cost, file)


def _n_bytes(result: Any) -> int:
    """The size of a dataclass's arrays and sparse matrices."""
    total = 0
    for field in fields(result):
        content = getattr(result, field.name)
        parts = [getattr(content, name, None) for name in ("data", "indices", "indptr")]
        arrays = parts if sparse.issparse(content) else [content]
        total += sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
    return total


SHARED = SharedCache(_MEMORY_BYTES)
"""This process's store: everything that trials share goes through it."""


def share(folder: Path | None, max_bytes: int, max_memory_bytes: int = _MEMORY_BYTES) -> None:
    """Share computed work with the other processes of a sweep; each calls it once, before its first trial.

    Args:
        folder: made by `sweep_folder`, the same for all; None for no files.
        max_bytes: the most that the files may take together; 0 for no files.
        max_memory_bytes: the most that this process holds, mapped files counted in full.
    """
    SHARED.resize(max_memory_bytes)
    SHARED.share(folder, max_bytes)
