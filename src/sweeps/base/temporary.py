"""Where temporary files go: to a folder of each process of ours, which goes with it or, if killed, with the next sweep.

What a trial's code makes goes where it would without us: its `TMPDIR` is the user's, and may hold data.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path

from sweeps.base.errors import ConfigError
from sweeps.base.owned_folder import OwnedFolder, remove_abandoned

_PREFIX = "sweeps-tmp-"
_LONGEST = 71  # bytes; a socket's address has 104 (macOS) or 108 (unix(7)), of which multiprocessing takes 32
_AFTER_SOCKETS = -200  # multiprocessing removes its folder at -100, and fails if it is gone

_lock = threading.RLock()
_made: dict[Path, OwnedFolder] = {}  # by what they are in
_entered = 0  # blocks of `in_own_folder` that run
_of_user: str | None = None  # `tempfile.tempdir` outside them


def shared_folder() -> Path:
    """The folder for temporary files that all processes of this machine share, which `TMPDIR` names.

    Raises:
        ConfigError: there is none that can be written.
    """
    with _lock:
        if _entered and _of_user is not None:
            return Path(_of_user)
        try:
            return Path(tempfile.gettempdir())
        except OSError as error:
            raise ConfigError(
                f"There is no folder for temporary files: {error.strerror}. Set one that can be written: TMPDIR=FOLDER"
            ) from error


@contextmanager
def in_own_folder() -> Iterator[None]:
    """Have `tempfile`, and what uses it, make its files in this process's own folder while the block runs."""
    global _entered, _of_user
    with _lock:
        shared = shared_folder()
        own = own_folder(shared)
        if _entered == 0:
            _of_user = str(shared)
        _entered += 1
        tempfile.tempdir = str(own or shared)
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if _entered == 0:
                tempfile.tempdir = _of_user


@contextmanager
def in_shared_folder() -> Iterator[None]:
    """Have `tempfile` make its files where the user expects them while the block, which runs a user's code, runs."""
    before, tempfile.tempdir = tempfile.tempdir, str(shared_folder())
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def in_folder_for_sockets() -> Iterator[None]:
    """Have multiprocessing make its folder of sockets in this process's own, in /tmp where TMPDIR is too long for them.

    It keeps that folder as long as the process lives.
    """
    own = own_folder(shared_folder())
    if own is None or len(os.fsencode(own)) > _LONGEST:
        own = own_folder(Path("/tmp")) or Path("/tmp")  # noqa: S108 - a folder of our own in it
    before, tempfile.tempdir = tempfile.tempdir, str(own)
    try:
        yield
    finally:
        tempfile.tempdir = before


def own_folder(parent: Path) -> Path | None:
    """This process's own folder in another, as long as it lives; None where it cannot be made.

    One that somebody has removed, such as a service that tidies up, is made again.
    """
    with _lock:
        made = _made.get(parent)
        if made is None or made.pid != os.getpid() or not made.path.is_dir():
            remove_abandoned(parent, _PREFIX)
            try:
                made = OwnedFolder(parent, _PREFIX)
            except OSError:
                return None
            _made[parent] = made
            Finalize(None, made.remove, exitpriority=_AFTER_SOCKETS)
        return made.path
