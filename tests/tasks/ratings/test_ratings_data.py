"""Ratings from frames: against brute force, row by row, and against plain pandas."""

import logging
import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.ratings.data import RatingsData, ratings_from_frame


def ratings(rows: Any, columns: tuple[str, ...] = ("user", "item", "rating"), **options: Any) -> RatingsData:
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=list(columns), dtype=object)
    defaults = {"user_column": "user", "item_column": "item", "rating_column": "rating", "source": "here"}
    return ratings_from_frame(frame, **{**defaults, **options})


def triples(data: RatingsData) -> list[tuple[Any, Any, float]]:
    return list(zip(data.users.tolist(), data.items.tolist(), data.ratings.tolist(), strict=True))


# What is read


def test_whole_ids_are_int64_others_str_and_the_order_stays():
    data = ratings([(7, "b", 3), (2, "a", 1.5), (7, "a", "4")])
    assert triples(data) == [(7, "b", 3.0), (2, "a", 1.5), (7, "a", 4.0)]
    assert (data.users.dtype, data.items.dtype, data.ratings.dtype) == (np.int64, object, np.float64)
    assert (data.scale, data.timestamps, data.user_column, data.item_column) == ((1.5, 4.0), None, "user", "item")
    assert data.ratings.flags.writeable


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2], [1, 2]),
        ([1.0, 2.0], [1, 2]),
        (["1", "2"], [1, 2]),
        ([" 7 ", "-8"], [7, -8]),
        (["007", "8"], ["007", "8"]),
        (["1.0", "-2."], [1, -2]),
        ([str(2**63 - 1), str(-(2**63))], [2**63 - 1, -(2**63)]),
        ([str(2**63), "1"], [str(2**63), "1"]),
        ([2**64 - 1, 1], [str(2**64 - 1), "1"]),
        (["1" * 6_000, "1"], ["1" * 6_000, "1"]),
        (["1", "x"], ["1", "x"]),
        ([1, "x"], ["1", "x"]),
        ([0.5, 1.0], ["0.5", "1"]),
        (["x", 2.0], ["x", "2"]),
        (["x", "2.0"], ["x", "2.0"]),
        (["1e3", "1"], ["1e3", "1"]),
        (["NA", "null"], ["NA", "null"]),
        ([True, False], ["True", "False"]),
        ([" a", "a"], [" a", "a"]),
    ],
)
def test_the_type_of_ids_follows_from_all_of_them(ids, expected):
    data = ratings([(one, "item", 1) for one in ids])
    assert data.users.tolist() == expected
    assert data.users.dtype == (np.int64 if isinstance(expected[0], int) else object)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint64", "Int64", "float64", "category", "str", object])
def test_any_dtype_of_a_frame_gives_the_same_data(dtype):
    frame = pd.DataFrame({"user": [3, 1, 3], "item": [5, 6, 6], "rating": [1, 2, 2]})
    assert ratings(frame.astype(dtype)).fingerprint == ratings(frame).fingerprint


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([3, 1], [3, 1]),
        (["3", "1.0"], [3, 1]),
        (["1970-01-02", "1970-01-01T00:00:01"], [86_400_000_000, 1_000_000]),
        (["1970-01-01 02:00:00+01:00", "1970-01-01"], [3_600_000_000, 0]),
        (pd.to_datetime(["1970-01-01", "1970-01-02"]), [0, 86_400_000_000]),
    ],
)
def test_timestamps_are_whole_numbers_or_dates(times, expected):
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "rating": [1, 2], "time": times})
    data = ratings(frame, timestamp_column="time")
    assert data.timestamps is not None
    assert data.timestamps.tolist() == expected
    assert data.timestamps.dtype == np.int64


def test_the_fingerprint_tells_everything_apart_that_matters():
    base = [(1, 1, 1), (2, 1, 3), (2, 12, 2)]
    columns = ("user", "item", "rating", "time")
    timed = [(*row, 0) for row in base]
    variants = [
        ratings(base),
        ratings(base[::-1]),
        ratings([("a1", *row[1:]) if row[0] == 1 else row for row in base]),
        ratings([(row[0], f"i{row[1]}", row[2]) for row in base]),
        ratings([*base[:2], (2, 12, 2.5)]),
        ratings(base[:2]),
        ratings(base, scale=[0, 5]),
        ratings(timed, columns, timestamp_column="time"),
        ratings([*timed[:2], (2, 12, 2, 1)], columns, timestamp_column="time"),
        ratings([("a", "bc", 1), ("ab", "c", 2)]),
        ratings([("ab", "c", 1), ("a", "bc", 2)]),
    ]
    assert len({data.fingerprint for data in variants}) == len(variants)
    assert ratings(timed, columns).fingerprint == ratings(base).fingerprint


# Bad rows, against a loop over the rows

odd_ids = st.sampled_from([1, 2, 3, "1", "02", "x", None, "", "  ", float("nan"), 2.0])
odd_ratings = st.sampled_from([1, 2, 2.5, 5, "3", " 4 ", "", None, "good", "nan", "inf", -1, 6, "1_0", float("inf")])


def expected_rows(
    rows: list[tuple[Any, Any, Any]], scale: tuple[float, float] | None
) -> tuple[list[int], Counter[str]]:
    """Numbers of the good rows, and how many rows are bad in which way."""

    def missing(cell: Any) -> bool:
        return cell is None or (isinstance(cell, str) and not cell.strip()) or cell != cell

    def text(cell: Any) -> str:
        return "2" if cell == 2.0 else str(cell)

    def number(cell: Any) -> float:
        try:
            return float("nan") if "_" in str(cell) else float(cell)
        except ValueError:
            return float("nan")

    kinds: Counter[str] = Counter()
    good = []
    for place, (user, item, rating) in enumerate(rows):
        faults = {
            "no user": missing(user),
            "no item": missing(item),
            "no rating": missing(rating),
            "not a number": not missing(rating) and not math.isfinite(number(rating)),
            "out of the scale": scale is not None
            and not missing(rating)
            and math.isfinite(number(rating))
            and not scale[0] <= number(rating) <= scale[1],
        }
        kinds.update(kind for kind, holds in faults.items() if holds)
        if not any(faults.values()):
            good.append(place)
    names = []
    for side in (0, 1):
        whole = all(str(rows[place][side]) not in ("x", "02") for place in good)
        names.append({place: int(float(rows[place][side])) if whole else text(rows[place][side]) for place in good})
    last = {(names[0][place], names[1][place]): place for place in good}
    kinds["stand in a later row again"] = len(good) - len(last)
    return sorted(last.values()), kinds


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.tuples(odd_ids, odd_ids, odd_ratings), min_size=1, max_size=12),
    scale=st.sampled_from([None, (1.0, 5.0)]),
)
def test_bad_rows_are_counted_and_dropped_as_a_loop_would(rows, scale):
    good, kinds = expected_rows(rows, scale)
    n_bad = len(rows) - len(good)
    if n_bad:
        with pytest.raises(DataError) as caught:
            ratings(rows, scale=scale)
        message = str(caught.value)
        assert f"{n_bad} of {len(rows)} data rows" in message
        for kind, count in kinds.items():
            assert (kind in message) == (count > 0)
            if count:
                assert any(part.split(" with ")[0].endswith(f"{count}") for part in message.split(";") if kind in part)
    if len(good) < 2:
        with pytest.raises(DataError):
            ratings(rows, scale=scale, on_bad_rows="drop")
        return
    dropped = ratings(rows, scale=scale, on_bad_rows="drop")
    clean = ratings([rows[place] for place in good], scale=scale)
    assert dropped.fingerprint == clean.fingerprint
    assert dropped.ratings.tolist() == [float(rows[place][2]) for place in good]


def test_one_message_has_every_kind_and_its_first_rows(caplog):
    rows = [(1, 1, 1), (None, 1, 2), (1, "", 2), (2, 2, None), (2, 3, "bad"), (2, 4, 9), (1, 1, 5), (None, None, 7)]
    with pytest.raises(DataError) as caught:
        ratings(rows, scale=[1, 5])
    message = str(caught.value)
    for part in (
        "here: 7 of 8 data rows cannot be used",
        "2 with no user: data row 2, 8;",
        "2 with no item: data row 3, 8;",
        "1 with no rating: data row 4;",
        "1 with a rating that is not a number: data row 5;",
        "2 with a rating out of the scale 1 to 5: data row 6, 8;",
        "1 with a user and an item that stand in a later row again: data row 1 ",
        "dataset.on_bad_rows=drop",
    ):
        assert part in message
    rows.append((2, 2, 4))
    with caplog.at_level(logging.WARNING):
        assert triples(ratings(rows, scale=[1, 5], on_bad_rows="drop")) == [(1, 1, 5.0), (2, 2, 4.0)]
    (record,) = caplog.records
    assert "dropped: 7 of 9 data rows" in record.getMessage()


def test_many_bad_rows_are_not_all_listed():
    with pytest.raises(DataError, match="50 with no rating: data row 1, 2, 3, 4, 5, … "):
        ratings([(one, 1, None) for one in range(50)] + [(51, 1, 1)])


@pytest.mark.parametrize("time", [None, "", "soon", 1.5, "1970-01-01"])
def test_a_bad_timestamp_among_good_ones(time):
    rows = [(1, 1, 1, 10), (1, 2, 2, time), (1, 3, 3, 30)]
    options = {"columns": ("user", "item", "rating", "time"), "timestamp_column": "time"}
    with pytest.raises(DataError, match="1 with a timestamp that is neither a whole number nor a date: data row 2 "):
        ratings(rows, **options)
    assert ratings(rows, on_bad_rows="drop", **options).timestamps.tolist() == [10, 30]


# The most active


@settings(deadline=None, max_examples=200)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60, unique=True),
    n_users=st.none() | st.integers(1, 12),
    n_items=st.none() | st.integers(1, 12),
    as_text=st.booleans(),
)
def test_the_most_active_are_those_of_plain_pandas(pairs, n_users, n_items, as_text):
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    if as_text:
        frame = "n" + frame.astype(str)
    frame["rating"] = np.arange(len(frame), dtype=np.float64)
    kept = frame
    if n_users is not None:
        kept = kept[kept["user"].isin(frame["user"].value_counts().nlargest(n_users).index)]
    if n_items is not None:
        kept = kept[kept["item"].isin(frame["item"].value_counts().nlargest(n_items).index)]
    if len(kept) < 2:
        with pytest.raises(DataError, match="at least two are needed"):
            ratings(frame, n_users=n_users, n_items=n_items)
        return
    data = ratings(frame, n_users=n_users, n_items=n_items)
    assert triples(data) == list(kept.itertuples(index=False, name=None))
    assert data.scale == (0.0, len(frame) - 1.0)
    # What was left out leaves no trace.
    assert data.fingerprint == ratings(kept, scale=data.scale).fingerprint


# What is refused


@pytest.mark.parametrize("scale", [[5, 1], [1, 1], [1], [1, 2, 3], "15", 5, ["a", "b"], [0, float("inf")], [None, 1]])
def test_a_scale_is_two_numbers_in_order(scale):
    with pytest.raises(ConfigError, match=r"dataset\.scale="):
        ratings([(1, 1, 1), (1, 2, 2)], scale=scale)


@pytest.mark.parametrize("number", [0, -1, 1.5, "3", True])
@pytest.mark.parametrize("key", ["n_users", "n_items"])
def test_a_number_to_keep_is_one_or_more(key, number):
    with pytest.raises(ConfigError, match=rf"dataset\.{key}="):
        ratings([(1, 1, 1), (1, 2, 2)], **{key: number})


def test_columns_options_and_rows_that_are_not_there():
    good = [(1, 1, 1), (1, 2, 2)]
    with pytest.raises(DataError, match=r"no column 'book' \(dataset\.item_column\)\. Its columns: 'user', 'item'"):
        ratings(good, item_column="book")
    with pytest.raises(DataError, match=r"no column 'time' \(dataset\.timestamp_column\)"):
        ratings(good, timestamp_column="time")
    with pytest.raises(DataError, match=r"user_column and dataset\.item_column are both 'user'"):
        ratings(good, item_column="user")
    with pytest.raises(ConfigError, match="either error or drop"):
        ratings(good, on_bad_rows="keep")
    with pytest.raises(DataError, match="no data rows"):
        ratings([])
    with pytest.raises(DataError, match="holds 0 usable ratings"):
        ratings([(1, 1, None)], on_bad_rows="drop")
    with pytest.raises(DataError, match=r"dataset\.n_users=1 and dataset\.n_items=1 leave 1 of 2 ratings"):
        ratings(good, n_users=1, n_items=1)
