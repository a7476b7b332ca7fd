"""Apps of any kind, the worst of them included: each trial ends as what it is, and the next one sees nothing of it."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from os import killpg
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from sweeps.study.attribute import Attribute

from .fault_site import Site, check_projection, counted, sequence
from .nursery import Command

APPS = Path(__file__).parent / "apps"
PASSWORD = "s3cr3t-w0rd"
PRUNED, COMPLETE, FAILED = TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL
RUNNING_IN_A_WORKER = {  # what trials do, how each ends, and the reason of those that fail
    "nothing": (FAILED, "the app returned nothing (None) for score"),
    "text": (FAILED, "the app returned '5' of type str for score"),
    "not_a_number": (FAILED, "the app returned nan for score"),
    "too_many": (FAILED, "the app returned 2 values, and there are 1 directions"),
    "other_metric": (FAILED, "the app returned no score (hydra.sweeper.metric), but loss"),
    "raises": (FAILED, "OSError: no such luck"),
    "exits": (FAILED, "SystemExit: 0"),
    "ends_the_process": (FAILED, "its process ended with exit code 3"),
    "raises_what_no_terminal_shows": (FAILED, "ValueError: Größe \\ud800"),
    "raises_what_has_no_text": (FAILED, "SilentError"),
    "is_interrupted": (FAILED, "KeyboardInterrupt: "),
    "replaces_stdout": (COMPLETE, ""),
    "closes_stdout": (FAILED, "ValueError: I/O operation on closed file"),
    "chatters": (COMPLETE, ""),
    "changes_directory": (COMPLETE, ""),
    "changes_environment": (COMPLETE, ""),
    "changes_path": (COMPLETE, ""),
    "handles_signals": (COMPLETE, ""),
    "starts_a_thread": (COMPLETE, ""),
    "starts_a_process": (COMPLETE, ""),
    "reports_nan": (FAILED, "ValueError: sweeps.report: the value at step 0 must be a finite number; it is nan"),
    "reports_backwards": (FAILED, "ValueError: sweeps.report: steps must be whole numbers from 0 that rise"),
    "is_hopeless": (PRUNED, ""),
    "swallows_pruned": (PRUNED, ""),
    "prunes_by_optuna": (PRUNED, ""),
}
IN_A_WORKER_ALONE = (  # a debugger's process goes on
    *("ends_the_process", "starts_a_thread", "starts_a_process", "is_interrupted", "closes_stdout"),
)
THRESHOLD = ("hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.upper=100")


@pytest.fixture
def app_site(site: Site) -> Site:
    """A folder with the apps in it."""
    shutil.copytree(APPS, site.folder, dirs_exist_ok=True)
    return site


def sweep(site: Site, app: str, *overrides: str, code: int = 0, **environ: str) -> Command:
    command = site.command(app, "-m", *overrides, **environ)
    assert command.wait() == code, command.out[-5000:] + command.err
    return command


def trials_by(site: Site, name: str) -> dict[Any, list[FrozenTrial]]:
    """The trials of the study by the value of a parameter."""
    found: dict[Any, list[FrozenTrial]] = {}
    for trial in site.study().get_trials():
        found.setdefault(trial.params.get(name), []).append(trial)
    return found


def check_each_ended_as_what_it_is(site: Site, deeds: Sequence[str], times: int) -> None:
    by_deed = trials_by(site, "how")
    for deed in deeds:
        state, reason = RUNNING_IN_A_WORKER[deed]
        assert [trial.state for trial in by_deed[deed]] == [state] * times, deed
        for trial in by_deed[deed]:
            error = trial.user_attrs.get(Attribute.ERROR, "")
            assert error.startswith(reason), error
    check_projection(site, metric="score", x="x")
    assert site.parent().info.status == "FINISHED"


def test_each_trial_of_an_app_that_misbehaves_ends_as_what_it_is_and_the_next_sees_nothing_of_it(
    app_site: Site,
) -> None:
    deeds = ",".join(RUNNING_IN_A_WORKER)
    command = sweep(app_site, "misbehaves.py", f"how={deeds}", "x=1,2", *THRESHOLD)
    check_each_ended_as_what_it_is(app_site, list(RUNNING_IN_A_WORKER), times=2)
    assert len(app_site.study().get_trials()) == 2 * len(RUNNING_IN_A_WORKER)  # the default is none of them
    assert command.out.count("x" * 1_000_000) == 20


@pytest.mark.slow
def test_in_the_coordinators_own_process_it_is_the_same(app_site: Site) -> None:
    deeds = [deed for deed in RUNNING_IN_A_WORKER if deed not in IN_A_WORKER_ALONE]
    sweep(app_site, "misbehaves.py", f"how={','.join(deeds)}", "x=1.0,2.0", "hydra.sweeper.n_jobs=0", *THRESHOLD)
    check_each_ended_as_what_it_is(app_site, deeds, times=2)


@pytest.mark.parametrize(
    ("app", "overrides", "message"),
    [
        (
            "misbehaves",
            ["x=1,2", "hydra.sweeper.direction=[minimize,maximize]"],
            "hydra.sweeper.metric names 1 metrics and hydra.sweeper.direction 2 directions",
        ),
        ("misbehaves", ["y=1,2"], "The config has no key 'y' to sweep"),
        ("grouped", ["model.encoder.y=1,2"], "The config has no key 'model.encoder.y' to sweep"),
        ("grouped", ["db@backup=mysql,sqlite", "backup.y=1,2"], "No option of db@backup has the key 'y'"),
        (
            "grouped",
            ["hydra.sweeper.search_space={lr:{type:float,low:0.1,high:1}}"],
            "hydra.sweeper.search_space.lr has no default beside it",
        ),
        ("misbehaves", ["seed=1,2"], "'hydra.sweeper.repeat={seed: [1,2]}'"),
        ("cannot_be_sent", ["x=1,2"], "cannot be sent to worker processes because of the_lock: TypeError: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_run_is_refused_in_one_message_before_anything_is_written(
    app_site: Site, app: str, overrides: list[str], message: str
) -> None:
    command = sweep(app_site, f"{app}.py", *overrides, code=1)
    assert message in command.err
    assert "Traceback" not in command.err
    assert not (app_site.folder / "multirun").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "overrides", "message"),
    [
        (
            "typed",
            ["optimizer=adam,lion"],
            "optimizer cannot be 'lion': Invalid value 'lion', expected one of [adam, sgd]",
        ),
        ("typed", ["lr=null,0.3"], "lr cannot be None"),
        (
            "typed",
            ["hydra.sweeper.search_space={lr:{type:categorical,choices:[0.1,big]}}"],
            "hydra.sweeper.search_space: lr cannot be 'big'",
        ),
        ("typed", ["layers=interval(1,4)"], "For whole numbers: range(1,5), or int(interval(1,4))."),
        ("typed", ["lr=1,2", "hydra.sweeper.repeat={sed:[1,2]}"], "repeat: the config has no key 'sed'"),
        ("typed", ["lr=1,2", "hydra.sweeper.repeat={layers:[1,b]}"], "hydra.sweeper.repeat: layers cannot be 'b'"),
        ("typed", ["lr=1,2", "hydra.sweeper.repeat={lr:[1,2]}"], "lr cannot be repeated, since lr is searched"),
        ("typed", ["lr=1,2", "hydra.sweeper.repeat={layers:[1,1]}"], "the values of layers must differ"),
        ("typed", ["lr=1,2", "hydra.sweeper.direction=[]"], "hydra.sweeper.direction must be minimize or maximize"),
        (
            "typed",
            [
                "hydra.sweeper.search_space={lr:{type:float,low:0,high:1},layers:{type:int,low:1,high:3}}",
                "hydra/sweeper/sampler=cmaes",
                "hydra.sweeper.direction=[minimize,minimize]",
            ],
            "sampler (CmaEsSampler): with several objectives no trial is better",
        ),
        ("typed", ["lr=1,2", "hydra.sweeper.pruner=median"], "such as hydra/sweeper/pruner=median chooses"),
        (
            "grouped",
            ["hydra.sweeper.search_space={model/encoder/nlp:{x:{type:float,low:0.1,high:1}}}"],
            "hydra.sweeper.search_space: model/encoder/nlp does not exist; the options of model/encoder are cnn, mlp",
        ),
        ("typed", ["lr=1,2", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be at least 1, such as hydra"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_config_takes_is_refused_as_well(app_site: Site, app: str, overrides: list[str], message: str) -> None:
    test_what_cannot_run_is_refused_in_one_message_before_anything_is_written(app_site, app, overrides, message)


@pytest.mark.slow
def test_a_trial_that_hangs_is_ended_and_the_time_that_a_worker_imports_is_no_trials(app_site: Site) -> None:
    sweep(app_site, "misbehaves.py", "how=hangs,good", "hydra.sweeper.trial_timeout=3", IMPORT_SECONDS="4")
    by_deed = trials_by(app_site, "how")
    assert {trial.state for trial in by_deed["good"]} == {COMPLETE}
    (hung,) = by_deed["hangs"]
    assert hung.user_attrs[Attribute.ERROR] == "it ran longer than trial_timeout=3 s"
    check_projection(app_site, metric="score", x=None)


@pytest.mark.slow
def test_each_worker_is_given_one_device_before_it_imports_the_app(app_site: Site) -> None:
    overrides = ("how=meets_another_worker", "x=1,2", "hydra.sweeper.n_jobs=2")
    sweep(app_site, "misbehaves.py", *overrides, CUDA_VISIBLE_DEVICES="GPU-1f,MIG-2e")
    assert sorted(file.read_text() for file in app_site.folder.glob("worker-*")) == ["GPU-1f GPU-1f", "MIG-2e MIG-2e"]


def test_groups_that_are_nested_added_or_in_another_package_are_swept_and_each_configuration_runs_once(
    app_site: Site,
) -> None:
    groups = ("+experiment=small,large", "db@backup=mysql,sqlite", "model/encoder=mlp,cnn")
    command = sweep(app_site, "grouped.py", *groups)
    assert "The search space has 8 configurations: each is run once" in command.out
    trials = app_site.study().get_trials()
    assert sorted(trial.value or 0 for trial in trials) == [111, 112, 121, 122, 211, 212, 221, 222]
    for trial in trials:
        bonus = {"small": 100, "large": 200}[trial.params["experiment"]]
        port = {"sqlite": 10, "mysql": 20}[trial.params["db@backup"]]
        assert trial.value == bonus + port + {"mlp": 1, "cnn": 2}[trial.params["model/encoder"]]
    logged = {
        (run.data.params["experiment"], run.data.params["db_backup"], run.data.params["model/encoder"])
        for run in app_site.children()
    }
    assert len(logged) == 8
    assert len(list(app_site.folder.glob("multirun/s/*/grouped_x_1.0.log"))) == 8
    assert "MLflow" not in command.out.partition("Trials:")[0]  # it has taken everything


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    ["optimizer=adam,sgd", "hydra.sweeper.search_space={optimizer:{type:categorical,choices:[adam,sgd]}}"],
)
def test_a_default_that_is_a_member_of_an_enum_is_one_of_the_choices(app_site: Site, space: str) -> None:
    sweep(app_site, "typed.py", space)
    assert [trial.value for trial in app_site.study().get_trials()] == [1.1, 2.1]


@pytest.mark.slow
def test_keys_without_a_default_are_searched_in_an_app_of_hydras_older_ways(app_site: Site) -> None:
    command = sweep(app_site, "plain.py", "x=interval(0,1)", "+z=10,20", "hydra.sweeper.n_trials=4")
    trials = app_site.study().get_trials()
    assert all(trial.value == trial.params["x"] + trial.params["z"] for trial in trials)
    assert {trial.params["z"] for trial in trials} <= {10, 20}
    check_projection(app_site, metric="objective", x="x")
    for trial in trials:
        assert (app_site.folder / f"multirun/s/{trial.number}/here.txt").read_text() == str(trial.params["x"])
    assert not (app_site.folder / "here.txt").exists()
    best = min(trials, key=lambda trial: trial.value or 0)
    assert f"x={best.params['x']:.4g}, z={best.params['z']}" in command.out
    again = sweep(app_site, "plain.py", "x=interval(0,1)", "+z=10,20", "hydra.sweeper.n_trials=6")
    assert "Resuming: 4 of 6 trials are done." in again.out
    plain = app_site.command("plain.py", "x=3")
    assert plain.wait() == 0, plain.err  # its own `search_space` is still there


def test_a_folder_that_is_another_at_each_start_is_said(app_site: Site) -> None:
    folders = ("hydra.sweep.dir=out/${now:%H-%M-%S-%f}", "hydra.sweep.subdir=mine")
    command = sweep(app_site, "typed.py", "lr=1.0,2.0", *folders)
    assert "hydra.sweep.subdir=mine has no effect: the folder of a trial is its number." in command.out
    assert "is another folder at each start, so the study s is new each time" in command.out
    assert len(list(app_site.folder.glob("out/*/s/trials.csv"))) == 1


@pytest.mark.slow
def test_the_sampler_of_an_older_config_is_read(app_site: Site) -> None:
    sampler = ("hydra.sweeper.sampler.multivariate=false", "+hydra.sweeper.sampler.consider_endpoints=false")
    sweep(app_site, "typed.py", "lr=interval(0,1)", "hydra.sweeper.n_trials=3", *sampler)
    assert len(app_site.study().get_trials()) == 3


@pytest.mark.slow
def test_what_a_swept_option_brings_with_it_is_searched_where_it_is_chosen(app_site: Site) -> None:
    sweep(app_site, "nested.py", "model=a,b,c")
    trials = app_site.study().get_trials()
    assert sorted(trial.value or 0 for trial in trials) == [20, 101, 102, 201, 202, 301, 302, 1010, 2010]
    names = {"a": {"model/a.depth", "model/enc/big.dim"}, "b": {"model/enc/small.dim"}, "c": set()}
    for trial in trials:
        assert trial.params.keys() == {"model"} | names[trial.params["model"]]
    check_projection(app_site, metric="objective", x=None)
    sweep(app_site, "nested.py", "model=a,c", "model.enc.dim=interval(1,2)", "hydra.sweeper.study_name=typed")
    for trial in app_site.study("typed").get_trials():
        assert ("model/enc/big.dim" in trial.params) == (trial.params["model"] == "a") or trial.number == 0


def test_what_only_the_app_can_resolve_is_left_to_it(app_site: Site) -> None:
    settings = ("hydra/sweeper=sweeps", "hydra.sweeper.study_name=s", "hydra.sweeper.n_trials=3")
    command = sweep(app_site, "resolver.py", *settings, "x=interval(0,1)")
    for trial in app_site.study().get_trials():
        assert trial.value == pytest.approx(2 * trial.params["x"])
    assert "unread does not resolve, and a trial that reads it fails: " in command.out
    assert "twice does not resolve" not in command.out


def test_a_script_that_calls_its_function_without_a_guard_is_swept(app_site: Site) -> None:
    sweep(app_site, "unguarded.py", "x=interval(0,1)", "hydra.sweeper.n_trials=3")
    assert [trial.state for trial in app_site.study().get_trials()] == [COMPLETE] * 3
    assert len(list(app_site.folder.glob("multirun/*"))) == 1  # no worker has started a sweep
    check_projection(app_site, metric="objective", x="x")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "sweeps_dask"])
def test_an_app_runs_under_a_launcher_and_no_file_has_the_password(app_site: Site, launcher: str) -> None:
    file = app_site.folder / "elsewhere.db"
    url = f"hydra.sweeper.storage='sqlite:///{file}?password={PASSWORD}'"
    more = ("hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=4", f"hydra/launcher={launcher}")
    command = sweep(app_site, "grouped.py", "x=interval(0,1)", "model/encoder=mlp,cnn", url, *more)
    study = app_site.study(storage=f"sqlite:///{file}")
    assert [trial.state for trial in study.get_trials()] == [COMPLETE] * 4
    check_projection(app_site, storage=f"sqlite:///{file}", metric="objective", x="x")
    written = [path for path in app_site.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert written == []
    assert PASSWORD not in command.out + command.err


SEARCH = ("x=interval(-1,1)", "hydra.sweeper.n_trials=8", "hydra.sweeper.max_failure_rate=1")
SECONDS_EACH = "0.3"


@pytest.fixture(scope="module")
def undisturbed(new_site: Callable[[], Site]) -> Sequence[tuple[Mapping[str, Any], Sequence[float] | None]]:
    """What a sweep that nothing kills draws and finds."""
    site = new_site()
    shutil.copytree(APPS, site.folder, dirs_exist_ok=True)
    sweep(site, "begins.py", *SEARCH, SECONDS_EACH=SECONDS_EACH)
    return sequence(site.study())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_an_app_killed_at_a_moment_is_resumed_as_if_nothing_had_been(
    app_site: Site, undisturbed: Sequence[tuple[Mapping[str, Any], Sequence[float] | None]], seed: int
) -> None:
    rng = random.Random(seed)
    command = app_site.command("begins.py", "-m", *SEARCH, SECONDS_EACH=SECONDS_EACH)
    app_site.wait_until_begun(seed * 8 // 10 + 1)
    time.sleep(rng.uniform(0, 1.5 * float(SECONDS_EACH)))
    with suppress(ProcessLookupError):  # it has ended by itself
        command.send(signal.SIGKILL) if rng.random() < 0.5 else killpg(command.pid, signal.SIGKILL)
    assert command.wait() in (-signal.SIGKILL, 0)
    resumed = app_site.command("sweeps.resume", "multirun/s", SECONDS_EACH="0")
    assert resumed.wait() == 0, resumed.out + resumed.err
    study = app_site.study()
    assert len(counted(study)) == 8
    assert sequence(study) == list(undisturbed)
    check_projection(app_site, metric="objective", x="x")
    assert app_site.parent().info.status == "FINISHED"
