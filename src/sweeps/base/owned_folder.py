"""Temporary folders that are known by a lock to have a living owner: what a killed process leaves, the next removes.

owner   held by the process that made the folder, as long as it lives; the kernel releases it when that dies
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_OWNER = "owner"


class OwnedFolder:
    """A new folder, readable by this user alone, that nobody removes while this process lives.

    Args:
        parent: where to make it; other users may write there, too.
        prefix: of its name.

    Attributes:
        path: of the folder.
        pid: the process that made it.

    Raises:
        OSError: it cannot be made, or the file system has no locks; nothing is left of it.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self.pid = os.getpid()
        try:
            self._owner = _own(self.path)
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove it; in a process that was forked from its owner, do nothing."""
        if os.getpid() == self.pid:
            shutil.rmtree(self.path, ignore_errors=True)
            self._owner.close()


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove this user's folders below `parent` whose owners are dead; links and other users' are left alone."""
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if not _is_ours(folder):
                continue
            with os.fdopen(os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW), "rb") as owner:
                if try_lock(owner):
                    _remove(folder)


def try_lock(file: BinaryIO) -> bool:
    """Lock a file if nobody else has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _own(folder: Path) -> BinaryIO:
    """Lock a file before it stands under its name, so that nobody sees the folder without an owner."""
    owner = (folder / "owner.new").open("wb")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX)
        (folder / "owner.new").rename(folder / _OWNER)
    except BaseException:
        owner.close()
        raise
    return owner


def _is_ours(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _remove(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != _OWNER:  # the last one: it says whose the rest is
            entry.unlink(missing_ok=True)
    shutil.rmtree(folder)
