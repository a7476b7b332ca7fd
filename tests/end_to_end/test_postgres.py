"""Studies in PostgreSQL: restarts of the server, passwords, and many first openings at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from postgres_server import PASSWORD, Postgres

from .fault_site import Site, check_projection, check_whole, counted

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Database:
    name: str
    url: str
    server: Postgres

    @property
    def optuna_url(self) -> str:
        return self.url.replace("postgresql:", "postgresql+psycopg:")


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    name = f"d{uuid.uuid4().hex}"
    return Database(name, postgres.create_database(name), postgres)


def test_a_server_that_restarts_is_waited_for_and_nothing_is_there_twice(site: Site, database: Database) -> None:
    command = site.start(f"storage={database.url}", "n_trials=10", "n_jobs=2", mischief="sleep:0.5@*")
    site.wait_until_begun(3)
    database.server.stop()
    time.sleep(4)
    database.server.start()
    assert command.wait() == 0, command.out + command.err
    assert "Traceback" not in command.err
    check_whole(site, 10, storage=database.optuna_url)
    assert len(site.study(storage=database.optuna_url).get_trials()) == 10


def holding_the_password(site: Site) -> list[Path]:
    files = [path for path in site.folder.rglob("*") if path.is_file()]
    return [path for path in files if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_password_is_kept_nowhere(site: Site, database: Database, way: str) -> None:
    environ = {"SWEEPS_STORAGE": database.url}
    arguments = []
    if way == "argument":
        environ, arguments = {}, [f"storage={database.url}"]
    command = site.start(*arguments, "n_trials=4", mischief="raise@2", **environ)
    assert command.wait() == 0, command.out + command.err
    shown = [command.out, command.err]

    resumed = site.command("sweeps.resume", "multirun/s", "n_trials=6")
    assert resumed.wait() == 1
    assert "SWEEPS_STORAGE" in resumed.err
    assert "Traceback" not in resumed.err
    for more, environ in (([f"storage={database.url}"], {}), ([], {"SWEEPS_STORAGE": database.url})):
        n_trials = len(counted(site.study(storage=database.optuna_url))) + 1
        resumed = site.command("sweeps.resume", "multirun/s", f"n_trials={n_trials}", *more, **environ)
        assert resumed.wait() == 0, resumed.out + resumed.err
        shown += [resumed.out, resumed.err]
    synced = site.command("sweeps.sync", "multirun/s", SWEEPS_STORAGE=database.url)
    assert synced.wait() == 0, synced.err
    assert len(counted(site.study(storage=database.optuna_url))) == 6
    check_projection(site, storage=database.optuna_url)

    assert not any(PASSWORD in text for text in [*shown, synced.out, synced.err])
    assert holding_the_password(site) == []
    assert PASSWORD not in database.server.dump(database.name)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (("sweeper", "swooper"), "postgresql"),
        (("postgresql:", "mysql:"), "mysql"),
        (("/d", "/nothing"), "nothing"),
        (("postgresql:", "postgrezql:"), "storage="),
    ],
)
def test_a_storage_that_cannot_be_opened_is_one_message_without_the_password(
    site: Site, database: Database, wrong: tuple[str, str], part: str
) -> None:
    before = sorted(site.folder.iterdir())
    command = site.start(f"storage={database.url.replace(*wrong)}")
    assert command.wait() == 1
    assert part in command.err
    assert "Traceback" not in command.err
    assert PASSWORD not in command.out + command.err
    assert site.n_begun() == 0
    assert sorted(site.folder.iterdir()) == before


def test_four_sweeps_at_once_open_an_empty_database(site: Site, database: Database) -> None:
    names = [f"s{number}" for number in range(4)]
    commands = [site.start(f"storage={database.url}", "n_trials=3", "n_jobs=0", study=name) for name in names]
    for command in commands:
        assert command.wait(400) == 0, command.out + command.err
    for name in names:
        check_whole(site, 3, name, database.optuna_url)
