"""Stores that are locked, full, or shared by many sweeps."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

from .fault_site import Site, check_projection, check_whole, counted, sequence
from .nursery import wait_until

LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


def lock(file: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds a database for some time, from now on."""
    process = subprocess.Popen([sys.executable, "-c", LOCK, str(file), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("store", ["study", "mlflow"])
def test_a_store_that_another_process_locks_for_half_a_minute_costs_time_and_nothing_else(
    site: Site, store: str
) -> None:
    command = site.start(mischief="sleep:0.3@*")
    site.wait_until_begun(2)
    file = site.folder / ("multirun/s/study.db" if store == "study" else "mlflow.db")
    with lock(file, 32) as other:
        assert command.wait() == 0, command.out + command.err
        assert other.wait() == 0
    assert "Traceback" not in command.out + command.err
    check_whole(site)
    assert len(site.study().get_trials()) == 6


@pytest.mark.slow
def test_mlflow_locked_while_the_winner_is_registered_costs_time_and_nothing_else(site: Site) -> None:
    command = site.start()
    wait_until(lambda: "refitting" in command.out)
    with lock(site.folder / "mlflow.db", 32):
        assert command.wait() == 0, command.out + command.err
    check_whole(site)
    assert site.champion()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left: int) -> Path:
    """Take the space of a file system but for some bytes."""
    space = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * (space.f_bavail * space.f_frsize - left))
    return ballast


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 60_000])
def test_a_disk_that_is_full_under_multirun_is_one_message_and_the_sweep_goes_on_when_there_is_space(
    site: Site, small_disk: Path, left: int
) -> None:
    (site.folder / "multirun").symlink_to(small_disk)
    command = site.start("n_trials=30", mischief="sleep:0.2@*")
    site.wait_until_begun(3)
    ballast = fill(small_disk, left)
    assert command.wait() == 1, command.out + command.err
    assert "Traceback" not in command.err
    assert "space" in command.err
    assert command.err.count("\n") <= 4
    ballast.unlink()
    assert sqlite3.connect(small_disk / "s" / "study.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
    site.sweep("n_trials=12")
    check_whole(site, 12)
    assert not [trial for trial in counted(site.study()) if trial.state == TrialState.FAIL]


@pytest.mark.slow
def test_a_disk_that_is_full_under_mlflows_store_costs_no_trial(site: Site, small_disk: Path) -> None:
    store = small_disk / "mlflow.db"
    shutil.move(site.folder / "mlflow.db", store)
    (site.folder / "mlflow.db").symlink_to(store)
    command = site.start(mischief="sleep:0.3@*")
    site.wait_until_begun(2)
    ballast = fill(small_disk, 0)
    assert command.wait() == 1, command.out + command.err
    assert "Traceback" not in command.err
    assert "python -m sweeps.sync" in command.out
    assert len(counted(site.study())) == 6
    ballast.unlink()
    synced = site.command("sweeps.sync", "multirun/s")
    assert synced.wait() == 0, synced.err
    check_projection(site)
    site.sweep()
    check_whole(site)


@pytest.mark.slow
@pytest.mark.parametrize("is_fresh", [True, False])
def test_eight_sweeps_at_once_on_one_storage_and_one_store_all_finish(site: Site, is_fresh: bool) -> None:
    if is_fresh:
        (site.folder / "mlflow.db").unlink()
    else:
        site.sweep("storage=sqlite:///studies.db", "n_trials=1", study="first")
    names = [f"s{number}" for number in range(8)]
    commands = [site.start("storage=sqlite:///studies.db", "n_trials=4", "n_jobs=0", study=name) for name in names]
    for command in commands:
        assert command.wait(400) == 0, command.out + command.err
        assert "locked" not in command.out + command.err
    for name in names:
        check_whole(site, 4, name, f"sqlite:///{site.folder / 'studies.db'}")
    assert (
        len({tuple(map(str, sequence(site.study(n, f"sqlite:///{site.folder / 'studies.db'}")))) for n in names}) == 1
    )


@pytest.mark.slow
def test_a_second_coordinator_is_refused_by_name(site: Site) -> None:
    first = site.start(mischief="sleep:3@*")
    site.wait_until_begun(1)
    second = site.start()
    assert second.wait() == 1
    assert f"process {first.pid}" in second.err
    assert "join=true" in second.err
    first.send(signal.SIGKILL)
    first.wait()
    site.sweep()
    check_whole(site)


@pytest.mark.slow
def test_sweeps_that_begin_a_study_together_define_it_once(site: Site) -> None:
    together = [site.start("n_trials=12", "join=true", mischief="sleep:0.3@*") for _ in range(4)]
    for command in together:
        assert command.wait() == 0, command.out + command.err
    check_whole(site, 12)
    assert sum("registered" in command.out for command in together) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kill_the_first", [False, True])
def test_sweeps_that_join_share_the_budget(site: Site, kill_the_first: bool) -> None:
    first = site.start("n_trials=12", mischief="sleep:0.7@*")
    site.wait_until_begun(2)
    second = site.start("n_trials=12", "join=true", mischief="sleep:0.7@*")
    third = site.start("n_trials=12", "join=true", mischief="sleep:0.7@*")
    if kill_the_first:
        site.wait_until_begun(6)
        first.send(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    else:
        assert first.wait() == 0, first.err
    for command in (second, third):
        assert command.wait() == 0, command.out + command.err
    check_whole(site, 12)
    assert sum("registered" in command.out for command in (first, second, third)) == 1


@pytest.mark.slow
def test_what_a_joined_sweep_logs_after_it_has_departed_is_there_once(site: Site) -> None:
    lets_first, lets_second = (site.folder / name for name in ("lets_first", "lets_second"))
    first = site.start("n_trials=6", "join=true", mischief=f"await:{lets_first}@0")
    site.wait_until_begun(1)
    second = site.start("n_trials=6", "join=true", mischief=f"await:{lets_second}@3")
    site.wait_until_begun(4)

    def has_departed() -> bool:
        leases = [lease for name, lease in site.study().user_attrs.items() if name.startswith("sweeps.coordinator.")]
        return any(lease is not None and lease["has_departed"] for lease in leases)

    with lock(site.folder / "mlflow.db", 15):
        lets_second.touch()
        wait_until(has_departed)
        time.sleep(1)  # until it has let go of the study's lock
        second.send(signal.SIGSTOP)  # it has trials that MLflow lacks
    lets_first.touch()
    wait_until(lambda: f"Waiting for process {second.pid}" in first.out)
    second.send(signal.SIGCONT)
    together = [first, second]
    for command in together:
        assert command.wait() == 0, command.out + command.err
    check_whole(site)
    assert sum("registered" in command.out for command in together) == 1
