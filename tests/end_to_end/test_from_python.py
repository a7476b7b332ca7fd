"""Sweeps from Python: the engine of the commands, errors as exceptions, and nothing of the caller's changed."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution

import sweeps
from sweeps.base.errors import ConfigError, SweepFailedError, SweepsError, TrackingError

from .conftest import Workbench, text_csv, write_yaml
from .fault_site import Site

EXAMPLES = Path(__file__).parents[2] / "examples"
SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "kernel": {"type": "categorical", "choices": ["linear", "rbf"]},
    "gamma": {"type": "float", "low": 0.1, "high": 1.0, "when": {"kernel": "rbf"}},
}


def train(lr: float = 0.01, kernel: str = "linear", gamma: float = 2.0, sizes: tuple[int, ...] = (1, 2)) -> float:
    assert sizes == (1, 2)
    return abs(lr - 0.02) + (gamma if kernel == "rbf" else 0.5)


@pytest.fixture
def here(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """The folder that the test's Python works in."""
    monkeypatch.chdir(bench.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", bench.uri)
    monkeypatch.delenv("SWEEPS_STORAGE", raising=False)
    yield bench
    GlobalHydra.instance().clear()


def test_a_functions_first_trial_runs_its_defaults_and_the_study_tells_of_all(here: Workbench) -> None:
    study = sweeps.optimize(train, SPACE, n_trials=6, n_jobs=0, seed=3)
    assert (study.metric, study.direction, study.metrics, study.directions) == (
        "objective",
        "minimize",
        ("objective",),
        ("minimize",),
    )
    assert study.path == here.study()
    frame = study.trials()
    assert list(frame["number"]) == list(range(6))
    assert dict(frame.loc[0, ["lr", "kernel", "gamma", "value"]]) == {
        "lr": 0.01,
        "kernel": "linear",
        "gamma": 2.0,
        "value": 0.51,
    }
    assert frame["start"].dtype.kind == frame["end"].dtype.kind == "M"
    best = study.best
    assert best.value == frame["value"].min() == train(**best.params)
    assert best.number == frame["value"].idxmin()
    assert best.values == best.metrics == {"objective": best.value}
    said = repr(study)
    assert said.startswith(f"<Study {study.name}: 6 trials, minimize objective, best {best.value:g} (trial ")
    assert f"lr={best.params['lr']:.4g}" in said


def test_a_functions_sweep_is_in_mlflow_like_any_other(here: Workbench) -> None:
    study = sweeps.optimize(train, SPACE, n_trials=3, n_jobs=0)
    (parent,) = here.runs("sweep")
    assert parent.data.tags["sweeps.study"] == study.name
    assert parent.data.tags["sweeps.command"].startswith("sweeps.optimize(train, {'lr': {'type': 'float'")
    children = here.runs("trial")
    assert len(children) == 3
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert here.client.get_experiment(parent.info.experiment_id).name == "train"


def test_a_function_in_a_function_reaches_worker_processes_by_value(here: Workbench) -> None:
    target = 0.25

    def closure(x: float = 1.0) -> float:
        trial = sweeps.current_trial()
        assert trial is not None
        assert trial.folder.is_dir()
        return abs(x - target)

    study = sweeps.optimize(closure, {"x": FloatDistribution(0.0, 1.0)}, n_trials=4, n_jobs=2)
    assert len(study.trials()) == 4
    assert set(study.trials()["state"]) == {"COMPLETE"}


def test_what_cannot_be_sent_is_refused_with_its_name(here: Workbench) -> None:
    the_lock = threading.Lock()

    def locked(x: float = 1.0) -> float:
        with the_lock:
            return x

    with pytest.raises(ConfigError, match="cannot be sent to worker processes because of the_lock"):
        sweeps.optimize(locked, {"x": FloatDistribution(0.0, 1.0)}, n_trials=2, n_jobs=1)


def test_optunas_distributions_search_the_same_space(here: Workbench) -> None:
    distributions = {
        "lr": FloatDistribution(0.001, 0.1, log=True),
        "kernel": CategoricalDistribution(["linear", "rbf"]),
        "gamma": SPACE["gamma"],
    }
    drawn = [
        sweeps.optimize(train, space, n_trials=4, n_jobs=0, sampler="random", study_name=name).trials()["value"]
        for name, space in (("a", SPACE), ("b", distributions))
    ]
    assert drawn[0].equals(drawn[1])


def test_several_metrics_have_a_front_and_a_best_by_the_rule(here: Workbench) -> None:
    def both(x: float = 0.5) -> dict[str, float]:
        return {"cost": x, "gain": x**2, "other": 1.0}

    study = sweeps.optimize(
        both,
        {"x": FloatDistribution(0.0, 1.0)},
        n_trials=4,
        n_jobs=0,
        metric=["cost", "gain"],
        direction=["minimize", "maximize"],
    )
    assert (study.metrics, study.directions) == (("cost", "gain"), ("minimize", "maximize"))
    assert len(study.front) == 4
    assert study.front[0].values == {"cost": 0.5, "gain": 0.25}
    assert study.front[0].metrics["other"] == 1.0
    assert "minimize cost, maximize gain, 4 on the front" in repr(study)
    costs = sorted(trial.values["cost"] for trial in study.front)
    assert study.best.values["cost"] == costs[0]
    study.resume(choose="gain")
    assert study.best.values["cost"] == costs[-1]
    study.resume(choose={"within": costs[1] - costs[0]})
    assert study.best.values["cost"] == costs[1]


def test_a_study_in_hand_resumes(here: Workbench) -> None:
    study = sweeps.optimize(train, SPACE, n_trials=2, n_jobs=0, study_name="mine")
    assert study.resume(n_trials=4, sampler="random") is study
    assert len(study.trials()) == 4
    again = sweeps.optimize(train, SPACE, n_trials=5, n_jobs=0, study_name="mine")
    assert again.path == study.path
    assert len(study.trials()) == 5
    with pytest.raises(ConfigError, match="this study was started with something else"):
        sweeps.optimize(train, {"lr": SPACE["lr"]}, n_trials=6, n_jobs=0, study_name="mine")


def test_the_readmes_python_runs(here: Workbench) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"## From Python\n.*?```python\n(.*?)```", readme, re.DOTALL)
    (here.folder / "script.py").write_text(code)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[20 rows x " in done.stdout


MODULE = """
def cost(x=1.0):
    return x ** 2
"""
SCRIPT = """
import sweeps

def cost(x=1.0):
    return x ** 2

study = sweeps.optimize(cost, {"x": {"type": "float", "low": -1.0, "high": 1.0}}, n_trials=3, n_jobs=1, study_name="s")
print("the end", len(study.trials()))
"""


@pytest.mark.slow
def test_a_study_of_a_module_resumes_from_its_folder_in_python_and_in_a_shell(
    here: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.folder / "costs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(here.folder)
    import costs  # type: ignore[import-not-found]

    sweeps.optimize(costs.cost, {"x": FloatDistribution(-1.0, 1.0)}, n_trials=2, n_jobs=0, study_name="s")
    study = sweeps.open_study("multirun/s")
    monkeypatch.chdir(here.folder.parent)
    study.resume(n_trials=3)
    assert len(study.trials()) == 3
    done = here.command(
        "sweeps.resume", "multirun/s", "hydra.sweeper.n_trials=4", environ={"MLFLOW_TRACKING_URI": here.uri}
    )
    assert done.code == 0, done.err
    assert len(study.trials()) == 4
    assert len(here.runs("trial")) == 4


@pytest.mark.slow
def test_a_script_without_a_guard_sweeps_once_and_says_how_to_resume(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.folder / "script.py").write_text(SCRIPT)
    command = site.command("script.py")
    assert command.wait() == 0, command.out + command.err
    assert command.out.count("the end 3") == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", site.tracking_uri)
    study = sweeps.open_study(site.folder / "multirun" / "s")
    with pytest.raises(ConfigError, match=r"Call sweeps.optimize there again, with study_name='s'"):
        study.resume(n_trials=4)
    shell = site.command("sweeps.resume", "multirun/s")
    assert shell.wait() == 1
    assert "is one of a script or a notebook, and cannot be found from here" in shell.err


@pytest.mark.slow
def test_a_commands_study_resumes_by_its_command(here: Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    app = [str(EXAMPLES / "sphere.py"), "-m", "hydra/sweeper=sweeps", "x=interval(-5,5)", "hydra.sweeper.n_trials=2"]
    subprocess.run([sys.executable, *app, "hydra.sweeper.study_name=s", "hydra.sweeper.n_jobs=0"], check=True)
    study = sweeps.open_study("multirun/s")
    study.resume(n_trials=3)
    assert len(study.trials()) == 3
    assert "trial 2: " in capsys.readouterr().out
    with pytest.raises(SweepsError, match="patience must be at least 1 trial"):
        study.resume(patience=0)


def main(cfg: DictConfig) -> float:
    return float((cfg.x - 2) ** 2 + len(cfg.model.name))


def test_an_apps_configs_are_swept_by_its_function(here: Workbench) -> None:
    write_yaml(here.folder / "app" / "config.yaml", "defaults: [{model: short}, _self_]\nx: 1.0\n")
    write_yaml(
        here.folder / "app" / "model" / "short.yaml",
        "name: a\nsearch_space: {name: {type: categorical, choices: [a, bb]}}\n",
    )
    write_yaml(here.folder / "app" / "model" / "long.yaml", "name: aaaaa\n")
    overrides = ["model=short,long", "x=interval(0,4)", "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=0"]
    study = sweeps.run_sweep(overrides, config_dir="app", function=main)
    assert isinstance(study, sweeps.Study)
    assert (
        dict(study.trials().loc[1, ["model", "model.name", "x", "value"]])
        == {
            "model": "long",
            "model.name": "aaaaa",
            "x": 1.0,
            "value": 6.0,
        }
        or study.trials().loc[1, "value"] == 6.0
    )
    assert study.best.params["model"] == "short"
    assert sweeps.open_study(study.path).resume(n_trials=6).trials().shape[0] == 6


@pytest.mark.slow
def test_our_own_app_gives_a_study_whose_winner_can_be_registered_again(here: Workbench, texts: Path) -> None:
    study = sweeps.run_sweep([*text_csv(texts), "model=logistic", "n_trials=2", "n_jobs=0"])
    assert isinstance(study, sweeps.Study)
    assert (study.metric, study.direction) == ("val_f1", "maximize")
    assert study.best.params["model"] == "logistic"
    assert here.aliases("comments") == {"champion": 1, "challenger": 1}
    before = (study.path / "command.yaml").read_text()
    assert sweeps.open_study(study.path).register("again") == "models:/again/1"
    assert study.register("again") == "models:/again/1"
    assert len(study.trials()) == 2
    assert (study.path / "command.yaml").read_text() == before
    assert study.resume(n_trials=3).trials().shape[0] == 3
    done = here.command("sweeps.resume", str(study.path), "n_trials=4", environ={"MLFLOW_TRACKING_URI": here.uri})
    assert done.code == 0, done.err
    assert len(study.trials()) == 4


@pytest.mark.slow
def test_a_folder_adds_options_to_our_own_app_and_each_dataset_is_a_study(here: Workbench, texts: Path) -> None:
    for name in ("first", "second"):
        write_yaml(
            here.folder / "mine" / "dataset" / f"{name}.yaml",
            f"defaults: [text_csv, _self_]\nname: {name}\npath: {texts}\npositive_label: hate\n",
        )
    overrides = ["dataset=first,second", "model=logistic", "n_trials=1", "n_jobs=0"]
    studies = sweeps.run_sweep(overrides, config_dir="mine")
    assert isinstance(studies, list)
    assert [study.name.partition("-")[0] for study in studies] == ["first", "second"]
    assert studies[1].resume(n_trials=2).trials().shape[0] == 2
    assert sweeps.run_sweep([*overrides, "dry_run=true"], config_dir="mine") == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=svm", "n_trials=0"],
        ["model=svm", "n_trial=5"],
        ["model=svm", "model.C=x=1"],
        ["model=nothing"],
        ["seed=1,2"],
        ["model=logistic,svm", "+model.gamma=choice(2,3)"],
    ],
)
def test_errors_are_exceptions_with_the_message_of_the_command(
    here: Workbench, texts: Path, overrides: list[str]
) -> None:
    typed = here.run("-m", *text_csv(texts), *overrides)
    assert typed.code == 1
    with pytest.raises(ConfigError) as refused:
        sweeps.run_sweep([*text_csv(texts), *overrides, "n_jobs=0"])
    assert str(refused.value).strip() == typed.err.strip()


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (
            lambda: sweeps.run_sweep("model=svm n_trials=2"),
            r"overrides must be a list of texts, such as \['model=svm', ",
        ),
        (lambda: sweeps.run_sweep([], config_name="x"), "config_name=x needs the app's function, too"),
        (lambda: sweeps.run_sweep([], config_dir="nowhere", function=main), "config_dir=nowhere is not a folder"),
        (lambda: sweeps.run_sweep([], config_name="nothing", function=main), "nothing"),
        (lambda: sweeps.optimize(train, {"lr": {"type": "flot"}}), "lr.type: 'flot' is not a type"),
        (lambda: sweeps.optimize(train, {"lr": SPACE["lr"]}, n_trials="many"), "n_trials"),
        (
            lambda: sweeps.optimize(train, SPACE, study_name="s", storage="redis://u:secret@h/x"),
            r"storage=redis://u:\*\*\*@h/x",
        ),
        (lambda: sweeps.open_study("."), "is not the folder of a study; type one such as multirun"),
    ],
)
def test_what_a_call_gets_wrong_is_refused_before_anything_is_written(
    here: Workbench, begin: Callable[[], object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        begin()
    assert here.left() == []


def test_another_sweeper_is_refused(here: Workbench) -> None:
    write_yaml(here.folder / "app" / "config.yaml", "x: 1.0\n")
    with pytest.raises(ConfigError, match="hydra/sweeper must be sweeps here"):
        sweeps.run_sweep(["x=1,2", "hydra/sweeper=basic"], config_dir="app", function=main)


def test_a_sweep_that_fails_raises_and_its_study_can_be_opened(here: Workbench) -> None:
    def broken(x: float = 1.0) -> float:
        raise OSError("no such luck")

    with pytest.raises(SweepFailedError, match="no such luck"):
        sweeps.optimize(broken, {"x": FloatDistribution(0.0, 1.0)}, n_trials=2, n_jobs=0, study_name="s")
    study = sweeps.open_study("multirun/s")
    assert set(study.trials()["state"]) == {"FAIL"}
    assert study.trials()["value"].isna().all()
    assert "none complete" in repr(study)
    with pytest.raises(SweepFailedError, match="s: no trial has completed yet"):
        study.best  # noqa: B018


def test_nothing_to_register_is_said(here: Workbench) -> None:
    study = sweeps.optimize(train, SPACE, n_trials=1, n_jobs=0)
    with pytest.raises(TrackingError, match="its trial logged no model"):
        study.register("mine")


def test_the_callers_own_hydra_and_log_are_as_they_were(here: Workbench) -> None:
    write_yaml(here.folder / "app" / "config.yaml", "x: 1.0\n")
    ConfigStore.instance().store("function", {"theirs": 1})
    store, handlers, level = ConfigStore.instance(), logging.root.handlers[:], logging.root.level
    with initialize_config_dir(str(here.folder / "app"), job_name="theirs", version_base="1.2"):
        before = compose("config", return_hydra_config=True)
        sweeps.optimize(train, SPACE, n_trials=2, n_jobs=0)
        with pytest.raises(ConfigError):
            sweeps.optimize(train, SPACE, n_trials=0, n_jobs=0)
        after = compose("config", return_hydra_config=True)
        assert OmegaConf.to_yaml(after) == OmegaConf.to_yaml(before)
    assert not GlobalHydra.instance().is_initialized()
    assert ConfigStore.instance() is store
    assert store.load("function.yaml").node == {"theirs": 1}
    assert (logging.root.handlers, logging.root.level) == (handlers, level)


def squared(x: float = 1.0) -> dict[str, float]:
    return {"loss": x * x, "size": x}


def test_bounds_and_starting_points_are_plain_data(here: Workbench) -> None:
    space = {"x": {"type": "float", "low": 0.0, "high": 2.0}}
    study = sweeps.optimize(
        squared,
        space,
        metric="loss",
        n_trials=5,
        n_jobs=0,
        constraints={"size": ">= 1.2"},
        start_with=[{"x": 1.5}],
        study_name="bounded",
    )
    trials = study.trials()
    assert trials["x"][1] == 1.5
    assert trials["feasible"].tolist() == [x >= 1.2 for x in trials["x"]]
    assert study.best.value == trials["value"][trials["feasible"]].min()
    none = sweeps.optimize(squared, space, metric="loss", n_trials=2, n_jobs=0, constraints={"size": ">= 9"})
    assert "none keeps to the constraints" in repr(none)
    with pytest.raises(SweepFailedError, match="no completed trial keeps to the constraints"):
        _ = none.best
