"""Ratings from any delimited text file, with or without a header."""

import csv
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.content import file_content
from sweeps.tasks.download import existing_file
from sweeps.tasks.parquet import is_parquet, read_parquet
from sweeps.tasks.ratings.data import RatingsData, ratings_from_frame
from sweeps.tasks.rows import check_columns, check_on_bad_rows, shown
from sweeps.tasks.table import LONGEST_LINE, UNIT_SEPARATOR, Layout, Table
from sweeps.tasks.values import is_missing, whole_number

ROWS_AT_A_TIME = 1_000_000
_EXACT = 2**53  # up to here every whole number is a float of its own


def load_ratings_csv(
    path: str | os.PathLike[str] | None,
    user_column: str = "userId",
    item_column: str = "movieId",
    rating_column: str = "rating",
    timestamp_column: str | None = None,
    scale: Sequence[float] | None = None,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    n_users: int | None = None,
    n_items: int | None = None,
    on_bad_rows: str = "error",
    decimal: str = ".",
    quoting: str = "double",
    escape: str | None = None,
) -> RatingsData:
    r"""Read ratings from a CSV, TSV or Parquet file, or any other delimited text, of one rating a row.

    Only empty and blank fields are missing: "NA" is a name. Blank lines are skipped.

    Args:
        path: the file; one that ends in .gz, .bz2 or .zip is unpacked as it is read.
        user_column: name of the column of user ids.
        item_column: name of the column of item ids.
        rating_column: name of the column of ratings.
        timestamp_column: name of the column of timestamps; None: there are none, or they do not matter.
        scale: lowest and highest rating possible; None: those found.
        columns: see `Layout`, as for separator, encoding, quoting and escape: names for a file without a header.
        separator: between fields.
        encoding: of the file.
        n_users: keep the most active users, that many; None: all.
        n_items: keep the most rated items, that many; None: all.
        on_bad_rows: "error", or "drop": rows with too many or too few fields, and those that `ratings_from_frame` calls
            bad, are left out with a warning.
        decimal: what stands before the fraction of a rating: "." or ",".
        quoting: "double" or "none".
        escape: the character that makes the next one ordinary.

    Raises:
        DataError: the file cannot be found, read, decoded or parsed, or `ratings_from_frame` refuses its content.
        ConfigError: an option that makes no sense.
    """
    check_on_bad_rows(on_bad_rows)
    file, layout = existing_file(path), Layout(separator, encoding, columns, quoting, escape)
    options: dict[str, Any] = {
        "user_column": user_column,
        "item_column": item_column,
        "rating_column": rating_column,
        "timestamp_column": timestamp_column,
        "scale": scale,
        "n_users": n_users,
        "n_items": n_items,
        "on_bad_rows": on_bad_rows,
        "decimal": decimal,
    }
    if is_parquet(file):
        wanted = {key: name for key, name in options.items() if key.endswith("_column") and name is not None}
        return ratings_from_frame(read_parquet(file, layout, wanted), source=str(file), **options)
    return ratings_from_table(Table(file_content(file), layout), **options)


def ratings_from_table(
    table: Table,
    *,
    user_column: str,
    item_column: str,
    rating_column: str,
    timestamp_column: str | None,
    scale: Sequence[float] | None,
    n_users: int | None,
    n_items: int | None,
    on_bad_rows: str,
    decimal: str = ".",
) -> RatingsData:
    """Read ratings from a delimited text; arguments and errors are those of `load_ratings_csv`."""
    check_on_bad_rows(on_bad_rows)
    wanted = {"user_column": user_column, "item_column": item_column, "rating_column": rating_column}
    if timestamp_column is not None:
        wanted["timestamp_column"] = timestamp_column
    if decimal in table.separator:
        raise ConfigError(f"\"dataset.decimal='{decimal}'\": it is the separator, too; name another separator.")
    names = table.names()
    _check_header(table, names, list(wanted.values()))
    places = check_columns(names, source=table.name, **wanted)
    positions = {str(wanted[key]): place for key, place in places.items()}
    frame, dropped = _read(table, len(names), positions, on_bad_rows, decimal)
    return ratings_from_frame(
        frame,
        user_column=user_column,
        item_column=item_column,
        rating_column=rating_column,
        timestamp_column=timestamp_column,
        scale=scale,
        n_users=n_users,
        n_items=n_items,
        source=table.name,
        on_bad_rows=on_bad_rows,
        decimal=decimal,
        dropped=dropped,
    )


class _Guarded(io.TextIOBase):
    """A text on its way to pandas' fast reader, which is mute about what it cuts or takes for a number.

    Args:
        text: at its start.
        table: where it comes from.
        without_codes: whether a code with leading zeros, or a number with an exponent, is refused, with a ValueError,
            since its column is to hold whole numbers.
    """

    def __init__(self, text: io.TextIOBase, table: Table, without_codes: bool) -> None:
        self._text, self._table = text, table
        self._without_codes = without_codes
        self._n_lines = 1
        self._length = 0  # of the line so far
        self._before = ""  # the end of the part before, where a code may begin
        self._starts = ("\n", "\r", table.delimiter, '"')
        # One pattern for each, as a search for a fixed text is ten times as fast as one for blanks and signs.
        self._codes = [re.compile(re.escape(f"{start}0") + "[0-9]") for start in self._starts]
        # Only inside a field, where it is none that opens or closes one: pandas drops such a quote without a word.
        inside = f"[^{re.escape(''.join(self._starts))}]"
        self._stray_quote = re.compile(f'{inside}"{inside}')
        self._tail = ""  # the last two characters of the part before
        starts = f"[{re.escape(''.join(self._starts))}]"
        self._set_off = re.compile(f"{starts}[ \t]*[+-]?0[0-9]")
        self._exponent = re.compile(rf"{starts}[ \t]*[+-]?[0-9.]+[eE][+-]?[0-9]+[ \t]*(?={starts}|\Z)")

    def read(self, size: int | None = -1, /) -> str:
        part = self._text.read(size)
        if "\0" in part:
            raise self._table.nul_in_line(self._n_lines + part.count("\n", 0, part.index("\0")))
        self._follow_lines(part)
        if self._table.is_quoted and '"' in self._tail + part and self._stray_quote.search(self._tail + part):
            raise pd.errors.ParserError("a quote inside a field")
        self._tail = part[-2:]
        if self._without_codes:
            self._refuse_codes(part)
        return part

    def _follow_lines(self, part: str) -> None:
        end = max(part.rfind("\n"), part.rfind("\r"))
        self._length = len(part) - end - 1 + (self._length if end < 0 else 0)
        self._n_lines += part.count("\n")
        if self._length >= LONGEST_LINE:
            raise self._table.too_long_a_line(self._n_lines)

    def _refuse_codes(self, part: str) -> None:
        seen = self._before + part
        if any(code.search(seen) for code in self._codes):
            raise ValueError("a code with leading zeros")
        if any(mark in seen for mark in (" 0", "\t0", "+0", "-0")) and self._set_off.search(seen):
            raise ValueError("a code with leading zeros after a blank or a sign")
        if ("e" in seen or "E" in seen) and self._exponent.search(seen):
            raise ValueError("1e3 is a name, which pandas takes for 1000")
        last = max(seen.rfind(start) for start in self._starts)
        self._before = seen[last:] if last >= 0 else ""


def _read(
    table: Table, width: int, positions: dict[str, int], on_bad_rows: str, decimal: str
) -> tuple[pd.DataFrame, str]:
    """The wanted columns, as numbers where all of a column's fields are, else as str; and what was dropped.

    pandas' fast reader reads a good file. It is mute about rows that are too short and vague about those too long, so
    a file that has such rows is gone through once more, slowly.
    """
    with table.reading(), table.open() as text:
        _, first = next(table.data(text), (0, None))
    if first is None:
        return pd.DataFrame({name: [] for name in positions}), ""
    if table.escape:
        return _read_slowly(table, width, positions, on_bad_rows)
    try:
        try:
            return _read_fast(table, width, positions, _likely_types(first, positions), decimal), ""
        except (pd.errors.ParserError, UnicodeError):
            raise
        except (ValueError, TypeError, OverflowError):
            # A field that is not of its column's type: a name among numbers, or nothing at all.
            frame = _read_fast(table, width, positions, dict.fromkeys(positions.values(), object), decimal)
        if not any(_is_odd(field) for name in positions for field in pd.unique(frame[name])):
            return frame, ""
    except (pd.errors.ParserError, pd.errors.ParserWarning):
        pass
    return _read_slowly(table, width, positions, on_bad_rows)


def _is_odd(field: str) -> bool:
    """Whether a field may be that of a row that is too short, or holds what stands for the separator."""
    return is_missing(field) or UNIT_SEPARATOR in field


def _likely_types(first: list[str], positions: dict[str, int]) -> dict[int, Any]:
    types: dict[int, Any] = {}
    for place, position in enumerate(positions.values()):
        field = first[position] if position < len(first) else ""
        is_rating = place == 2
        types[position] = np.float64 if is_rating else object if whole_number(field) is None else np.int64
    return types


def _read_fast(
    table: Table, width: int, positions: dict[str, int], types: dict[int, Any], decimal: str
) -> pd.DataFrame:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in positions}
    with table.reading(), table.open() as text, warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # That the first row is too long is only a warning to pandas.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        pieces = pd.read_csv(
            _Guarded(text, table, without_codes=np.int64 in types.values()),
            engine="c",
            sep=table.delimiter,
            quoting=csv.QUOTE_MINIMAL if table.is_quoted else csv.QUOTE_NONE,
            header=None if table.columns else 0,
            names=range(width),
            index_col=False,  # else a row that is too long would move all columns
            dtype=types,
            decimal=decimal,
            na_filter=False,
            low_memory=False,
            chunksize=ROWS_AT_A_TIME,
        )
        for piece in pieces:
            for name, position in positions.items():
                values = piece[position].to_numpy()
                if values.dtype == np.int64:
                    _check_exact(values)
                parts[name].append(values)
    return pd.DataFrame({name: np.concatenate(parts.pop(name)) for name in positions}, copy=False)


def _check_exact(values: np.ndarray) -> None:
    """Refuse whole numbers that pandas may have read as floats, which it does where one of them has a fraction of 0."""
    large = values[np.abs(values) >= _EXACT]
    if len(large) and not (large & 1).any():
        raise ValueError("no float of this size is odd")


def _read_slowly(table: Table, width: int, positions: dict[str, int], on_bad_rows: str) -> tuple[pd.DataFrame, str]:
    least = max(positions.values()) + 1
    columns, dropped = table.fields(list(positions.values()), width=width, least=least, on_bad_rows=on_bad_rows)
    # Interned, since the same few ids come again and again.
    named = zip(positions, columns, strict=True)
    return pd.DataFrame(
        {name: [sys.intern(field) for field in fields] for name, fields in named}, dtype=object
    ), dropped


def _check_header(table: Table, names: list[str], wanted: list[str]) -> None:
    if table.columns is not None or {str(column) for column in wanted} & set(names):
        return
    if len(names) == 1 and "::" in names[0]:
        raise DataError(
            f"{table.name} holds '::' between its fields, not {table.separator!r}. Type \"dataset.separator='::'\", "
            "and dataset.columns=[userId,movieId,rating,timestamp] where its first line is a rating and no header."
        )
    if all(whole_number(field) is not None for field in names[:2]):
        raise DataError(
            f"{table.name} starts with a rating, not with names of columns: {shown(table.separator.join(names))}. "
            "Name all of them: dataset.columns=[userId,movieId,rating,timestamp]"
        )
