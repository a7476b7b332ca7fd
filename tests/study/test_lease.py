"""Who is at work on a study."""

import subprocess
import sys
import textwrap
import threading
import time
import uuid
from contextlib import contextmanager

import optuna
import psutil
import pytest

from sweeps.base.errors import StorageError
from sweeps.study.lease import Lease
from sweeps.study.others import OtherProcesses
from sweeps.study.signs_of_life import SignsOfLife, start_of, this_process
from sweeps.study.storage import open_storage

OTHER = """
    import sys
    import optuna
    from sweeps.base.errors import StorageError
    from sweeps.study.lease import Lease
    from sweeps.study.storage import open_storage
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(sys.argv[1])
    lease = Lease(optuna.load_study(study_name="s", storage=storage), storage)
    print("ready", flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "die":
        with storage.lock("s"):
            print("locked", flush=True)
            sys.stdin.readline()
    try:
        lease.acquire(join=sys.argv[2] == "join")
    except StorageError as error:
        print(error, flush=True)
    else:
        print("held", flush=True)
        sys.stdin.readline()
        print("last" if lease.depart() else "not the last", flush=True)
        sys.stdin.readline()
        lease.release()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    (tmp_path / "other.py").write_text(textwrap.dedent(OTHER))
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 's.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database(f"d{uuid.uuid4().hex}")
    with closing(url) as storage:
        optuna.create_study(study_name="s", storage=storage)
    return url


@contextmanager
def closing(url):
    storage = open_storage(url)
    yield storage
    storage.database.engine.dispose()


@pytest.fixture
def other(url, tmp_path):
    started = []

    def start(how="alone"):
        command = [sys.executable, str(tmp_path / "other.py"), url, how]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def say(process):
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def storage(url):
    with closing(url) as storage:
        yield storage


@pytest.fixture
def new_lease(storage):
    """Makes leases on the study that are another process's but for their process."""
    return lambda: Lease(optuna.load_study(study_name="s", storage=storage), storage)


def test_a_second_process_is_refused_by_name_until_the_first_lets_go(other, new_lease):
    holder, lease = other(), new_lease()
    say(holder)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=rf"study s is run by process {holder.pid} on .*join=true"):
        lease.acquire(join=False)
    say(holder)
    assert holder.stdout.readline() == "last\n"
    say(holder)
    holder.wait()
    again = new_lease()
    again.acquire(join=False)
    assert again.others() == []
    again.release()


def test_a_killed_process_holds_nobody_up(other, new_lease):
    holder, lease = other(), new_lease()
    say(holder)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    lease.acquire(join=False)
    assert not lease.is_shared()
    lease.release()


def test_a_process_killed_while_it_holds_the_studys_lock_holds_nobody_up(other, new_lease):
    holder, lease = other("die"), new_lease()
    say(holder)
    assert holder.stdout.readline() == "locked\n"
    waiting = threading.Thread(target=lease.acquire, kwargs={"join": False})
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    holder.kill()
    holder.wait()
    waiting.join(60)
    assert not waiting.is_alive()
    assert lease.is_first()
    lease.release()


def test_processes_that_join_know_of_each_other(other, new_lease):
    holder, lease = other(), new_lease()
    say(holder)
    assert holder.stdout.readline() == "held\n"
    lease.acquire(join=True)
    assert len(lease.others()) == 1
    lease.release()
    assert lease.holder not in new_lease().others()


def test_of_several_that_start_at_the_same_moment_one_holds_the_study(other):
    processes = [other() for _ in range(6)]
    for process in processes:
        say(process)
    answers = [process.stdout.readline() for process in processes]
    assert answers.count("held\n") == 1


def test_of_several_that_end_at_the_same_moment_one_is_the_last(other):
    processes = [other("join") for _ in range(4)]
    for process in processes:
        say(process)
    assert [process.stdout.readline() for process in processes] == ["held\n"] * 4
    for process in processes:
        say(process)
    answers = [process.stdout.readline() for process in processes]
    assert answers.count("last\n") == 1


def test_who_ends_while_another_is_at_work_is_not_the_last(other):
    first, second = other("join"), other("join")
    for process in (first, second):
        say(process)
        assert process.stdout.readline() == "held\n"
    for process, answer in ((second, "not the last\n"), (first, "last\n")):
        say(process)
        assert process.stdout.readline() == answer


def test_a_process_of_another_machine_is_known_by_its_signs_of_life(new_lease, storage):
    lease, study = new_lease(), optuna.load_study(study_name="s", storage=storage)
    there = {
        "number": 1,
        "has_departed": False,
        "host": "another-machine",
        "pid": 1,
        "started": 0.0,
        "beat": time.time(),
    }
    study.set_user_attr("sweeps.coordinator.there", there)
    with pytest.raises(StorageError, match="process 1 on another-machine"):
        lease.acquire(join=False)
    study.set_user_attr("sweeps.coordinator.there", there | {"beat": time.time() - 3600})
    again = new_lease()
    again.acquire(join=False)
    again.release()


def test_a_sign_of_life_that_waits_for_the_database_does_not_undo_a_departure(storage):
    """The beat takes its time to write; a departure meanwhile is written after it."""
    study = optuna.load_study(study_name="s", storage=storage)
    lease = Lease(study, storage)
    lease.acquire(join=False)
    write = study.set_user_attr

    def write_slowly(name, value):
        if threading.current_thread() is beat:
            time.sleep(0.5)
        write(name, value)

    study.set_user_attr = write_slowly
    beat = threading.Thread(target=lease._write)
    beat.start()
    time.sleep(0.1)
    assert lease.depart()
    beat.join()
    (stored,) = [value for name, value in study.user_attrs.items() if lease.holder in name]
    assert stored["has_departed"]
    lease.release()


def test_a_clock_that_jumps_neither_kills_nor_revives_a_process_of_another_machine(monkeypatch):
    now, clock = [1000.0], [1e9]
    monkeypatch.setattr("sweeps.study.signs_of_life.time.monotonic", lambda: now[0])
    monkeypatch.setattr("sweeps.study.signs_of_life.time.time", lambda: clock[0])
    signs, lease = SignsOfLife(), {"host": "another-machine", "beat": 1e9}
    assert signs.is_alive("there", lease)
    for jump in (7200.0, -7200.0):
        clock[0] += jump  # ours
        now[0] += 10.0
        lease["beat"] += 10.0
        assert signs.is_alive("there", lease)
    lease["beat"] -= 7200.0  # theirs
    now[0] += 10.0
    assert signs.is_alive("there", lease)
    now[0] += 61.0  # no sign any more
    assert not signs.is_alive("there", lease)
    lease["beat"] += 10.0
    assert signs.is_alive("there", lease)
    assert not SignsOfLife().is_alive("there", lease | {"beat": clock[0] + 7200.0}), "of a clock that was set back"


def test_a_clock_that_is_set_makes_no_other_process_of_one(monkeypatch):
    """What psutil counts from moves with the clock."""
    lease = this_process() | {"beat": 0.0}
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 12345.0)
    assert SignsOfLife().is_alive("here", lease)
    assert not SignsOfLife().is_alive("here", lease | {"started": lease["started"] + 60.0})
    assert start_of(2**22 + 1) is None


def test_who_ends_the_study_waits_until_those_that_departed_have_logged_their_trials(other, new_lease):
    """Otherwise both log them, and MLflow has them twice."""
    departed, lease = other("join"), new_lease()
    say(departed)
    assert departed.stdout.readline() == "held\n"
    lease.acquire(join=True)
    say(departed)
    assert departed.stdout.readline() == "not the last\n"
    assert OtherProcesses(lease._study, None, 1).leave_the_end_to_us()
    ending = threading.Thread(target=OtherProcesses(lease._study, lease, 1).leave_the_end_to_us)
    ending.start()
    ending.join(1.0)
    assert ending.is_alive()
    say(departed)  # it lets go
    ending.join(60)
    assert not ending.is_alive()
    lease.release()
