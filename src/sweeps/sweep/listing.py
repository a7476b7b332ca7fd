"""Every study of a folder, in a line each: what it has come to, and whether it still runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.errors import SweepsError, first_line
from sweeps.study.attribute import END, METRICS, is_counted
from sweeps.study.best import best_trial
from sweeps.study.command_file import recall, storage_of
from sweeps.study.folder import StudyFolder
from sweeps.study.lease import Lease
from sweeps.study.storage import find_study, open_storage

_SHOWN_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Listed:
    """One study.

    Attributes:
        name: of the study and its folder.
        state: `running`, `completed`, `interrupted` or `failed`; `cut off` where its process died; or why it cannot be
            read.
        trials: numbers of trials that count, by what came of them.
        best: the values of the best trial, by metric; empty for none.
        best_trial: its number.
        started: when its first trial began; None for none.
        seconds: from then to the end of its last trial.
    """

    name: str
    state: str
    trials: dict[str, int]
    best: dict[str, float]
    best_trial: int | None
    started: datetime | None
    seconds: float


def list_studies(base: Path, storage: str | None = None) -> Iterator[Listed]:
    """The studies that have a folder below `base`, the newest last.

    Args:
        base: such as `multirun`.
        storage: the URL of a database, for studies that are in one behind a password.
    """
    found = [_listed(StudyFolder(file.parent), storage) for file in base.glob(f"*/{StudyFolder(base).command.name}")]
    return iter(sorted(found, key=lambda one: (one.started or datetime.min, one.name)))


def _listed(folder: StudyFolder, given: str | None) -> Listed:
    name = folder.path.name
    try:
        command = recall(folder)
        url = storage_of(command, folder, given if command["storage"] else None)
        study = find_study(url, str(command["study_name"]))
        if study is None:
            return _unread(name, "its database has no such study")
        return _described(name, study, url)
    except SweepsError as error:
        return _unread(name, first_line(error))


def _unread(name: str, why: str) -> Listed:
    return Listed(name, why, {}, {}, None, None, 0.0)


def _described(name: str, study: Study, url: str) -> Listed:
    trials = study.get_trials(deepcopy=False)
    counts = Counter(
        _SHOWN_STATES[trial.state] for trial in trials if is_counted(trial) and trial.state in _SHOWN_STATES
    )
    best = best_trial(study)
    begun = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    ended = [trial.datetime_complete for trial in trials if trial.datetime_complete is not None]
    return Listed(
        name=name,
        state=_state(study, trials, url),
        trials=dict(counts),
        best={} if best is None else dict(zip(study.user_attrs[METRICS], best.values, strict=True)),
        best_trial=None if best is None else best.number,
        started=min(begun, default=None),
        seconds=(max(ended) - min(begun)).total_seconds() if begun and ended else 0.0,
    )


def _state(study: Study, trials: Sequence[FrozenTrial], url: str) -> str:
    if Lease(study, open_storage(url)).others():
        return "running"
    end = study.user_attrs.get(END)
    if end is None or any(trial.state == TrialState.RUNNING for trial in trials):
        return "cut off"
    return str(end[0]).lower()
