"""Several objectives: the front and the winner, recomputed from what is filed, whatever kills the sweep."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from .conftest import Workbench, text_csv, write_texts
from .fault_site import Site, check_projection, counted, sequence

MLFLOW = "mlflow:MlflowClient"
BOTH = ("val_recall", "val_precision")
SIGNS = {"val_recall": -1, "val_precision": -1, "val_score": -1, "model_bytes": 1}

Row = Mapping[str, str]


def rows(study: Path) -> list[Row]:
    with (study / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses(row: Row, metrics: Sequence[str]) -> list[float]:
    return [SIGNS[metric] * float(row[metric]) for metric in metrics]


def front(found: Sequence[Row], metrics: Sequence[str]) -> list[Row]:
    """By the definition: those that no other beats in one metric without being worse in another."""

    def beats(one: Row, other: Row) -> bool:
        pairs = list(zip(losses(one, metrics), losses(other, metrics), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    complete = [row for row in found if row["state"] == "COMPLETE" and row.get("feasible", "True") == "True"]
    return [row for row in complete if not any(beats(other, row) for other in complete)]


def check_front(study: Path, metrics: Sequence[str]) -> list[Row]:
    """What is filed of a study marks its front, and nothing else."""
    found = rows(study)
    on_front = front(found, metrics)
    assert {row["number"] for row in found if row["pareto"] == "True"} == {row["number"] for row in on_front}
    for row in found:
        assert [float(row[f"value_{index}"]) for index in range(len(metrics))] == [float(row[m]) for m in metrics]
    filed = yaml.safe_load((study / "sweep_result.yaml").read_text())
    assert filed["metric"] == list(metrics)
    assert [(str(one["trial"]), one["values"]) for one in filed["front"]] == [
        (row["number"], {metric: float(row[metric]) for metric in metrics}) for row in on_front
    ]
    return on_front


def check_runs(bench: Workbench, on_front: Sequence[Row], winner: Row) -> None:
    for tag, expected in (("pareto", on_front), ("best", [winner])):
        marked = [run for run in bench.runs("trial") if run.data.tags.get(f"sweeps.{tag}") == "true"]
        assert {run.data.tags["sweeps.trial.number"] for run in marked} == {row["number"] for row in expected}


# The winner


def within(on_front: Sequence[Row], margin: float | None) -> Row:
    """The most precise of those whose recall is within the margin, or one standard error, of the best."""
    leader = max(on_front, key=lambda row: (float(row["val_recall"]), -int(row["number"])))
    margin = float(leader["val_recall_stderr"]) if margin is None else margin
    near = [row for row in on_front if float(row["val_recall"]) >= float(leader["val_recall"]) - margin]
    return max(near, key=lambda row: (float(row["val_precision"]), float(row["val_recall"]), -int(row["number"])))


def extreme(on_front: Sequence[Row], metric: str) -> Row:
    (other,) = set(BOTH) - {metric}
    return max(on_front, key=lambda row: (float(row[metric]), float(row[other]), -int(row["number"])))


def test_the_front_is_filed_and_its_winner_by_the_rule_is_registered_and_may_be_chosen_anew(
    bench: Workbench, tmp_path: Path
) -> None:
    texts = write_texts(tmp_path / "comments.csv", rows=150, labels=("fair", "fair", "hate"), own=0.3)
    metric = f"metric=[{','.join(BOTH)}]"
    where = [*text_csv(texts), "model=logistic,linear_svm", "n_trials=16", "study_name=s", metric]
    swept = bench.sweep(*where)
    study = bench.folder / "multirun" / "s"
    on_front = check_front(study, BOTH)
    before = rows(study)
    assert 2 < len(on_front) < 16
    lines = [line.split() for line in swept.out.splitlines()]
    header = next(index for index, words in enumerate(lines) if words[:3] == ["trial", *BOTH])
    shown = lines[header + 1 : header + 1 + len(on_front)]
    assert sorted((words[0] for words in shown), key=int) == [row["number"] for row in on_front]

    for typed, winner, why in (
        ((), within(on_front, None), "one standard error, of the best val_recall"),
        (("choose=val_precision",), extreme(on_front, "val_precision"), "the highest val_precision of the"),
    ):
        said_by = bench.sweep(*where, *typed) if typed else swept
        assert rows(study) == before, "no trial is run again"
        (said,) = [line for line in said_by.out.splitlines() if line.startswith("Winner:")]
        assert said.startswith(f"Winner:  trial {winner['number']}: ")
        assert why in said
        check_runs(bench, on_front, winner)
        filed = yaml.safe_load((study / "sweep_result.yaml").read_text())
        assert (filed["best"]["trial"], filed["why_best"]) == (int(winner["number"]), said.split(": ", 2)[2])
        runs = {run.info.run_id: run.data.tags["sweeps.trial.number"] for run in bench.runs("trial")}
        versions = bench.client.search_model_versions("name = 'comments'")
        assert winner["number"] in {runs[str(version.run_id)] for version in versions}
    assert len(versions) == 2
    for version in versions:
        assert {f"sweeps.{metric}" for metric in BOTH} <= set(version.tags)


def test_what_is_measured_only_where_it_is_asked_for(bench: Workbench, texts: Path) -> None:
    names = ("predict_ms", "model_bytes")
    where = [*text_csv(texts), "model=logistic", "n_trials=2"]
    bench.sweep(*where, "study_name=plain")
    for row in rows(bench.folder / "multirun" / "plain"):
        assert not set(names) & set(row)
        assert float(row["fit_seconds"]) > 0
    done = bench.sweep(*where, "study_name=s", "metric=[val_f1,predict_ms]", "constraints={model_bytes: '<= 1e9'}")
    assert "Note: predict_ms is measured anew each time" in done.out
    for row in rows(bench.folder / "multirun" / "s"):
        assert 0 < float(row["predict_ms"]) < 1000
        assert float(row["model_bytes"]) > 1000
    logged = bench.run(*text_csv(texts), "model=logistic", "+also_log.metrics.size=model_bytes")
    assert logged.code == 0, logged.err
    (run,) = bench.runs("run")
    assert run.data.metrics["size"] == run.data.metrics["model_bytes"] > 1000


@pytest.mark.slow
def test_a_sweep_stops_when_one_trial_reaches_all_targets(bench: Workbench, texts: Path) -> None:
    where = [*text_csv(texts), "model=logistic,naive_bayes", "sampler=random", f"metric=[{','.join(BOTH)}]"]
    bench.sweep(*where, "n_trials=10", "study_name=whole")
    whole = rows(bench.folder / "multirun" / "whole")
    goal = whole[6]
    target = {metric: float(goal[metric]) for metric in BOTH}
    reached = [
        index
        for index, row in enumerate(whole)
        if all(loss <= SIGNS[m] * target[m] for loss, m in zip(losses(row, BOTH), BOTH, strict=True))
    ]
    typed = f"target={{{', '.join(f'{metric}: {goal[metric]}' for metric in BOTH)}}}"
    done = bench.sweep(*where, "n_trials=10", "study_name=s", typed)
    assert "was reached" in done.out
    assert len(rows(bench.folder / "multirun" / "s")) == reached[0] + 1


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        (["metric=[val_f1,test_f1]"], "test_f1 cannot be optimised: it is measured on the test part, and reported"),
        (["metric=[val_f1,overfitting]"], "overfitting cannot be optimised: it is measured on the test part"),
        (["metric=[val_f1,val_f2]"], "metric=[val_f1,val_f2]: val_f2 cannot be optimised: nothing measures it"),
        (["metric=val_f2"], "metric=val_f2: val_f2 cannot be optimised: nothing measures it. Choose from: val_f1, "),
        (["metric=[val_f1,val_f1]"], "metric=[val_f1,val_f1] must name one metric or several, each once"),
        (["metric=[]"], "metric=[] must name one metric or several"),
        (["metric=val_f1,predict_ms"], "several at once are a list: 'metric=[val_f1,predict_ms]'"),
        (["metric=[val_f1,val_recall]", "choose=val_precision"], "choose=val_precision: this is not optimised"),
        (["metric=[val_f1,val_recall]", "choose={within: -1}"], 'or "choose={within: 0.01}"'),
        (["metric=[val_f1,val_recall]", "choose={within: 1, of: 2}"], 'or "choose={within: 0.01}"'),
        (["metric=[val_f1,val_recall]", "choose=3"], "choose must be the name of a metric"),
        (["choose=val_f1"], "there is one, val_f1: the best wins"),
        (["choose={within: 0.01}"], "there is one, val_f1: the best wins"),
        (["metric=[val_f1,val_recall]", "target=0.9"], '"target={val_f1: 0.9}": several are optimised'),
        (["metric=[val_f1,val_recall]", "target={val_precision: 1}"], "target: val_precision is not optimised"),
        (["target={val_precision: 1}"], "target: val_precision is not optimised. Choose from: val_f1."),
        (["target={val_f1: high}"], "target: val_f1 must be a finite number"),
        (["target={}"], "target must be a finite number"),
        (["target=nan"], "target must be a finite number"),
        (["metric=[val_f1,val_recall]", "patience=3"], "patience: with several objectives"),
        (["metric=[val_f1,val_recall]", "pruner=median"], "pruner: with several objectives"),
        (["metric=[val_f1,val_recall]", "sampler=cmaes"], "sampler"),
    ],
)
def test_what_cannot_be_is_one_message(bench: Workbench, texts: Path, typed: list[str], part: str) -> None:
    done = bench.run("-m", *text_csv(texts), "model=svm,logistic", *typed)
    assert done.code == 1
    assert part in done.err
    assert len(done.err.splitlines()) == 1
    assert bench.left() == []


def test_a_dry_run_shows_what_is_optimised_and_how_the_winner_is_chosen(bench: Workbench, texts: Path) -> None:
    typed = ["metric=[val_f1,predict_ms,model_bytes]", "target={val_f1: 0.8}", "choose={within: 0.02}"]
    done = bench.run("-m", *text_csv(texts), "model=svm", *typed, "dry_run=true")
    assert done.code == 0, done.err
    for line in (
        "Objective: maximize val_f1, minimize predict_ms, minimize model_bytes",
        "Target: val_f1 0.8",
        "Winner: the best predict_ms, then model_bytes on the Pareto front within 0.02 of the best val_f1",
    ):
        assert line in done.out.splitlines()
    plain = bench.run("-m", *text_csv(texts), "model=svm", "dry_run=true").out.splitlines()
    assert "Objective: maximize val_f1" in plain
    assert not [line for line in plain if line.startswith(("Target", "Winner"))]


# Kills

CLOCKWORK = "metric=[val_score,model_bytes]"  # both follow from the configuration alone
SAMPLERS = {
    "tpe": ["sampler=tpe", "sampler.n_startup_trials=3"],
    "random": ["sampler=random"],
    "nsgaii": ["sampler=nsgaii", "sampler.population_size=3"],
    "grid": ["sampler=grid", "model.x=0.1,0.4", "model.y=2,5", "model.kind=round"],
}
KILLS = (
    "before optuna.trial:Trial._suggest 6",
    "after sweeps.study.asking:record_proposal 2",
    "before optuna:Study.tell 2",
    "after optuna:Study.tell 2",
    f"after {MLFLOW}.create_run 1",
    f"before {MLFLOW}.log_artifact 1",
    f"after {MLFLOW}.create_model_version 1",
)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sweep_killed_again_and_again_ends_as_if_nothing_had_been(new_site: Callable[[], Site], sampler: str) -> None:
    n_trials = 4 if sampler == "grid" else 12
    overrides = [CLOCKWORK, f"n_trials={n_trials}", *SAMPLERS[sampler]]
    undisturbed, site = new_site(), new_site()
    undisturbed.sweep(*overrides)
    n_killed = 0
    for moment in KILLS:
        killed = site.start(*overrides, kill=moment)
        n_killed += killed.wait() == -signal.SIGKILL
    assert n_killed >= (3 if sampler == "grid" else 6)
    site.sweep(*overrides)
    assert sequence(site.study()) == sequence(undisturbed.study())
    assert check_marks(site) == check_marks(undisturbed)


def check_marks(site: Site) -> tuple[list[list[float]], list[float]]:
    """The front and the winner stand where they should; gives their values."""
    metrics = ("val_score", "model_bytes")
    check_projection(site, metric=metrics)
    found = [row for row in rows(site.folder / "multirun" / "s") if row["state"] == "COMPLETE"]
    on_front = [row["number"] for row in found if row["pareto"] == "True"]
    assert on_front == [row["number"] for row in front(found, metrics)]
    by_number = {run.data.tags["sweeps.trial.number"]: run.data.tags for run in site.children()}
    assert {number for number, tags in by_number.items() if tags.get("sweeps.pareto") == "true"} == set(on_front)
    (best,) = [number for number, tags in by_number.items() if tags.get("sweeps.best") == "true"]
    assert best in on_front
    assert site.client.get_run(site.champion()).data.tags["sweeps.trial.number"] == best
    values = {row["number"]: losses(row, metrics) for row in found}
    return sorted(values[number] for number in on_front), values[best]


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), ("hydra/launcher=sweeps_dask",)], ids=["two that join", "Dask"])
def test_several_processes_and_trials_that_die_leave_the_same_marks(site: Site, where: tuple[str, ...]) -> None:
    typed = [CLOCKWORK, "n_trials=12", *where, *([] if where else ["join=true"])]
    together = [site.start(*typed, "n_jobs=2", mischief="die@5 sleep:0.3@*") for _ in range(1 if where else 2)]
    for command in together:
        assert command.wait() == 0, command.out + command.err
    assert len(counted(site.study())) == 12
    assert len(site.study().get_trials()) > 12, "what died was tried again"
    check_marks(site)


APP = """
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    return config.x, -(config.x - 3) ** 2

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["", "before optuna:Study.tell 4"])
def test_an_apps_tuple_has_a_front_and_a_winner(site: Site, kill: str) -> None:
    (site.folder / "app.py").write_text(APP)
    defaults = "defaults: [{override hydra/sweeper: sweeps}, _self_]\nx: 0\n"
    (site.folder / "config.yaml").write_text(f"{defaults}hydra: {{sweeper: {{direction: [minimize, maximize]}}}}\n")
    overrides = [
        "-m",
        "x=0,1,2,3,4,5",
        "hydra.sweeper.study_name=s",
        "hydra.sweeper.choose={within: 2}",
        "hydra.sweeper.n_jobs=1",
    ]
    if kill:
        killed = site.command("app.py", *overrides, kill=kill)
        assert killed.wait() == -signal.SIGKILL, killed.out + killed.err
    command = site.command("app.py", *overrides)
    assert command.wait() == 0, command.out + command.err
    check_projection(site, metric=["objective_0", "objective_1"], x=None)
    study = site.study()
    assert sorted(trial.params["x"] for trial in counted(study)) == [0, 1, 2, 3, 4, 5]
    tags = {run.data.params["x"]: run.data.tags for run in site.children() if run.info.status == "FINISHED"}
    assert sorted(x for x, of_it in tags.items() if of_it.get("sweeps.pareto") == "true") == ["0", "1", "2", "3"]
    assert [x for x, of_it in tags.items() if of_it.get("sweeps.best") == "true"] == ["2"]
    assert "the highest objective_1 of the 3 trials on the Pareto front within 2, the margin" in command.out
