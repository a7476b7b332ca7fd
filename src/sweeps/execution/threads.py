"""How many threads the libraries of a worker take."""

from __future__ import annotations

import os

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def take_one_each() -> None:
    """One thread in each process, for there are as many processes as cores; whoever has set it knows better."""
    for name in _VARIABLES:
        os.environ.setdefault(name, "1")
