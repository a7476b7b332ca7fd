"""Waiting for what another process does: it is said, and it has an end."""

from __future__ import annotations

import time
from collections.abc import Callable

from sweeps.base.say import say

_SAID_AFTER = 5.0  # seconds
_LOOK_AGAIN = 0.2  # seconds


def wait_for(holds: Callable[[], bool], what: Callable[[], str], within: float) -> bool:
    """Wait until something holds.

    Args:
        holds: looks whether it does.
        what: is waited for, in a sentence; said once, if it takes long.
        within: seconds after which it is given up.

    Returns:
        Whether it holds.
    """
    began, is_said = time.monotonic(), False
    while not holds():
        waited = time.monotonic() - began
        if waited > within:
            return False
        if waited > _SAID_AFTER and not is_said:
            say(what())
            is_said = True
        time.sleep(_LOOK_AGAIN)
    return True
