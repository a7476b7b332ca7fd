"""The files of a study: where they are, `trials.csv` and `sweep_result.yaml`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sweeps.base.errors import ConfigError

_DATABASE = "study.db"


@dataclass(frozen=True)
class StudyFolder:
    """Owns every path of one study, `multirun/<study_name>/`."""

    path: Path

    def check_new(self) -> None:
        """Make sure that the folder can become a new study's.

        Raises:
            ConfigError: something else is there, or a URL cannot hold the path.
        """
        try:
            exists = self.path.exists()
        except OSError as error:  # as where a name is too long
            raise ConfigError(
                f"{str(self.path)[:200]}: {error.strerror}. Choose another place: hydra.sweep.dir=FOLDER"
            ) from error
        if exists and not (self.path.is_dir() and all(map(self._is_ours, self.path.iterdir()))):
            raise ConfigError(
                f"study_name={self.path.name}: {self.path} exists already, and is not a study to resume. Choose "
                f"another study_name, or leave it out for a new one."
            )
        if set("?#%") & set(str(self.path)):
            raise ConfigError(f"{self.path}: the path of a study's database must not contain '?', '#' or '%'.")

    def make(self) -> None:
        """Make the folder, unless it is there.

        Raises:
            ConfigError: it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be made: {error.strerror}. Choose another place: hydra.sweep.dir=FOLDER"
            ) from error

    def _is_ours(self, file: Path) -> bool:
        return file.name.startswith(_DATABASE) or file in (self.config, self.command)

    @property
    def storage_url(self) -> str:
        """The study's own storage, a sqlite file that Optuna Dashboard opens."""
        return f"sqlite:///{self.path / _DATABASE}"

    @property
    def config(self) -> Path:
        """The composed config of the sweep."""
        return self.path / "multirun.yaml"

    @property
    def command(self) -> Path:
        """What was typed, for `sweeps.resume`."""
        return self.path / "command.yaml"

    @property
    def trials(self) -> Path:
        """Every trial, one row."""
        return self.path / "trials.csv"

    @property
    def result(self) -> Path:
        """The end of the sweep."""
        return self.path / "sweep_result.yaml"


def new_study_name(dataset: str) -> str:
    """A name for a study that was given none: the dataset, the time and the process."""
    return f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
