"""`start_with`: points that were typed, or the best of an earlier study, are tried after the defaults."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from sweeps.study.attribute import Attribute

from .conftest import Finished, Workbench, text_csv
from .fault_site import Site, check_whole, sequence

TWO = "start_with=[{model: logistic, model.C: 0.5, model.class_weight: null}, {model: svm, model.kernel: rbf}]"


def trials(bench: Workbench, name: str) -> list[FrozenTrial]:
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{bench.folder}/multirun/{name}/study.db")
    return study.get_trials()


def files(bench: Workbench) -> list[str]:
    """But for those that sqlite has beside a database that is open."""
    return [path for path in bench.left() if not path.endswith(("-wal", "-shm"))]


def started(found: list[FrozenTrial]) -> list[dict[str, Any]]:
    return [trial.params for trial in found if Attribute.START in trial.user_attrs]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, texts: Path) -> Workbench:
    """With a study `first` of eight trials."""
    bench = Workbench(tmp_path_factory.mktemp("swept"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    bench.sweep(*text_csv(texts), "model=svm,logistic", "n_trials=8", "sampler=random", "study_name=first")
    return bench


def start(bench: Workbench, texts: Path, setting: str, name: str, *more: str) -> Finished:
    return bench.run("-m", *text_csv(texts), "model=svm,logistic", f"study_name={name}", setting, *more)


def test_typed_points_are_tried_after_the_defaults_and_count(swept: Workbench, texts: Path) -> None:
    assert start(swept, texts, TWO, "typed", "n_trials=5").code == 0
    found = trials(swept, "typed")
    assert len(found) == 5
    assert [trial.user_attrs.get(Attribute.DEFAULT) for trial in found] == [0, 1, None, None, None]
    assert [trial.user_attrs.get(Attribute.START) for trial in found] == [None, None, 0, 1, None]
    logistic, svm = started(found)
    assert (logistic["model"], logistic["model/logistic.C"], logistic["model/logistic.class_weight"]) == (
        "logistic",
        0.5,
        None,
    )
    assert (svm["model"], svm["model/svm.C"], svm["model/svm.kernel"]) == ("svm", 1.0, "rbf")


@pytest.mark.slow
def test_the_best_five_of_a_study_are_the_same_from_its_database_and_its_file(swept: Workbench, texts: Path) -> None:
    earlier = sorted(trials(swept, "first"), key=lambda trial: (-(trial.value or 0), trial.number))
    best = [trial.params for trial in earlier if trial.user_attrs.get(Attribute.DEFAULT) is None]
    sources = {"database": "study:first", "file": "multirun/first/trials.csv", "folder": "multirun/first"}
    for name, source in sources.items():
        done = start(swept, texts, f"start_with={source}", f"from_{name}", "n_trials=7")
        assert done.code == 0, done.err
        assert f"Starting with the best 5 of 8 trials of {source.removesuffix('/')}" in done.out
    found = [started(trials(swept, f"from_{name}")) for name in sources]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) >= 3  # the defaults may be among the five
    assert found[0] == best[: len(found[0])]


@pytest.mark.slow
def test_of_several_metrics_the_front_is_first(swept: Workbench, texts: Path) -> None:
    metrics = ("train_recall", "val_recall")
    done = start(swept, texts, "start_with=study:first", "several", "n_trials=7", f"metric=[{','.join(metrics)}]")
    assert done.code == 0, done.err
    scores = {
        trial.number: tuple(trial.user_attrs[Attribute.RESULT]["metrics"][metric] for metric in metrics)
        for trial in trials(swept, "first")
    }

    def is_beaten(of: tuple[float, ...]) -> bool:
        return any(other != of and all(a >= b for a, b in zip(other, of, strict=True)) for other in scores.values())

    order = sorted(scores, key=lambda number: (is_beaten(scores[number]), [-s for s in scores[number]], number))
    assert any(is_beaten(scores[number]) for number in order[:5])
    assert order != sorted(scores, key=lambda number: ([-s for s in scores[number]], number))
    earlier = [trials(swept, "first")[number] for number in order[:5]]
    best = [trial.params for trial in earlier if trial.user_attrs.get(Attribute.DEFAULT) is None]
    assert started(trials(swept, "several")) == best


def test_what_does_not_fit_is_said(swept: Workbench, texts: Path) -> None:
    dry = swept.run(
        "-m",
        *text_csv(texts),
        "model=logistic",
        "model.C=interval(0.01,0.02)",
        "start_with=study:first",
        "dry_run=true",
    )
    assert dry.code == 1
    assert "none of its trials fits this search space: trial" in dry.err
    dry = swept.run("-m", *text_csv(texts), "model=svm,linear_svm", "start_with=study:first", "dry_run=true")
    assert dry.code == 0, dry.err
    assert "(model=logistic, which is none of svm, linear_svm)" in dry.out
    assert "Starts with: model=svm, model/svm.C=" in dry.out


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("start_with=[]", ["names no point"]),
        ("start_with=latin.csv", ["start_with=latin.csv cannot be read", "utf-8", "Is it a trials.csv?"]),
        ("start_with=numbers.csv", ["start_with=numbers.csv cannot be read", "x1"]),
        ("start_with=3", ["must be a list of points", "study:NAME"]),
        ("start_with=[[1]]", ["must be a list of points"]),
        ("start_with=[{model: tree}]", ["model=tree, which is none of svm, logistic"]),
        ("start_with=[{model: svm, model.C: 1e9}]", ["model.C=1000000000.0", "float 0.01 to 100 log"]),
        ("start_with=[{model: svm, model.gamma: 1}]", ["model.gamma", "not searched with model=svm"]),
        ("start_with=[{nothing: 1}]", ["nothing, which is not searched"]),
        ("start_with=study:nothing", ["no such study", "first"]),
        ("start_with=nothing.csv", ["no such file"]),
        ("start_with=other.csv", ["no column number, state, val_f1"]),
    ],
)
def test_points_that_cannot_be_are_one_message_and_nothing_is_written(
    swept: Workbench, texts: Path, setting: str, parts: list[str]
) -> None:
    shutil.copy(texts, swept.folder / "other.csv")
    (swept.folder / "latin.csv").write_bytes(b"number,state,val_f1\n0,COMPLETE,\xfc\n")
    (swept.folder / "numbers.csv").write_text("number,state,val_f1\nx1,COMPLETE,0.5\n")
    before = files(swept)
    done = start(swept, texts, setting, "refused")
    assert done.code == 1
    assert [part for part in parts if part not in done.err] == []
    assert len(done.err.splitlines()) == 1
    assert files(swept) == before


@pytest.mark.slow
def test_a_study_keeps_its_starting_points_whatever_becomes_of_their_file(swept: Workbench, texts: Path) -> None:
    file = swept.folder / "earlier.csv"
    shutil.copy(swept.folder / "multirun" / "first" / "trials.csv", file)
    assert start(swept, texts, "start_with=earlier.csv", "kept", "n_trials=3").code == 0
    file.unlink()
    resumed = start(swept, texts, "start_with=earlier.csv", "kept", "n_trials=7")
    assert resumed.code == 0, resumed.err
    assert len(started(trials(swept, "kept"))) >= 3
    changed = start(swept, texts, "start_with=study:first", "kept", "n_trials=8")
    assert changed.code == 1
    assert "start_with: it was earlier.csv, now it is study:first" in changed.err


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before optuna.trial:Trial._suggest 3", "before optuna:Study.tell 3"])
def test_a_sweep_killed_at_its_starting_points_goes_on_as_if_nothing_had_been(site: Site, moment: str) -> None:
    setting = "start_with=[{model.x: 0.25}, {model.x: 0.75}]"
    site.sweep(setting, study="whole")
    killed = site.start(setting, kill=moment)
    assert killed.wait() == -signal.SIGKILL, killed.out + killed.err
    site.sweep(setting)
    check_whole(site)
    assert sequence(site.study()) == sequence(site.study("whole"))
    assert {params.get("model/cog.x") for params in started(site.study().get_trials())} >= {0.25, 0.75}
