"""A PostgreSQL server of the tests' own, on loopback, with a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PASSWORD = "pg-s3cr3t"
_NOBODY = 65534  # the server refuses to run as root


def find_binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Postgres:
    """A server with an empty cluster; it does not run yet.

    Args:
        binaries: from `find_binaries`.

    Attributes:
        url: of its database `postgres`, with the password.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._who: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        self._folder = Path(tempfile.mkdtemp(prefix="sweeps-postgres-"))
        if self._who:
            os.chown(self._folder, _NOBODY, _NOBODY)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-U", "sweeper", "-A", "scram-sha-256", "--pwfile", str(password), "-E", "UTF8", "--no-sync"
        )
        password.unlink()
        self.url = self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://sweeper:{PASSWORD}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database.

        Returns:
            Its URL.
        """
        self._client("psql", "-c", f'CREATE DATABASE "{name}"', "postgres")
        return self.url_of(name)

    def terminate(self, database: str, but: int = 0) -> int:
        """End connections to a database, save for the oldest ones.

        Args:
            database: its name.
            but: how many of the oldest are left.

        Returns:
            How many were ended.
        """
        query = f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '{database}' AND pid <> pg_backend_pid() ORDER BY backend_start OFFSET {but}"""
        return self._client("psql", "-t", "-c", query, "postgres").count("t")

    def dump(self, database: str) -> str:
        """Everything in a database, as SQL."""
        return self._client("pg_dump", database)

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder} -F"
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """End it as a crash would: every connection breaks."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _client(self, name: str, *arguments: str) -> str:
        connection = ["-h", "127.0.0.1", "-p", str(self._port), "-U", "sweeper"]
        return subprocess.run(
            [self._binaries / name, *connection, *arguments],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / name, "-D", self._folder / "data", *arguments],
            cwd=self._folder,
            stdout=subprocess.PIPE if name == "initdb" else subprocess.DEVNULL,  # the server would keep a pipe open
            stderr=subprocess.STDOUT,
            check=False,
            **self._who,
        )
        assert done.returncode == 0, done.stdout
