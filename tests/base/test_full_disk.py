"""A full disk is known through what others wrap around it."""

import errno
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from sweeps.base.full_disk import is_about_temporary_files, is_disk_full, what_to_do
from sweeps.tracking.client import unreachable

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def wrapped(error: BaseException) -> Exception:
    outer = MlflowException("a model could not be logged")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        shutil.Error([("a", "b", str(FULL))]),
        MlflowException(str(FULL)),
        sqlite3.OperationalError("database or disk is full"),
        wrapped(FULL),
    ],
)
def test_a_full_disk_is_known_and_tmpdir_is_named_and_not_the_server(error: Exception) -> None:
    assert is_disk_full(error)
    message = str(unreachable(error))
    assert f"TMPDIR={tempfile.gettempdir()}" in message
    assert "a disk is full" in message
    assert "Check MLFLOW_TRACKING_URI" not in message


def test_other_errors_are_none() -> None:
    assert not is_disk_full(wrapped(OSError(errno.ECONNREFUSED, "refused")))
    assert "Check MLFLOW_TRACKING_URI" in str(unreachable(wrapped(ValueError("x"))))


def test_a_tmpdir_that_cannot_be_written_is_named() -> None:
    error = wrapped(PermissionError(errno.EACCES, "Permission denied", f"{tempfile.gettempdir()}/x"))
    assert is_about_temporary_files(error)
    assert "TMPDIR=FOLDER" in str(unreachable(error))
    assert not is_about_temporary_files(PermissionError(errno.EACCES, "Permission denied", "/elsewhere/x"))


def test_what_is_left_is_told_of_each_place(tmp_path: Path) -> None:
    told = what_to_do({"MLflow": tmp_path, "gone": tmp_path / "gone"})
    assert f"{tmp_path} (MLflow)" in told
    assert f"0 MB are left in {tmp_path / 'gone'}" in told
