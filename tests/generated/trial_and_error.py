"""Tries cases and counts what came of them."""

from __future__ import annotations

import random
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 10.0  # seconds
LONGEST_MESSAGE = 40  # lines

Case = Callable[[random.Random], str]
"""Tries one case: `accepted`, `refused`, or whatever else it counts; it raises `WrongError` for what must not be."""


class WrongError(Exception):
    """A case ended as none may."""


@dataclass
class Tally:
    """What came of cases.

    Attributes:
        outcomes: how often each came.
        wrong: by seed, what went wrong.
        slowest: seconds.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0


def tally(case: Case, seeds: Iterable[int], longest: float = LONGEST) -> Tally:
    """Try a case with each seed."""
    found = Tally()
    for seed in seeds:
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a library's warning is none that users understand
                outcome = case(random.Random(seed))
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            found.wrong[seed] = str(error) if isinstance(error, WrongError) else traceback.format_exc()
            outcome = "wrong"
        seconds = time.perf_counter() - start
        if seconds > longest and outcome != "wrong":
            found.wrong[seed] = f"{outcome} after {seconds:.1f} s"
            outcome = "wrong"
        found.outcomes[outcome] += 1
        found.slowest = max(found.slowest, seconds)
    return found


def check_message(message: str, what: object) -> None:
    """A refusal is a message of a length that is read, and no traceback."""
    if not message.strip() or "Traceback" in message or len(message.splitlines()) > LONGEST_MESSAGE:
        raise WrongError(f"{what}: {message or 'no message'}")


def files_in(*folders: Path) -> set[str]:
    """All files and folders in folders."""
    return {str(path) for top in folders for path in top.rglob("*")}
