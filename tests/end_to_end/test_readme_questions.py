"""Each question that the README answers: its command works as printed, in the folder of a sweep."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Workbench
from .nursery import user_environment

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text(encoding="utf-8").partition("## Questions asked of MLflow")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"```sh\n(.*?)\n```", SECTION, re.DOTALL)
EXPECTED = ["completed", "comments", "logistic", "champion", "params.C", "['comments', 'Default']", "model=logistic"]


def test_every_question_has_one_command() -> None:
    assert len(COMMANDS) == len(EXPECTED)
    assert all("\n" not in command for command in COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "expected"), list(zip(COMMANDS, EXPECTED, strict=True)))
def test_its_command_answers(two_versions: Workbench, command: str, expected: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command.replace("reviews", "comments")],
        cwd=two_versions.folder,
        env=user_environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
