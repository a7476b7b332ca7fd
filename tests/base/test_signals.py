"""Signals in processes of their own, since handlers are a matter of the whole process."""

import subprocess
import sys

import pytest

HEAD = """
import signal, sys, time, weakref
from sweeps.base.errors import Interrupted
from sweeps.base.signals import Interrupts, raise_interrupts

class Mortal:
    def __del__(self):
        if signum := globals().get("in_destructor"):
            signal.raise_signal(signum)
            time.sleep(0)

def die():
    mortal = Mortal()
    reference = weakref.ref(mortal, lambda _: signal.raise_signal(in_callback) if in_callback else None)
    del mortal

raise_interrupts()
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("place", ["in_destructor", "in_callback"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_comes_where_python_drops_exceptions_is_not_lost(place, name):
    code = f"""
in_destructor = in_callback = None
{place} = signal.{name}
try:
    die()
    in_destructor = in_callback = None
    time.sleep(30)
except Interrupted as interrupt:
    print(interrupt.received.name)
"""
    ended = run(code)
    assert (ended.stdout, ended.stderr) == (f"{name}\n", "")


def test_the_second_signal_is_not_lost_either():
    code = """
in_destructor = None
in_callback = signal.SIGINT
with Interrupts(lambda: None) as interrupts:
    signal.raise_signal(signal.SIGTERM)
    try:
        die()
        in_callback = None
        time.sleep(30)
    except Interrupted as interrupt:
        print(interrupts.received.name, interrupt.received.name)
"""
    ended = run(code)
    assert (ended.stdout, ended.stderr) == ("SIGTERM SIGINT\n", "")


def test_other_exceptions_that_python_drops_are_shown_as_ever():
    ended = run("""
class Broken:
    def __del__(self):
        raise ValueError("dropped")

Broken()
""")
    assert "ValueError: dropped" in ended.stderr
    assert ended.returncode == 0
