"""A disk that is full, or cannot be written, as the cause of an error that somebody else has wrapped."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from sweeps.base.temporary import shared_folder

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)
_IN_TEXT = (*map(os.strerror, _FULL), "database or disk is full")  # the last one is sqlite's


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that there is no space left to write."""
    return any(
        (isinstance(one, OSError) and one.errno in _FULL) or any(text in _text(one) for text in _IN_TEXT)
        for one in _causes(error)
    )


def is_about_temporary_files(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that a file below `TMPDIR` cannot be written."""
    folder = str(shared_folder())
    return any(
        isinstance(one, OSError) and one.errno in _REFUSED and f"{one.filename or ''}".startswith(folder + os.sep)
        for one in _causes(error)
    )


def what_to_do(places: Mapping[str, Path]) -> str:
    """How much space is left, and what to do about it.

    Args:
        places: that are written to beside `TMPDIR`, and what each holds. What was being written may be gone again.
    """
    everything = {f"TMPDIR={shared_folder()} (temporary files)": shared_folder()}
    everything |= {f"{folder} ({what})": folder for what, folder in places.items()}
    left = ", ".join(f"{_megabytes_free(folder)} are left in {what}" for what, folder in everything.items())
    return (
        f"{left[:1].upper()}{left[1:]}. Make space there, or name a roomier folder for temporary files: TMPDIR=FOLDER"
    )


def _megabytes_free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB"
    except OSError:
        return "0 MB"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a trial raises, its text may raise, too
        return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
