"""Passwords are never shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.base.redact import without_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("redis://:secret@host", "redis://:***@host"),
        ("https://me:p@ss:word@host/path", "https://me:***@host/path"),
        ("a http://u:secret@h1/x and http://v:secret@h2/y", "a http://u:***@h1/x and http://v:***@h2/y"),
        ("study=x hydra.storage='mysql://u:secret@h/db'", "study=x hydra.storage='mysql://u:***@h/db'"),
        ("two\nlines mysql://u:secret@h", "two\nlines mysql://u:***@h"),
        ("postgresql://me@host/db?password=secret", "postgresql://me@host/db?password=***"),
        ("https://host/x?user=me&token=secret&page=2", "https://host/x?user=me&token=***&page=2"),
        ("url='https://host/?api_key=secret' n=1", "url='https://host/?api_key=***' n=1"),
        ("http://host:5000/path", "http://host:5000/path"),
        ("https://host/x?page=2&sort=name", "https://host/x?page=2&sort=name"),
        ("http://host:5000/users/me@home", "http://host:5000/users/me@home"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("write to me@host: thanks", "write to me@host: thanks"),
        ("", ""),
    ],
)
def test_passwords_in_urls_are_never_shown_and_nothing_else_changes(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    assert without_passwords(shown) == shown


@given(st.text("abcXYZ019-_.~%!$&'()*+,;=:@", min_size=1, max_size=12).map(lambda text: f"Q{text}Q"))
@settings(max_examples=200, deadline=None)
def test_no_password_survives_whatever_its_characters(password: str) -> None:
    assert without_passwords(f"postgresql://user:{password}@host/db") == "postgresql://user:***@host/db"
