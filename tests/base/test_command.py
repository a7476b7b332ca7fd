"""Commands, and readers who have had enough."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("pipe", "code", "said"), [("the output", 128 + signal.SIGPIPE, ""), ("a worker's", 1, "BrokenPipeError: a worker")]
)
def test_only_the_pipe_that_nobody_reads_any_more_ends_a_command_quietly(pipe, code, said):
    script = f"""
import sys
from sweeps.base.command import until_nobody_reads
with until_nobody_reads():
    if {pipe == "the output"}:
        sys.stdin.readline()
        for _ in range(10):
            print("x" * 100_000)
    raise BrokenPipeError("a worker")
"""
    command = [sys.executable, "-c", script]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **streams, text=True) as process:
        if pipe == "the output":
            process.stdout.close()
        process.stdin.write("go\n")
        process.stdin.close()
        shown = process.stderr.read()
    assert process.returncode == code, shown
    assert said in shown
    assert said or not shown
