"""Ctrl-C, SIGTERM, and the rules by which a sweep ends early."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time

import pytest
from optuna.trial import TrialState

from sweeps.study.attribute import was_cut_off

from .fault_site import Site, check_projection, check_whole, counted
from .nursery import wait_until

INTERRUPTED = "INTERRUPTED"


def check_interrupted(site: Site, out: str, name: str) -> None:
    check_projection(site)
    parent = site.parent()
    assert parent.info.status == "KILLED"
    assert parent.data.tags["sweeps.outcome"] == INTERRUPTED
    assert name in parent.data.tags["sweeps.reason"]
    assert "python -m sweeps.resume multirun/s" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "n_jobs"),
    [(signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGINT, 0)],
)
def test_one_signal_ends_the_sweep_when_the_trials_in_flight_have_ended(
    site: Site, number: signal.Signals, n_jobs: int
) -> None:
    command = site.start(f"n_jobs={n_jobs}", mischief="sleep:1@*")
    site.wait_until_begun(3)
    command.send(number)
    assert command.wait() == 128 + number, command.err
    assert "Traceback" not in command.err
    check_interrupted(site, command.out, number.name)
    trials = site.study().get_trials()
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert 3 <= len(complete) < 6  # the grace period was long enough
    assert all(was_cut_off(trial) for trial in trials if trial not in complete)  # asked, and not begun yet
    site.sweep(f"n_jobs={n_jobs}")
    check_whole(site)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_trials_that_outlast_the_grace_period_are_interrupted_and_run_again(site: Site, n_jobs: int) -> None:
    command = site.start(f"n_jobs={n_jobs}", "grace_period=1", mischief="sleep:3600@1")
    site.wait_until_begun(2)
    command.send(signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.err
    check_interrupted(site, command.out, "SIGTERM")
    trials = site.study().get_trials()
    assert trials[1].state == TrialState.FAIL
    site.sweep(f"n_jobs={n_jobs}")
    check_whole(site)
    assert [trial.params for trial in site.study().get_trials()].count(trials[1].params) == 2


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [0, 1, 2])
def test_a_second_signal_ends_it_at_once_and_it_can_be_gone_on_with(site: Site, n_jobs: int) -> None:
    command = site.start(f"n_jobs={n_jobs}", mischief="sleep:3600@1")
    site.wait_until_begun(2)
    command.send(signal.SIGINT)
    time.sleep(0.5)
    command.send(signal.SIGINT)
    assert command.wait() == 130, command.err
    assert "Traceback" not in command.err
    check_interrupted(site, command.out, "")
    site.sweep(f"n_jobs={n_jobs}")
    check_whole(site)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "registering"])
def test_a_signal_before_the_first_trial_and_after_the_last_leaves_nothing_running(site: Site, moment: str) -> None:
    command = site.start(mischief="sleep:0.1@*")
    if moment == "before":
        wait_until(lambda: "Study s" in command.out)
    else:
        wait_until(lambda: "refitting" in command.out)
    command.send(signal.SIGTERM)
    assert command.wait() in (143, 0), command.err
    assert "Traceback" not in command.err
    assert not site.study().get_trials(states=(TrialState.RUNNING,))
    if moment == "registering":
        check_projection(site)
    site.sweep()
    check_whole(site)


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_the_coordinator_alone(site: Site) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(site.folder)
        os.environ |= {"PLACE": str(site.place), "MISCHIEF": "sleep:1@*", "PYTHONPATH": site.nursery.python_path}
        os.execv(sys.executable, [sys.executable, "-m", "sweeps.run", *site.arguments("n_jobs=2")])
    site.wait_until_begun(3)
    os.write(terminal, b"\x03")
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # the terminal is closed
        pass
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130, shown.decode()
    check_interrupted(site, shown.decode(), "SIGINT")
    trials = site.study().get_trials()
    others = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    assert len(trials) - len(others) >= 3  # those that had begun; one that had not is taken back
    assert all(was_cut_off(trial) for trial in others)


@pytest.mark.slow
def test_target_patience_and_timeout_end_a_sweep_as_complete(site: Site) -> None:
    site.sweep("n_trials=50", "target=0.92", study="target")
    study = site.study("target")
    assert study.best_value >= 0.92
    assert [trial.value >= 0.92 for trial in study.get_trials()].index(True) == len(study.get_trials()) - 1
    site.sweep("n_trials=50", "patience=3", study="patience")
    trials = site.study("patience").get_trials()
    assert site.study("patience").best_trial.number == len(trials) - 4
    site.sweep("n_trials=500", "timeout=4", study="timeout", mischief="sleep:0.5@*")
    assert 1 <= len(counted(site.study("timeout"))) < 50
    for name, reason in (("target", "target"), ("patience", "patience"), ("timeout", "timeout")):
        check_projection(site, name)
        parent = site.parent(name)
        assert parent.info.status == "FINISHED"
        assert reason in parent.data.tags["sweeps.reason"]
        assert parent.data.tags["sweeps.registered_model"].startswith("clockwork/")
