"""`constraints=`: a winner keeps to them, and feasibility can be recomputed from what is filed."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
import yaml

from .conftest import Workbench, text_csv
from .fault_site import Site, check_projection, counted, sequence

BOUNDS = "constraints={val_recall: '>= 0.7', val_precision: ['>= 0.5', '<= 0.91']}"


def rows(bench: Workbench, name: str) -> list[dict[str, str]]:
    with (bench.folder / "multirun" / name / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_winner_is_the_best_of_those_that_keep_to_them(bench: Workbench, texts: Path) -> None:
    where = [*text_csv(texts), "model=svm,logistic", "n_trials=8", "study_name=s"]
    swept = bench.sweep(*where, "metric=val_precision", BOUNDS)
    found = rows(bench, "s")
    keeps = [float(row["val_recall"]) >= 0.7 and 0.5 <= float(row["val_precision"]) <= 0.91 for row in found]
    assert 0 < sum(keeps) < len(found), "the bound divides them"
    assert [row["feasible"] for row in found] == [str(one) for one in keeps]
    lines = [line for line in swept.out.splitlines() if line.startswith("trial ")]
    assert [", breaks val_" not in line for line in lines] == keeps
    best = max((float(row["value"]), -int(row["number"])) for row, one in zip(found, keeps, strict=True) if one)
    assert max(float(row["value"]) for row in found) > best[0], "without the bound another would win"
    result = yaml.safe_load((bench.folder / "multirun" / "s" / "sweep_result.yaml").read_text())
    assert (result["best"]["value"], -result["best"]["trial"]) == best
    runs = bench.runs("trial")
    assert {run.data.tags["sweeps.trial.number"]: run.data.tags["sweeps.feasible"] for run in runs} == {
        row["number"]: row["feasible"].lower() for row in found
    }
    (champion,) = [run for run in runs if run.data.tags.get("sweeps.best") == "true"]
    assert champion.info.run_id == bench.client.get_model_version_by_alias("comments", "champion").run_id
    assert int(champion.data.tags["sweeps.trial.number"]) == result["best"]["trial"]

    changed = bench.run("-m", *where, "metric=val_precision", BOUNDS.replace("0.7", "0.6"))
    assert changed.code == 1
    assert "constraint 1: it was val_recall >= 0.7, now it is val_recall >= 0.6" in changed.err


def test_where_none_keeps_to_them_none_wins_and_the_nearest_is_said(bench: Workbench, texts: Path) -> None:
    done = bench.sweep(
        *text_csv(texts), "model=logistic", "n_trials=3", "study_name=s", "constraints={val_recall: '>= 0.9999'}"
    )
    found = rows(bench, "s")
    nearest = max(found, key=lambda row: (float(row["val_recall"]), -int(row["number"])))
    by = 0.9999 - float(nearest["val_recall"])
    said = f"trial {nearest['number']} is nearest: it breaks val_recall >= 0.9999 by {by:.4g}."
    assert f"No trial keeps to the constraints, so none wins; {said}" in done.out
    assert bench.client.search_registered_models() == []
    assert "best" not in yaml.safe_load((bench.folder / "multirun" / "s" / "sweep_result.yaml").read_text())


@pytest.mark.parametrize(
    ("constraints", "part"),
    [
        ("3", "must be comparisons by metric, such as"),
        ("{test_f1: '>= 0.5'}", "test_f1 is reported, and cannot be constrained"),
        ("{overfitting: '<= 0.5'}", "overfitting is reported, and cannot be constrained"),
        ("{val_recal: '>= 0.5'}", "nothing measures val_recal. Choose from: val_f1"),
        ("{val_recall: 0.5}", "val_recall must be <= or >= and a number"),
        ("{val_recall: '> 0.5'}", "val_recall must be <= or >= and a number"),
        ("{val_recall: '>= nan'}", "val_recall must be <= or >= and a number"),
        ("{val_recall: []}", "val_recall has no comparison"),
        ("{val_recall: ['>= 0.12345678', '<= 0.12345677']}", ">= 0.12345678 and val_recall <= 0.12345677 contradict"),
        ("{val_recall: ['>= 0.8', '<= 0.5']}", "val_recall >= 0.8 and val_recall <= 0.5 contradict each other"),
    ],
)
def test_constraints_that_cannot_be_are_one_message(bench: Workbench, texts: Path, constraints: str, part: str) -> None:
    done = bench.run("-m", *text_csv(texts), "model=svm,logistic", f"constraints={constraints}")
    assert done.code == 1
    assert part in done.err
    assert len(done.err.splitlines()) == 1
    assert bench.left() == []


def test_a_dry_run_shows_them(bench: Workbench, texts: Path) -> None:
    done = bench.run("-m", *text_csv(texts), "model=svm", BOUNDS, "dry_run=true")
    shown = ["val_recall >= 0.7", "val_precision >= 0.5", "val_precision <= 0.91"]
    assert [line for line in done.out.splitlines() if line.startswith("Constraint")] == [
        f"Constraint: {one}" for one in shown
    ]


APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(config):
    return {"loss": (config.x - 1) ** 2} | ({"size": config.x} if config.x < 5 else {})

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["", "before optuna:Study.tell 3"])
def test_an_apps_trial_that_lacks_a_constrained_metric_is_failed_and_kills_change_nothing(
    site: Site, kill: str
) -> None:
    (site.folder / "app.py").write_text(APP.replace("config_path=None", 'config_path="."'))
    (site.folder / "config.yaml").write_text("defaults: [{override hydra/sweeper: sweeps}, _self_]\nx: 0\n")
    overrides = [
        "-m",
        "x=0,1,2,3,6",
        "hydra.sweeper.metric=loss",
        "hydra.sweeper.constraints={size: '>= 2'}",
        "hydra.sweeper.study_name=s",
        "hydra.sweeper.n_jobs=1",
    ]
    if kill:
        killed = site.command("app.py", *overrides, kill=kill)
        assert killed.wait() == -signal.SIGKILL, killed.out + killed.err
    command = site.command("app.py", *overrides)
    assert command.wait() == 0, command.out + command.err
    check_projection(site, metric="loss", x=None)
    by_x = {
        params["x"]: (value, trial)
        for (params, value), trial in zip(sequence(site.study()), counted(site.study()), strict=True)
    }
    assert sorted(by_x) == [0, 1, 2, 3, 6]
    assert by_x[6][1].user_attrs["sweeps.error"] == "the constrained metric size is missing"
    (best,) = [run for run in site.children() if run.data.tags.get("sweeps.best") == "true"]
    assert best.data.params["x"] == "2"
