"""Files of unknown origin: whatever is wrong with a stored model is one `ModelError`."""

from __future__ import annotations

import json
import zipfile
from contextlib import ContextDecorator
from pathlib import Path
from typing import IO, Any

import psutil

from sweeps.base.errors import ModelError, SweepsError


class _AsModelError(ContextDecorator):  # @contextmanager would cost 12 us a call, a fifth of a prediction
    def __init__(self, what: str, passing: tuple[type[SweepsError], ...]) -> None:
        self._what = what
        self._passing = passing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, self._passing):
            raise ModelError(f"{self._what}: {reason(error)}.") from error


def as_model_error(what: str, *passing: type[SweepsError]) -> _AsModelError:
    """A context and a decorator: what is raised inside becomes a `ModelError`.

    What a file holds decides what fails, and where: arrays of another shape, text in place of numbers, an option out
    of range. No list of exceptions would be complete.

    Args:
        what: the beginning of the message, such as `The stored model cannot be loaded`.
        passing: errors, beside `ModelError`, that say more by themselves.
    """
    return _AsModelError(what, (ModelError, *passing))


def reason(error: BaseException) -> str:
    """An exception in one line of at most 300 characters."""
    name, said = type(error).__name__, " ".join(str(error).split())
    said = said if len(said) <= 300 else f"{said[:300]}..."
    return said.rstrip(".") if isinstance(error, SweepsError) else f"{name}: {said}".rstrip(":. ")


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ModelError: it is missing, unreadable or something else.
    """
    with as_model_error(f"{file} is not readable as a part of a stored model"):
        found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not readable as a part of a stored model: it is not a JSON object.")
    return found


def check_archive(file: Path | IO[bytes], what: str) -> None:
    """Refuse a zip archive that unpacks to more than this machine has memory left for.

    Args:
        file: the archive.
        what: the beginning of the message where it is missing or no archive.

    Raises:
        ModelError: that, or it is too large.
    """
    with as_model_error(what), zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())  # zipfile reads no more than this of a member
    if size > psutil.virtual_memory().available:
        raise ModelError(f"{what}: unpacked, it has {size / 2**30:,.1f} GiB, more memory than this machine has left.")
