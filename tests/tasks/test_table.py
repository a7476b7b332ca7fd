"""Delimited text as every reader reads it: the same files, the same messages, for texts, ratings and predictions."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.base.errors import ConfigError, DataError
from sweeps.cli.predict import read_input
from sweeps.tasks import content, table
from sweeps.tasks.content import Content, file_content
from sweeps.tasks.ratings.csv import load_ratings_csv
from sweeps.tasks.table import Layout, Table
from sweeps.tasks.text.csv import load_text_csv
from sweeps.tasks.values import BLANKS

ROWS = [("ann", "10", "4.0"), ("ann", "20", "3.5"), ("bob", "10", "0.5")]
GOOD = "userId,movieId,rating\nann,10,4.0\nann,20,3.5\nbob,10,0.5\n"
COLUMNS = ["userId", "movieId", "rating"]

Reader = Callable[..., list[tuple[str, str, str]]]


def read_text(file: Any, **options: Any) -> list[tuple[str, str, str]]:
    """Texts under `userId`, labels under `movieId`."""
    data = load_text_csv(file, "userId", "movieId", **options)
    return [
        (text, str(label), rating)
        for text, label, (_, _, rating) in zip(data.texts.tolist(), data.labels.tolist(), ROWS, strict=True)
    ]


def read_ratings(file: Any, **options: Any) -> list[tuple[str, str, str]]:
    data = load_ratings_csv(file, **options)
    rows = zip(data.users.tolist(), data.items.tolist(), data.ratings.tolist(), strict=True)
    return [(str(user), str(item), str(rating)) for user, item, rating in rows]


def read_for_predict(file: Any, **options: Any) -> list[tuple[str, str, str]]:
    frame, _ = read_input(str(file), Layout(**options))
    return list(frame[COLUMNS].itertuples(index=False, name=None))


every_reader = pytest.mark.parametrize("read", [read_text, read_ratings, read_for_predict])


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(text: str | bytes, name: str = "data.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write_file


def rows_of(text: str | bytes, **options: Any) -> list[list[str]]:
    """All rows of a table, header included."""
    binary = text if isinstance(text, bytes) else text.encode()
    one = Table(Content("here", lambda: io.BytesIO(binary)), Layout(**options))
    with one.reading(), one.open() as opened:
        rows = [record for _, record in one.data(opened)]
    return rows if one.columns else [one.names(), *rows]


# What is read


@every_reader
@pytest.mark.parametrize(
    "decorate",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: ("\n\n" + text.replace("\n", "\n\n   \n")).encode(),
        lambda text: text.replace("ann,10,4.0", '"ann","10","4.0"').encode(),
        lambda text: text.replace("userId,movieId", " userId , movieId\t").encode(),
    ],
)
def test_the_layout_of_a_file_does_not_matter(write, read: Reader, decorate):
    assert read(write(decorate(GOOD))) == ROWS


@every_reader
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1", "cp1252", "utf-8-sig", "UTF8"])
def test_encodings(write, read: Reader, encoding):
    file = write(GOOD.replace("bob", "bébé").encode(encoding))
    assert [row[0] for row in read(file, encoding=encoding)] == ["ann", "ann", "bébé"]


@every_reader
@pytest.mark.parametrize("separator", [";", "\t", r"\t", "|", " ", "¦"])
def test_separators(write, read: Reader, separator):
    file = write(GOOD.replace(",", separator.replace(r"\t", "\t")))
    assert read(file, separator=separator) == ROWS


@every_reader
def test_a_tab_by_extension(write, read: Reader):
    assert read(write(GOOD.replace(",", "\t"), "data.TSV")) == ROWS


@every_reader
@pytest.mark.parametrize(
    ("name", "pack"), [("data.tsv.gz", gzip.compress), ("data.tab.BZ2", bz2.compress), ("data.tsv.zip", None)]
)
def test_compressed_files_by_their_ending(write, tmp_path, read: Reader, name, pack):
    tabs = GOOD.replace(",", "\t").encode()
    if pack:
        file = write(pack(tabs), name)
    else:
        file = tmp_path / name
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/", "")
            archive.writestr("__MACOSX/._data.tsv", "x")
            archive.writestr("folder/data.tsv", tabs)
    assert read(file) == ROWS


@every_reader
def test_blanks_around_names_and_values_do_not_count(write, read: Reader):
    text = "userId\t;movieId\xa0; rating\nann;10 ;4.0\nann; 20;3.5\nbob;\u200b10; 0.5 \n"
    rows = read(write(text), separator=";")
    assert [row[1] for row in rows] == (["10 ", " 20", "\u200b10"] if read is read_for_predict else ["10", "20", "10"])


def test_a_separator_of_several_characters_also_inside_quotes():
    assert rows_of('a::b\n"1::2"::3\n4:5::6\n', separator="::") == [["a", "b"], ["1::2", "3"], ["4:5", "6"]]


def test_without_quoting_a_quote_is_a_character():
    text = 'a\tb\n"never closed\t1\nsaid "so"\t2\n'
    assert rows_of(text, separator="\t", quoting="none") == [["a", "b"], ['"never closed', "1"], ['said "so"', "2"]]


def test_escaped_quotes():
    text = 'a,b\n"she said \\"no\\", twice",1\n"back\\\\slash",2\n"a ""b""",3\n'
    rows = [["a", "b"], ['she said "no", twice', "1"], ["back\\slash", "2"], ['a "b"', "3"]]
    assert rows_of(text, escape="\\") == rows_of(text, escape="\\\\") == rows


def test_names_for_a_file_without_a_header():
    assert rows_of("1,2\n3,4\n", columns=[" a ", 7]) == [["1", "2"], ["3", "4"]]


def test_a_long_field_is_read_and_the_limit_of_the_csv_module_left_as_it_was():
    limit = csv.field_size_limit()
    rows = rows_of(f"a,b\n{'word ' * 40_000},1\n")
    assert len(rows[1][0]) == 200_000
    assert csv.field_size_limit() == limit


# Whatever the csv module can write: quotes, separators, line ends of three kinds, other scripts.
texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1f"), st.sampled_from(list("\"',;:|\t\r\n \\"))
    )
)


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.lists(texts, min_size=2, max_size=4), min_size=1, max_size=8),
    separator=st.sampled_from([",", "\t", ";", "|", " ", "¦"]),
    line_end=st.sampled_from(["\r\n", "\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]),
    escape=st.sampled_from([None, "\\", "~"]),
)
def test_what_the_csv_module_writes_is_read_as_it_was(rows, separator, line_end, encoding, escape):
    buffer = io.StringIO(newline="")
    options = {"escapechar": escape, "doublequote": escape is None}
    csv.writer(buffer, delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL, **options).writerows(rows)
    read = rows_of(buffer.getvalue().encode(encoding), separator=separator, encoding=encoding, escape=escape)
    assert read[1:] == rows[1:]
    assert read[0] == [name.strip(BLANKS) for name in rows[0]]


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(
        st.lists(texts.filter(lambda text: "\r" not in text), min_size=2, max_size=2), min_size=1, max_size=8
    ),
    separator=st.sampled_from([",", "\t", ";", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_files_are_read_as_pandas_and_the_csv_module_read_them(rows, separator, quoting):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator, lineterminator="\n", quoting=quoting).writerows([("a", "b"), *rows])
    text = buffer.getvalue()
    read = rows_of(text, separator=separator)[1:]
    assert read == list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))[1:]
    frame = pd.read_csv(io.StringIO(text), sep=separator, dtype=object, keep_default_na=False, skip_blank_lines=False)
    assert read == frame.to_numpy().tolist()


# What is refused


@every_reader
def test_a_compressed_file_without_the_ending_is_named_as_such(write, read: Reader):
    packed = {"data.csv": gzip.compress(GOOD.encode()), "data.txt": bz2.compress(GOOD.encode())}
    for name, binary in packed.items():
        with pytest.raises(DataError, match=rf"{name} is compressed with \w+: give its name the ending \.\w+, or save"):
            read(write(binary, name))


@every_reader
@pytest.mark.parametrize("ending", ["gz", "bz2", "zip"])
def test_a_bomb_is_stopped_and_what_is_broken_said(write, tmp_path, monkeypatch, read: Reader, ending):
    monkeypatch.setattr(content, "MOST_UNPACKED", 5_000_000)
    text = GOOD.encode() + b"cyd,30,1.0\n" * 1_000_000
    file = tmp_path / f"data.csv.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data.csv", text)
    else:
        file.write_bytes(gzip.compress(text) if ending == "gz" else bz2.compress(text))
    with pytest.raises(DataError, match="unpacks to more than 5,000,000 bytes"):
        read(file)
    file.write_bytes(file.read_bytes()[:-500])
    monkeypatch.undo()
    with pytest.raises(DataError, match="cannot be read"):
        read(file)
    with pytest.raises(DataError, match="cannot be read"):
        read(write(GOOD, f"plain.{ending}"))


def test_a_zip_holds_one_file(tmp_path):
    for names, message in ([[], "holds no file"], [["a.csv", "b.csv"], "holds 2: 'a.csv', 'b.csv'"]):
        file = tmp_path / "data.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, GOOD)
        with pytest.raises(DataError, match=message):
            read_text(file)


@every_reader
@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xef\xbb\xbf", b"   \n"])
def test_an_empty_file(write, read: Reader, text):
    with pytest.raises(DataError, match=r"data\.csv is empty"):
        read(write(text))


@every_reader
def test_paths_that_lead_nowhere(tmp_path, read: Reader):
    with pytest.raises(DataError, match=r"gone\.csv does not exist: (type dataset\.path=FILE|name a file)"):
        read(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"gone\.csv does not exist \(looked in /"):
        read("gone.csv")
    with pytest.raises(DataError, match=r"is a folder, not a file \(and empty\)"):
        read(tmp_path)
    for number in range(20):
        (tmp_path / f"{number:02}.csv").touch()
    with pytest.raises(DataError, match=r"is a folder, not a file \(it holds '00.csv', .*'14.csv' and 5 more\)"):
        read(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read("~no-such-user-here/data.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / ("long" * 100))


@every_reader
@pytest.mark.parametrize("block", [7, 2**20])
def test_bytes_that_do_not_decode_are_located_and_the_advice_works(write, monkeypatch, read: Reader, block):
    monkeypatch.setattr(table, "BLOCK", block)
    text = GOOD.encode().replace(b"bob", b"caf\xe9")
    with pytest.raises(DataError) as caught:
        read(write(text))
    message = str(caught.value)
    assert f"not utf-8: the byte at offset {text.index(0xE9)} (line 4)" in message
    assert message.endswith(("dataset.encoding=latin-1", "--encoding latin-1"))
    assert read(write(text), encoding="latin-1")[-1][0] == "caf\xe9"


@every_reader
def test_a_byte_order_mark_does_not_shift_the_offset(write, read: Reader):
    with pytest.raises(DataError, match=r"offset 29 \(line 2\)"):
        read(write(b"\xef\xbb\xbfuserId,movieId,rating\nabcd\xe9,1,2\n"))


@every_reader
def test_utf_16_is_recognised(write, read: Reader):
    file = write(GOOD.encode("utf-16"))
    with pytest.raises(DataError, match=r"(dataset\.encoding=|--encoding )utf-16$"):
        read(file)
    with pytest.raises(DataError, match=r"line 1: there is a NUL character.*(dataset\.encoding=|--encoding )utf-16"):
        read(file, encoding="latin-1")
    assert read(file, encoding="utf-16") == ROWS
    with pytest.raises(DataError, match="its end does not decode"):
        read(write(GOOD.encode("utf-16")[:-1]), encoding="utf-16")
    with pytest.raises(DataError, match="its start does not decode"):
        read(write(GOOD), encoding="utf-16")


@every_reader
@pytest.mark.parametrize("encoding", ["utf-9", "hex", "undefined", "", "a\0b"])
def test_an_unknown_encoding(write, read: Reader, encoding):
    with pytest.raises(DataError, match=r"encoding.*no such text encoding"):
        read(write(GOOD), encoding=encoding)


@every_reader
@pytest.mark.parametrize("separator", ['"', "\n", "a\r"])
def test_a_separator_that_cannot_be_one(write, read: Reader, separator):
    with pytest.raises(ConfigError, match=r"separator.*must be one or more characters"):
        read(write(GOOD), separator=separator)


@pytest.mark.parametrize("options", [{"quoting": "some"}, {"escape": "ab"}, {"escape": '"'}, {"escape": ","}])
@pytest.mark.parametrize("columns", [None, ["a", "b"]])
def test_options_that_make_no_sense(options, columns):
    with pytest.raises(ConfigError, match=rf"dataset\.{next(iter(options))}="):
        rows_of("a,b\n", columns=columns, **options)


@pytest.mark.parametrize("columns", ["userId", [], 3])
def test_names_of_columns_are_a_list(columns):
    with pytest.raises(ConfigError, match=r"dataset\.columns=.*must be a list of names"):
        rows_of("a,b\n", columns=columns)


@every_reader
@pytest.mark.parametrize("row", ['"never closed,1,1\nnext,0,2\n', '"closed" too early,1,1\n'])
def test_a_stray_quote_is_located_and_both_remedies_named(write, read: Reader, row):
    with pytest.raises(DataError, match=r"row that starts on line 5: .*written twice.*quoting.none.*escape"):
        read(write(GOOD + row))


@every_reader
def test_ragged_rows_are_located_by_line_also_behind_quoted_line_ends(write, read: Reader):
    text = 'userId,movieId,rating\n"two\nlines",1,1\nno quotes, here,0,1\nfine,0,2\nshort\n'
    with pytest.raises(DataError) as caught:
        read(write(text))
    message = str(caught.value)
    assert "2 of 4 data rows have too many or too few fields for the 3 columns" in message
    assert 'line 4, 6 of the file (line 4 has 4: "no quotes, here,0,1")' in message
    assert ("dataset.on_bad_rows=drop" in message) == (read is not read_for_predict)


@every_reader
def test_row_numbers_without_a_name_are_recognised(write, read: Reader):
    with pytest.raises(DataError, match="names one column less than there are: name them all, also row numbers"):
        read(write("userId,movieId,rating\n1,ann,10,4.0\n2,ann,20,3.5\n"))


@every_reader
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_note_for_excel_is_no_header(write, read: Reader, separator):
    with pytest.raises(DataError, match=r"starts with a note for Excel, \"sep=;\": remove that line"):
        read(write("sep=;\n" + GOOD.replace(",", ";")), separator=separator)


@every_reader
def test_a_broken_first_line_is_located(write, read: Reader):
    with pytest.raises(DataError, match=r"the row that starts on line 1: "):
        read(write('"userId,movieId,rating\nann,10,4.0\n'))
    if read is not read_for_predict:
        with pytest.raises(DataError, match=r"no column .* Its columns: 'Our export of May', '', ''\..* first line"):
            read(write("Our export of May,,\n" + GOOD))


HUGE = 100_000_000


@every_reader
@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("ann,20", "a\0n,20"),
        GOOD.replace("userId", "user\0Id"),
        "\0" * 1_000,
        ",".join(f"column{i}" for i in range(100_000)) + "\n",
        "x" * HUGE + "\n",
        GOOD + "x" * HUGE + "\n",
        GOOD + '"' + "x\n" * (HUGE // 2),
        GOOD.replace("4.0\n", "4.0" + ",1" * 100_000 + "\n"),
    ],
    ids=["NUL", "NUL in the header", "NULs", "columns", "line", "last line", "open quote", "fields"],
)
def test_what_is_no_table_is_one_message_of_a_few_lines(write, read: Reader, text):
    if read is read_for_predict and text.startswith("column0"):
        pytest.skip("a table to predict may have as many columns as it likes")
    with pytest.raises(DataError) as caught:
        read(write(text))
    assert 0 < len(str(caught.value)) <= 2_000


def test_the_content_of_a_file_can_be_read_again(write):
    one = file_content(write(gzip.compress(b"abc"), "data.gz"))
    for _ in range(2):
        with one.open() as binary:
            assert binary.read() == b"abc"
