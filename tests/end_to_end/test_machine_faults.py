"""Faults of the machine around a sweep: folders that are full, read-only or gone, and processes that stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import yaml

from sweeps.study.lease import Lease
from sweeps.study.storage import open_storage

from .fault_site import PACKAGE, Site, check_whole, counted
from .nursery import user_environment, wait_until


@pytest.fixture
def small_tmp(tmp_path: Path) -> Iterator[Path]:
    """A `TMPDIR` of one megabyte."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all the space of a file system."""
    space = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * (space.f_bavail * space.f_frsize))
    return ballast


def run(site: Site, *command: str, folder: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which the nursery could not start as it is."""
    return subprocess.run(
        command,
        cwd=folder or site.folder,
        env=user_environment({"PYTHONPATH": site.nursery.python_path, **environ}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def is_one_message(err: str) -> bool:
    return "Traceback" not in err and 0 < err.count("\n") <= 3


@pytest.mark.slow
def test_a_tmpdir_that_fills_up_is_named_when_the_winner_is_registered(site: Site, small_tmp: Path) -> None:
    command = site.start("n_trials=4", mischief="sleep:0.5@*", TMPDIR=str(small_tmp))
    site.wait_until_begun(2)
    fill(small_tmp)
    assert command.wait() == 1, command.out + command.err
    assert f"TMPDIR={small_tmp}" in command.err
    assert "a disk is full" in command.err
    assert "MLFLOW_TRACKING_URI" not in command.err
    assert is_one_message(command.err)
    assert [path.name for path in small_tmp.iterdir()] == ["ballast"]
    resumed = site.command("sweeps.resume", "multirun/s")
    assert resumed.wait() == 0, resumed.err
    check_whole(site, 4)


@pytest.mark.slow
def test_a_killed_sweeps_temporary_folders_are_removed_by_the_next(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tmp" / "pymp-foreign").mkdir(parents=True)
    command = site.start("n_jobs=2", mischief="sleep:60@1", TMPDIR=str(tmp_path / "tmp"))
    site.wait_until_begun(2)
    command.send(signal.SIGKILL)
    command.wait()
    assert len(list((tmp_path / "tmp").iterdir())) > 1
    site.sweep("n_jobs=2", TMPDIR=str(tmp_path / "tmp"))
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["pymp-foreign"]
    check_whole(site)


APP = """
import os, tempfile
import hydra
@hydra.main(version_base=None, config_path=None)
def app(config):
    open(os.path.join(os.environ["TMPDIR"], "data")).close()
    assert tempfile.gettempdir() == os.environ["TMPDIR"]
    open(os.path.join(tempfile.mkdtemp(), "kept"), "w").close()
    return 1.0
app()
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [0, 1])
def test_an_app_finds_and_leaves_in_tmpdir_what_it_would_without_us(site: Site, tmp_path: Path, n_jobs: int) -> None:
    (site.folder / "app.py").write_text(APP)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "data").touch()
    typed = ("-m", "hydra/sweeper=sweeps", "+x=1,2", f"hydra.sweeper.n_jobs={n_jobs}")
    command = site.command("app.py", *typed, TMPDIR=str(tmp_path / "tmp"))
    assert command.wait() == 0, command.out + command.err
    assert len(list((tmp_path / "tmp").glob("*/kept"))) == 2
    assert not list((tmp_path / "tmp").glob("sweeps-*"))


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to, root neither."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    if os.getuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_read_only_working_directory_is_one_message_before_anything_else(site: Site, read_only: Path) -> None:
    for arguments in (site.arguments(), [one for one in site.arguments() if one != "-m"]):
        for environ in ({}, {"MLFLOW_TRACKING_URI": site.tracking_uri}):
            command = site.command("sweeps.run", *arguments, folder=read_only, **environ)
            assert command.wait() == 1
            assert "cannot be made" in command.err
            assert "FOLDER" in command.err
            assert is_one_message(command.err), command.err
    assert site.n_begun() == 0
    dry = site.command("sweeps.run", *site.arguments("dry_run=true"), folder=read_only)
    assert dry.wait() == 0, dry.err


@pytest.mark.slow
def test_a_home_that_is_read_only_and_a_umask_of_077_cost_nothing(site: Site, read_only: Path) -> None:
    command = [sys.executable, "-m", "sweeps.run", *site.arguments("n_jobs=2")]
    done = run(site, "sh", "-c", 'umask 077; exec "$@"', "sh", *command, HOME=str(read_only), PLACE=str(site.place))
    assert done.returncode == 0, done.stderr
    check_whole(site)
    assert not [path for path in (site.folder / "multirun").rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.slow
@pytest.mark.parametrize("mount", ["mount -t tmpfs -o size=64m tmpfs /dev/shm", "mount -t tmpfs -o ro tmpfs /dev/shm"])
def test_a_dev_shm_that_is_small_or_of_no_use_costs_nothing(site: Site, mount: str) -> None:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting needs root")
    command = [sys.executable, "-m", "sweeps.run", *site.arguments("n_jobs=2")]
    done = run(site, "unshare", "-m", "sh", "-c", f'{mount} || exit 77; exec "$@"', "sh", *command)
    if done.returncode == 77:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 0, done.stderr
    check_whole(site)


@pytest.mark.slow
def test_a_working_directory_that_is_gone_is_one_message(site: Site) -> None:
    code = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    for typed in (["sweeps.run", *site.arguments()], ["sweeps.resume", str(site.folder)], ["sweeps.sync", "s"]):
        command = [sys.executable, "-m", *typed]
        done = run(site, "sh", "-c", code, "sh", *command, PYTHONPATH=str(PACKAGE))  # an empty part would be the folder
        assert done.returncode == 1
        assert "working directory has been removed" in done.stderr
        assert is_one_message(done.stderr), done.stderr


@pytest.mark.slow
def test_a_script_or_a_folder_that_is_gone_when_a_sweep_is_resumed_is_one_message(site: Site, tmp_path: Path) -> None:
    (site.folder / "app.py").write_text(APP)
    (site.folder / "data").touch()
    typed = ("-m", "hydra/sweeper=sweeps", "+x=1,2", "hydra.sweeper.study_name=s", "hydra.sweep.dir=multirun")
    assert site.command("app.py", *typed, TMPDIR=str(site.folder)).wait() == 0
    (site.folder / "app.py").unlink()
    resumed = site.command("sweeps.resume", "multirun/s")
    assert resumed.wait() == 1
    assert f"gone: {site.folder / 'app.py'}" in resumed.err
    assert "hydra.sweeper.study_name=s" in resumed.err
    assert is_one_message(resumed.err), resumed.err
    command = site.folder / "multirun" / "s" / "command.yaml"
    command.write_text(yaml.safe_dump(yaml.safe_load(command.read_text()) | {"directory": str(tmp_path / "gone")}))
    resumed = site.command("sweeps.resume", str(command.parent), folder=tmp_path)
    assert resumed.wait() == 1
    assert f"{tmp_path / 'gone'}, which is gone" in resumed.err
    assert is_one_message(resumed.err), resumed.err


@pytest.mark.slow
def test_a_worker_that_is_stopped_and_continued_costs_time_and_nothing_else(site: Site) -> None:
    command = site.start("n_jobs=2", mischief="stop@1")
    site.wait_until_begun(2)
    time.sleep(5)
    (file,) = site.place.glob("1-*")
    os.kill(int(file.name.split("-")[1]), signal.SIGCONT)
    assert command.wait() == 0, command.err
    check_whole(site)
    assert len(site.study().get_trials()) == len(counted(site.study())) == 6


@pytest.mark.slow
def test_who_waits_for_another_to_describe_a_study_says_so_and_goes_on(site: Site) -> None:
    """The other process is this one, which holds the study and does no more."""
    (site.folder / "multirun" / "s").mkdir(parents=True)
    storage = open_storage(site.storage())
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    lease = Lease(study, storage)
    lease.acquire(join=False)
    command = site.start("join=true")
    wait_until(lambda: f"Waiting for process {os.getpid()} on" in command.out)
    assert site.n_begun() == 0
    lease.release()
    assert command.wait() == 0, command.err
    check_whole(site)
