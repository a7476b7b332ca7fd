"""Checks of rows and columns that every source of data shares, and how their messages show what they found."""

import logging
from collections.abc import Sequence
from typing import Any

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.values import BLANKS

logger = logging.getLogger(__name__)

SHOWN_ROWS = 5
SHOWN_NAMES = 15
SHOWN_CHARACTERS = 60
SEPARATORS = (";", "\t", "|", ",")


def check_on_bad_rows(on_bad_rows: str) -> None:
    """Raise ConfigError unless the value is one of the two that `on_bad_rows` knows."""
    if on_bad_rows not in ("error", "drop"):
        raise ConfigError(f"dataset.on_bad_rows={on_bad_rows}: it is either error or drop.")


def check_columns(columns: Sequence[Any], *, source: str, **wanted: str) -> dict[str, int]:
    """Raise DataError unless every wanted column is there, once each, and no two are the same.

    Args:
        columns: the names that are there. Names are compared as text without surrounding blanks:
            `dataset.text_column=0` arrives as a number.
        source: what to call the data.
        wanted: names of columns by the key that asks for them, such as `text_column`.

    Returns:
        The position of each wanted column, from 0, by its key.
    """
    names = [str(column).strip(BLANKS) for column in columns]
    asked_by: dict[str, str] = {}
    for key, column in wanted.items():
        name = str(column).strip(BLANKS)
        if names.count(name) > 1:
            raise DataError(f"{source} has {names.count(name)} columns named {name!r} (dataset.{key}): rename one.")
        if name not in names:
            raise DataError(
                f"{source} has no column {name!r} (dataset.{key}). Its columns: {listed(names)}. "
                f"Type dataset.{key}=NAME.{_advice(names, wanted)}"
            )
        if name in asked_by:
            raise DataError(
                f"dataset.{asked_by[name]} and dataset.{key} are both {name!r}: they are different columns of {source}."
            )
        asked_by[name] = key
    return {key: names.index(str(column).strip(BLANKS)) for key, column in wanted.items()}


def settle_bad_rows(problem: str, *, advice: str, source: str, on_bad_rows: str) -> str:
    """Raise DataError about unusable rows, or log a warning where they are to be dropped.

    Args:
        problem: how many of how many rows have what, and where the first ones are.
        advice: how to mend the file.
        source: what to call the data.
        on_bad_rows: "error" or "drop", already checked, or "refuse" where no rows may be dropped.

    Returns:
        The problem, for a line about what was dropped.
    """
    if on_bad_rows == "refuse":
        raise DataError(f"{source}: {problem}. {advice}.")
    if on_bad_rows == "error":
        raise DataError(f"{source}: {problem}. {advice}, or leave these rows out: dataset.on_bad_rows=drop")
    logger.warning("%s: dropped: %s.", source, problem)
    return problem


def first_numbers(numbers: Sequence[int]) -> str:
    """The first few of some row or line numbers, for a message: "3, 8, 9, …"."""
    shown_numbers = ", ".join(str(number) for number in numbers[:SHOWN_ROWS])
    return f"{shown_numbers}, …" if len(numbers) > SHOWN_ROWS else shown_numbers


def shown(cell: Any) -> str:
    """A cell as a message shows it: quoted, in one line, not too long."""
    text = str(cell)
    short = _printable(text[:SHOWN_CHARACTERS])
    return f'"{short}…"' if len(text) > SHOWN_CHARACTERS else f'"{short}"'


def listed(names: Sequence[Any]) -> str:
    """Some names, for a message: each quoted, the first few of many."""
    short = [str(name) for name in names[:SHOWN_NAMES]]
    short = [f"{name[:SHOWN_CHARACTERS]}…" if len(name) > SHOWN_CHARACTERS else name for name in short]
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(map(repr, short)) + more


def typed_option(prefix: str, name: str, value: Any) -> str:
    """An option as it is typed in a shell: "dataset.separator=';'", --separator ';' or dataset.quoting=none."""
    text = _printable(str(value))
    if prefix == "--":
        return f"--{name} {text}" if text and text.replace("-", "").isalnum() else f"--{name} '{text}'"
    if isinstance(value, str) and not text.replace("-", "").replace("_", "").isalnum():
        # Both pairs of quotes are needed: the outer for the shell, the inner for Hydra, which stops at a bare ";".
        return f"'dataset.{name}=\\\\'" if text == "\\" else f"\"dataset.{name}='{text}'\""
    return f"{prefix}{name}={text}"


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _advice(names: list[str], wanted: dict[str, str]) -> str:
    # A file read with the wrong separator comes out as one column whose name is the whole header line.
    if len(names) == 1:
        for separator in SEPARATORS:
            if separator in names[0]:
                option = typed_option("dataset.", "separator", separator)
                return f" There is only one: is the separator another? Try {option}"
    if not {str(column) for column in wanted.values()} & set(names):
        return " If the first line is data and no header, name all columns: dataset.columns=[NAME,NAME,…]"
    return ""
