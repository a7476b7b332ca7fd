"""From Enter to the first trial, and to the end of a sweep of one trial.

    python benchmarks/startup.py

In a folder that has an MLflow store already; medians of five runs. `import mlflow` is what any tracked loop would need.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trivial.command import sweep, table, trials


def main() -> None:
    first, end, imports = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        sweep(Path(folder), "warm_up", "n_trials=1")
        for number in range(5):
            entered = time.time()
            end.append(sweep(Path(folder), f"s{number}", "n_trials=1"))
            (trial,) = trials(Path(folder), f"s{number}")
            first.append(trial.datetime_start.timestamp() - entered)
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import mlflow, optuna, hydra"], check=True)
            imports.append(time.perf_counter() - started)
    rows = [
        ["to the first trial", f"{statistics.median(first):.2f}"],
        ["to the end of a sweep of one trial", f"{statistics.median(end):.2f}"],
        ["python -c 'import mlflow, optuna, hydra', for comparison", f"{statistics.median(imports):.2f}"],
    ]
    table(["from Enter", "seconds"], rows)


if __name__ == "__main__":
    main()
