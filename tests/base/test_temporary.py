"""Temporary folders: of a dead process they are removed, of anybody else they are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeps.base.owned_folder import OwnedFolder, remove_abandoned
from sweeps.base.temporary import in_own_folder, in_shared_folder, own_folder, shared_folder

HOLD = """
import sys, tempfile
from multiprocessing import forkserver
from sweeps.base.temporary import in_folder_for_sockets, in_own_folder
with in_own_folder():
    with in_folder_for_sockets():
        forkserver.ensure_running()
    own = tempfile.mkdtemp()
    print(own, flush=True)
    sys.stdin.readline()
"""
NOBODY = 65534


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `TMPDIR` names."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def start(shared: Path) -> subprocess.Popen[str]:
    """A process that has made temporary files, and waits for a line."""
    environ = os.environ | {"TMPDIR": str(shared)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert Path(process.stdout.readline().strip()).is_dir()
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_leaves_is_removed_by_the_next_and_a_living_ones_stays(shared: Path) -> None:
    (shared / "tmpabcdefgh").mkdir()
    (shared / "pymp-foreign").mkdir()
    killed, alive = start(shared), start(shared)
    assert len(names(shared)) == 4, "each has one folder, with all of its own in it"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with in_own_folder():
        assert len(names(shared)) == 4
        assert Path(tempfile.mkdtemp()).parent.parent == shared
        with in_shared_folder():
            assert tempfile.gettempdir() == str(shared)
        assert shared_folder() == shared
    assert tempfile.gettempdir() == str(shared)
    alive.communicate("end\n")
    assert alive.returncode == 0
    left = [name for name in names(shared) if name.startswith("sweeps-tmp-")]
    own = own_folder(shared)
    assert own is not None
    assert left == [own.name]
    assert {"tmpabcdefgh", "pymp-foreign"} < set(names(shared))


def test_a_folder_that_somebody_has_tidied_away_is_made_again(shared: Path) -> None:
    before = own_folder(shared)
    assert before is not None
    for file in before.iterdir():
        file.unlink()
    before.rmdir()
    with in_own_folder():
        assert Path(tempfile.mkdtemp()).is_dir()


def test_nothing_is_removed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    for name in ("owner", "content"):
        (tmp_path / "precious" / name).touch()
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "x-1").symlink_to(tmp_path / "precious")
    remove_abandoned(tmp_path / "place", "x-")
    assert names(tmp_path / "precious") == ["content", "owner"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's files")
def test_another_users_folder_is_left_alone_even_by_root(tmp_path: Path) -> None:
    theirs = OwnedFolder(tmp_path, "x-")
    (theirs.path / "content").touch()
    theirs._owner.close()  # it is dead
    for path in (theirs.path, *theirs.path.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    remove_abandoned(tmp_path, "x-")
    assert names(theirs.path) == ["content", "owner"]
    for path in (theirs.path, *theirs.path.iterdir()):
        os.chown(path, 0, 0)
    remove_abandoned(tmp_path, "x-")
    assert names(tmp_path) == []


def test_a_long_tmpdir_still_holds_the_files_and_the_sockets_are_elsewhere(tmp_path: Path) -> None:
    shared = tmp_path / ("long" * 20)
    shared.mkdir()
    process = start(shared)
    (own,) = shared.iterdir()
    assert not list(own.glob("pymp-*"))
    process.communicate("end\n")
    assert process.returncode == 0
    assert names(shared) == []
