"""A lock between the processes of this machine, which a dead process cannot hold."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold the lock of a name, such as a database's path; who comes second waits."""
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"sweeps-{os.getuid()}-{key}.lock"
    with file_lock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which its holder may remove before it lets go."""
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(path, lock):
                yield
                return
        # Whoever held the lock has removed the file since it was opened.


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
