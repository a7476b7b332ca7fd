"""Runs the main command on trials that cost nothing, and reads what it left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

HERE = Path(__file__).resolve().parent


def sweep(folder: Path, name: str, *overrides: str) -> float:
    """Run `python -m sweeps.run -m dataset=trivial` in a folder; returns its wall time in seconds."""
    command = [sys.executable, "-m", "sweeps.run", "--config-dir", str(HERE / "conf"), "-m", "dataset=trivial"]
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "SWEEPS_TRUST": "trivial.task.Trivial"}
    started = time.perf_counter()
    subprocess.run(
        [*command, f"study_name={name}", *overrides], cwd=folder, env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - started


def trials(folder: Path, name: str) -> list[FrozenTrial]:
    """The trials of a sweep, in order."""
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/multirun/{name}/study.db")
    return study.trials


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print columns aligned left."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
