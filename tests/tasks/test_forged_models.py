"""A stored model with any array or scalar changed: one `ModelError` or predictions; no traceback, crash or hang."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stored_models import KINDS

QUICK = ("knn", "baseline")
TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_every_forged_file_is_one_message_or_predicts(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tasks.forged_files", kind, str(tmp_path / "model")]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=500, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (lines[-1:], done.stderr[-3000:])
    outcomes = {what: outcome for what, outcome in lines if outcome is not None}
    assert len(outcomes) > 300
    assert {outcome for outcome in outcomes.values() if outcome in ("ModelError", "predicted")} == {
        "ModelError",
        "predicted",
    }
    wrong = {
        what: outcome for what, outcome in outcomes.items() if outcome not in ("ModelError", "DataError", "predicted")
    }
    assert wrong == {}
