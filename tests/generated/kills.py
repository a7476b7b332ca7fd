"""Sweeps that are killed at moments of chance, again and again, and then resumed to their end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from end_to_end.fault_site import Site, check_whole, sequence

AT_MOST = 12  # kills of one sweep


def kill_and_resume(rng: random.Random, new_site: Callable[[], Site], expected: Any) -> int:
    """Kill a sweep of six trials until it has ended all the same, or twelve times.

    Args:
        rng: of the moments.
        new_site: makes an empty folder for it.
        expected: the trials that an undisturbed sweep draws, with their values.

    Returns:
        How many kills it took.

    Raises:
        AssertionError: something was lost, is there twice, is still RUNNING, or differs.
    """
    site = new_site()
    n_kills = 0
    while n_kills < AT_MOST:
        command = site.start(f"n_jobs={rng.choice([0, 1, 1])}", mischief="sleep:0.1@*")
        time.sleep(rng.uniform(0.2, 5.0))
        with suppress(ProcessLookupError):  # it has ended by itself
            command.send(signal.SIGKILL)
        code = command.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL, command.out + command.err
        n_kills += 1
    command = site.sweep("n_jobs=1")
    assert "Traceback" not in command.err, command.err
    check_whole(site)
    assert sequence(site.study()) == expected
    return n_kills
