"""Studies in PostgreSQL: restarts, connections that end or are all taken, passwords, many first openings at once."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
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


@dataclass(frozen=True)
class Role:
    """Of a user who is no superuser, and may have so many connections."""

    url: str
    n_connections: int


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    name = f"d{uuid.uuid4().hex}"
    return Database(name, postgres.create_database(name), postgres)


def new_role(database: Database, password: str, n_connections: int = 20) -> Role:
    name = f"r{uuid.uuid4().hex}"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' CONNECTION LIMIT {n_connections}")
        connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
        connection.execute(f"GRANT ALL ON DATABASE {database.name} TO {name}")
    place = database.url.partition("@")[2]
    return Role(f"postgresql://{name}:{quote(password, safe='')}@{place}", n_connections)


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


@contextmanager
def again_and_again(do: Callable[[], object], pause: float) -> Iterator[None]:
    ending = threading.Event()

    def work() -> None:
        while not ending.wait(pause):
            do()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def test_connections_that_the_server_ends_cost_no_trial(site: Site, database: Database) -> None:
    ended = 0

    def end_all() -> None:
        nonlocal ended
        ended += database.server.terminate(database.name)

    command = site.start(f"storage={database.url}", "n_trials=10", "n_jobs=2", mischief="sleep:0.3@*")
    site.wait_until_begun(1)
    with again_and_again(end_all, 0.5):
        assert command.wait() == 0, command.out + command.err
    assert ended > 3
    assert "Traceback" not in command.err
    check_whole(site, 10, storage=database.optuna_url)
    assert len(site.study(storage=database.optuna_url).get_trials()) == 10


@contextmanager
def all_taken(database: Database, role: Role) -> Iterator[None]:
    """Hold every connection that a role may have, its sweeps' own included."""
    with ExitStack() as held:
        n_held, deadline = 0, time.monotonic() + 30
        while n_held < role.n_connections:
            assert time.monotonic() < deadline
            database.server.terminate(database.name, but=n_held)
            try:
                held.enter_context(psycopg.connect(role.url))
            except psycopg.OperationalError:
                time.sleep(0.01)
            else:
                n_held += 1
        yield


def test_a_server_without_a_connection_left_is_one_message_at_the_start(site: Site, database: Database) -> None:
    role = new_role(database, "simple", 2)
    before = sorted(site.folder.iterdir())
    with all_taken(database, role):
        command = site.start(f"storage={role.url}")
        assert command.wait() == 1
    assert "too many connections" in command.err
    assert "Traceback" not in command.err
    assert sorted(site.folder.iterdir()) == before


def test_a_server_without_a_connection_left_in_the_middle_is_waited_for(site: Site, database: Database) -> None:
    role = new_role(database, "simple", 6)
    command = site.start(f"storage={role.url}", "n_trials=10", mischief="sleep:0.3@*")
    site.wait_until_begun(2)
    with all_taken(database, role):
        time.sleep(5)
    assert command.wait() == 0, command.out + command.err
    assert "Traceback" not in command.err
    check_whole(site, 10, storage=database.optuna_url)


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


@pytest.mark.parametrize("password", ["p@ss:w/rd 5%q%40?c#d", "ü€'\\"])
def test_a_password_of_any_characters_works_when_it_is_encoded(site: Site, database: Database, password: str) -> None:
    role = new_role(database, password.replace("'", "''"))
    encoded = quote(password, safe="")
    url = role.url.replace(quote(password.replace("'", "''"), safe=""), encoded)
    command = site.start(f"storage={url}", "n_trials=2", "n_jobs=0")
    assert command.wait() == 0, command.out + command.err
    resumed = site.command("sweeps.resume", "multirun/s", "n_trials=3", SWEEPS_STORAGE=url)
    assert resumed.wait() == 0, resumed.out + resumed.err
    check_whole(site, 3, storage=database.optuna_url)
    shown = command.out + command.err + resumed.out + resumed.err
    files = [path.read_bytes() for path in site.folder.rglob("*") if path.is_file()]
    for form in (password, encoded):
        assert form not in shown
        assert not any(form.encode() in content for content in files)


@pytest.mark.parametrize("password", ["p@ss:w/rd@", "a b@c"])
def test_a_password_that_is_not_encoded_is_one_message_without_it(
    site: Site, database: Database, password: str
) -> None:
    role = new_role(database, password)
    url = role.url.replace(quote(password, safe=""), password)
    before = sorted(site.folder.iterdir())
    for arguments, environ in (([f"storage='{url}'"], {}), ([], {"SWEEPS_STORAGE": url})):
        command = site.start(*arguments, **environ)
        assert command.wait() == 1
        assert "percent-encoded" in command.err
        assert password not in command.err
        assert sorted(site.folder.iterdir()) == before
