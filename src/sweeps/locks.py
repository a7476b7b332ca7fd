"""A lock between the processes of this machine, which a dead process cannot hold."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the lock of a name, such as a database's path; who comes second waits."""
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"sweeps-{os.getuid()}-{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
