"""The bytes of a file, of one that is compressed, or of standard input: what a table is read from."""

from __future__ import annotations

import bz2
import gzip
import io
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sweeps.base.errors import DataError
from sweeps.tasks.rows import listed

MOST_UNPACKED = 8 * 2**30
"""Bytes that a compressed file may unpack to: a small file can hold any number of equal bytes."""

COMPRESSED = (".gz", ".bz2", ".zip")
_MAGIC = {
    b"\x1f\x8b": ("compressed with gzip", ".gz"),
    b"BZh": ("compressed with bzip2", ".bz2"),
    b"PK\x03\x04": ("a zip file, as spreadsheets are, too", ".zip"),
    b"PAR1": ("a Parquet file", ".parquet"),
}
_OF_AN_ARCHIVER = ("__MACOSX/", ".DS_Store")


@dataclass(frozen=True)
class Content:
    """Bytes that can be read from the start as often as needed.

    Attributes:
        name: what to call it in messages.
        open: opens it for binary reading; may raise OSError, or what the modules for compressed files raise.
    """

    name: str
    open: Callable[[], IO[bytes]]

    def check_start(self) -> None:
        """Tell bytes that are no text from a text in another encoding.

        Raises:
            DataError: it starts as a compressed or a Parquet file does.
        """
        with self.open() as binary:
            start = binary.read(4)
        for magic, (what, ending) in _MAGIC.items():
            if start.startswith(magic):
                raise DataError(
                    f"{self.name} is {what}: give its name the ending {ending}, or save it as CSV, uncompressed."
                )


def file_content(file: Path) -> Content:
    """The content of a file, unpacked where its name ends in .gz, .bz2 or .zip (a zip of one file).

    Reading raises DataError behind `MOST_UNPACKED` bytes.
    """
    name, ending = str(file), file.suffix.lower()
    if ending == ".gz":
        return Content(name, lambda: bounded(gzip.open(file), name))
    if ending == ".bz2":
        return Content(name, lambda: bounded(bz2.open(file), name))
    if ending == ".zip":
        return Content(name, lambda: bounded(_open_only_member(file), name))
    return Content(name, lambda: file.open("rb"))


def standard_input() -> Content:
    """What comes on standard input, read when it is opened first."""
    read = cache(lambda: sys.stdin.buffer.read())
    return Content("standard input", lambda: io.BytesIO(read()))


def uncompressed_name(name: str) -> str:
    """A file's name in lower case without the ending that says how it is compressed: `data.tsv` for `Data.tsv.gz`."""
    name = name.lower()
    ending = next((ending for ending in COMPRESSED if name.endswith(ending)), "")
    return name.removesuffix(ending)


def bounded(unpacked: IO[bytes] | gzip.GzipFile, name: str) -> IO[bytes]:
    """A stream that raises DataError behind `MOST_UNPACKED` bytes, and closes what it reads from."""
    return io.BufferedReader(_Bounded(unpacked, name), 2**20)


class _Bounded(io.RawIOBase):
    def __init__(self, unpacked: IO[bytes] | gzip.GzipFile, name: str) -> None:
        self._unpacked, self._name = unpacked, name
        self._left = MOST_UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        read = self._unpacked.read(len(buffer))
        buffer[: len(read)] = read
        self._left -= len(read)
        if self._left < 0:
            raise DataError(
                f"{self._name} unpacks to more than {MOST_UNPACKED:,} bytes. If that is no mistake, unpack it and name "
                "the file that comes out."
            )
        return len(read)

    def close(self) -> None:
        self._unpacked.close()
        super().close()


def _open_only_member(file: Path) -> IO[bytes]:
    # What is opened here stays open until the member is closed.
    with zipfile.ZipFile(file) as archive:
        names = [
            name
            for name in archive.namelist()
            if not (name.endswith("/") or any(own in name for own in _OF_AN_ARCHIVER))
        ]
        if len(names) != 1:
            raise DataError(
                f"{file} must hold one file and holds {len(names)}: {listed(names)}. Unpack it and name one of them."
                if names
                else f"{file} holds no file."
            )
        if PurePosixPath(names[0]).suffix.lower() in (*COMPRESSED, ".parquet", ".xlsx"):
            raise DataError(f"{file} holds {names[0]}: unpack it and name that file.")
        try:
            return archive.open(names[0])
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(f"{file}: {names[0]} cannot be unpacked: {error}. Unpack it and name the file.") from error
