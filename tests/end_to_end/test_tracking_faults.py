"""A tracking server that is down, restarts, hangs or never comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import count

import pytest

from .fault_site import Site, check_projection, check_whole, counted
from .faulty_proxy import FaultyProxy
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


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultyProxy]:
    """A proxy in front of the server, without any trouble yet."""
    proxy = FaultyProxy(server.uri)
    yield proxy
    proxy.close()


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


def is_one_message(command: Command) -> bool:
    return "Traceback" not in command.out + command.err and len(command.err.splitlines()) <= 3


def sync(site: Site, uri: str) -> None:
    synced = site.command("sweeps.sync", "multirun/s", MLFLOW_TRACKING_URI=uri)
    assert synced.wait() == 0, synced.out + synced.err


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["500", "429", "cut", "torn"])
def test_a_server_in_trouble_at_the_start_is_one_message_and_nothing_is_written(
    site: Site, proxy: FaultyProxy, trouble: str
) -> None:
    before = sorted(site.folder.iterdir())
    proxy.trouble = trouble
    command = site.start(MLFLOW_TRACKING_URI=proxy.uri)
    assert command.wait() == 1, command.out + command.err
    assert proxy.uri in command.err
    assert is_one_message(command), command.err
    assert site.n_begun() == 0
    assert sorted(site.folder.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["429", "torn"])
def test_a_server_that_makes_no_parent_run_is_one_message_and_the_study_is_resumed(
    site: Site, proxy: FaultyProxy, trouble: str
) -> None:
    proxy.trouble, proxy.is_troubled = trouble, lambda path: "/runs/create" in path
    command = site.start(MLFLOW_TRACKING_URI=proxy.uri)
    assert command.wait() == 1, command.out + command.err
    assert is_one_message(command), command.err
    assert "python -m sweeps.resume multirun/s" in command.out
    assert site.n_begun() == 0
    proxy.trouble = ""
    resumed = site.command("sweeps.resume", "multirun/s", MLFLOW_TRACKING_URI=proxy.uri)
    assert resumed.wait() == 0, resumed.out + resumed.err
    check_whole(site)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["500", "429", "cut"])
def test_a_server_in_trouble_in_the_middle_costs_no_trial_and_sync_logs_them_later(
    site: Site, proxy: FaultyProxy, trouble: str
) -> None:
    command = site.start("n_trials=8", mischief="sleep:0.4@*", MLFLOW_TRACKING_URI=proxy.uri)
    site.wait_until_begun(3)
    proxy.trouble = trouble
    assert command.wait() == 1, command.out + command.err
    assert is_one_message(command), command.err
    assert "python -m sweeps.sync multirun/s" in command.out
    assert len(counted(site.study())) == len(site.study().get_trials()) == 8
    proxy.trouble = ""
    sync(site, proxy.uri)
    check_projection(site)


@pytest.mark.slow
def test_a_server_that_is_in_trouble_for_a_while_is_given_everything_by_the_end(site: Site, proxy: FaultyProxy) -> None:
    command = site.start("n_trials=8", mischief="sleep:2@*", MLFLOW_TRACKING_URI=proxy.uri)
    for n_begun, trouble in enumerate(("500", "cut", "429", "502", ""), start=3):
        site.wait_until_begun(n_begun)
        proxy.trouble = trouble
    assert command.wait() == 0, command.out + command.err
    assert is_one_message(command), command.err
    check_whole(site, 8)


@pytest.mark.slow
def test_a_server_that_is_late_holds_no_trial_up_and_is_given_everything(site: Site, proxy: FaultyProxy) -> None:
    proxy.trouble = "late"
    command = site.start("n_trials=8", mischief="sleep:0.4@*", MLFLOW_TRACKING_URI=proxy.uri)
    wait_until(lambda: site.n_begun() == 8)
    assert len([run for run in site.children() if run.info.status != "RUNNING"]) < 7  # the log lags behind the trials
    proxy.is_troubled = lambda path: "runs" in path  # the registry's forty requests would take as long again
    assert command.wait() == 0, command.out + command.err
    assert (command.err, "MLflow is incomplete" in command.out) == ("", False)
    check_whole(site, 8)


@pytest.mark.slow
def test_a_run_that_was_made_although_the_answer_was_lost_is_not_there_twice(site: Site, proxy: FaultyProxy) -> None:
    number = count()  # of requests; MLflow's client sends one that failed again by itself
    proxy.is_troubled = lambda path: "/runs/create" in path and next(number) % 2 == 0
    proxy.trouble = "502"
    command = site.start(MLFLOW_TRACKING_URI=proxy.uri)
    assert command.wait() == 0, command.out + command.err
    assert proxy.n_troubled == 7  # of the parent run and of each child
    check_whole(site)
