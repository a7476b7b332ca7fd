"""Addresses of databases: which file is meant, and what is wrong with one that does not mean what it seems to."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from sweeps.base.errors import ConfigError
from sweeps.base.redact import without_passwords

_IN_HOME = re.compile(r"(?:(sqlite(?:\+\w+)?:///)|(file:(?://)?)/?)?(~[^?]*)(.*)", re.DOTALL)
_OF_SERVER = re.compile(
    r"(?!sqlite|https?:)(\w[\w+]*)://([^?]*@)", re.IGNORECASE
)  # user and password, up to the last @
_ENCODED = "@ is %40, : is %3A, / is %2F, % is %25"
_ENCODE = "python -c \"import getpass, urllib.parse as u; print(u.quote(getpass.getpass(), safe=''))\""


def sqlite_file(url: str) -> Path | None:
    """The file of a sqlite database, as an absolute path; None for any other database, and for one in memory."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the second: a port that is no number
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(str(parsed.database)).resolve() if is_file and "uri" not in parsed.query else None


def absolute_address(url: str, folder: Path | None = None) -> str:
    """A database's address as it is understood in any working directory.

    Args:
        url: its address; that of a sqlite file may be relative.
        folder: that it is meant from, by default the working directory.
    """
    file = sqlite_file(url)
    if file is None:
        return url
    parsed = make_url(url)
    file = file if folder is None else (folder / str(parsed.database)).resolve()
    return parsed.set(database=str(file)).render_as_string(hide_password=False)


def misread(name: str, url: str) -> str | None:
    """What to say of an address that does not mean what it seems to: with `~`, or a password that is not encoded.

    Args:
        name: of the setting or variable that it is the value of.
        url: the address.
    """
    whole = _whole_address(url)
    if whole is not None:
        return f"{name}={url}: ~ is not replaced in an address. Type the whole path: {name}={whole}"
    server = _OF_SERVER.match(url)
    if server is not None and (server[2].count("@") > 1 or re.search(r"\s", server[2])):
        # Which part of it is the password is anybody's guess, so nothing of it is shown.
        return (
            f"{name}={server[1]}://...: its user and password must be percent-encoded: {_ENCODED}. To have a password "
            f"printed so: {_ENCODE}"
        )
    return None


def parse_storage(url: str) -> URL:
    """The address of a study's database.

    Raises:
        ConfigError: it is none, or does not mean what it seems to.
    """
    said = misread("storage", url)
    if said is not None and "://" in url:
        raise ConfigError(said)
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            f"storage={without_passwords(url)}: write it as a URL, such as sqlite:///studies.db or "
            f"postgresql://user@host/name."
        ) from error


def _whole_address(url: str) -> str | None:
    """What to type instead of an address with `~`, which SQLAlchemy and MLflow take as a name; None if it has none."""
    found = _IN_HOME.fullmatch(url)
    if found is None:
        return None
    of_sqlite, of_file, path, rest = found.groups()
    try:
        return f"{of_sqlite or of_file or ''}{Path(path).expanduser()}{rest}"
    except RuntimeError:  # no such user, so it is a folder's name
        return None
