"""Trying again: how long to wait for what is locked, restarts or is away."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator


def pauses(first: float, longest: float, within: float = math.inf) -> Iterator[float]:
    """The pauses between one try and the next, each twice as long as the one before.

    Args:
        first: seconds.
        longest: seconds.
        within: seconds from the first pause on; when they are over, there are no more.
    """
    deadline = time.monotonic() + within
    pause = first
    while time.monotonic() < deadline:
        yield pause
        pause = min(2 * pause, longest)
