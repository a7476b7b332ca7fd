"""Calls in a process of its own: results, errors, time-outs, deaths, and that no process stays behind."""

from __future__ import annotations

import os
import re
import signal
import time

import psutil
import pytest

from sweeps.base.errors import DataError, ModelError, PredictionTimeoutError
from sweeps.base.signals import time_limit
from sweeps.tasks.supervised import Supervised


class Subject:
    """What is called."""

    def pid(self) -> int:
        return os.getpid()

    def double(self, value: list[int]) -> list[int]:
        print("not for our standard output")  # noqa: T201
        return [2 * one for one in value]

    def refuse(self) -> None:
        raise DataError("the message itself")

    def fail(self) -> None:
        raise ZeroDivisionError("of the model")

    def hang(self) -> None:
        re.match(r"(\w+\s?)+$", "a" * 60 + "!")  # holds the interpreter's lock

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


def gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_results_and_errors_come_back_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    supervised = Supervised(Subject(), 60.0)
    assert supervised.call("double", [1, 2]) == [2, 4]
    pid = supervised.call("pid")
    with pytest.raises(DataError, match=r"^the message itself$"):
        supervised.call("refuse")
    with pytest.raises(ModelError, match="The model cannot predict: ZeroDivisionError: of the model"):
        supervised.call("fail")
    assert supervised.call("pid") == pid != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_what_hangs_or_dies_is_ended_and_the_next_call_is_answered() -> None:
    supervised = Supervised(Subject(), 60.0)
    first = supervised.call("pid")
    supervised.seconds = 0.5
    with pytest.raises(PredictionTimeoutError, match=r"did not answer within 0\.5 s"):
        supervised.call("hang")
    assert gone(first)
    supervised.seconds = 60.0
    second = supervised.call("pid")
    with pytest.raises(ModelError, match="died"):
        supervised.call("die")
    assert supervised.call("pid") not in (first, second)


def test_whoever_stops_waiting_ends_the_process() -> None:
    supervised = Supervised(Subject(), 60.0)
    pid = supervised.call("pid")
    with pytest.raises(KeyboardInterrupt), time_limit(0.5, KeyboardInterrupt()):  # type: ignore[arg-type]
        supervised.call("hang")
    assert gone(pid)
    assert supervised.call("double", [1]) == [2]


def test_the_process_goes_with_its_object() -> None:
    supervised = Supervised(Subject(), 60.0)
    pid = supervised.call("pid")
    del supervised
    assert gone(pid)


def test_the_time_limit_of_the_main_thread_ends_a_regular_expression() -> None:
    with pytest.raises(ModelError, match="enough"), time_limit(0.2, ModelError("enough")):
        Subject().hang()
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(60.0, ModelError("never")):
        pass
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
