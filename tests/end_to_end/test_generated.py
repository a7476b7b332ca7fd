"""What a generator made up: each case is accepted or refused in a message, and a refused one leaves nothing.

A case that went wrong is known by its seed: `tally(case, [SEED])`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from generated import command_lines, models, requests, tables
from generated.kills import kill_and_resume
from generated.trial_and_error import Case, tally
from sweeps.serve.app import make_app
from sweeps.serve.holder import ModelHolder
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.service import Service
from sweeps.tracking.models.versions import ModelSource

from .conftest import Workbench
from .fault_site import Site, sequence
from .nursery import Nursery
from .serving import MODEL

pytestmark = pytest.mark.slow
N_LINES = 200
N_CASES = 600  # of each other kind
N_COMMANDS = 60
LONGEST = 60.0  # seconds on a machine that does other things, too; `benchmarks/faults.py` has a tighter bound
N_KILLS = 20


def check(case: Case, n_cases: int) -> None:
    found = tally(case, range(n_cases), LONGEST)
    assert found.wrong == {}
    assert found.outcomes["accepted"] > n_cases // 100
    assert found.outcomes["refused"] > n_cases // 50


def test_command_lines_are_looked_at_or_refused(bench: Workbench, texts: Path) -> None:
    check(command_lines.Looked(bench, texts), N_LINES)


def test_command_lines_run_or_are_refused(tmp_path: Path, empty_store: Path, texts: Path, nursery: Nursery) -> None:
    check(command_lines.Run(tmp_path, empty_store, texts, nursery, LONGEST), N_COMMANDS)


def test_files_are_read_or_refused(tmp_path: Path) -> None:
    check(tables.Read(tmp_path), N_CASES)


def test_stored_models_are_loaded_or_refused(tmp_path: Path) -> None:
    check(models.Load(tmp_path, ["logistic", "svm", "knn", "svd"]), N_CASES)


def test_requests_are_answered_or_refused(two_versions: Workbench) -> None:
    options = Options(max_batch=20, max_text=200)
    holder = ModelHolder(ModelSource(two_versions.client, MODEL), options)
    with TestClient(make_app(Service(holder, options, Metrics()))) as client:
        check(requests.Ask(client), N_CASES)


def test_sweeps_killed_at_random_moments_end_as_if_nothing_had_been(new_site: Callable[[], Site]) -> None:
    undisturbed = new_site()
    undisturbed.sweep()
    expected = sequence(undisturbed.study())
    n_kills = seed = 0
    while n_kills < N_KILLS:
        n_kills += kill_and_resume(random.Random(seed), new_site, expected)
        seed += 1
