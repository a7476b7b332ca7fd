"""Resuming a study: what is refused, and what is done."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import yaml

from .fault_site import Site, check_whole, counted, sequence


@pytest.fixture
def begun(site: Site) -> Site:
    """A sweep of four trials that was killed before its end."""
    assert site.start("n_trials=4", kill="after optuna:Study.tell 2").wait() == -signal.SIGKILL
    return site


def refused(site: Site, *overrides: str) -> str:
    command = site.start(*overrides)
    assert command.wait() == 1, command.out
    assert "Traceback" not in command.err
    assert "study_name=s" in command.err
    return command.err


@pytest.mark.slow
def test_a_changed_study_is_refused_with_what_changed(begun: Site) -> None:
    n_before = begun.n_begun()
    for overrides, parts in (
        (["model.x=interval(0,2)"], ["model/cog.x", '"high": 1.0', '"high": 2.0']),
        (["model.kind=round"], ["model/cog.kind", "was", "is"]),
        (["dataset.n_folds=3"], ["dataset.n_folds: it was 4, now it is 3"]),
        (["seed=7"], ["seed: it was 42, now it is 7"]),
    ):
        message = refused(begun, *overrides)
        assert all(part in message for part in parts), message
    begun.offset.write_text("0.1")
    assert "dataset content" in refused(begun)
    begun.offset.write_text("0.0")
    assert begun.n_begun() == n_before
    begun.sweep("n_trials=4")
    check_whole(begun, 4)


@pytest.mark.slow
def test_a_changed_default_is_refused_with_both(site: Site, tmp_path: Path) -> None:
    config = tmp_path / "conf" / "model" / "wheel.yaml"
    config.parent.mkdir(parents=True)
    text = "_target_: mischief.clockwork.Cog\nx: 0.5\ny: 2\nsearch_space:\n  x: {type: float, low: 0.0, high: 1.0}\n"
    config.write_text(text)
    own = ["model=wheel", "n_trials=2", "--config-dir", str(tmp_path / "conf")]
    site.sweep(*own)
    for old, new in (("x: 0.5", "x: 0.25"), ("y: 2", "y: 3")):
        config.write_text(text.replace(old, new))
        message = refused(site, *own)
        key, before = old.split(": ")
        assert f"model/wheel.{key}" in message
        assert before in message
        assert new.split(": ")[1] in message


def test_resume_goes_on_where_it_was_typed_with_more_trials(begun: Site, tmp_path: Path) -> None:
    resumed = begun.command("sweeps.resume", str(begun.folder / "multirun" / "s"), "n_trials=7", folder=tmp_path)
    assert resumed.wait() == 0, resumed.out + resumed.err
    check_whole(begun, 7)
    assert list(tmp_path.iterdir()) == []
    remembered = yaml.safe_load((begun.folder / "multirun" / "s" / "command.yaml").read_text())["arguments"]
    assert [argument for argument in remembered if argument.startswith("n_trials=")] == ["n_trials=7"]


@pytest.mark.slow
def test_a_sweep_resumed_with_more_trials_draws_what_one_command_would(begun: Site, site: Site) -> None:
    begun.sweep("n_trials=8")
    site.sweep("n_trials=8", study="other")
    assert sequence(site.study("other")) == sequence(begun.study())


@pytest.mark.slow
def test_a_finished_sweep_resumed_runs_and_registers_nothing_more(site: Site) -> None:
    site.sweep()
    n_before = site.n_begun()
    resumed = site.command("sweeps.resume", "multirun/s")
    assert resumed.wait() == 0, resumed.out + resumed.err
    check_whole(site)
    assert site.n_begun() == n_before
    assert len(site.client.search_model_versions("name = 'clockwork'")) == 1


@pytest.mark.slow
def test_one_study_of_several_datasets_is_resumed_alone(site: Site) -> None:
    """Both datasets are of one sweep; the second study was cut off."""
    conf = site.folder / "conf" / "dataset"
    conf.mkdir(parents=True)
    source = (Path(__file__).parent / "faulty_package/mischief/conf/dataset/clockwork.yaml").read_text()
    source = source.replace("path: ???", f"path: {site.offset}")
    (conf / "sundial.yaml").write_text(source.replace("name: clockwork", "name: sundial"))
    (conf / "hourglass.yaml").write_text(source)
    search = f"hydra.searchpath=[pkg://mischief.conf,file://{site.folder / 'conf'}]"
    arguments = ["-m", search, "dataset=hourglass,sundial", "n_trials=3", "n_jobs=1"]
    killed = site.command("sweeps.run", *arguments, "study_name=s", kill="after optuna:Study.tell 5")
    assert killed.wait() == -signal.SIGKILL
    check_whole(site, 3, "s-hourglass")
    assert len(counted(site.study("s-sundial"))) == 2
    resumed = site.command("sweeps.resume", "multirun/s-sundial")
    assert resumed.wait() == 0, resumed.out + resumed.err
    assert len(counted(site.study("s-sundial"))) == 3
    assert "s-hourglass" not in resumed.out
    again = site.command("sweeps.run", *arguments, "study_name=s", "n_trials=4")
    assert again.wait() == 0, again.out + again.err
    assert [len(counted(site.study(name))) for name in ("s-hourglass", "s-sundial")] == [4, 4]


@pytest.mark.slow
def test_a_folder_without_a_study_is_one_message(begun: Site, tmp_path: Path) -> None:
    shutil.copytree(begun.folder / "multirun" / "s", tmp_path / "s")
    (tmp_path / "s" / "study.db").unlink()
    for folder in (tmp_path / "s", tmp_path, tmp_path / "nothing"):
        resumed = begun.command("sweeps.resume", str(folder))
        assert resumed.wait() == 1
        assert "Traceback" not in resumed.err
        assert len(resumed.err.splitlines()) == 1
