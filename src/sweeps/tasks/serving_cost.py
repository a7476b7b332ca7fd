"""What a fitted model costs whoever serves it: time for one prediction, and size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pandas as pd
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from sweeps.tasks.base import Predictor

_CALLS = 30


def one_thread() -> threadpool_limits:
    """BLAS with one thread in a `with` block.

    While solvers on sparse text call BLAS on short vectors, threads cost more than they bring; and with one, sums and
    metrics do not depend on the number of processors.
    """
    return threadpool_limits(1, user_api="blas")


def predict_ms(predictor: Predictor, inputs: pd.DataFrame) -> float:
    """The median of 30 predictions of one row each, in milliseconds, with one thread.

    Args:
        predictor: fitted.
        inputs: the rows, taken in turns, at least one; the first is predicted once more before, for what is built then.
    """
    rows = [inputs.iloc[[index % len(inputs)]] for index in range(_CALLS)]
    seconds = []
    with threadpool_limits(1):
        predictor.predict(rows[0])
        for row in rows:
            started = time.perf_counter()
            predictor.predict(row)
            seconds.append(time.perf_counter() - started)
    return 1000.0 * median(seconds)


def model_bytes(predictor: Predictor, trusted: Sequence[str] = ()) -> int:
    """The size of the files that a model is stored in, in bytes."""
    with tempfile.TemporaryDirectory() as directory:
        predictor.save(Path(directory) / "model", trusted)
        return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())
