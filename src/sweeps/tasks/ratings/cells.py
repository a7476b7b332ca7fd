"""Ratings and timestamps as cells of a table hold them, and the likely cause where one does not."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd

from sweeps.tasks.values import BLANKS, is_missing, whole_number

_CAUSES = {
    r"[+-]?[0-9]*,[0-9]+": "a decimal comma? \"dataset.decimal=','\"",
    r"[+-]?[0-9]*\.[0-9]+": "a decimal point? \"dataset.decimal='.'\"",
    r"[0-9.,]+ ?/ ?[0-9]+": "a rating out of a maximum? Write the number before the slash alone",
    r"[0-9.,]+ ?[^\W0-9_].*": "a number and a word? Write the number alone",
    r"[★⭐*]+[☆½]*": "stars? Write their number",
}


def factorize(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """The number of each cell's value in a list of the different ones, shape (n,), int64; -1 where it is missing."""
    codes, values = pd.factorize(column)
    names = values.tolist()
    blank = np.array([is_missing(name) for name in names], dtype=np.bool_)
    if blank.any():
        codes = np.where(np.append(blank, True)[codes], -1, codes)
    return np.asarray(codes, dtype=np.int64), names


def as_numbers(column: pd.Series, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a column, float64, NaN where a cell holds none; and which cells are missing.

    Args:
        column: of numbers, or of their text.
        decimal: what stands before the fraction in a text: "." or ",".
    """
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.isnan(numbers)
    codes, values = factorize(column)
    numbers = np.array([*(as_number(value, decimal) for value in values), np.nan])
    return numbers[codes], codes < 0


def as_number(value: Any, decimal: str = ".") -> float:
    """The number that a cell holds, NaN where it holds none."""
    if isinstance(value, str):
        # float() would take "1_000" for a thousand.
        if "_" in value or (decimal == "," and "." in value):
            return math.nan
        value = value.strip(BLANKS).replace(decimal, ".")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def why_no_number(cell: Any) -> str:
    """The likely cause, and what to do, where a cell is not a number; "" where it cannot be told."""
    text = str(cell).strip(BLANKS)
    return next((cause for pattern, cause in _CAUSES.items() if re.fullmatch(pattern, text)), "")


def as_timestamps(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The timestamps of a column, int64, and which cells hold none."""
    if column.dtype == np.int64:
        return column.to_numpy(), np.zeros(len(column), dtype=np.bool_)
    codes, values = factorize(column)
    numbers = [whole_number(value) for value in values]
    if all(number is None for number in numbers):
        numbers = _microseconds(values)
    # One more, which the code -1 of a missing cell finds.
    table = np.array([*(0 if number is None else number for number in numbers), 0], dtype=np.int64)
    none = np.array([*(number is None for number in numbers), True])
    return table[codes], none[codes]


def why_no_timestamp(cell: Any) -> str:
    """The likely cause where a cell is neither a whole number nor a date that is understood."""
    if re.fullmatch(r"[0-9]+[.,][0-9]+", str(cell).strip(BLANKS)):
        return "a fraction of a second? Write whole numbers"
    return "dates must be in ISO 8601, such as 2005-04-02 or 2005-04-02T13:30:00Z, and all cells of one kind"


def _microseconds(values: list[Any]) -> list[int | None]:
    texts = pd.Series([str(value).strip(BLANKS) for value in values], dtype=object)
    dates = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    known = dates.notna().tolist()
    return [
        number if is_known else None for number, is_known in zip(dates.astype(np.int64).tolist(), known, strict=True)
    ]
