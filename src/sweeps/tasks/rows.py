"""Checks of rows and columns that every source of data shares."""

import logging
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sweeps.base.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


SHOWN_ROWS = 5


SEPARATORS = (";", "\t", "|", ",")


def check_on_bad_rows(on_bad_rows: str) -> None:
    """Raise ConfigError unless the value is one of the two that `on_bad_rows` knows."""
    if on_bad_rows not in ("error", "drop"):
        raise ConfigError(f"dataset.on_bad_rows={on_bad_rows}: it is either error or drop.")


def check_columns(columns: Sequence[Any], *, source: str, **wanted: str) -> None:
    """Raise DataError unless every wanted column is there, once each, and no two are the same.

    Args:
        columns: the names that are there. Names are compared as text: `dataset.text_column=0` arrives as a number.
        source: what to call the data.
        wanted: names of columns by the key that asks for them, such as `text_column`.
    """
    names = [str(column) for column in columns]
    asked_by: dict[str, str] = {}
    for key, column in wanted.items():
        name = str(column)
        if names.count(name) > 1:
            raise DataError(f"{source} has {names.count(name)} columns named {name!r} (dataset.{key}): rename one.")
        if name not in names:
            listed = ", ".join(repr(name) for name in names)
            raise DataError(
                f"{source} has no column {name!r} (dataset.{key}). Its columns: {listed}. "
                f"Type dataset.{key}=NAME.{_separator_advice(names)}"
            )
        if name in asked_by:
            raise DataError(
                f"dataset.{asked_by[name]} and dataset.{key} are both {name!r}: they are different columns of {source}."
            )
        asked_by[name] = key


def settle_bad_rows(problem: str, *, advice: str, source: str, on_bad_rows: str) -> None:
    """Raise DataError about unusable rows, or log a warning where they are to be dropped.

    Args:
        problem: how many of how many rows have what, and where the first ones are.
        advice: how to mend the file.
        source: what to call the data.
        on_bad_rows: "error" or "drop", already checked.
    """
    if on_bad_rows == "error":
        raise DataError(f"{source}: {problem}. {advice}, or leave these rows out: dataset.on_bad_rows=drop")
    logger.warning("%s: dropped: %s.", source, problem)


def first_numbers(numbers: Sequence[int]) -> str:
    """The first few of some row or line numbers, for a message: "3, 8, 9, …"."""
    shown = ", ".join(str(number) for number in numbers[:SHOWN_ROWS])
    return f"{shown}, …" if len(numbers) > SHOWN_ROWS else shown


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, NaT or a blank str. The words "NA" and "null" are words."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or bool(pd.isna(value))


def _separator_advice(names: list[str]) -> str:
    # A file read with the wrong separator comes out as one column whose name is the whole header line.
    if len(names) != 1:
        return ""
    for separator in SEPARATORS:
        if separator in names[0]:
            typed = separator.replace("\t", r"\t")
            # Both pairs of quotes are needed: the outer for the shell, the inner for Hydra, which stops at a bare ";".
            return f" There is only one: is the separator another? Try \"dataset.separator='{typed}'\""
    return ""


def refuse_gzip(start: bytes, name: str) -> None:
    """Tell a compressed file from one in another encoding.

    Args:
        start: the first two bytes or more.
        name: of the file, for the message.

    Raises:
        DataError: they are gzip's (RFC 1952).
    """
    if start.startswith(b"\x1f\x8b"):
        raise DataError(f"{name} is compressed; unpack it first: gunzip {name}")
