"""Ratings of items by users, and the checks that every source of them shares.

A source (`ratings_csv`, `movielens`, one of your own) reads a frame; `ratings_from_frame` turns it into a `RatingsData`
or says in one `DataError` what is wrong with it.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.rows import SHOWN_ROWS, check_columns, check_on_bad_rows, first_numbers, is_missing, settle_bad_rows

# ".0" is what a spreadsheet, or pandas beside a gap, makes of a whole number.
WHOLE_NUMBER = re.compile(r"\s*([+-]?(?:0|[1-9][0-9]*))(?:\.0*)?\s*")
INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False)
class RatingsData:
    """Ratings, at most one for a user and an item, ready to be split.

    Attributes:
        users: raw user ids, shape (n,): int64 where every one is a whole number, else object holding str.
        items: raw item ids, likewise.
        ratings: shape (n,), float64, finite, within `scale`.
        timestamps: shape (n,), int64, or None where the source has none. Whole numbers as the source gave them; dates
            in microseconds since 1970.
        scale: lowest and highest rating possible.
        user_column: name of the column the user ids came from.
        item_column: name of the column the item ids came from.
        fingerprint: sha256 (hex) of ids (with their types), ratings, timestamps and scale, in order.
        source: what to show a user: a path, or the name of a data set.
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    timestamps: np.ndarray | None
    scale: tuple[float, float]
    user_column: str
    item_column: str
    fingerprint: str
    source: str


def ratings_from_frame(
    frame: pd.DataFrame,
    *,
    user_column: str,
    item_column: str,
    rating_column: str,
    timestamp_column: str | None = None,
    scale: Sequence[float] | None = None,
    n_users: int | None = None,
    n_items: int | None = None,
    source: str,
    on_bad_rows: str = "error",
) -> RatingsData:
    """Check a frame and take ratings from it.

    A row is bad where an id is missing or blank, where the rating is missing, no finite number or out of scale, where
    the timestamp is none, and where a later good row has the same user and item: a user's last word counts.

    Args:
        frame: one row per rating; other columns are ignored.
        user_column: column of user ids: whole numbers, or anything else, which is then read as str.
        item_column: column of item ids, likewise.
        rating_column: column of numbers, or of their text.
        timestamp_column: column of whole numbers or, where no value is one, of ISO 8601 dates (without a zone: UTC).
        scale: lowest and highest rating possible; None: those of the good rows, before `n_users` and `n_items`.
        n_users: keep the ratings of that many users, the most active; None, or more than there are: all.
        n_items: keep the ratings of that many items, the most rated. Users and items are both counted on all good rows,
            and a row stays where both are kept.
        source: what to call the data in messages.
        on_bad_rows: what to do about bad rows: "error", or "drop" (with a warning).

    Raises:
        DataError: a column is missing or ambiguous, rows are bad, or fewer than two ratings are left.
        ConfigError: a scale, a number or `on_bad_rows` that makes no sense.

    Source: the most active are `Series.value_counts().nlargest(n)` of pandas, ties included.
    """
    check_on_bad_rows(on_bad_rows)
    limits = _as_scale(scale)
    _check_number("n_users", n_users)
    _check_number("n_items", n_items)
    wanted = {"user_column": user_column, "item_column": item_column, "rating_column": rating_column}
    if timestamp_column is not None:
        wanted["timestamp_column"] = timestamp_column
    check_columns(list(frame.columns), source=source, **wanted)
    if len(frame) == 0:
        raise DataError(f"{source} has no data rows; at least two ratings are needed.")
    columns = {key: _column(frame, name) for key, name in wanted.items()}

    rows = _usable_rows(columns, limits, source, on_bad_rows)
    if len(rows) < 2:
        raise DataError(f"{source} holds {len(rows)} usable ratings; at least two are needed.")
    if limits is None:
        limits = (float(rows.ratings.min()), float(rows.ratings.max()))
    if n_users is not None or n_items is not None:
        kept = rows.take(_most_frequent(rows.user_codes, n_users) & _most_frequent(rows.item_codes, n_items))
        if len(kept) < 2:
            raise DataError(
                f"{source}: dataset.n_users={n_users} and dataset.n_items={n_items} leave {len(kept)} of {len(rows)} "
                "ratings; at least two are needed. Type larger numbers, or null to keep all."
            )
        rows = kept
    return RatingsData(
        users=rows.users[rows.user_codes],
        items=rows.items[rows.item_codes],
        ratings=rows.ratings,
        timestamps=rows.timestamps,
        scale=limits,
        user_column=str(user_column),
        item_column=str(item_column),
        fingerprint=_fingerprint(rows, limits),
        source=source,
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of ratings, ids as positions in the lists of different ids."""

    user_codes: np.ndarray
    users: np.ndarray
    item_codes: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    timestamps: np.ndarray | None

    def __len__(self) -> int:
        return len(self.ratings)

    def take(self, rows: np.ndarray) -> "_Rows":
        """Some of the rows, by a mask or by their numbers."""
        return _Rows(
            self.user_codes[rows],
            self.users,
            self.item_codes[rows],
            self.items,
            self.ratings[rows],
            None if self.timestamps is None else self.timestamps[rows],
        )


def _usable_rows(
    columns: dict[str, pd.Series], limits: tuple[float, float] | None, source: str, on_bad_rows: str
) -> _Rows:
    """The good rows, once the bad ones are reported."""
    user_codes, user_names = _factorize(columns["user_column"])
    item_codes, item_names = _factorize(columns["item_column"])
    ratings, no_rating = _as_numbers(columns["rating_column"])
    faults = {
        "no user": user_codes < 0,
        "no item": item_codes < 0,
        "no rating": no_rating,
        "a rating that is not a number": ~(np.isfinite(ratings) | no_rating),
    }
    if limits is not None:
        out_of_scale = np.isfinite(ratings) & ((ratings < limits[0]) | (ratings > limits[1]))
        faults[f"a rating out of the scale {limits[0]:g} to {limits[1]:g}"] = out_of_scale
    timestamps = None
    if "timestamp_column" in columns:
        timestamps, no_time = _as_timestamps(columns["timestamp_column"])
        faults["a timestamp that is neither a whole number nor a date"] = no_time

    good = np.flatnonzero(~np.logical_or.reduce(list(faults.values())))
    # Types are decided on the rows that stay, so that a file with bad rows dropped equals the file without them.
    user_codes, users = _as_ids(user_codes[good], user_names)
    item_codes, items = _as_ids(item_codes[good], item_names)
    for what, ids in (("user", users), ("item", items)):
        if ids.dtype == np.object_ and any(text.endswith("\0") for text in ids.tolist()):
            raise DataError(f"{source} has a {what} id that ends in a NUL character; remove it: it cannot be stored.")
    again = pd.Series(user_codes * len(items) + item_codes).duplicated(keep="last").to_numpy()
    faults["a user and an item that stand in a later row again"] = np.zeros(len(ratings), dtype=np.bool_)
    faults["a user and an item that stand in a later row again"][good[again]] = True
    _settle(faults, source, on_bad_rows)
    rows = _Rows(user_codes, users, item_codes, items, ratings[good], None if timestamps is None else timestamps[good])
    return rows.take(~again) if again.any() else rows


def whole_number(value: Any) -> int | None:
    """The int64 that a cell holds, as a number or as text; None where it holds anything else, such as the code 007."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        match = WHOLE_NUMBER.fullmatch(value)
        # 19 digits decide an int64; int() of a very long text of digits would be refused by Python.
        number = int(match[1]) if match and len(match[1]) <= 40 else None
    elif isinstance(value, bool):
        number = None
    elif isinstance(value, int):
        number = value
    else:
        number = int(value) if isinstance(value, float) and value.is_integer() else None
    return number if number is not None and INT64.min <= number <= INT64.max else None


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame.iloc[:, [str(column) for column in frame.columns].index(str(name))]


def _factorize(column: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """The number of each cell's value in a list of the different ones, shape (n,), int64; -1 where it is missing."""
    codes, values = pd.factorize(column)
    names = values.tolist()
    blank = np.array([is_missing(name) for name in names], dtype=np.bool_)
    if blank.any():
        codes = np.where(np.append(blank, True)[codes], -1, codes)
    return np.asarray(codes, dtype=np.int64), names


def _as_ids(codes: np.ndarray, names: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Codes and ids, int64 or object of str, of the names that occur. Names that are the same id share a code."""
    occurs = np.zeros(len(names), dtype=np.bool_)
    occurs[codes] = True
    used = [names[code] for code in np.flatnonzero(occurs)]
    numbers = [whole_number(name) for name in used]
    whole = all(number is not None for number in numbers)
    # 2 and 2.0 are one value to pandas, so they need one text; the str "2.0" is another id.
    texts = [
        str(name if isinstance(name, str) or number is None else number)
        for name, number in zip(used, numbers, strict=True)
    ]
    shared, ids = pd.factorize(np.array(numbers, dtype=np.int64) if whole else np.array(texts, dtype=object))
    table = np.full(len(names), -1, dtype=np.int64)
    table[occurs] = shared
    return table[codes], ids


def _as_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a column, float64, NaN where a cell holds none; and which cells are missing."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.isnan(numbers)
    codes, values = _factorize(column)
    numbers = np.array([*(_number(value) for value in values), np.nan])
    return numbers[codes], codes < 0


def _number(value: Any) -> float:
    # float() would take "1_000" for a thousand.
    if isinstance(value, str) and "_" in value:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _as_timestamps(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The timestamps of a column, int64, and which cells hold none."""
    if column.dtype == np.int64:
        return column.to_numpy(), np.zeros(len(column), dtype=np.bool_)
    codes, values = _factorize(column)
    numbers = [whole_number(value) for value in values]
    if all(number is None for number in numbers):
        numbers = _microseconds(values)
    # One more, which the code -1 of a missing cell finds.
    table = np.array([*(0 if number is None else number for number in numbers), 0], dtype=np.int64)
    none = np.array([*(number is None for number in numbers), True])
    return table[codes], none[codes]


def _microseconds(values: list[Any]) -> list[int | None]:
    texts = pd.Series([str(value) for value in values], dtype=object)
    dates = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    known = dates.notna().tolist()
    return [
        number if is_known else None for number, is_known in zip(dates.astype(np.int64).tolist(), known, strict=True)
    ]


def _settle(faults: dict[str, np.ndarray], source: str, on_bad_rows: str) -> None:
    bad = np.logical_or.reduce(list(faults.values()))
    if not bad.any():
        return
    kinds = []
    for fault, where in faults.items():
        if where.any():
            first = (np.flatnonzero(where)[: SHOWN_ROWS + 1] + 1).tolist()
            kinds.append(f"{np.count_nonzero(where)} with {fault}: data row {first_numbers(first)}")
    settle_bad_rows(
        f"{np.count_nonzero(bad)} of {len(bad)} data rows cannot be used: {'; '.join(kinds)} "
        "(data row 1 is the first rating)",
        advice="Mend them",
        source=source,
        on_bad_rows=on_bad_rows,
    )


def _most_frequent(codes: np.ndarray, number: int | None) -> np.ndarray:
    """Which rows hold one of the most frequent codes."""
    if number is None:
        return np.ones(len(codes), dtype=np.bool_)
    most_frequent = pd.Series(codes).value_counts().nlargest(number).index.to_numpy()
    kept = np.zeros(int(codes.max()) + 1, dtype=np.bool_)
    kept[most_frequent] = True
    return np.asarray(kept[codes])


def _as_scale(scale: Sequence[float] | None) -> tuple[float, float] | None:
    if scale is None:
        return None
    numbers = [] if isinstance(scale, str) or not isinstance(scale, Sequence) else [_number(end) for end in scale]
    if len(numbers) != 2 or not -math.inf < numbers[0] < numbers[1] < math.inf:
        raise ConfigError(
            f"dataset.scale={scale}: it is the lowest and the highest rating possible, such as [1,5]; "
            "null takes them from the data."
        )
    return numbers[0], numbers[1]


def _check_number(key: str, number: int | None) -> None:
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
        raise ConfigError(f"dataset.{key}={number}: it is a whole number of at least 1; null keeps all.")


def _fingerprint(rows: _Rows, scale: tuple[float, float]) -> str:
    timed = rows.timestamps is not None
    digest = hashlib.sha256(f"{len(rows)} {timed} {scale[0] + 0.0!r} {scale[1] + 0.0!r}\n".encode())
    for codes, ids in ((rows.user_codes, rows.users), (rows.item_codes, rows.items)):
        digest.update(ids.dtype.kind.encode())
        if ids.dtype.kind == "i":
            digest.update(ids[codes].astype("<i8", copy=False).data)
            continue
        # Each str once and then its numbers; numbered by first appearance, so that rows left out leave no trace.
        numbers, order = pd.factorize(codes)
        for name in ids[order].tolist():
            content = name.encode("utf-8", "surrogatepass")
            digest.update(f"{len(content)}:".encode())
            digest.update(content)
        digest.update(f"{len(order)}\n".encode())
        digest.update(numbers.astype("<i8", copy=False).data)
    # -0.0 equals 0.0; adding 0.0 gives both the same bytes.
    digest.update((rows.ratings + 0.0).astype("<f8", copy=False).data)
    if rows.timestamps is not None:
        digest.update(rows.timestamps.astype("<i8", copy=False).data)
    return digest.hexdigest()
