"""A tracking server that is down, restarts, hangs or never comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from .fault_site import Site, check_projection, check_whole, counted
from .nursery import Command, wait_until


class Server:
    """`mlflow server` on loopback, on a site's store."""

    def __init__(self, site: Site, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._site = site
        self._command: Command | None = None

    def start(self) -> None:
        where = ["--host", "127.0.0.1", "--port", self.uri.rpartition(":")[2], "--workers", "1"]
        self._command = self._site.command("mlflow", "server", "--backend-store-uri", self._site.tracking_uri, *where)
        wait_until(self._is_up)

    def send(self, number: int) -> None:
        """Send a signal to all its processes."""
        assert self._command is not None
        os.killpg(self._command.pid, number)

    def kill(self) -> None:
        if self._command is not None:
            with contextlib.suppress(ProcessLookupError):  # it is dead already
                self.send(signal.SIGKILL)
            self._command.wait()
            self._command = None

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


@pytest.fixture
def server(site: Site, unused_port: int) -> Iterator[Server]:
    server = Server(site, unused_port)
    server.start()
    yield server
    server.kill()


def test_a_server_that_is_down_before_the_start_is_one_message_and_nothing_is_written(
    site: Site, unused_port: int
) -> None:
    before = sorted(site.folder.iterdir())
    command = site.start(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{unused_port}")
    assert command.wait() == 1
    assert f"http://127.0.0.1:{unused_port}" in command.err
    assert "Traceback" not in command.err
    assert site.n_begun() == 0
    assert sorted(site.folder.iterdir()) == before


@pytest.mark.slow
def test_what_a_server_misses_while_it_is_down_is_logged_when_it_is_back(site: Site, server: Server) -> None:
    command = site.start("n_trials=500", mischief="sleep:1@*", MLFLOW_TRACKING_URI=server.uri)
    site.wait_until_begun(3)
    server.kill()
    site.wait_until_begun(8)
    server.start()
    wait_until(lambda: len(site.children()) >= 7)
    command.send(signal.SIGTERM)
    assert command.wait() == 143, command.out + command.err
    check_projection(site)
    assert site.parent().info.status == "KILLED"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["killed", "hanging"])
def test_a_server_that_is_gone_for_good_holds_no_trial_up_and_sync_logs_them_later(
    site: Site, server: Server, trouble: str
) -> None:
    command = site.start("n_trials=8", mischief="sleep:0.5@*", MLFLOW_TRACKING_URI=server.uri)
    site.wait_until_begun(3)
    server.send(signal.SIGKILL if trouble == "killed" else signal.SIGSTOP)
    wait_until(lambda: len(counted(site.study())) == 8, seconds=60)
    assert command.wait(200) == 1, command.out + command.err
    assert "Traceback" not in command.err
    assert "python -m sweeps.sync multirun/s" in command.out
    assert "python -m sweeps.resume multirun/s" in command.err
    if trouble == "killed":
        server.kill()
        server.start()
    else:
        server.send(signal.SIGCONT)
    synced = site.command("sweeps.sync", "multirun/s", MLFLOW_TRACKING_URI=server.uri)
    assert synced.wait() == 0, synced.err
    check_projection(site)
    assert site.parent().info.status == "FINISHED"
    resumed = site.command("sweeps.resume", "multirun/s", MLFLOW_TRACKING_URI=server.uri)
    assert resumed.wait() == 0, resumed.out + resumed.err
    check_whole(site, 8)
    assert site.champion()


@pytest.mark.slow
def test_sync_makes_a_whole_projection_of_a_sweep_that_was_killed(site: Site) -> None:
    command = site.start(kill="before mlflow:MlflowClient.create_run 3")
    assert command.wait() == -signal.SIGKILL
    again = site.start(mischief="sleep:60@3")
    site.wait_until_begun(4)
    again.send(signal.SIGKILL)
    again.wait()
    refused = site.command("sweeps.sync", "multirun/nothing")
    assert refused.wait() == 1
    assert "Traceback" not in refused.err
    for _ in range(2):
        synced = site.command("sweeps.sync", "multirun/s")
        assert synced.wait() == 0, synced.err
        check_projection(site)
        assert site.parent().info.status == "KILLED"
    site.sweep()
    check_whole(site)
