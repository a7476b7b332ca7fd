"""Locks between processes."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.base.errors import ConfigError
from sweeps.base.locks import machine_lock


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `TMPDIR` names."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_one_process_at_a_time_holds_a_lock_and_none_leaves_a_file(tmp_path: Path, shared: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(100):
            with machine_lock("counter"):
                before = int(counter.read_text())
                time.sleep(0)  # lets another thread in, if the lock does
                counter.write_text(str(before + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "800"
    assert list(shared.iterdir()) == []


def test_a_lock_follows_no_link_and_says_what_to_do(shared: Path, tmp_path: Path) -> None:
    with machine_lock("x"):
        (file,) = shared.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
    target = tmp_path / "precious"
    target.write_text("content")
    file.symlink_to(target)
    with pytest.raises(ConfigError, match=rf"{file} cannot be made or locked.*TMPDIR=FOLDER"), machine_lock("x"):
        pass
    assert target.read_text() == "content"
    assert file.is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_in_a_locks_place_is_one_message(shared: Path, make: Callable[[Path], None]) -> None:
    with machine_lock("x"):
        (file,) = shared.iterdir()
    make(file)
    with pytest.raises(ConfigError, match="TMPDIR=FOLDER"), machine_lock("x"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_users_who_share_tmpdir_do_not_get_in_each_others_way(shared: Path) -> None:
    shared.chmod(0o1777)
    for folder in shared.parents:
        if "pytest-" in str(folder):  # pytest makes them for one user alone
            folder.chmod(0o755)
    with machine_lock("x"):
        (ours,) = shared.iterdir()
        done = _as_nobody(shared, "with machine_lock('x'): print(*os.listdir(sys.argv[1]))")
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.split()) == sorted([ours.name, ours.name.replace("sweeps-0-", "sweeps-65534-")])
        ours.chmod(0o666)
        theirs = shared / ours.name.replace("sweeps-0-", "sweeps-65534-")
        theirs.touch()  # root's: somebody else has taken the place
        done = _as_nobody(shared, "with machine_lock('x'): pass")
        assert "ConfigError" in done.stderr
        assert "TMPDIR=FOLDER" in done.stderr
        assert theirs.exists()


def _as_nobody(shared: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """Run something as another user, who has imported it before, as the packages may be root's alone."""
    become = "import os, sys; from sweeps.base.locks import machine_lock; os.setgid(65534); os.setuid(65534)\n"
    return subprocess.run(
        [sys.executable, "-c", become + code, str(shared)],
        env=os.environ | {"TMPDIR": str(shared)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
