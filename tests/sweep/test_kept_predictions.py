"""What trials predict takes no more than the bound, and the best keep theirs."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.trial import TrialState

from sweeps.base.predictions import FOLDER
from sweeps.study.folder import StudyFolder
from sweeps.sweep.kept_predictions import KeptPredictions


def tell(study: optuna.Study, folder: Path, value: float | None, size: int = 100) -> optuna.trial.FrozenTrial:
    """A trial that leaves a file of predictions, and failed if it has no value."""
    trial = study.ask()
    kept = folder / str(trial.number) / FOLDER
    kept.mkdir(parents=True)
    (kept / "val-0.npz").write_bytes(b"x" * size)
    return study.tell(trial, value, state=TrialState.COMPLETE if value is not None else TrialState.FAIL)


def left(folder: Path) -> set[int]:
    return {int(path.parent.name) for path in folder.glob(f"*/{FOLDER}")}


def test_the_worst_go_first_and_those_that_failed_keep_none(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    kept = KeptPredictions(study, StudyFolder(tmp_path), most_bytes=350)
    for value in (0.5, 0.9, None, 0.1, 0.7, 0.8):
        kept.on_trial(study, tell(study, tmp_path, value))
    assert left(tmp_path) == {1, 4, 5}


def test_a_resumed_study_counts_what_it_has(tmp_path: Path) -> None:
    study = optuna.create_study(direction="minimize")
    for value in (0.5, 0.9, 0.1):
        tell(study, tmp_path, value)
    kept = KeptPredictions(study, StudyFolder(tmp_path), most_bytes=250)
    assert left(tmp_path) == {0, 2}
    kept.on_trial(study, tell(study, tmp_path, 0.2))
    assert left(tmp_path) == {2, 3}


def test_one_that_is_larger_than_the_bound_stays_alone(tmp_path: Path) -> None:
    study = optuna.create_study()
    kept = KeptPredictions(study, StudyFolder(tmp_path), most_bytes=50)
    kept.on_trial(study, tell(study, tmp_path, 0.5))
    assert left(tmp_path) == {0}


def test_a_trial_without_any_is_nothing_to_count(tmp_path: Path) -> None:
    study = optuna.create_study()
    trial = study.ask()
    KeptPredictions(study, StudyFolder(tmp_path)).on_trial(study, study.tell(trial, 1.0))
    assert left(tmp_path) == set()
