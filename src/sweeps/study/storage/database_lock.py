"""A lock between the processes that use a database, wherever they run, which a dead process cannot hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from sweeps.base.locks import machine_lock

_STATEMENTS = {
    "postgresql": "SELECT pg_advisory_lock(CAST(:number AS bigint))",  # waits for as long as it takes
    "mysql": "SELECT get_lock(:name, 86400)",  # seconds
    "mariadb": "SELECT get_lock(:name, 86400)",
}
BACKENDS = frozenset({"sqlite", *_STATEMENTS})


@contextmanager
def database_lock(
    engine: Engine, name: str, retry: Callable[[Callable[[], Connection]], Connection] = lambda connect: connect()
) -> Iterator[None]:
    """Hold a lock of a database: with sqlite the one of its file on this machine, else one of the server's.

    Args:
        engine: of the database.
        name: of the server's lock.
        retry: calls until the database answers; once, if it is not given.
    """
    if engine.name == "sqlite":
        with machine_lock(str(Path(engine.url.database or "").resolve())):
            yield
        return
    key = hashlib.sha256(name.encode()).digest()[:8]
    names = {"number": int.from_bytes(key, signed=True), "name": f"sweeps-{key.hex()}"}

    def wait_for_it() -> Connection:
        connection = engine.connect()
        try:
            connection.detach()  # a server takes the lock back when the connection ends, whatever ends it
            connection.execute(text(_STATEMENTS[engine.name]), names)
        except BaseException:
            connection.close()
            raise
        return connection

    with retry(wait_for_it):
        yield
