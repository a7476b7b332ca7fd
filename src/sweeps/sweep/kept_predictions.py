"""The predictions of a study's trials, in their folders: what is removed of them, and what they tell in the end."""

from __future__ import annotations

import heapq
import shutil
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.predictions import FOLDER
from sweeps.study.best import is_feasible, sign_of
from sweeps.study.folder import StudyFolder
from sweeps.study.result import StudyResult
from sweeps.sweep.told_apart import find_alike

MOST_BYTES = 200_000_000


class KeptPredictions:
    """Bounds what is kept; a callback of the study's loop.

    The best are needed by the gate, and to tell which trials differ from the winner. Of several metrics the first
    counts.

    Args:
        study: it may have trials already.
        folder: its files.
        most_bytes: that predictions may take.
    """

    def __init__(self, study: Study, folder: StudyFolder, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._sign = sign_of(study.directions[0])
        self._bytes = 0
        self._kept: list[tuple[bool, float, int, int]] = []  # the worst first: feasible, how good, number, bytes
        for trial in study.get_trials(deepcopy=False):
            self._add(trial)

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Count what a told trial has kept, and make room for it."""
        self._add(trial)

    def on_end(self, study: Study, result: StudyResult) -> None:
        """Keep which trials are not told apart from the best."""
        if (alike := find_alike(study, self._folder)) is not None:
            alike.remember(study)

    def _add(self, trial: FrozenTrial) -> None:
        folder = self._of(trial.number)
        if not folder.is_dir():
            return
        if trial.state != TrialState.COMPLETE:  # what it had before it failed
            shutil.rmtree(folder, ignore_errors=True)
            return
        try:
            size = sum(file.stat().st_size for file in folder.iterdir())
        except OSError:  # somebody removes it
            return
        heapq.heappush(self._kept, (is_feasible(trial), -self._sign * trial.values[0], trial.number, size))
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, _, number, freed = heapq.heappop(self._kept)
            shutil.rmtree(self._of(number), ignore_errors=True)
            self._bytes -= freed

    def _of(self, number: int) -> Path:
        return self._folder.path / str(number) / FOLDER
