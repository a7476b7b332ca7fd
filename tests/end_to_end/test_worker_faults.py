"""Workers that die, hang or run out of memory: it costs their own trial, and nobody waits for them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from sweeps.study.attribute import Attribute
from sweeps.study.trial_record import Record

from .fault_site import Site, check_projection, check_whole, counted
from .nursery import Command, wait_until


def workers(command: Command) -> list[psutil.Process]:
    """The processes that run trials: children of the server that the coordinator forks them from."""
    servers = psutil.Process(command.pid).children()
    return [child for server in servers for child in server.children()]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_worker_that_dies_once_costs_a_retry_and_no_trial(site: Site) -> None:
    site.sweep(mischief="die@2")
    check_whole(site)
    trials = site.study().get_trials()
    died, again = trials[2], trials[3]
    assert died.state == TrialState.FAIL
    assert "SIGKILL" in Record.of(died).error
    assert Record.of(died).interrupted
    assert again.user_attrs[Attribute.RETRY_OF] == 2
    assert again.params == died.params
    assert again.state == TrialState.COMPLETE


@pytest.mark.slow
@pytest.mark.parametrize(("max_retries", "n_attempts"), [(0, 1), (1, 2), (3, 4)])
def test_a_trial_that_always_kills_its_process_fails_after_its_retries(
    site: Site, max_retries: int, n_attempts: int
) -> None:
    site.sweep("n_jobs=2", f"max_retries={max_retries}", mischief="die@default")
    check_whole(site)
    attempts = [trial for trial in site.study().get_trials() if trial.params["model/cog.x"] == 0.5]
    assert [trial.state for trial in attempts] == [TrialState.FAIL] * n_attempts
    assert [Record.of(trial).interrupted for trial in attempts] == [True] * (n_attempts - 1) + [False]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "reason"),
    [("exit:3", "exit code 3"), ("memory", "memory"), ("abort", "SIGABRT")],
)
def test_the_reason_of_a_death_is_told(site: Site, deed: str, reason: str) -> None:
    site.sweep(mischief=f"{deed}@2")
    check_whole(site)
    died, again = site.study().get_trials()[2:4]
    assert reason in Record.of(died).error
    assert Record.of(died).interrupted
    assert again.params == died.params


@pytest.mark.slow
def test_an_idle_worker_that_is_killed_costs_nothing(site: Site) -> None:
    command = site.start("n_jobs=2", "n_trials=1", mischief="sleep:5@*")
    site.wait_until_begun(1)
    (busy,) = (int(file.name.split("-")[1]) for file in site.place.iterdir())
    wait_until(lambda: len(workers(command)) == 2)
    (idle,) = [worker for worker in workers(command) if worker.pid != busy]
    idle.kill()
    assert command.wait() == 0, command.err
    site.sweep("n_jobs=2", "n_trials=6")
    check_whole(site)
    assert len(site.study().get_trials()) == 6


@pytest.mark.slow
def test_every_worker_killed_between_trials_of_a_sweep_is_replaced(site: Site) -> None:
    command = site.start("n_jobs=2", "n_trials=8", "max_retries=5", mischief="sleep:0.5@*")
    for n_begun in (2, 5, 8):
        site.wait_until_begun(n_begun)
        for worker in workers(command):
            worker.kill()
    assert command.wait() == 0, command.err
    check_whole(site, 8)


@pytest.mark.parametrize("deed", ["stop", pytest.param("hold", marks=pytest.mark.slow)])
def test_the_others_never_wait_for_a_worker_that_hangs(site: Site, deed: str) -> None:
    command = site.start("n_jobs=2", mischief=f"{deed}@1")
    wait_until(lambda: len(counted(site.study())) == 5 if site.n_begun() == 6 else False)
    (pid,) = (int(file.name.split("-")[1]) for file in site.place.glob("1-*"))
    os.kill(pid, signal.SIGKILL)
    assert command.wait() == 0, command.err
    check_whole(site)


@pytest.mark.slow
@pytest.mark.parametrize("deed", ["stop", "hold"])
def test_a_worker_that_hangs_is_ended_at_its_time_out(site: Site, deed: str) -> None:
    site.sweep("n_jobs=2", "trial_timeout=8", mischief=f"{deed}@1")
    check_whole(site)
    trials = site.study().get_trials()
    assert trials[1].state == TrialState.FAIL
    assert "trial_timeout=8" in Record.of(trials[1]).error
    assert [trial.state for trial in trials[2:]] == [TrialState.COMPLETE] * 4


@pytest.mark.slow
def test_a_worker_that_is_stopped_and_woken_too_late_tells_nothing(site: Site) -> None:
    """Killed processes tell nothing: the result of a trial that was given up has no way in."""
    command = site.start("n_jobs=1", "trial_timeout=2", "n_trials=3", mischief="stop@1")
    site.wait_until_begun(2)
    (stopped,) = workers(command)
    wait_until(lambda: is_gone(stopped))
    assert command.wait() == 0, command.err
    check_whole(site, 3)
    assert [trial.state.name for trial in site.study().get_trials()] == ["COMPLETE", "FAIL", "COMPLETE"]


@pytest.mark.parametrize(
    "deed", ["hold", pytest.param("sleep:3600", marks=pytest.mark.slow), pytest.param("stop", marks=pytest.mark.slow)]
)
def test_workers_leave_when_the_coordinator_is_killed(site: Site, deed: str) -> None:
    command = site.start("n_jobs=2", mischief=f"{deed}@1")
    site.wait_until_begun(2)
    everyone = psutil.Process(command.pid).children(recursive=True)
    assert len(workers(command)) == 2
    command.send(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    wait_until(lambda: all(is_gone(process) for process in everyone), seconds=20)


@pytest.mark.slow
def test_what_a_trial_has_started_is_ended_with_it(site: Site) -> None:
    site.sweep("n_jobs=1", "n_trials=3", "trial_timeout=8", mischief="spawn@1 sleep:60@1")
    check_whole(site, 3)
    (file,) = site.place.glob("child-*")
    child = int(Path(file).name.split("-")[1])
    wait_until(lambda: not psutil.pid_exists(child) or is_gone(psutil.Process(child)), seconds=10)
    assert os.getpid() != child


@pytest.mark.slow
def test_too_many_deaths_end_the_sweep_with_one_message(site: Site) -> None:
    command = site.start("n_jobs=2", "n_trials=30", "max_retries=0", mischief="die@*")
    assert command.wait() == 1
    assert "max_failure_rate" in command.err
    assert "Traceback" not in command.err
    check_projection(site)
    assert len(counted(site.study())) < 10
    assert site.parent().info.status == "FAILED"
