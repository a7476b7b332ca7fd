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
        (["x", "2.0"], ["x", "2"]),
        (["1e3", "1"], ["1e3", "1"]),
        (["NA", "null"], ["NA", "null"]),
        ([True, False], ["True", "False"]),
        ([" a", "a\u200b "], ["a", "a"]),
        (["01", "1 "], ["01", "1"]),
        ([" 1", "1"], [1, 1]),
    ],
)
def test_the_type_of_ids_follows_from_all_of_them(ids, expected):
    data = ratings([(one, place, place) for place, one in enumerate(ids)])
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
    kinds["rated again in a later row"] = len(good) - len(last)
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
    if len({float(rows[place][2]) for place in good}) < 2:
        with pytest.raises(DataError):
            ratings(rows, scale=scale, on_bad_rows="drop")
        return
    dropped = ratings(rows, scale=scale, on_bad_rows="drop")
    clean = ratings([rows[place] for place in good], scale=scale)
    assert f"{n_bad} of {len(rows)} data rows" in dropped.dropped or n_bad == 0
    assert clean.dropped == ""
    assert dropped.fingerprint == clean.fingerprint
    assert dropped.ratings.tolist() == [float(rows[place][2]) for place in good]


def test_one_message_has_every_kind_and_its_first_rows(caplog):
    rows = [(1, 1, 1), (None, 1, 2), (1, "", 2), (2, 2, None), (2, 3, "bad"), (2, 4, 9), (1, 1, 5), (None, None, 7)]
    with pytest.raises(DataError) as caught:
        ratings(rows, scale=[1, 5])
    message = str(caught.value)
    for part in (
        "here: 7 of 8 data rows cannot be used (data row 1 is the first rating): ",
        "2 with no user: data row 2, 8;",
        "2 with no item: data row 3, 8;",
        "1 with no rating: data row 4;",
        '1 with a rating that is not a number: data row 5 ("bad");',
        '2 with a rating out of the scale 1 to 5: data row 6, 8 ("9");',
        '1 with a user and an item that are rated again in a later row: data row 1 ("1", "1").',
        "dataset.on_bad_rows=drop",
    ):
        assert part in message
    rows.append((2, 2, 4))
    with caplog.at_level(logging.WARNING):
        assert triples(ratings(rows, scale=[1, 5], on_bad_rows="drop")) == [(1, 1, 5.0), (2, 2, 4.0)]
    (record,) = caplog.records
    assert "dropped: 7 of 9 data rows" in record.getMessage()


def test_many_bad_rows_are_not_all_listed():
    with pytest.raises(DataError, match="50 with no rating: data row 1, 2, 3, 4, 5, …\\."):
        ratings([(one, 1, None) for one in range(50)] + [(51, 1, 1)])


@pytest.mark.parametrize("time", [None, "", "soon", 1.5, "1970-01-01"])
def test_a_bad_timestamp_among_good_ones(time):
    rows = [(1, 1, 1, 10), (1, 2, 2, time), (1, 3, 3, 30)]
    options = {"columns": ("user", "item", "rating", "time"), "timestamp_column": "time"}
    with pytest.raises(DataError, match="1 with a timestamp that is neither a whole number nor a date: data row 2 "):
        ratings(rows, **options)
    assert ratings(rows, on_bad_rows="drop", **options).timestamps.tolist() == [10, 30]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([(1, 2, 1, 200), (1, 2, 5, 100), (2, 2, 3, 0)], [(1, 2, 1.0), (2, 2, 3.0)]),
        ([(1, 2, 1, 100), (1, 2, 5, 100), (2, 2, 3, 0)], [(1, 2, 5.0), (2, 2, 3.0)]),
        ([(1, 2, 1, "2005-04-02"), (1, 2, 5, "2004-12-31T23:59:59"), (2, 2, 3, "2000-01-01")], [(1, 2, 1), (2, 2, 3)]),
        ([("1 ", 2, 1, 200), (1, "2.0", 5, 100), (2, 2, 3, 0)], [(1, 2, 1.0), (2, 2, 3.0)]),
    ],
)
def test_of_several_ratings_of_one_item_the_latest_counts(rows, kept):
    options = {"columns": ("user", "item", "rating", "time"), "timestamp_column": "time"}
    assert triples(ratings(rows, on_bad_rows="drop", **options)) == kept
    with pytest.raises(DataError, match=r"1 with a user and an item that are rated again later: data row [12] \("):
        ratings(rows, **options)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=30
    )
)
def test_the_latest_ratings_are_those_of_plain_pandas(rows):
    rows = [*rows, (9, 9, 0, 0), (9, 8, 6, 0)]
    columns = ("user", "item", "rating", "time")
    frame = pd.DataFrame(rows, columns=list(columns))
    kept = frame.sort_values("time", kind="stable").drop_duplicates(["user", "item"], keep="last").sort_index()
    data = ratings(rows, columns, timestamp_column="time", on_bad_rows="drop")
    assert triples(data) == [(row.user, row.item, row.rating) for row in kept.itertuples()]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("4,5", '("4,5": a decimal comma? "dataset.decimal=\',\'")'),
        ("4/5", '("4/5": a rating out of a maximum? Write the number before the slash alone)'),
        ("4 stars", '("4 stars": a number and a word? Write the number alone)'),
        ("4.5 von 5", '("4.5 von 5": a number and a word? Write the number alone)'),
        ("★★★★☆", '("★★★★☆": stars? Write their number)'),
        ("good\n", '("good\\n")'),
        ("x" * 5_000, '("' + "x" * 60 + '…")'),
    ],
)
def test_a_rating_that_is_no_number_is_shown_with_the_likely_cause(cell, message):
    with pytest.raises(DataError) as caught:
        ratings([(1, 1, 1), (1, 2, cell), (2, 2, cell)])
    assert f"2 with a rating that is not a number: data row 2, 3 {message}. Mend them" in str(caught.value)


def test_a_decimal_comma_is_read_where_it_is_typed():
    rows = [(1, 1, "4,5"), (1, 2, " 3"), (2, 2, ",5")]
    assert ratings(rows, decimal=",").ratings.tolist() == [4.5, 3.0, 0.5]
    with pytest.raises(DataError, match=r"\"1\.5\": a decimal point\? \"dataset\.decimal='\.'\""):
        ratings([*rows, (2, 1, "1.5")], decimal=",")
    with pytest.raises(ConfigError, match=r"dataset\.decimal"):
        ratings(rows, decimal=";")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("04/02/2005", '("04/02/2005": dates must be in ISO 8601, such as 2005-04-02 '),
        ("1112486027.5", '("1112486027.5": a fraction of a second? Write whole numbers)'),
    ],
)
def test_a_timestamp_that_is_none_is_shown_and_iso_8601_is_named(cell, message):
    rows = [(1, 1, 1, "2005-04-02"), (1, 2, 2, cell)]
    with pytest.raises(DataError) as caught:
        ratings(rows, ("user", "item", "rating", "time"), timestamp_column="time")
    assert message in str(caught.value)


def test_ratings_that_are_all_alike_are_refused():
    with pytest.raises(DataError, match=r"all 2 ratings are 5, so there is nothing .*dataset\.rating_column="):
        ratings([(1, 1, 5), (1, 2, 5.0)], scale=[1, 5])


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
