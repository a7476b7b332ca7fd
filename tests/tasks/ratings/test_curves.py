"""Figures for the runs of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging
logging.basicConfig(level=logging.INFO)
import numpy as np
from sweeps.tasks.ratings.curves import draw_curves
draw_curves({"cosine": np.array([1.0, 0.9])}, [1, 2], "neighbours k", "val_rmse").savefig("curve.png")
"""


def test_the_first_figure_on_a_machine_logs_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert process.stderr == ""
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "matplotlib").glob("fontlist-*.json"))
