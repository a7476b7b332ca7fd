"""Ratings from files: the fast way and the slow way read the same, and what is refused in which words."""

import csv
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.ratings import csv as ratings_csv
from sweeps.tasks.ratings.csv import load_ratings_csv
from sweeps.tasks.ratings.data import RatingsData

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"
GOOD = "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,3.5,200\n2,10,0.5,300\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(content: str | bytes, name: str = "ratings.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write_file


def triples(data: RatingsData) -> list[tuple[Any, Any, float]]:
    return list(zip(data.users.tolist(), data.items.tolist(), data.ratings.tolist(), strict=True))


# What is read


def test_a_file_in_the_format_of_movielens(write):
    data = load_ratings_csv(write(GOOD), timestamp_column="timestamp", scale=[0.5, 5])
    assert triples(data) == [(1, 10, 4.0), (1, 20, 3.5), (2, 10, 0.5)]
    assert data.timestamps is not None
    assert data.timestamps.tolist() == [100, 200, 300]
    assert (data.scale, data.user_column, data.item_column) == ((0.5, 5.0), "userId", "movieId")
    assert data.source.endswith("ratings.csv")


@pytest.mark.parametrize("separator", ["::", ";", "\t", r"\t", "|", " ", " | ", "<->", "¦", "::::"])
def test_any_separator_with_and_without_a_header(write, separator):
    typed = separator.replace(r"\t", "\t")
    lines = GOOD.replace(",", typed).splitlines(keepends=True)
    data = load_ratings_csv(write("".join(lines)), separator=separator)
    bare = load_ratings_csv(
        write("".join(lines[1:])), separator=separator, columns=["userId", "movieId", "rating", "timestamp"]
    )
    assert triples(data) == triples(bare) == [(1, 10, 4.0), (1, 20, 3.5), (2, 10, 0.5)]
    assert data.fingerprint == bare.fingerprint


def test_a_tab_by_extension(write):
    assert len(load_ratings_csv(write(GOOD.replace(",", "\t"), "ratings.TSV")).ratings) == 3


@pytest.mark.parametrize("decorate", [
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
    lambda text: ("\n\n" + text.replace("\n", "\n\n   \n")).encode(),
    lambda text: text.rstrip("\n").encode(),
    lambda text: "".join(f"x,{line}" for line in text.splitlines(keepends=True)).encode(),
    lambda text: text.replace("1,10,4.0", '"1","10","4.0"').encode(),
    lambda text: text.replace("1,10,4.0", "1.0,10,4").encode(),
    lambda text: text.replace("1,10,4.0", "+1, 10,+4e0").encode(),
])  # fmt: skip
def test_the_layout_of_a_file_does_not_matter(write, decorate):
    assert load_ratings_csv(write(decorate(GOOD))).fingerprint == load_ratings_csv(write(GOOD, "2.csv")).fingerprint


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp1252"])
@pytest.mark.parametrize("separator", [",", "::"])
def test_other_encodings(write, encoding, separator):
    text = GOOD.replace("1,", "é,").replace(",", separator)
    data = load_ratings_csv(write(text.encode(encoding)), encoding=encoding, separator=separator)
    assert data.users.tolist() == ["é", "é", "2"]


def test_a_name_among_whole_numbers_far_down(write, monkeypatch):
    monkeypatch.setattr(ratings_csv, "ROWS_AT_A_TIME", 100)
    rows = [(str(number), "1", 1.0) for number in range(1, 1_000)] + [("x", "1", 2.0)]
    lines = "".join(f"{user},{item},{rating}\n" for user, item, rating in rows)
    data = load_ratings_csv(write(f"userId,movieId,rating\n{lines}"))
    assert triples(data) == [(user, 1, rating) for user, item, rating in rows]


def test_ids_of_19_digits_are_exact_whichever_way_they_are_read(write):
    big = 2**63 - 1
    rows = f"userId,movieId,rating\n{big},{big - 1},1\n{big - 1},3,2\n"
    assert load_ratings_csv(write(rows)).users.tolist() == [big, big - 1]
    assert load_ratings_csv(write(rows + "5,,1\n"), on_bad_rows="drop").users.tolist() == [big, big - 1]
    assert load_ratings_csv(write(rows + f"{big + 1},3,1\n")).users.tolist() == [str(big), str(big - 1), str(big + 1)]


names = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), st.sampled_from(list("\"',;|:\r\n "))
    ),
    max_size=6,
).map(lambda text: f"n{text}".strip())


@settings(deadline=None, max_examples=150)
@given(
    pairs=st.lists(st.tuples(names, st.integers(-(2**63), 2**63 - 1)), min_size=2, max_size=8, unique=True),
    numbers=st.data(),
    separator=st.sampled_from([",", "\t", ";", "|"]),
    line_end=st.sampled_from(["\r\n", "\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    n_rows=st.sampled_from([1, 3, 1_000]),
)
def test_any_ids_and_ratings_survive_the_round_trip(
    tmp_path_factory, pairs, numbers, separator, line_end, encoding, n_rows
):
    tenths = numbers.draw(st.lists(st.integers(-100, 100), min_size=len(pairs), max_size=len(pairs)))
    tenths[0] = 101  # not all alike
    rows = [(user, item, tenth / 10) for (user, item), tenth in zip(pairs, tenths, strict=True)]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("userId", "movieId", "rating"), *rows])
    file = tmp_path_factory.mktemp("round_trip") / "ratings.csv"
    file.write_bytes(buffer.getvalue().encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_csv, "ROWS_AT_A_TIME", n_rows)
        data = load_ratings_csv(file, separator=separator, encoding=encoding)
    assert triples(data) == rows


fields = st.sampled_from(["1", "2", "3", "x", "", " ", "4.5"])


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.lists(fields, min_size=1, max_size=5), min_size=1, max_size=8),
    separator=st.sampled_from([",", "::"]),
    n_rows=st.sampled_from([1, 2, 1_000]),
)
def test_whatever_is_in_a_file_it_is_read_as_a_loop_would_or_refused(tmp_path_factory, rows, separator, n_rows):
    """Rows of every length and kind; last the one good row that makes a rating sure."""
    rows = [*rows, ["8", "8", "5", "0"], ["9", "9", "4", "0"]]
    rows = [row for row in rows if len(row) > 1 or row[0].strip()]  # a blank line is none
    file = tmp_path_factory.mktemp("odd") / "ratings.csv"
    lines = [["userId", "movieId", "rating", "more"], *rows]
    file.write_text("".join(separator.join(line) + "\n" for line in lines), encoding="utf-8")
    good = {}
    for row in rows:
        if 3 <= len(row) <= 4 and row[0].strip() and row[1].strip() and row[2] not in ("x", "", " "):
            good[len(good)] = row
    # The last of several for one pair, in the place where it stands.
    whole = [all(row[side].isdigit() for row in good.values()) for side in (0, 1)]
    last = {(row[0], row[1]): place for place, row in good.items()}
    expected = [
        (
            int(good[place][0]) if whole[0] else good[place][0],
            int(good[place][1]) if whole[1] else good[place][1],
            float(good[place][2]),
        )
        for place in sorted(last.values())
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_csv, "ROWS_AT_A_TIME", n_rows)
        if len(expected) < len(rows):
            with pytest.raises(DataError, match=r"dataset\.on_bad_rows=drop"):
                load_ratings_csv(file, separator=separator)
        else:
            assert triples(load_ratings_csv(file, separator=separator)) == expected
        assert triples(load_ratings_csv(file, separator=separator, on_bad_rows="drop")) == expected


quoted = ['"1"', '"2"', '1"2', '"1"2', '"1" ', ' "1"', '""', '"a,b"', '"a""b"', '"a\nb"']
odd_fields = st.sampled_from(["1", "2", "3", "01", " 01", "1.0", "x", "x\\", *quoted])


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.lists(odd_fields, min_size=3, max_size=3), min_size=1, max_size=8),
    n_rows=st.sampled_from([1, 2, 1_000]),
    quoting=st.sampled_from(["double", "none"]),
)
def test_the_fast_way_and_the_slow_way_read_the_same(tmp_path_factory, rows, n_rows, quoting):
    """Quotes of all sorts, codes, words: whichever reader has them."""
    rows = [*rows, ["8", "8", "5"], ["9", "9", "4"]]
    file = tmp_path_factory.mktemp("ways") / "ratings.csv"
    file.write_text("".join(",".join(line) + "\n" for line in [["userId", "movieId", "rating"], *rows]), newline="")

    def read() -> Any:
        try:
            data = load_ratings_csv(file, on_bad_rows="drop", quoting=quoting)
        except DataError as error:
            return str(error).partition(" data rows ")[0]
        return triples(data), data.users.dtype, data.items.dtype, data.dropped.partition(" data rows ")[0]

    def not_here(*_: Any) -> None:
        raise pd.errors.ParserError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_csv, "ROWS_AT_A_TIME", n_rows)
        either = read()
        patch.setattr(ratings_csv, "_read_fast", not_here)
        assert read() == either


# Bad rows


@pytest.mark.parametrize("n_rows", [1, 2, 1_000])
@pytest.mark.parametrize("separator", [",", "::"])
def test_ragged_rows_are_located_by_line(write, caplog, monkeypatch, separator, n_rows):
    monkeypatch.setattr(ratings_csv, "ROWS_AT_A_TIME", n_rows)
    text = "userId,movieId,rating\n1,1,1,9\n\n1,2,2\n1,3\n2,1,4\n2,2,4,5\n".replace(",", separator)
    with pytest.raises(DataError) as caught:
        load_ratings_csv(write(text), separator=separator)
    message = str(caught.value)
    assert "3 of 5 data rows have too many or too few fields for the 3 columns" in message
    assert "line 2, 5, 7 of the file (line 2 has 4: " in message
    with caplog.at_level(logging.WARNING):
        data = load_ratings_csv(write(text), separator=separator, on_bad_rows="drop")
    assert triples(data) == [(1, 2, 2.0), (2, 1, 4.0)]
    assert len(caplog.records) == 1


def test_a_row_may_lack_what_nobody_asked_for(write):
    text = GOOD.replace(",200", "")
    assert len(load_ratings_csv(write(text)).ratings) == 3
    with pytest.raises(DataError, match=r"line 3 of the file \(line 3 has 3: \"1,20,3.5\"\)"):
        load_ratings_csv(write(text), timestamp_column="timestamp")


def test_missing_and_odd_ratings_are_counted_by_data_row(write):
    text = "userId,movieId,rating\n1,1,\n1,2,NA\n,3,1\n1,4,7\n1,5,2\n1,6,3\n"
    with pytest.raises(DataError) as caught:
        load_ratings_csv(write(text), scale=[1, 5])
    message = str(caught.value)
    assert "4 of 6 data rows" in message
    assert "1 with no rating: data row 1;" in message
    assert '1 with a rating that is not a number: data row 2 ("NA");' in message
    assert "1 with no user: data row 3;" in message
    assert 'out of the scale 1 to 5: data row 4 ("7")' in message
    data = load_ratings_csv(write(text), scale=[1, 5], on_bad_rows="drop")
    assert triples(data) == [(1, 5, 2.0), (1, 6, 3.0)]


# What is refused


def test_a_header_alone(write):
    with pytest.raises(DataError, match="no data rows"):
        load_ratings_csv(write("userId,movieId,rating\n"))


def test_wrong_columns_are_answered_with_those_there(write):
    with pytest.raises(
        DataError, match=r"no column 'book' \(dataset\.item_column\)\. Its columns: 'userId', 'movieId'"
    ):
        load_ratings_csv(write(GOOD), item_column="book")
    with pytest.raises(DataError, match=r"\"dataset\.separator=';'\""):
        load_ratings_csv(write(GOOD.replace(",", ";")))
    with pytest.raises(DataError, match="2 columns named 'userId'"):
        load_ratings_csv(write("userId,userId,movieId,rating\n1,1,1,1\n"))


def test_a_file_without_a_header_is_recognised(write):
    bare = GOOD.partition("\n")[2]
    with pytest.raises(DataError, match=r"starts with a rating(.|\n)*dataset\.columns="):
        load_ratings_csv(write(bare))
    with pytest.raises(DataError, match=r"dataset\.separator='::'(.|\n)*dataset\.columns="):
        load_ratings_csv(write(bare.replace(",", "::")))
    data = load_ratings_csv(write("0,1,2\n5,6,3\n5,7,4\n"), user_column=0, item_column=1, rating_column=2)
    assert triples(data) == [(5, 6, 3.0), (5, 7, 4.0)]


def test_on_bad_rows_is_checked_first(write):
    with pytest.raises(ConfigError, match="either error or drop"):
        load_ratings_csv(write(GOOD), on_bad_rows="maybe")


# Real files


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no real data at {REAL_DATA}")
def test_movietweetings(write):
    file = REAL_DATA / "movietweetings-100k" / "ratings.csv"
    data = load_ratings_csv(file, timestamp_column="timestamp", scale=[0, 10])
    plain = pd.read_csv(file, dtype={"movieId": str})  # numbers of IMDb, with leading zeros
    assert len(data.ratings) == 100_000
    assert len(np.unique(data.users)) == 16_554
    assert len(np.unique(data.items)) == 10_506
    assert np.array_equal(data.ratings, plain["rating"])
    assert data.timestamps is not None
    assert np.array_equal(data.timestamps, plain["timestamp"])
    users = plain["userId"].value_counts().nlargest(500).index
    items = plain["movieId"].value_counts().nlargest(300).index
    kept = plain[plain["userId"].isin(users) & plain["movieId"].isin(items)]
    few = load_ratings_csv(file, n_users=500, n_items=300)
    assert np.array_equal(few.users, kept["userId"])
    assert np.array_equal(few.items, kept["movieId"])
    double_colons = write(file.read_text().partition("\n")[2].replace(",", "::"), "ratings.dat")
    again = load_ratings_csv(
        double_colons,
        separator="::",
        columns=["userId", "movieId", "rating", "timestamp"],
        timestamp_column="timestamp",
        scale=[0, 10],
    )
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    "users", [("007", "07", "7"), ("7", "007", "07"), ('"7"', '"007"', "7"), (" 7", " 007", "8"), ("7", "+007", "8")]
)
def test_codes_with_leading_zeros_are_no_numbers(write, users):
    first, second, third = users
    path = write(f"userId,movieId,rating\n{first},20,4\n{second},21,3\n{third},22,5\n")
    expected = [(first.strip('" '), 20, 4), (second.strip('" '), 21, 3), (third, 22, 5)]
    assert triples(load_ratings_csv(path)) == expected


@pytest.mark.parametrize("item", ["1e3", "1E3", "+1.5e1", "inf", "nan", "1e400", "2e3 "])
@pytest.mark.parametrize("end", ["\n", ""])
def test_what_is_a_number_to_pandas_and_no_whole_one_to_us_is_a_name(write, item, end):
    path = write(f"userId,movieId,rating\n1,20,4\n2,{item},3{end}")
    assert triples(load_ratings_csv(path)) == [(1, "20", 4), (2, item.strip(), 3)]
    last = write(f"rating,userId,movieId\n4,1,20\n3,2,{item}{end}", "last.csv")
    assert triples(load_ratings_csv(last)) == [(1, "20", 4), (2, item.strip(), 3)]


@pytest.mark.parametrize("item", ["1000000000000000001.0", "9007199254740993.00", "1000000000000000001", "2e5f"])
def test_large_whole_numbers_are_exact(write, item):
    path = write(f"userId,movieId,rating\n1,20,4\n2,{item},3\n")
    whole = item.partition(".")[0]
    expected = [(1, 20, 4), (2, int(whole), 3)] if whole.isdigit() else [(1, "20", 4), (2, item, 3)]
    assert triples(load_ratings_csv(path)) == expected
