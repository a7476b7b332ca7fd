"""Prediction logs on disk until MLflow has them: a file each, written as a whole, removed when it is logged."""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sweeps.base.atomic_file import replacing
from sweeps.base.errors import ConfigError
from sweeps.base.locks import file_lock
from sweeps.tracking.predictions.batch import PredictionBatch

FOLDER = "predictions-waiting"
MAX_FILES = 1_000
MAX_BYTES = 64 * 2**20
_COUNT_EVERY = 1.0  # seconds

_log = logging.getLogger(__name__)


class Spool:
    """A folder of prediction logs. Several processes may put; one at a time, which holds `sending`, takes.

    A batch that still grows is held: a file that the sender leaves alone as long as the process lives that wrote it.

    Args:
        folder: made on first use, readable by its owner alone.
        max_files: beyond this and `max_bytes` nothing more is taken in.
        max_bytes: of all files together.
    """

    def __init__(self, folder: Path, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._counted_at = 0.0
        self._n_files = 0
        self._n_bytes = 0
        self._owner = uuid.uuid4().hex
        self._owning = ExitStack()  # of a lock that ends with this process, whatever ends it

    def make(self) -> None:
        """Make the folder.

        Raises:
            ConfigError: that is impossible.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The folder {self.folder} for prediction logs cannot be made: {error.strerror}"
            ) from error

    def put(self, batch: PredictionBatch, *, always: bool = False) -> bool:
        """Keep a batch.

        Args:
            batch: to be logged.
            always: also where the folder is full.

        Returns:
            Whether it was kept; False if the folder is full.

        Raises:
            OSError: the disk refuses.
        """
        content = batch.to_json().encode()
        n_files, n_bytes = self.usage()
        try:
            if not always and (n_files >= self._max_files or n_bytes + len(content) > self._max_bytes):
                return False
            self._write(content, self.folder / _name_of(batch.id))
        finally:
            self._held(batch.id).unlink(missing_ok=True)
        self._n_files += 1
        self._n_bytes += len(content)
        return True

    def hold(self, batch: PredictionBatch) -> None:
        """Keep a batch that still grows, instead of what was held of it before, until it is put.

        Raises:
            OSError: the disk refuses.
        """
        if not self._lock_of(self._owner).exists():  # not yet, or somebody has removed it
            self.close()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owning.enter_context(file_lock(self._lock_of(self._owner)))
        self._write(batch.to_json().encode(), self._held(batch.id))

    def close(self) -> None:
        """Hold nothing any more."""
        self._lock_of(self._owner).unlink(missing_ok=True)
        self._owning.close()

    def reclaim(self) -> set[str]:
        """Let what processes held that are dead now wait like the rest.

        Returns:
            The names of the files; of a batch that was about to be put there may be a second one.
        """
        reclaimed = set()
        for lock in self.folder.glob(".*.holding"):
            owner = lock.name[1:].removesuffix(".holding")
            with lock.open("w") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                for held in self.folder.glob(f".{owner}-*.held"):
                    name = _name_of(held.name.removesuffix(".held").rpartition("-")[2])
                    held.replace(self.folder / name)
                    reclaimed.add(name)
                lock.unlink(missing_ok=True)
        return reclaimed

    def _held(self, batch_id: str) -> Path:
        return self.folder / f".{self._owner}-{batch_id}.held"

    def _lock_of(self, owner: str) -> Path:
        return self.folder / f".{owner}.holding"

    def _write(self, content: bytes, file: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have removed it
        with replacing(file) as partial:
            partial.write_bytes(content)

    def usage(self) -> tuple[int, int]:
        """Files and bytes that wait, counted anew every second."""
        if time.monotonic() > self._counted_at + _COUNT_EVERY:
            sizes = [size for path in self.waiting() if (size := _size(path)) is not None]
            self._n_files, self._n_bytes = len(sizes), sum(sizes)
            self._counted_at = time.monotonic()
        return self._n_files, self._n_bytes

    def waiting(self) -> list[Path]:
        """The files, oldest first."""
        return sorted(self.folder.glob("[!.]*.json"))

    def read(self, file: Path) -> PredictionBatch | None:
        """What a file holds; one that holds no batch is set aside, and None."""
        try:
            return PredictionBatch.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:  # logged by the process before us
            return None
        except ValueError as error:
            self.set_aside(file, str(error))
            return None

    def set_aside(self, file: Path, reason: str) -> None:
        """Leave a file that cannot be logged beside the others."""
        _log.warning("%s is set aside: %s", file, reason)
        file.rename(file.with_suffix(".refused"))

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Be the one process that sends; False where another is."""
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _name_of(batch_id: str) -> str:
    return f"{time.time_ns():020d}-{batch_id}.json"


def _size(file: Path) -> int | None:
    try:
        return os.stat(file).st_size  # noqa: PTH116 - called a thousand times
    except FileNotFoundError:
        return None
