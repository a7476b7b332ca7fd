"""Make MLflow whole from a study: `python -m sweeps.sync multirun/<study>`. It runs no trial."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError, TrackingError
from sweeps.base.say import say
from sweeps.study.asking import fail_cut_off
from sweeps.study.attribute import END
from sweeps.study.best import best_trial
from sweeps.study.command_file import recall, storage_of
from sweeps.study.folder import StudyFolder
from sweeps.study.lease import Lease
from sweeps.study.result import StudyResult
from sweeps.study.stopping import Outcome
from sweeps.study.storage import find_study, open_storage


def main(argv: Sequence[str] | None = None) -> None:
    """Log every trial that MLflow lacks, mark the best and end the parent run as the sweep ended."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.sync", description=__doc__)
    parser.add_argument("folder", type=Path, help="a study's folder, such as multirun/reviews-20261121-120000-1")
    parser.add_argument("--storage", metavar="URL", help="of the study's database, where it is behind a password")
    arguments = parser.parse_args(argv)
    run_command(lambda: _sync(StudyFolder(arguments.folder), arguments.storage))


def _sync(folder: StudyFolder, given: str | None) -> None:
    command = recall(folder)
    storage = storage_of(command, folder, given)
    study = find_study(storage, str(command["study_name"]))
    if study is None:
        raise ConfigError(f"{storage} has no study {command['study_name']}.")

    from sweeps.tracking import client as tracking
    from sweeps.tracking.study.parent import TRACKING, StudyRuns

    client = tracking.connect()
    lease = Lease(study, open_storage(storage))
    lease.acquire(join=False)
    try:
        fail_cut_off(study)
        experiment = tracking.experiment_id(client, study.user_attrs[TRACKING]["experiment"])
        outcome, reason = study.user_attrs.get(END, (Outcome.INTERRUPTED.value, "cut off"))
        runs = StudyRuns(client, experiment, study, folder)
        is_whole = runs.on_end(study, StudyResult(Outcome(outcome), reason, best_trial(study)))
    finally:
        lease.release()
    if not is_whole:
        raise TrackingError(f"MLflow at {tracking.shown_uri()} did not accept everything; check it, then try again.")
    say(f"MLflow at {tracking.shown_uri()} has every trial of {study.study_name}: run {runs.parent_id}")
