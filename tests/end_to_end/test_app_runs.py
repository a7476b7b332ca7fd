"""Apps that log to MLflow themselves: what they log stands in their trial's run, once, whatever happens."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run
from optuna.trial import TrialState

from .fault_site import Site, check_projection, counted
from .nursery import Command

APPS = Path(__file__).parent / "apps"
OF_THE_APP = {"mine", "x"}
THRESHOLD = ("hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.upper=100")


@pytest.fixture
def app_site(site: Site) -> Site:
    """A folder with the apps in it."""
    shutil.copytree(APPS, site.folder, dirs_exist_ok=True)
    return site


def sweep(site: Site, *overrides: str, code: int = 0, app: str = "logs.py", **environ: str) -> Command:
    environ = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", **environ}
    command = site.command(app, "-m", *overrides, **environ)
    assert command.wait() == code, command.out[-5000:] + command.err
    return command


def runs_of(site: Site, *hows: str) -> dict[str, list[Run]]:
    """The trials' runs by what the app did in them, in the order of the trials."""
    found: dict[str, list[Run]] = {how: [] for how in hows}
    for run in sorted(site.children(), key=lambda run: int(run.data.tags["sweeps.trial.number"])):
        found[run.data.params["how"]].append(run)
    return found


def below(site: Site, run: Run) -> list[Run]:
    """The runs that have a run as their parent, whatever their experiment, in the order of their start."""
    experiments = [experiment.experiment_id for experiment in site.client.search_experiments()]
    query = f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    return list(site.client.search_runs(experiments, query, order_by=["attributes.start_time ASC"]))


def statuses(site: Site) -> Counter[str]:
    """How many runs of the whole store have each status."""
    with sqlite3.connect(site.folder / "mlflow.db") as store:
        return Counter(dict(store.execute("SELECT status, count(*) FROM runs GROUP BY status")))


def test_what_an_app_logs_stands_in_its_trials_run_once(app_site: Site) -> None:
    hows = ["plain", "silent", "several", "leaves_open", "same_metric", "by_client", "raises", "is_hopeless"]
    command = sweep(app_site, f"how={','.join(hows)}", "x=1.0,2.0", *THRESHOLD)
    check_projection(app_site, metric="score", x="x")
    found = runs_of(app_site, *hows)
    for how in hows:
        expected = {"raises": "FAILED", "is_hopeless": "KILLED"}.get(how, "FINISHED")
        assert {run.info.status for run in found[how]} == {expected}, how
        for run in found[how]:
            assert run.data.params.keys() == {"how", "x"} | (set() if how == "silent" else {"mine"})
            if how not in ("silent", "by_client"):
                history = app_site.client.get_metric_history(run.info.run_id, "loss")
                assert [(logged.step, logged.value) for logged in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    for run in found["plain"]:
        assert [file.path for file in app_site.client.list_artifacts(run.info.run_id)] == ["figures", "greeting.txt"]
        assert run.inputs is not None
        assert [given.dataset.name for given in run.inputs.dataset_inputs] == ["frame"]
        assert run.info.run_name.startswith("trial ")
        assert below(app_site, run) == []
    for run in found["several"]:
        assert run.info.run_name == "first"
        inner, second = below(app_site, run)
        assert (inner.data.metrics, second.data.metrics) == ({"inner": 1.0}, {"second": 2.0})
        assert {inner.info.status, second.info.status} == {"FINISHED"}
    for run in found["same_metric"]:
        history = app_site.client.get_metric_history(run.info.run_id, "score")
        assert [logged.step for logged in history] == [7, 8]
    assert statuses(app_site)["RUNNING"] == 0
    assert len(list(app_site.folder.glob("worker-*"))) == 1  # MLflow's own threads do not cost the worker
    assert {run.data.tags["sweeps.error"] for run in found["raises"]} == {"OSError: no such luck"}
    assert "MLflow does not accept" not in command.out


@pytest.mark.slow
def test_a_worker_that_dies_while_its_app_logs_costs_one_attempt_and_leaves_nothing_running(app_site: Site) -> None:
    sweep(app_site, "how=dies_once", "x=1.0,2.0", "hydra.sweeper.max_retries=1")
    check_projection(app_site, metric="score", x="x")
    trials = app_site.study().get_trials()
    assert Counter(trial.state for trial in trials) == {TrialState.FAIL: 2, TrialState.COMPLETE: 2}
    by_number = {int(run.data.tags["sweeps.trial.number"]): run for run in app_site.children()}
    for trial in trials:
        run = by_number[trial.number]
        assert run.data.params["mine"] == str(trial.params["x"])  # each attempt has a run of its own
        (inner,) = below(app_site, run)
        if trial.state == TrialState.FAIL:
            assert "was killed by SIGKILL" in run.data.tags["sweeps.error"]
            assert inner.info.status == "FAILED"
    assert statuses(app_site)["RUNNING"] == 0


@pytest.mark.slow
def test_runs_in_another_experiment_or_store_stay_there_and_the_next_trial_is_where_it_was(app_site: Site) -> None:
    hows = ["sets_experiment", "plain", "sets_store", "asks_a_dead_server"]
    command = sweep(app_site, f"how={','.join(hows)}", "x=1.0,2.0")
    check_projection(app_site, metric="score", x="x")
    found = runs_of(app_site, *hows)
    for run in found["sets_experiment"]:
        theirs = app_site.client.get_run(run.data.tags["sweeps.own_run_id"])
        assert app_site.client.get_experiment(theirs.info.experiment_id).name == "elsewhere"
        assert theirs.data.params["mine"] == run.data.params["x"]
    said = "the app logs its trials to the experiment 'elsewhere'; its runs stay there"
    assert command.out.count(said) == 1
    assert command.out.count("own.db; they stay there.") == 1
    for run in found["plain"]:
        assert run.data.params["mine"] == run.data.params["x"]
    for run in found["sets_store"]:
        assert "mine" not in run.data.params
        assert run.data.tags["sweeps.own_store"].endswith("own.db")
    for run in found["asks_a_dead_server"]:
        assert run.info.status == "FAILED"
        assert "MlflowException" in run.data.tags["sweeps.error"]


@pytest.mark.slow
def test_five_fits_under_autologging_are_below_their_trials_run(app_site: Site) -> None:
    sweep(app_site, "how=autologs", "x=1.0,2.0")
    check_projection(app_site, metric="score", x="x")
    for run in app_site.children():
        assert "best_C" in run.data.params
        assert len(below(app_site, run)) == 5
    assert statuses(app_site)["RUNNING"] == 0


@pytest.mark.slow
def test_a_boosting_librarys_autologging_and_system_metrics_are_in_the_trials_run(app_site: Site) -> None:
    command = sweep(app_site, "how=autologs_boosting,watches_the_system", "x=1.0,2.0")
    check_projection(app_site, metric="score", x="x")
    found = runs_of(app_site, "autologs_boosting", "watches_the_system")
    for run in found["autologs_boosting"]:
        assert run.data.params["num_boost_round"] == "3"
        assert len(app_site.client.get_metric_history(run.info.run_id, "fit-l2")) == 3
    for run in found["watches_the_system"]:
        assert "system/system_memory_usage_percentage" in run.data.metrics
    assert statuses(app_site)["RUNNING"] == 0
    assert "Traceback" not in command.out + command.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "environ", "experiment"),
    [
        ((), {}, "logs"),
        ((), {"MLFLOW_EXPERIMENT_NAME": "team"}, "team"),
        (("hydra.sweeper.experiment_name=mine",), {"MLFLOW_EXPERIMENT_NAME": "team"}, "mine"),
    ],
)
def test_the_study_and_its_app_log_to_one_experiment(
    app_site: Site, overrides: tuple[str, ...], environ: dict[str, str], experiment: str
) -> None:
    sweep(app_site, "x=1.0,2.0", *overrides, **environ)
    check_projection(app_site, metric="score", x="x")
    for run in [app_site.parent(), *app_site.children()]:
        assert app_site.client.get_experiment(run.info.experiment_id).name == experiment
    assert all("mine" in run.data.params for run in app_site.children())


@pytest.mark.slow
def test_an_app_may_be_left_to_itself(app_site: Site) -> None:
    sweep(app_site, "x=1.0,2.0", "hydra.sweeper.mlflow=after")
    check_projection(app_site, metric="score", x="x")
    for run in app_site.children():
        assert run.data.params.keys() == {"x"}
    others = app_site.client.search_runs(["0"])  # MLflow's default experiment
    assert sorted(run.data.params["mine"] for run in others) == ["1.0", "2.0"]


def test_in_the_coordinators_own_process_it_is_the_same(app_site: Site) -> None:
    hows = ["plain", "leaves_open", "raises", "sets_experiment"]
    sweep(app_site, f"how={','.join(hows)}", "x=1.0,2.0", "hydra.sweeper.n_jobs=0")
    check_projection(app_site, metric="score", x="x")
    found = runs_of(app_site, *hows)
    assert all("mine" in run.data.params for how in hows[:3] for run in found[how])
    assert all("sweeps.own_run_id" in run.data.tags for run in found["sets_experiment"])
    assert statuses(app_site)["RUNNING"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 3, 5, 7])
def test_sweeps_that_are_killed_while_their_apps_log_are_whole_after_resume(app_site: Site, moment: int) -> None:
    search = ("how=takes_time", "x=interval(-1,1)", "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=2")
    command = app_site.command("logs.py", "-m", *search, SECONDS_EACH="0.3")
    app_site.wait_until_begun(moment)
    command.send(signal.SIGKILL)
    command.wait()
    assert statuses(app_site)["RUNNING"] > 0
    sweep(app_site, *search)
    check_projection(app_site, metric="score", x="x")
    assert len(counted(app_site.study())) == 8
    for run in app_site.children():
        assert len(below(app_site, run)) <= 1
        if run.info.status == "FINISHED":
            assert run.data.metrics["late"] == 1.0
    assert statuses(app_site)["RUNNING"] == 0


def champion(site: Site) -> tuple[str, float]:
    """The version that is champion, and what its model predicts, loaded as MLflow loads it."""
    mlflow.set_tracking_uri(site.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/level@champion")
    return str(site.client.get_model_version_by_alias("level", "champion").version), model.predict([[0.0]])[0]


@pytest.mark.slow
def test_the_model_that_the_best_trial_logged_becomes_a_version_and_the_gate_compares_what_it_can(
    app_site: Site,
) -> None:
    first = sweep(app_site, app="learns.py")
    assert "Model:   level version 1 registered; champion is version 1, the first" in first.out
    assert "Load:    mlflow.pyfunc.load_model('models:/level@champion')" in first.out
    assert champion(app_site) == ("1", 2.0)
    version = app_site.client.get_model_version("level", "1")
    assert version.run_id is not None
    assert version.description is not None
    for said in (
        "# level/1",
        "| val_error | ",
        "champion is version 1, the first",
        "load_model('models:/level/1')",
        "| guess |",
    ):
        assert said in version.description, version.description
    files = [file.path for file in app_site.client.list_artifacts(version.run_id, "predictions")]
    assert files == ["predictions/test-0.npz", "predictions/val-0.npz"]
    kept = np.load(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=files[0]))
    assert (list(kept["y_true"]), list(kept["y_pred"]), list(kept["groups"])) == ([2.2] * 3, [2.0] * 3, ["a", "a", "b"])

    def another(study: str, *overrides: str) -> str:
        command = sweep(app_site, f"hydra.sweeper.study_name={study}", *overrides, app="learns.py")
        return next(line for line in command.out.splitlines() if line.startswith("Model:"))

    worse = another("worse", "hydra.sweeper.params={guess: '3.0,4.0'}")
    assert "level version 2 registered; champion stays version 1: it is better" in worse
    other_data = another("other", "truth=2.0")
    assert "version 3 registered; champion stays version 1: it was measured on other data" in other_data
    lacking = {"returns_test=false": "does not return val_NAME and test_NAME", "named_by=nobody": "does not say what"}
    for number, (override, said) in enumerate(lacking.items(), start=4):
        line = another(override.partition("=")[0], override)
        assert f"version {number} registered; champion stays version 1, and version {number} is challenger" in line
        assert said in line
    assert str(app_site.client.get_model_version_by_alias("level", "challenger").version) == "5"
    better = another("better", "hydra.sweeper.params={guess: '2.2,2.1'}", "hydra.sweeper.metric=val_error")
    assert "level version 6 registered; champion is version 6" in better
    assert champion(app_site) == ("6", 2.1)
    again = another("better", "hydra.sweeper.params={guess: '2.2,2.1'}")
    assert "was registered before" in again


@pytest.mark.slow
def test_the_digest_of_what_is_logged_as_input_names_what_is_measured_on(app_site: Site) -> None:
    sweep(app_site, "named_by=input", app="learns.py")
    overrides = ("named_by=input", "hydra.sweeper.params={guess: '2.15,2.1'}", "hydra.sweeper.study_name=better")
    command = sweep(app_site, *overrides, app="learns.py")
    assert "level version 2 registered; champion is version 2" in command.out


def test_a_winner_without_a_model_is_an_error_that_says_how_to_log_one(app_site: Site) -> None:
    command = sweep(app_site, "logs_model=false", app="learns.py", code=1)
    assert "could not be registered as level: its trial logged no model" in command.err
    assert "mlflow.sklearn.log_model(model, name='model')" in command.err
    check_projection(app_site, metric="val_error", x=None)
