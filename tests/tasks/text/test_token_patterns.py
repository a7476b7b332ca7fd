"""Which token patterns surely take linear time: those that never give back what they took."""

import re
from pathlib import Path

import pytest
import yaml

from sweeps.tasks.text.token_patterns import is_linear


@pytest.mark.parametrize(
    "pattern",
    [
        None,
        r"(?u)\b\w\w+\b",
        r"\b\w+\b",
        r"(?iu)\b[a-z]\w+\b",
        r"\w+",
        r"\S+",
        r"[^\s]+",
        r"[a-zA-Z0-9_']+",
        r"\w{2,}",
        r"\b\w{3}\b",
        r"#\w+",
        r"[\w\-.]+",
    ],
)
def test_common_patterns_are_linear(pattern: str | None) -> None:
    assert is_linear(pattern)
    if pattern is not None:
        assert re.compile(pattern).findall("a #word don't a-b") != []


@pytest.mark.parametrize(
    "pattern",
    [
        r"(\w+\s?)+$",
        r"(?:[a-z]+)+$",
        r"(a|aa)+$",
        r"\w+\w+!",
        r"\w+!",
        r"\w*\w*x",
        r"[a-z]+\b",
        r"\w{2,30}\b",
        r"\w+?\b",
        r".*x",
        r"(\w)\1",
        r"(?x) \w+",
        r"\w+|\d+",
        r"(?=\w+)x",
        r"[a-z",
        r"",
        3,
        ["\\w+"],
    ],
)
def test_whatever_else_there_is_is_not_known_to_be(pattern: object) -> None:
    assert not is_linear(pattern)


def test_the_patterns_of_our_own_options_are_linear() -> None:
    folder = Path(__file__).parents[3] / "conf" / "vectorizer"
    for file in folder.glob("*.yaml"):
        assert is_linear((yaml.safe_load(file.read_text()) or {}).get("token_pattern"))
