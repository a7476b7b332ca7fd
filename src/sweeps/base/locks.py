"""A lock between the processes of this machine, which a dead process cannot hold."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sweeps.base.errors import ConfigError
from sweeps.base.temporary import shared_folder


@contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """Hold the lock of a name, such as a database's path, among this user's processes; who comes second waits.

    Its file is in a folder where other users may write, too.

    Raises:
        ConfigError: it cannot be made there, or something that is not this user's file stands in its place.
    """
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    path = shared_folder() / f"sweeps-{os.geteuid()}-{key}.lock"
    while True:
        try:
            lock = _lock_own(path)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be made or locked: {error.strerror}. Make space there and remove what stands in its "
                f"place, or name a folder of your own: TMPDIR=FOLDER"
            ) from error
        with lock:
            if _is_at(path, lock):
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        # Whoever held the lock has removed the file since it was opened.


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which its holder may remove before it lets go."""
    while True:
        with _open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(path, lock):
                yield
                return


def _lock_own(path: Path) -> BinaryIO:
    """Lock a file that is this user's.

    Raises:
        OSError: it cannot be.
    """
    lock = _open(path)
    try:
        _check_own(os.fstat(lock.fileno()))
        fcntl.flock(lock, fcntl.LOCK_EX)
    except BaseException:
        lock.close()
        raise
    return lock


def _check_own(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it is not a file of this user's")


def _open(path: Path) -> BinaryIO:
    """Open a file, made for this user alone, and no link to another."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b", buffering=0)


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
