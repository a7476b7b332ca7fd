"""A folder of computed arrays that the processes of one sweep share: each computed once, bounded, safe against crashes.

    <key>.arrays          a complete entry; a rename put it there
    <key>.<pid>.partial   being written; its writer holds a lock on it, so one without a lock is a dead process'
    <key>.lock            held while the entry is computed
    bound.lock            held while room is made
    owner                 see `sweeps.base.owned_folder`

Every lock is an `flock`, which the kernel releases when a process dies. Whatever the file system refuses only means
that something is computed again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sweeps.base.cache import array_file
from sweeps.base.cache.array_file import Arrays, DamagedFileError
from sweeps.base.owned_folder import OwnedFolder, remove_abandoned, try_lock
from sweeps.base.temporary import shared_folder

_PREFIX = "sweeps-cache-"
_SPARE = 2**30  # bytes of the disk that are left free


@contextmanager
def sweep_folder(parent: Path | None = None) -> Iterator[Path | None]:
    """A folder to share, for as long as the block runs; what sweeps that were killed have left behind is removed.

    Args:
        parent: where to make it; by default the system's folder for temporary files, which `TMPDIR` names.

    Returns:
        The folder, readable by this user alone; None where it cannot be made, and nothing is shared.
    """
    parent = parent or shared_folder()
    remove_abandoned(parent, _PREFIX)
    try:
        folder = OwnedFolder(parent, _PREFIX)
    except OSError:
        yield None
        return
    try:
        yield folder.path
    finally:
        folder.remove()


class MappedFile:
    """An entry's arrays, mapped; unlinking the entry leaves them as they are.

    Args:
        file: open for reading; may be closed afterwards.
        verify: see `array_file.read`.

    Attributes:
        arrays: by name.
    """

    def __init__(self, file: BinaryIO, *, verify: bool = True) -> None:
        self.arrays: Arrays = array_file.read(file, verify=verify)
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self._state = self._now()

    def is_intact(self) -> bool:
        """Whether nobody has written to the file: a page that was not read yet would show it. Counts as a use."""
        if self._now() != self._state:
            return False
        with suppress(OSError):
            os.utime(self._descriptor, ns=(time.time_ns(), self._state[1]))
        return True

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns


class SharedFolder:
    """The entries of a folder, as one of its processes sees them.

    Args:
        path: made by `sweep_folder`, the same for all processes of a sweep.
        max_bytes: the most that all entries and what is being written may take.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes

    @contextmanager
    def computing(self, key: str) -> Iterator[None]:
        """Let no other process compute this entry, and wait while one does; without a lock where none can be had."""
        with ExitStack() as stack:
            with suppress(OSError):
                lock = stack.enter_context((self.path / f"{key}.lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self, key: str) -> MappedFile | None:
        """Map an entry; None where there is none, or a damaged one, which is removed."""
        path = self._entry(key)
        try:
            if path.is_file():
                with path.open("rb") as file:
                    mapped = MappedFile(file)
                mapped.is_intact()  # counts as a use
                return mapped
        except OSError:
            return None
        except DamagedFileError:
            pass
        _discard(path)
        return None

    def write(self, key: str, arrays: Arrays) -> MappedFile | None:
        """Write an entry and map it; None where there is no room for it, or the disk refuses."""
        path, partial = self._entry(key), self.path / f"{key}.{os.getpid()}.partial"
        try:
            with self._reserved(partial, array_file.file_size(arrays)) as file:
                if file is None:
                    return None
                array_file.write(file, arrays)
                _discard_folder(path)
                partial.replace(path)
                return MappedFile(file, verify=False)
        except (OSError, DamagedFileError):
            _discard(partial)
            return None

    def _entry(self, key: str) -> Path:
        return self.path / f"{key}.arrays"

    @contextmanager
    def _reserved(self, partial: Path, size: int) -> Iterator[BinaryIO | None]:
        """A locked file of this size that counts from now on; None where there is no room for it."""
        with (self.path / "bound.lock").open("wb") as bound:
            fcntl.flock(bound, fcntl.LOCK_EX)
            if not self._make_room(size):
                yield None
                return
            file = partial.open("w+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(size)
        with file:
            yield file

    def _make_room(self, size: int) -> bool:
        """Unlink what was not used for longest; processes that have mapped it keep what they see."""
        entries, taken = [], 0
        for path in [path for path in self.path.iterdir() if path.suffix in (".arrays", ".partial")]:
            with suppress(FileNotFoundError):  # renamed or removed meanwhile
                if path.suffix == ".partial" and _is_abandoned(path):
                    _discard(path)
                    continue
                status = path.stat()
                taken += status.st_size
                if path.suffix == ".arrays":
                    entries.append((status.st_atime_ns, status.st_size, path))
        for _, freed, path in sorted(entries):
            if taken + size <= self.max_bytes:
                break
            _discard(path)
            taken -= freed
        return taken + size <= self.max_bytes and shutil.disk_usage(self.path).free >= size + _SPARE


def _is_abandoned(partial: Path) -> bool:
    with partial.open("rb") as file:
        return try_lock(file)


def _discard(path: Path) -> None:
    _discard_folder(path)
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _discard_folder(path: Path) -> None:
    """Remove a folder that stands in an entry's place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
