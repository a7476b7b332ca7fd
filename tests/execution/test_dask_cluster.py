"""Trials on a real Dask cluster of processes on loopback, some of which are killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from spaces import collect
from sweeps.base.errors import ClusterError
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.execution.dask_cluster import DaskWorkers, connect, start_cluster
from sweeps.execution.outcome import Failure, PrunedTrial, TrialResult
from sweeps.execution.workers import PruningCheck, TrialTimeoutError, WorkerDiedError
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import Attribute
from sweeps.study.loop import StudyLoop
from sweeps.study.result import StudyResult
from sweeps.study.samplers import SamplerFactory
from sweeps.study.stopping import Budget

from .dask_processes import DaskProcesses

Job = Callable[[int, Proposal], TrialResult]
OPTION = {"C": 2.0, "search_space": {"C": {"type": "float", "low": 0.01, "high": 100.0, "log": True}}}
SPACE = SearchSpace(
    {"model": ("m",), "vectorizer": ("none",)}, {("model", "m"): collect(OPTION, "model", "m", "m.yaml")}
)


def job_of(act: Callable[[int], Any] = lambda number: None) -> Job:
    """A job that does something and has a score; made here, so that it travels by value."""

    def job(number: int, proposal: Proposal) -> TrialResult:
        act(number)
        return TrialResult({"val_f1": proposal.values["model.C"]})

    return job


def prepare() -> Callable[[], None]:
    return lambda: None


def proposal(c: float = 1.0) -> Proposal:
    return Proposal({"model": "m", "vectorizer": "none"}, {"model.C": c})


def sweep(study: optuna.Study, workers: DaskWorkers, n_trials: int, **budget: Any) -> StudyResult:
    samplers = SamplerFactory({"_target_": "optuna.samplers.RandomSampler", "seed": 1}, SPACE)
    return StudyLoop(study, TrialQueue(study, SPACE, samplers), workers, Budget(n_trials, **budget), ["val_f1"]).run()


def new_study(folder: Path) -> optuna.Study:
    return optuna.create_study(storage=f"sqlite:///{folder / 'study.db'}", direction="maximize")


def states(trials: list[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state is state]


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskProcesses]:
    """Processes of one test, which may kill them."""
    monkeypatch.chdir(tmp_path)
    started = DaskProcesses(tmp_path)
    yield started
    started.kill_all()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    """A worker with two threads, for tests that leave it as it was."""
    started = DaskProcesses(tmp_path_factory.mktemp("cluster"))
    try:
        started.start_scheduler()
        started.start_worker(n_threads=2)
        yield started
    finally:
        started.kill_all()


@pytest.fixture
def workers_of() -> Iterator[Callable[..., DaskWorkers]]:
    """Makes workers on a cluster; they are closed at the end."""
    made: list[DaskWorkers] = []

    def make(cluster: DaskProcesses, job: Job, n_jobs: int | None = None, timeout: float | None = None) -> DaskWorkers:
        made.append(DaskWorkers(connect(cluster.address), None, prepare(), job, n_jobs, timeout))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def test_one_trial_that_dies_hangs_or_raises_costs_that_trial_alone(
    cluster: DaskProcesses, workers_of: Callable[..., DaskWorkers]
) -> None:
    def act(number: int) -> None:
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1:
            time.sleep(600)
        if number == 2:
            raise ValueError("unlucky")

    workers = workers_of(cluster, job_of(act), timeout=3.0)
    assert workers.capacity == 2
    futures = [workers.submit(number, proposal(number), None) for number in range(5)]
    with pytest.raises(WorkerDiedError, match="SIGKILL"):
        futures[0].result(120)
    with pytest.raises(TrialTimeoutError, match="trial_timeout=3 s"):
        futures[1].result(120)
    raised = futures[2].result(120)
    assert isinstance(raised, Failure)
    assert raised.error == "ValueError: unlucky"
    outcomes = [future.result(120) for future in futures[3:]]
    assert [outcome.metrics for outcome in outcomes if isinstance(outcome, TrialResult)] == [
        {"val_f1": 3.0},
        {"val_f1": 4.0},
    ]


def test_steps_reach_the_judge_and_its_verdict_comes_back(
    cluster: DaskProcesses, workers_of: Callable[..., DaskWorkers]
) -> None:
    def job(number: int, proposal: Proposal) -> TrialResult:
        from sweeps.base.reporting import report_scores

        for step in range(5):
            report_scores({"val_f1": number + step})
        return TrialResult({"val_f1": 1.0})

    heard: dict[int, list[float]] = {0: [], 10: []}

    def pruning_check(number: int) -> PruningCheck:
        def should_prune(scores: Mapping[str, float], step: int | None) -> bool:
            heard[number].append(scores["val_f1"])
            return scores["val_f1"] == 2.0

        return should_prune

    workers = workers_of(cluster, job)
    hopeless = workers.submit(0, proposal(), pruning_check(0))
    good = workers.submit(10, proposal(), pruning_check(10))
    assert hopeless.result(120) == PrunedTrial()
    assert isinstance(good.result(120), TrialResult)
    assert heard == {0: [0.0, 1.0, 2.0], 10: [10.0, 11.0, 12.0, 13.0, 14.0]}


def test_a_judge_that_raises_is_the_sweeps_to_handle(
    cluster: DaskProcesses, workers_of: Callable[..., DaskWorkers]
) -> None:
    def job(number: int, proposal: Proposal) -> TrialResult:
        from sweeps.base.reporting import report_scores

        report_scores({"val_f1": 1.0})
        return TrialResult({"val_f1": 1.0})

    def should_prune(scores: Mapping[str, float], step: int | None) -> bool:
        raise LookupError("no such database")

    with pytest.raises(LookupError, match="no such database"):
        workers_of(cluster, job).submit(0, proposal(), should_prune).result(120)


def test_closing_ends_the_trials_that_run(
    cluster: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    def act(number: int) -> None:
        (tmp_path / str(number)).write_text(str(os.getpid()))
        time.sleep(600)

    workers = workers_of(cluster, job_of(act))
    for number in range(2):
        workers.submit(number, proposal(), None)
    wait_until(lambda: all((tmp_path / str(number)).is_file() for number in range(2)))
    pids = [int((tmp_path / str(number)).read_text()) for number in range(2)]
    workers.close()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 10)


@pytest.mark.slow
def test_nobody_at_the_address_is_one_message() -> None:
    with pytest.raises(ClusterError, match=r"address=tcp://127.0.0.1:9: no Dask scheduler answers there"):
        connect("tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_worker_and_its_nanny_killed_the_trial_is_rerun_elsewhere_and_told_once(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    def act(number: int) -> None:
        (tmp_path / f"begun-{number}").write_text(str(os.getpid()))
        time.sleep(3.0)

    processes.start_scheduler()
    first = processes.start_worker()
    processes.start_worker()
    workers = workers_of(processes, job_of(act))
    threading.Thread(target=lambda: _kill_when_begun(processes, first, tmp_path), daemon=True).start()
    study = new_study(tmp_path)
    result = sweep(study, workers, 4)
    assert result.reason == ""
    trials = study.get_trials()
    assert len(states(trials, TrialState.COMPLETE)) == 4
    (lost,) = states(trials, TrialState.FAIL)
    assert "was lost" in lost.user_attrs[Attribute.ERROR]
    (again,) = [trial for trial in trials if trial.user_attrs.get(Attribute.RETRY_OF) == lost.number]
    assert again.params == lost.params
    assert lost.user_attrs[Attribute.ATTEMPT] == 0, "it was no fault of the trial's"
    assert workers.capacity == 1


def _kill_when_begun(processes: DaskProcesses, worker: Any, folder: Path) -> None:
    """Kill a worker when a trial runs in a process that descends from it."""

    def runs_there() -> bool:
        family = {child.pid for child in psutil.Process(worker.pid).children(recursive=True)}
        return any(int(file.read_text() or 0) in family for file in folder.glob("begun-*"))

    wait_until(runs_there)
    processes.kill(worker)


@pytest.mark.slow
def test_a_trial_that_holds_the_interpreters_lock_longer_than_worker_ttl_runs_once(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    def act(number: int) -> None:
        import ctypes

        with (tmp_path / "begun").open("a") as file:
            file.write(f"{number}\n")
        ctypes.PyDLL(None).sleep(12)  # PyDLL keeps the lock

    processes.start_scheduler({"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s"})
    processes.start_worker()
    study = new_study(tmp_path)
    sweep(study, workers_of(processes, job_of(act)), 1)
    assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE]
    assert (tmp_path / "begun").read_text() == "0\n"


@pytest.mark.slow
def test_a_worker_with_other_versions_is_refused_at_the_start(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    other = tmp_path / "other" / "optuna-4.0.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 4.0.0\n", encoding="utf-8")
    processes.start_scheduler()
    path = f"{other.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    processes.start_worker(environ={"PYTHONPATH": path, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"})
    with pytest.raises(ClusterError, match=rf"has optuna 4\.0\.0 instead of {optuna.__version__}"):
        workers_of(processes, job_of())


@pytest.mark.slow
def test_a_worker_that_may_not_start_processes_is_refused_at_the_start(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers]
) -> None:
    processes.start_scheduler()
    processes.start_worker(environ={})
    with pytest.raises(ClusterError, match="DASK_DISTRIBUTED__WORKER__DAEMON=False"):
        workers_of(processes, job_of())


@pytest.mark.slow
def test_a_cluster_that_grows_is_filled(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    def act(number: int) -> None:
        (tmp_path / f"begun-{number}").touch()
        time.sleep(600)

    processes.start_scheduler()
    processes.start_worker()
    workers = workers_of(processes, job_of(act))
    study = new_study(tmp_path)
    running = threading.Thread(target=lambda: sweep(study, workers, 3), daemon=True)
    running.start()
    wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 1)
    processes.start_worker(n_threads=2)
    wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 3)
    workers.close()


@pytest.mark.slow
def test_the_scheduler_killed_ends_the_sweep_with_one_error(
    processes: DaskProcesses, workers_of: Callable[..., DaskWorkers], tmp_path: Path
) -> None:
    def act(number: int) -> None:
        (tmp_path / f"begun-{number}").touch()
        time.sleep(5.0 if number else 0.0)

    processes.start_scheduler()
    processes.start_worker(n_threads=2)
    workers = workers_of(processes, job_of(act))
    study = new_study(tmp_path)

    def kill_the_scheduler() -> None:
        wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 3)
        assert processes.scheduler is not None
        processes.kill(processes.scheduler)

    threading.Thread(target=kill_the_scheduler, daemon=True).start()
    with pytest.raises(ClusterError, match=r"The Dask scheduler at tcp://127.0.0.1:\d+ is gone"):
        sweep(study, workers, 6)
    trials = study.get_trials()
    assert states(trials, TrialState.RUNNING) == []
    assert [trial.user_attrs[Attribute.INTERRUPTED] for trial in states(trials, TrialState.FAIL)] == [True, True]

    processes.kill_all()
    processes.start_scheduler()
    processes.start_worker(n_threads=2)
    sweep(study, workers_of(processes, job_of()), 6)
    trials = study.get_trials()
    assert len(states(trials, TrialState.COMPLETE)) == 6
    assert len(trials) == 8


@pytest.mark.slow
def test_a_cluster_of_this_process_runs_trials_and_is_closed() -> None:
    from distributed import LocalCluster

    client, cluster = start_cluster(lambda: LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None))
    workers = DaskWorkers(client, cluster, prepare(), job_of(), None, None)
    pids = [worker.pid for worker in cluster.workers.values()]
    assert isinstance(workers.submit(0, proposal(), None).result(120), TrialResult)
    workers.close()
    assert cluster.status.name == "closed"
    assert not any(psutil.pid_exists(pid) for pid in pids)
