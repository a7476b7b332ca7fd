"""Ratings of items by users, and the checks that every source of them shares.

A source (`ratings_csv`, `movielens`, one of your own) reads a frame; `ratings_from_frame` turns it into a `RatingsData`
or says in one `DataError` what is wrong with it.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.ratings.cells import as_number, as_numbers, as_timestamps, factorize, why_no_number, why_no_timestamp
from sweeps.tasks.rows import SHOWN_ROWS, check_columns, check_on_bad_rows, first_numbers, settle_bad_rows, shown
from sweeps.tasks.values import read_values


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
        dropped: what was left out and why; empty where nothing was.
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
    dropped: str = ""


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
    decimal: str = ".",
    dropped: str = "",
) -> RatingsData:
    """Check a frame and take ratings from it.

    A row is bad where an id, a finite rating on the scale or a timestamp is missing, and where the same user has rated
    the same item again: the latest timestamp counts, else the last good row.

    Args:
        frame: one row per rating.
        user_column: column of user ids: whole numbers, or anything else, which is then read as str; items likewise.
        item_column: column of item ids.
        rating_column: column of numbers, or of their text.
        timestamp_column: column of whole numbers or, where no value is one, of ISO 8601 dates (without a zone: UTC).
        scale: lowest and highest rating possible; None: those of the good rows, before `n_users` and `n_items`.
        n_users: keep the ratings of that many users, the most active; None, or more than there are: all.
        n_items: keep the ratings of that many items, the most rated; a row stays where both are kept.
        source: what to call the data in messages.
        on_bad_rows: "error", or "drop": with a warning.
        decimal: before the fraction of a rating that is text: "." or ",".
        dropped: what the source has left out already, and why.

    Raises:
        DataError: a column is missing or ambiguous, rows are bad, fewer than two ratings are left, or all are alike.
        ConfigError: a scale, a number or `on_bad_rows` that makes no sense.
    """
    limits = _as_scale(scale)
    _check_options(on_bad_rows, decimal, n_users, n_items)
    columns = _columns(frame, user_column, item_column, rating_column, timestamp_column, source)
    rows, unusable = _usable_rows(columns, limits, decimal, source, on_bad_rows)
    _check_enough(rows, source)
    left_out = list(filter(None, (dropped, unusable)))
    limits = limits or (float(rows.ratings.min()), float(rows.ratings.max()))
    n_before, rows = len(rows), _most_active(rows, n_users, n_items, source)
    if len(rows) < n_before:
        left_out.append(f"{n_before - len(rows)} of {n_before} ratings by n_users={n_users} and n_items={n_items}")
    _check_different(rows, rating_column, source)
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
        dropped="; ".join(left_out),
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


def _columns(
    frame: pd.DataFrame, user: str, item: str, rating: str, timestamp: str | None, source: str
) -> dict[str, pd.Series]:
    """The wanted columns by the key that asks for them."""
    wanted = {"user_column": user, "item_column": item, "rating_column": rating}
    if timestamp is not None:
        wanted["timestamp_column"] = timestamp
    places = check_columns(list(frame.columns), source=source, **wanted)
    if len(frame) == 0:
        raise DataError(f"{source} has no data rows; at least two ratings are needed.")
    return {key: frame.iloc[:, place] for key, place in places.items()}


def _check_enough(rows: _Rows, source: str) -> None:
    if len(rows) < 2:
        raise DataError(f"{source} holds {len(rows)} usable ratings; at least two are needed.")


def _check_different(rows: _Rows, rating_column: str, source: str) -> None:
    if rows.ratings.min() == rows.ratings.max():
        raise DataError(
            f"{source}: all {len(rows)} ratings are {rows.ratings[0]:g}, so there is nothing to predict. Is "
            f"{rating_column!r} the right column? dataset.rating_column=NAME"
        )


def _check_options(on_bad_rows: str, decimal: str, n_users: int | None, n_items: int | None) -> None:
    check_on_bad_rows(on_bad_rows)
    if decimal not in (".", ","):
        raise ConfigError(f"\"dataset.decimal='{decimal}'\": it must be '.' or ','.")
    _check_number("n_users", n_users)
    _check_number("n_items", n_items)


def _usable_rows(
    columns: dict[str, pd.Series], limits: tuple[float, float] | None, decimal: str, source: str, on_bad_rows: str
) -> tuple[_Rows, str]:
    """The good rows, once the bad ones are reported, and what was dropped."""
    user, item, rating = (columns[key] for key in ("user_column", "item_column", "rating_column"))
    user_codes, user_names = factorize(user)
    item_codes, item_names = factorize(item)
    ratings, no_rating = as_numbers(rating, decimal)
    no_number = ~(np.isfinite(ratings) | no_rating)
    faults = [
        _Fault("no user", user_codes < 0),
        _Fault("no item", item_codes < 0),
        _Fault("no rating", no_rating),
        _Fault("a rating that is not a number", no_number, (rating,), why_no_number),
    ]
    if limits is not None:
        out_of_scale = np.isfinite(ratings) & ((ratings < limits[0]) | (ratings > limits[1]))
        faults.append(_Fault(f"a rating out of the scale {limits[0]:g} to {limits[1]:g}", out_of_scale, (rating,)))
    timestamps = None
    if "timestamp_column" in columns:
        time = columns["timestamp_column"]
        timestamps, no_time = as_timestamps(time)
        faults.append(
            _Fault("a timestamp that is neither a whole number nor a date", no_time, (time,), why_no_timestamp)
        )

    good = np.flatnonzero(~np.logical_or.reduce([fault.where for fault in faults]))
    # Types are decided on the rows that stay, so that a file with bad rows dropped equals the file without them.
    user_codes, users = _as_ids(user_codes[good], user_names)
    item_codes, items = _as_ids(item_codes[good], item_names)
    for what, ids in (("user", users), ("item", items)):
        if ids.dtype == np.object_ and any(text.endswith("\0") for text in ids.tolist()):
            raise DataError(f"{source} has a {what} id that ends in a NUL character; remove it: it cannot be stored.")
    again = _rated_again(user_codes * len(items) + item_codes, timestamps, good)
    is_again = np.zeros(len(ratings), dtype=np.bool_)
    is_again[good[again]] = True
    later = "in a later row" if timestamps is None else "later"
    faults.append(_Fault(f"a user and an item that are rated again {later}", is_again, (user, item)))
    dropped = _settle(faults, source, on_bad_rows)
    rows = _Rows(user_codes, users, item_codes, items, ratings[good], None if timestamps is None else timestamps[good])
    return (rows.take(~again) if again.any() else rows), dropped


def _rated_again(pairs: np.ndarray, timestamps: np.ndarray | None, good: np.ndarray) -> np.ndarray:
    """Which of the good rows are not the last word of a user on an item.

    Args:
        pairs: a number for the user and the item of each good row.
        timestamps: of all rows; the latest counts, and of equal ones the last row. None: the last row counts.
        good: numbers of the good rows.
    """
    again: np.ndarray = pd.Series(pairs, copy=False).duplicated(keep="last").to_numpy()
    if timestamps is None or not again.any():
        return again
    several = np.flatnonzero(pd.Series(pairs, copy=False).duplicated(keep=False).to_numpy())
    order = several[np.lexsort((several, timestamps[good[several]], pairs[several]))]
    again = np.zeros(len(pairs), dtype=np.bool_)
    again[order[:-1]] = pairs[order[:-1]] == pairs[order[1:]]
    return again


def _as_ids(codes: np.ndarray, names: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Codes and ids, int64 or object of str, of the names that occur. Names that are the same id share a code."""
    occurs = np.zeros(len(names), dtype=np.bool_)
    occurs[codes] = True
    used = [names[code] for code in np.flatnonzero(occurs)]
    values = read_values(used)
    kind = np.int64 if all(isinstance(value, int) for value in values) else object
    shared, ids = pd.factorize(np.array(values, dtype=kind))
    table = np.full(len(names), -1, dtype=np.int64)
    table[occurs] = shared
    return table[codes], ids


@dataclass(frozen=True, eq=False)
class _Fault:
    """What is wrong with some rows.

    Attributes:
        what: it is.
        where: in which rows, shape (n,), bool.
        cells: the columns whose cells show it.
        why: the likely cause, from a cell.
    """

    what: str
    where: np.ndarray
    cells: Sequence[pd.Series] = ()
    why: Callable[[Any], str] | None = None

    def __str__(self) -> str:
        rows = np.flatnonzero(self.where)[: SHOWN_ROWS + 1].tolist()
        found = [column.iloc[rows[0]] for column in self.cells]
        because = self.why(found[0]) if self.why else ""
        cells = ", ".join(map(shown, found)) + (f": {because}" if because else "")
        numbers = first_numbers([row + 1 for row in rows])
        return f"{np.count_nonzero(self.where)} with {self.what}: data row {numbers}{f' ({cells})' if found else ''}"


def _settle(faults: Sequence[_Fault], source: str, on_bad_rows: str) -> str:
    bad = np.logical_or.reduce([fault.where for fault in faults])
    if not bad.any():
        return ""
    return settle_bad_rows(
        f"{np.count_nonzero(bad)} of {len(bad)} data rows cannot be used (data row 1 is the first rating): "
        f"{'; '.join(str(fault) for fault in faults if fault.where.any())}",
        advice="Mend them",
        source=source,
        on_bad_rows=on_bad_rows,
    )


def _most_active(rows: _Rows, n_users: int | None, n_items: int | None, source: str) -> _Rows:
    """The ratings of the most active users and the most rated items, both counted on all rows.

    They are `Series.value_counts().nlargest(n)` of pandas, ties included.
    """
    if n_users is None and n_items is None:
        return rows
    kept = rows.take(_most_frequent(rows.user_codes, n_users) & _most_frequent(rows.item_codes, n_items))
    if len(kept) < 2:
        raise DataError(
            f"{source}: dataset.n_users={n_users} and dataset.n_items={n_items} leave {len(kept)} of {len(rows)} "
            "ratings; at least two are needed. Type larger numbers, or null to keep all."
        )
    return kept


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
    numbers = [] if isinstance(scale, str) or not isinstance(scale, Sequence) else [as_number(end) for end in scale]
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
