"""A sweep whose processes share computed work: the same scores as without, and nothing left behind."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sweeps.tasks.text.reviews import load_reviews

DATA = ["dataset=text_csv", "dataset.path=texts.csv", "dataset.text_column=text", "dataset.label_column=label"]
SWEEP = ["-m", *DATA, "model=svm,logistic", "n_trials=4", "sampler=random", "study_name=shared", "dataset.n_folds=2"]


def run(folder: Path, *arguments: str) -> tuple[str, list[dict[str, str]]]:
    """The main command in an empty folder; what it says, and its trials."""
    (folder / "tmp").mkdir(parents=True)
    reviews = load_reviews()
    pd.DataFrame({"text": reviews.texts[:400], "label": reviews.labels[:400]}).to_csv(folder / "texts.csv", index=False)
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, "-m", "sweeps.run", *SWEEP, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    with (folder / "multirun" / "shared" / "trials.csv").open() as file:
        return done.stdout, sorted(csv.DictReader(file), key=lambda row: int(row["number"]))


@pytest.mark.slow
def test_shared_and_unshared_sweeps_have_the_same_scores_and_leave_nothing(tmp_path: Path) -> None:
    said, shared = run(tmp_path / "shared", "n_jobs=2", "profile=true")
    _, unshared = run(tmp_path / "unshared", "n_jobs=1", "cache.max_bytes=0", "cache.max_memory_bytes=0")
    measured = [name for name in shared[0] if name.startswith(("val_", "train_", "test_"))]
    assert len(measured) >= 12
    assert [[row[name] for name in measured] for row in shared] == [
        [row[name] for name in measured] for row in unshared
    ]
    table = said[said.index("seconds of all trials") :]
    assert all(phase in table for phase in ("load", "vectorize", "fit", "score", "tracking"))
    for name in ("shared", "unshared"):
        assert not list((tmp_path / name / "tmp").glob("sweeps-cache-*"))
