"""Wall time by phase, and what fitting costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sweeps.base.cache import SPENT


class Clock:
    """Measures the phases of a trial.

    Attributes:
        seconds: wall time by phase.
        fit_seconds: CPU seconds of fitting, work that trials share counted as if this one had made it alone: the phases
            that fit, and the shared work that others ask for.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.fit_seconds = 0.0

    @contextmanager
    def phase(self, name: str, *, fits: bool = False) -> Iterator[None]:
        """Count the time inside the block; whether it is one that `fits`."""
        started, cpu = time.perf_counter(), time.process_time()
        spared, whole = SPENT.spared, SPENT.whole
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
            own = time.process_time() - cpu + SPENT.spared - spared
            self.fit_seconds += own if fits else SPENT.whole - whole
