"""No barrier: 16 trials, every fourth 2 s long and the others 0.2 s, on 4 workers.

    python benchmarks/barrier.py

The ideal is the shortest schedule of these lengths on four workers in the order they are asked; a sweeper that runs
batches waits for the longest of each. `hydra/launcher=joblib` shows that, on the same trials (pip install
hydra-joblib-launcher). Time runs from the first start to the last end, after each worker has run a trial to warm up.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from trivial.command import sweep, table, trials

N_WORKERS, N_TRIALS = 4, 16


def length(number: int) -> float:
    """Seconds that a trial sleeps."""
    return 2.0 if number % 4 == 0 else 0.2


def ideal() -> float:
    """Seconds from the first start to the last end, if a trial started whenever a worker was free."""
    free = [0.0] * N_WORKERS
    for number in range(N_TRIALS):
        first = free.index(min(free))
        free[first] += length(number)
    return max(free)


def measured(folder: Path, name: str, *overrides: str) -> float:
    ours = ["model=timetable", f"n_trials={N_TRIALS + N_WORKERS}", f"n_jobs={N_WORKERS}", "sampler=grid"]
    sweep(folder, name, *ours, *overrides)
    ran = trials(folder, name)[N_WORKERS:]
    return max(t.datetime_complete for t in ran).timestamp() - min(t.datetime_start for t in ran).timestamp()


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        seconds = measured(Path(folder), "pool")
        rows.append(["sweeps", f"{seconds:.2f}", f"{ideal() / seconds:.0%}"])
        if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher"):
            seconds = measured(Path(folder), "joblib", "hydra/launcher=joblib")
            rows.append(["batches (hydra/launcher=joblib)", f"{seconds:.2f}", f"{ideal() / seconds:.0%}"])
    rows.append(["the ideal schedule", f"{ideal():.2f}", "100%"])
    table(["16 trials on 4 workers", "seconds", "of the ideal"], rows)


if __name__ == "__main__":
    main()
