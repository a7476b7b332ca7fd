"""The study's database: locked, away, full, shared, of another kind."""

import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

import sweeps.study.storage
from sweeps.base.errors import ConfigError, StorageError
from sweeps.study.storage import find_study, open_storage


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'studies.db'}"


def test_a_study_is_found_again_and_no_file_is_made_by_looking(tmp_path):
    assert find_study(url_of(tmp_path), "s") is None
    assert not (tmp_path / "studies.db").exists()
    study = optuna.create_study(study_name="s", storage=open_storage(url_of(tmp_path)))
    study.tell(study.ask(), 1.0)
    found = find_study(url_of(tmp_path), "s")
    assert found is not None
    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE]
    assert find_study(url_of(tmp_path), "another") is None


def test_it_is_a_storage_like_optunas_own(tmp_path):
    study = optuna.create_study(storage=open_storage(url_of(tmp_path)), sampler=optuna.samplers.TPESampler(seed=1))
    study.enqueue_trial({"x": 0.5})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=20)
    plain = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    plain.enqueue_trial({"x": 0.5})
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=20)
    assert [trial.params for trial in study.trials] == [trial.params for trial in plain.trials]
    assert study.best_trial.number == plain.best_trial.number


def test_a_lock_is_waited_for_and_nothing_is_lost(tmp_path):
    study = optuna.create_study(storage=open_storage(url_of(tmp_path)))
    trial = study.ask()
    other = sqlite3.connect(tmp_path / "studies.db", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(7.0, other.rollback).start()  # longer than sqlite itself waits
    started = time.monotonic()
    study.tell(trial, 2.0)
    assert time.monotonic() - started > 5.5
    other.close()
    assert [trial.value for trial in study.trials] == [2.0]


def test_a_database_that_refuses_is_one_message_without_its_password(tmp_path):
    study = optuna.create_study(storage=open_storage(url_of(tmp_path)))
    other = sqlite3.connect(tmp_path / "studies.db")
    for table in ("trial_values", "trial_heartbeats"):
        other.execute(f"DROP TABLE {table}")
    other.commit()
    other.close()
    with pytest.raises(StorageError, match=r"cannot be used: no such table: trial_values"):
        study.tell(study.ask(), 1.0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("studies.db", "write it as a URL"),
        ("nothing://host/db", "use sqlite, postgresql or mysql"),
        ("mssql+pyodbc://user:s3cr3t@host/db", "use sqlite, postgresql or mysql"),
        ("postgresql+nothing://user:s3cr3t@host/db", "its driver is not installed"),
        ("mysql://user:s3cr3t@host/db", "pip install pymysql"),
    ],
)
def test_a_url_that_cannot_be_opened_says_what_to_type(url, message):
    with pytest.raises(ConfigError, match=message) as raised:
        open_storage(url)
    assert "s3cr3t" not in str(raised.value)


def test_a_server_that_is_down_is_one_message():
    with pytest.raises(StorageError, match="cannot be used") as raised:
        open_storage("postgresql://user:s3cr3t@127.0.0.1:1/studies")
    assert "s3cr3t" not in str(raised.value)


def test_a_file_in_a_folder_that_is_not_there_is_one_message(tmp_path):
    with pytest.raises(StorageError, match="unable to open database file"):
        open_storage(f"sqlite:///{tmp_path}/missing/studies.db")


WRITER = """
    import sys
    import optuna
    from sweeps.study.storage import open_storage
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=sys.argv[2], storage=open_storage(sys.argv[1]), load_if_exists=True)
    for _ in range(5):
        study.tell(study.ask(), 1.0)
"""


def test_eight_processes_that_open_a_fresh_database_at_once_all_succeed(tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(WRITER))
    command = [sys.executable, str(script), url_of(tmp_path)]
    writers = [subprocess.Popen([*command, f"s{number % 4}"], stderr=subprocess.PIPE, text=True) for number in range(8)]
    errors = [writer.communicate(timeout=300)[1] for writer in writers]
    assert errors == [""] * 8
    for number in range(4):
        study = find_study(url_of(tmp_path), f"s{number}")
        assert study is not None
        assert [trial.number for trial in study.trials] == list(range(10))


def test_a_trial_that_was_told_although_the_answer_was_lost_is_not_told_twice(tmp_path, monkeypatch):
    study = optuna.create_study(storage=open_storage(url_of(tmp_path)))
    trial = study.ask()
    commit, lost = sqlite3.Connection.commit, []

    def commit_and_lose_the_answer(connection):
        commit(connection)
        if not lost:
            lost.append(connection)
            raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sweeps.study.storage._Connection, "commit", commit_and_lose_the_answer, raising=False)
    told = study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    monkeypatch.undo()
    assert lost
    assert told is True
    assert [trial.values for trial in study.trials] == [[0.5]]


def test_a_trial_that_another_process_tells_while_the_database_is_locked_is_not_ours(tmp_path, monkeypatch):
    study = optuna.create_study(storage=open_storage(url_of(tmp_path)))
    other = optuna.load_study(study_name=study.study_name, storage=url_of(tmp_path))
    trial = study.ask()
    commit, lost = sqlite3.Connection.commit, []

    def lose_it_to_another(connection):
        if lost:
            return commit(connection)
        lost.append(connection)
        connection.rollback()
        other.tell(trial.number, state=TrialState.FAIL)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sweeps.study.storage._Connection, "commit", lose_it_to_another, raising=False)
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.5])
    monkeypatch.undo()
    (found,) = study.trials
    assert (found.state, found.values) == (TrialState.FAIL, None)
