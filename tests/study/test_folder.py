"""The folder of a study."""

from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from sweeps.base.errors import ConfigError
from sweeps.compose.root_config import RootConfig
from sweeps.compose.settings import Settings
from sweeps.study.folder import StudyFolder, new_study_name


def test_a_study_folder_owns_every_path_and_is_a_new_studys_until_something_else_is_in_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "multirun" / "first")
    folder.check_new()
    folder.make()
    paths = {folder.config, folder.command, folder.trials, folder.result}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {folder.path}
    optuna.create_study(storage=folder.storage_url, study_name="first")
    assert (folder.path / "study.db").is_file()
    folder.check_new()  # a sweep that was killed before it had a study
    (folder.path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"study_name=first: .* exists already, .* Choose another study_name"):
        folder.check_new()


def test_a_study_folder_that_cannot_be_made_says_how_to_choose_another_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"cannot be made: .*hydra\.sweep\.dir=FOLDER"):
        StudyFolder(tmp_path / "file" / "study").make()


def test_a_new_studys_name_is_one_that_the_settings_accept() -> None:
    name = new_study_name("reviews")
    assert name.startswith("reviews-")
    assert Settings.from_config(OmegaConf.structured(RootConfig(study_name=name))).study_name == name
