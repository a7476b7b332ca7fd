"""How a cell is read as a label or an id: one rule, whatever the file and the task.

Surrounding blanks do not count. A whole number is one however it is written (`1`, `+1`, `1.0`), but `01` is a code and
not `1`. A column is read as a whole: int64 where every value is a whole number, else str, where a whole number is
written plainly, so that `1` and `1.0` stay one value beside a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# All that str.strip() takes for a blank, and three marks of no width, which editors and web pages leave behind.
BLANKS = "".join(chr(code) for code in range(2**16) if chr(code).isspace()) + "\u200b\u2060\ufeff"
# ".0" is what a spreadsheet, or pandas beside a gap, makes of a whole number.
WHOLE_NUMBER = re.compile(r"([+-]?(?:0|[1-9][0-9]*))(?:\.0*)?")
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INT64 = np.iinfo(np.int64)


def is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, NaN, NaT or a str of blanks. The words "NA" and "null" are words."""
    if isinstance(value, str):
        return not value.strip(BLANKS)
    return value is None or bool(pd.api.types.is_scalar(value) and pd.isna(value))


def whole_number(value: Any) -> int | None:
    """The int64 that a cell holds, as a number or as text; None where it holds anything else, such as the code 007."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        match = WHOLE_NUMBER.fullmatch(value.strip(BLANKS))
        # 19 digits decide an int64; int() of a very long text of digits would be refused by Python.
        number = int(match[1]) if match and len(match[1]) <= 40 else None
    elif isinstance(value, bool):
        number = None
    elif isinstance(value, int):
        number = value
    else:
        number = int(value) if isinstance(value, float) and value.is_integer() else None
    return number if number is not None and INT64.min <= number <= INT64.max else None


def as_name(value: Any) -> str:
    """A value in a column that is not all whole numbers: as it stands, a whole number written plainly."""
    number = whole_number(value)
    if number is not None:
        return str(number)
    return value.strip(BLANKS) if isinstance(value, str) else str(value)


def read_values(values: Sequence[Any]) -> list[int] | list[str]:
    """Labels or ids as a column of them is read.

    Args:
        values: the different values of a column, none of them missing.

    Returns:
        For each, what it is: all int, within int64, or all str. Equal ones are the same label or id.
    """
    numbers = [whole_number(value) for value in values]
    whole = [number for number in numbers if number is not None]
    return whole if len(whole) == len(numbers) else [as_name(value) for value in values]


def truth(value: Any) -> bool | None:
    """The bool that a cell holds, itself or as a word; None where it holds anything else."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return TRUTHS.get(value.strip(BLANKS)) if isinstance(value, str) else None
