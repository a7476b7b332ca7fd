"""A database server for the tests that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from postgres_server import Postgres, find_binaries


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the tests' own."""
    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed; .ci/run installs it")
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(binaries)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """The URL of a database on that server, with its password."""
    return postgres.url
