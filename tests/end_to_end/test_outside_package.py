"""A kind of work, its models and its datasets in a package outside this one: swept, registered and predicted with."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sweeps.tasks.base import Candidate
from sweeps.tasks.testing import check_task

from .conftest import Finished, Workbench, scores, text_csv

PACKAGE = Path(__file__).parent / "outside_package"
SEARCHPATH = "hydra.searchpath=[pkg://price_models.conf]"
TASK = "price_models.regression.Regression"


@pytest.fixture(scope="module", autouse=True)
def _installed() -> Iterator[None]:
    """The package stands where Python finds it, as after `pip install`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        yield


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=["area", "rooms", "age"]).round(3)
    frame["price"] = (3 * frame["area"] + frame["rooms"] - frame["age"] + rng.normal(scale=0.5, size=80)).round(3)
    file = tmp_path_factory.mktemp("houses") / "houses.csv"
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, houses: Path) -> tuple[Workbench, Finished]:
    bench = Workbench(tmp_path_factory.mktemp("swept"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    finished = bench.sweep(SEARCHPATH, "dataset=houses", f"dataset.path={houses}", "model=ridge,lasso", "n_trials=6")
    return bench, finished


def test_the_task_keeps_the_rules_of_tasks(houses: Path) -> None:
    regression = importlib.import_module("price_models.regression")
    task = regression.Regression(regression.load_numbers(str(houses), "price"))
    check_task(task, Candidate({"_target_": "sklearn.linear_model.Ridge", "alpha": 2.0}))


def test_it_is_swept_like_the_built_in_kinds(swept: tuple[Workbench, Finished]) -> None:
    bench, _ = swept
    children = bench.runs("trial")
    assert {run.info.status for run in bench.runs()} == {"FINISHED"}
    assert len(children) == 6
    assert {run.data.params["model_type"] for run in children} == {"ridge", "lasso"}
    assert {run.data.params["vectorizer_type"] for run in children} == {"none"}
    assert all(set(scores(run)) == {"val_rmse", "test_rmse"} for run in children)


def test_the_lowest_error_wins(swept: tuple[Workbench, Finished]) -> None:
    bench, _ = swept
    children = bench.runs("trial")
    (best,) = [run for run in children if run.data.tags.get("sweeps.best") == "true"]
    assert best.data.metrics["val_rmse"] == min(run.data.metrics["val_rmse"] for run in children)
    assert bench.client.get_model_version("houses", "1").run_id == best.info.run_id


def test_it_is_promoted_by_its_own_test_metric(swept: tuple[Workbench, Finished]) -> None:
    bench, finished = swept
    assert bench.aliases("houses") == {"champion": 1, "challenger": 1}
    assert bench.client.get_model_version("houses", "1").tags["sweeps.metric"] == "test_rmse"
    assert "test_rmse" in finished.out


def test_a_lower_error_is_better_for_the_gate(swept: tuple[Workbench, Finished], houses: Path) -> None:
    bench, _ = swept
    common = [SEARCHPATH, "dataset=houses", f"dataset.path={houses}", "n_trials=1", "registered_model_name=gate"]
    for alpha in ("100.0", "1000.0", "0.1"):
        bench.sweep(*common, f"model.alpha={alpha}")
    decisions = [bench.client.get_model_version("gate", str(n)).tags["sweeps.promotion"] for n in (1, 2, 3)]
    assert decisions == ["promoted", "kept", "promoted"]


def test_its_predictions_need_trust_in_its_code(swept: tuple[Workbench, Finished], houses: Path) -> None:
    bench, _ = swept
    target = bench.folder / "predicted.csv"
    refused = bench.predict("models:/houses@champion", str(houses), "-o", str(target))
    assert refused.code == 1
    assert f"--trust {TASK}" in refused.err
    assert not target.exists()

    allowed = bench.predict("models:/houses@champion", str(houses), "-o", str(target), "--trust", TASK)
    assert allowed.code == 0, allowed.err
    frame = pd.read_csv(target)
    assert np.corrcoef(frame["price"], frame["prediction"])[0, 1] > 0.9


def test_trust_may_be_given_in_the_environment(swept: tuple[Workbench, Finished], houses: Path) -> None:
    bench, _ = swept
    finished = bench.predict("models:/houses@champion", str(houses), environ={"SWEEPS_TRUST": TASK})
    assert finished.code == 0, finished.err


def test_a_trial_of_it_can_be_run_again(swept: tuple[Workbench, Finished]) -> None:
    bench, _ = swept
    finished = bench.rerun(str(bench.studies()[0] / "1"))
    assert finished.code == 0, finished.err
    (first,) = [run for run in bench.runs("trial") if run.data.tags["sweeps.trial.number"] == "1"][:1]
    assert scores(bench.runs("run")[0]) == scores(first)


def test_its_config_directory_does_as_well_as_its_package(bench: Workbench, houses: Path) -> None:
    config_dir = str(PACKAGE / "price_models" / "conf")
    bench.sweep("--config-dir", config_dir, "dataset=houses", f"dataset.path={houses}", "n_trials=2")
    assert bench.aliases("houses")["champion"] == 1


def test_a_model_of_another_kind_of_work_is_refused_before_the_first_trial(
    bench: Workbench, houses: Path, texts: Path
) -> None:
    for arguments, part in (
        (["dataset=houses", f"dataset.path={houses}", "vectorizer=tfidf"], "takes no vectorizer"),
        ([*text_csv(texts), "model=ridge"], "not a classifier"),
    ):
        finished = bench.run("-m", SEARCHPATH, *arguments)
        assert finished.code == 1
        assert part in finished.err
        assert "Traceback" not in finished.err
    assert bench.left() == []
