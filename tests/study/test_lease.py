"""Who is at work on a study."""

import subprocess
import sys
import textwrap
import threading
import time

import optuna
import pytest

from sweeps.base.errors import StorageError
from sweeps.study.lease import Lease
from sweeps.study.storage import open_storage

OTHER = """
    import sys
    import optuna
    from sweeps.base.errors import StorageError
    from sweeps.study.lease import Lease
    from sweeps.study.storage import open_storage
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lease = Lease(optuna.load_study(study_name="s", storage=open_storage(sys.argv[1])))
    print("ready", flush=True)
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


@pytest.fixture
def url(tmp_path):
    (tmp_path / "other.py").write_text(textwrap.dedent(OTHER))
    url = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(study_name="s", storage=open_storage(url))
    return url


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


def lease_on(url):
    return Lease(optuna.load_study(study_name="s", storage=open_storage(url)))


def test_a_second_process_is_refused_by_name_until_the_first_lets_go(url, other):
    holder, lease = other(), lease_on(url)
    say(holder)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=rf"study s is run by process {holder.pid} on .*join=true"):
        lease.acquire(join=False)
    say(holder)
    assert holder.stdout.readline() == "last\n"
    say(holder)
    holder.wait()
    again = lease_on(url)
    again.acquire(join=False)
    assert again.others() == []
    again.release()


def test_a_killed_process_holds_nobody_up(url, other):
    holder, lease = other(), lease_on(url)
    say(holder)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    lease.acquire(join=False)
    assert not lease.is_shared()
    lease.release()


def test_processes_that_join_know_of_each_other(url, other):
    holder, lease = other(), lease_on(url)
    say(holder)
    assert holder.stdout.readline() == "held\n"
    lease.acquire(join=True)
    assert len(lease.others()) == 1
    lease.release()
    assert lease.holder not in lease_on(url).others()


def test_of_several_that_start_at_the_same_moment_one_holds_the_study(url, other):
    processes = [other() for _ in range(4)]
    for process in processes:
        say(process)
    answers = [process.stdout.readline() for process in processes]
    assert answers.count("held\n") == 1


def test_of_several_that_end_at_the_same_moment_one_is_the_last(url, other):
    processes = [other("join") for _ in range(4)]
    for process in processes:
        say(process)
    assert [process.stdout.readline() for process in processes] == ["held\n"] * 4
    for process in processes:
        say(process)
    answers = [process.stdout.readline() for process in processes]
    assert answers.count("last\n") == 1


def test_who_ends_while_another_is_at_work_is_not_the_last(url, other):
    first, second = other("join"), other("join")
    for process in (first, second):
        say(process)
        assert process.stdout.readline() == "held\n"
    for process, answer in ((second, "not the last\n"), (first, "last\n")):
        say(process)
        assert process.stdout.readline() == answer


def test_a_process_of_another_machine_is_known_by_its_signs_of_life(url):
    lease, study = lease_on(url), optuna.load_study(study_name="s", storage=open_storage(url))
    there = {"number": 1, "departure": None, "host": "another-machine", "pid": 1, "started": 0.0, "beat": time.time()}
    study.set_user_attr("sweeps.coordinator.there", there)
    with pytest.raises(StorageError, match="process 1 on another-machine"):
        lease.acquire(join=False)
    study.set_user_attr("sweeps.coordinator.there", there | {"beat": time.time() - 3600})
    again = lease_on(url)
    again.acquire(join=False)
    again.release()


def test_a_sign_of_life_that_waits_for_the_database_does_not_undo_a_departure(url):
    """The beat takes its time to write; a departure meanwhile is written after it."""
    study = optuna.load_study(study_name="s", storage=open_storage(url))
    lease = Lease(study)
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
    assert stored["departure"] == 1
    lease.release()
