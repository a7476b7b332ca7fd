"""What a body may say, and in which words the rest is refused."""

from __future__ import annotations

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from sweeps.serve.json_body import read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_json_is_read_as_it_is_meant(value: object) -> None:
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1, "b": 2, "a": 1}', "the body has the key 'a' more than once"),
        ('{"b": [{"ü": 1, "ü": null}]}', "the body has the key 'ü' more than once"),
        ('{"\\ud800": 1, "\\ud800": 2}', r"the body has the key '\ud800' more than once"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("[1e999]", "the body has a number that is too large"),
        ("9" * 5_000, "the body has a number of too many digits"),
        ("[" * 100_000 + "]" * 100_000, "the body is nested too deep"),
        ('{"a":' * 100_000, "the body is nested too deep"),
    ],
    ids=range(9),
)
def test_what_has_no_meaning_or_two_is_refused(content: str, message: str) -> None:
    with pytest.raises(HTTPException) as refused:
        read_json(content.encode())
    assert (refused.value.status_code, refused.value.detail) == (422, message)
    assert gc.isenabled()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"'a'", b"01", b"{}{}"])
def test_what_is_no_json_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        read_json(content)
