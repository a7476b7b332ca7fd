"""Worker processes: what dies or hangs costs its own trial, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import psutil
import pytest

from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import Failure, PrunedTrial, TrialResult
from sweeps.execution.pool import Pool
from sweeps.execution.workers import TrialTimeoutError, WorkerDiedError


def nothing() -> None:
    """Workers need no preparation here."""


def proposal(what: str = "pid", seconds: float = 0.0) -> Proposal:
    return Proposal({"model": what}, {"model.seconds": seconds})


def job(number: int, asked: Proposal) -> TrialResult:
    """Does what its model is called, and returns the worker's process id."""
    time.sleep(asked.values["model.seconds"])
    match asked.choices["model"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "exit":
            sys.exit(3)
        case "raise":
            raise ArithmeticError("singular")
        case "unpicklable":
            return TrialResult({"val": 1.0}, params={"f": lambda: None})
        case "child":
            process = subprocess.Popen(["sleep", "600"])
            Path(os.environ["SWEEPS_TEST_FILE"]).write_text(str(process.pid))
            time.sleep(600)
        case "threads":
            return TrialResult({"threads": float(os.environ["OMP_NUM_THREADS"])})
    return TrialResult({"pid": float(os.getpid()), "number": float(number)})


@pytest.fixture
def pool() -> Iterator[Callable[..., Pool]]:
    opened: list[Pool] = []

    def open_pool(n_jobs: int = 2, trial_timeout: float | None = None) -> Pool:
        opened.append(Pool(nothing, job, n_jobs, trial_timeout))
        return opened[-1]

    yield open_pool
    for each in opened:
        each.close()


def pid_of(outcome: object) -> int:
    assert isinstance(outcome, TrialResult)
    return int(outcome.metrics["pid"])


def test_trials_run_in_long_lived_processes_that_are_not_ours(pool):
    one = pool(1)
    pids = {pid_of(one.submit(number, proposal(), None).result()) for number in range(5)}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_a_worker_that_dies_costs_its_own_trial_and_is_replaced(pool):
    two = pool(2)
    slow = two.submit(0, proposal(seconds=1.0), None)
    killed = two.submit(1, proposal("kill"), None)
    with pytest.raises(WorkerDiedError, match=r"killed by SIGKILL; .* memory runs out"):
        killed.result()
    after = two.submit(2, proposal(), None)
    assert pid_of(slow.result()) != pid_of(after.result())


def test_a_worker_that_dies_while_it_is_idle_costs_nothing(pool):
    one = pool(1)
    first = pid_of(one.submit(0, proposal(), None).result())
    os.kill(first, signal.SIGKILL)
    assert pid_of(one.submit(1, proposal(), None).result()) != first


def test_a_trial_that_hangs_is_ended_at_its_timeout_and_the_others_never_wait_for_it(pool):
    two = pool(2, trial_timeout=2.0)
    pid_of(two.submit(0, proposal(), None).result())
    stopped = two.submit(1, proposal("stop"), None)
    quick = [two.submit(number, proposal(), None) for number in range(2, 8)]
    wait(quick)
    assert not stopped.done()
    with pytest.raises(TrialTimeoutError, match="trial_timeout=2 s"):
        stopped.result()
    assert all(pid_of(future.result()) for future in quick)
    assert pid_of(two.submit(8, proposal(), None).result())


@pytest.mark.parametrize(
    ("what", "error"), [("raise", "ArithmeticError: singular"), ("exit", "SystemExit: 3"), ("unpicklable", "pickle")]
)
def test_what_a_trial_raises_comes_back_as_text_and_its_worker_goes_on(pool, what, error):
    one = pool(1)
    outcome = one.submit(0, proposal(what), None).result()
    assert isinstance(outcome, Failure)
    assert error in outcome.error
    assert pid_of(one.submit(1, proposal(), None).result())


def test_a_worker_has_one_thread_for_linear_algebra(pool):
    outcome = pool(1).submit(0, proposal("threads"), None).result()
    assert isinstance(outcome, TrialResult)
    assert outcome.metrics["threads"] == float(os.environ.get("OMP_NUM_THREADS", 1))


SHARING = """
    import sys
    from sweeps.compose.search_space import Proposal
    from sweeps.execution.outcome import TrialResult
    from sweeps.execution.pool import Pool

    changed = []
    if __name__ == "__main__":
        sys.addaudithook(lambda event, arguments: changed.append(arguments) if event == "os.putenv" else None)

    def prepare():
        assert "numpy" in sys.modules  # the server has imported it

    def job(number, proposal):
        from threadpoolctl import threadpool_info
        return TrialResult({"threads": float(max(part["num_threads"] for part in threadpool_info()))})

    if __name__ == "__main__":
        pool = Pool(prepare, job, 1, preload=["numpy"])
        outcome = pool.submit(0, Proposal({}, {}), None).result()
        pool.close()
        print(outcome.metrics, changed)
"""


def test_what_workers_share_takes_one_thread_and_this_process_keeps_its_environment(tmp_path: Path) -> None:
    """A trial may run in this process while a thread of it starts the server."""
    script = tmp_path / "sharing.py"
    script.write_text(textwrap.dedent(SHARING))
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, str(script)], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'threads': 1.0} []\n", "")


def test_what_a_trial_has_started_ends_with_the_pool(pool, tmp_path, monkeypatch):
    file = tmp_path / "pid"
    monkeypatch.setenv("SWEEPS_TEST_FILE", str(file))
    one = pool(1)
    future = one.submit(0, proposal("child"), None)
    while not (file.exists() and file.read_text()):
        time.sleep(0.02)
    one.close()
    with pytest.raises(WorkerDiedError):
        future.result()
    grandchild = int(file.read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(grandchild) and psutil.Process(grandchild).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps(number: int, asked: Proposal) -> TrialResult:
    from sweeps.base.reporting import report_scores

    for step in range(int(asked.values["model.n"])):
        report_scores({"val": float(step)})
    return TrialResult({"val": 1.0})


def test_a_judge_hears_every_step_and_its_verdict_stops_the_trial():
    heard: list[float] = []

    def should_prune(scores, step):
        heard.append(scores["val"])
        return scores["val"] == 3.0

    pool = Pool(nothing, steps, 1)
    try:
        long = Proposal({"model": "m"}, {"model.n": 10})
        short = Proposal({"model": "m"}, {"model.n": 2})
        assert isinstance(pool.submit(0, long, should_prune).result(), PrunedTrial)
        assert heard == [0.0, 1.0, 2.0, 3.0]
        assert isinstance(pool.submit(1, short, should_prune).result(), TrialResult)
        assert isinstance(pool.submit(2, long, None).result(), TrialResult)
    finally:
        pool.close()


COORDINATOR = """
    import ctypes, os, sys, time
    from sweeps.execution.pool import Pool
    from sweeps.compose.search_space import Proposal

    def nothing(): pass

    def job(number, proposal):
        open("worker", "w").write(str(os.getpid()))
        if number:
            ctypes.PyDLL(None).sleep(600)  # holds the interpreter's lock
        time.sleep(600)

    if __name__ == "__main__":
        pool = Pool(nothing, job, 1)
        pool.submit(int(sys.argv[1]), Proposal({}, {}), None).result()
"""


@pytest.mark.parametrize(
    "holds_the_lock", [0, pytest.param(1, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux"))]
)
def test_workers_end_when_the_coordinator_is_killed(tmp_path, holds_the_lock):
    script = tmp_path / "coordinator.py"
    script.write_text(textwrap.dedent(COORDINATOR))
    coordinator = subprocess.Popen([sys.executable, str(script), str(holds_the_lock)], cwd=tmp_path)
    file = tmp_path / "worker"
    while not (file.exists() and file.read_text()):
        assert coordinator.poll() is None
        time.sleep(0.02)
    worker = psutil.Process(int(file.read_text()))
    coordinator.kill()
    coordinator.wait()
    worker.wait(timeout=20)


def test_a_temporary_folder_with_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    code = (
        "import tempfile; from multiprocessing import forkserver; from sweeps.execution.child import prepare_server;"
        "prepare_server(()); print(forkserver._forkserver._forkserver_address); print(tempfile.gettempdir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    address, temporary = done.stdout.split()
    assert address.startswith("/tmp/")
    assert temporary == str(folder)
