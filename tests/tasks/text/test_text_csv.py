"""Labelled texts from files: what is read, what is refused, and in which words."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.text.csv import load_downloaded_text_csv, load_text_csv
from sweeps.tasks.text.data import TextData, text_data_from_frame

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"
GOOD = "text,label\nfine day,1\nbad day,0\nno day,0\n"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(content: str | bytes, name: str = "data.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write_file


def load(path: Any, **options: Any) -> TextData:
    return load_text_csv(path, **{"text_column": "text", "label_column": "label", **options})


def frame_data(labels: Any, **options: Any) -> TextData:
    frame = pd.DataFrame({"text": [f"text {i}" for i in range(len(labels))], "label": labels})
    defaults = {"text_column": "text", "label_column": "label", "positive_label": None}
    return text_data_from_frame(frame, **{**defaults, "source": "here", "on_bad_rows": "error", **options})


# What is read


def test_texts_and_labels_come_out_in_order_and_integers_as_int64(write):
    data = load(write(GOOD))
    assert data.texts.tolist() == ["fine day", "bad day", "no day"]
    assert data.texts.dtype == object
    assert data.labels.tolist() == [1, 0, 0]
    assert data.labels.dtype == np.int64
    assert (data.text_column, data.positive_label) == ("text", None)
    assert data.source.endswith("data.csv")


@pytest.mark.parametrize(
    ("fields", "expected", "kind"),
    [
        (["0", "1"], [0, 1], "i"),
        (["1.0", "0.0"], [1, 0], "i"),
        (["-1", "+1"], [-1, 1], "i"),
        (["true", "false"], [True, False], "b"),
        (["True", "FALSE"], [True, False], "b"),
        (["spam", "ham"], ["spam", "ham"], "O"),
        (["0", "unknown"], ["0", "unknown"], "O"),
        (["0.5", "1.0"], ["0.5", "1"], "O"),
        (["01", "02"], ["01", "02"], "O"),
        (["01", "1"], ["01", "1"], "O"),
        (["007", "-3"], ["007", "-3"], "O"),
        (["1", "1.0", "+1", "2"], [1, 1, 1, 2], "i"),
        (["1", "1.0", "unknown"], ["1", "1", "unknown"], "O"),
        (["spam", "spam ", " spam", "ham\t"], ["spam", "spam", "spam", "ham"], "O"),
        (["spam\xa0", "\u200bspam", "ham"], ["spam", "spam", "ham"], "O"),
        ([" true", "False "], [True, False], "b"),
        (["None", "nan"], ["None", "nan"], "O"),
        (["1" * 30, "2" * 30], ["1" * 30, "2" * 30], "O"),
    ],
)
def test_labels_keep_the_type_the_file_shows(write, fields, expected, kind):
    data = load(write("text,label\n" + "".join(f"some text,{field}\n" for field in fields)))
    assert data.labels.tolist() == expected
    assert data.labels.dtype.kind == kind


def test_values_that_python_takes_for_equal_stay_apart_in_a_frame():
    data = frame_data([True, 1, 1.0, "x"])
    assert data.labels.tolist() == ["True", "1", "1", "x"]


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["spam", "Spam", "ham"], "labels that differ in case or blanks only: 'Spam', 'spam'"),
        (["caf\u00e9", "cafe\u0301"], "labels that differ in case or blanks only"),
        (["good", "nan"], "a class is called 'nan': is it a missing label?"),
        (["good", "N/A", "bad"], "a class is called 'N/A'"),
        (["True", "1", "False"], "labels that are true or false stand beside 0 or 1"),
        (["01", "1", "2"], "codes with leading zeros stand beside the same numbers without: '01'"),
    ],
)
def test_what_is_odd_about_labels_is_noted(labels, note):
    (found,) = frame_data(labels).notes
    assert note in found
    assert frame_data(["01", "02", "10", "0"]).notes == frame_data(["good", "bad"]).notes == ()


def test_half_a_character_is_refused_with_its_row():
    frame = pd.DataFrame({"text": ["fine", "bad \ud83d"], "label": [0, 1]}, dtype=object)
    with pytest.raises(DataError, match=r"half a character.* in usable row 2"):
        text_data_from_frame(
            frame,
            text_column="text",
            label_column="label",
            positive_label=None,
            source="here",
            on_bad_rows="error",
        )


def test_words_that_pandas_takes_for_missing_are_texts(write):
    words = ["NA", "null", "None", "nan", "N/A", "#N/A", "-"]
    data = load(write("text,label\n" + "".join(f"{word},{i % 2}\n" for i, word in enumerate(words))))
    assert data.texts.tolist() == words


def test_a_tab_by_extension_or_by_name_and_the_same_fingerprint(write):
    comma = load(write('text,label\n"a, b",1\nc,0\n'))
    by_extension = load(write("text\tlabel\na, b\t1\nc\t0\n", "data.TSV"))
    as_typed = load(write("text\tlabel\na, b\t1\nc\t0\n", "data.txt"), separator=r"\t")
    assert by_extension.texts.tolist() == as_typed.texts.tolist() == ["a, b", "c"]
    assert comma.fingerprint == by_extension.fingerprint == as_typed.fingerprint
    assert len(comma.fingerprint) == 64


def test_the_fingerprint_tells_order_texts_and_labels_apart_but_not_the_positive_label(write):
    base = load(write("text,label\nab,1\nc,0\n")).fingerprint
    others = ["c,0\nab,1\n", "a,1\nbc,0\n", "ab,0\nc,1\n", "ab,1\nc,0\nc,0\n", "ab,true\nc,false\n", "ab,x\nc,0\n"]
    prints = [load(write(f"text,label\n{other}")).fingerprint for other in others]
    assert len({base, *prints}) == 1 + len(others)
    assert load(write("text,label\nab,1\nc,0\n"), positive_label=1).fingerprint == base
    three = write("text,label\nab,1\nc,0\nd,2\n")
    assert load(three, positive_label=1).fingerprint == load(three).fingerprint


def test_a_byte_order_mark_blank_lines_and_other_columns_do_not_matter(write):
    plain = load(write(GOOD))
    decorated = load(write(b"\xef\xbb\xbfid,label,text\n\n7,1,fine day\n8,0,bad day\n   \n9,0,no day\n\n"))
    assert decorated.fingerprint == plain.fingerprint


def test_columns_named_by_a_number_are_found(write):
    data = load(write("0,1\nfine,a\nbad,b\n"), text_column=0, label_column=1)
    assert (data.texts.tolist(), data.text_column) == (["fine", "bad"], "0")


def test_a_home_folder_is_resolved(write, tmp_path, monkeypatch):
    write(GOOD)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("~/data.csv").texts) == 3


# The positive label


@pytest.mark.parametrize(
    ("labels", "wanted", "found"),
    [
        ([0, 1], 1, 1),
        ([0, 1], "1", 1),
        ([0, 1], 1.0, 1),
        (["0", "1"], 1, 1),
        (["01", "1"], "01", "01"),
        (["1.0", "x"], "1.0", "1"),
        ([True, False], True, True),
        (["True", "False"], True, True),
        (["true", "false"], "true", True),
        (["a", "b"], "b", "b"),
        ([0.0, 1.0], 1, 1),
    ],
)
def test_a_positive_label_is_found_whatever_type_it_was_typed_as(labels, wanted, found):
    data = frame_data(labels, positive_label=wanted)
    assert data.positive_label == found
    assert type(data.positive_label) is type(found)
    assert data.positive_label in data.labels.tolist()


def test_one_label_against_the_rest_of_many():
    data = frame_data([0, 1, 2, 0], positive_label=0)
    assert data.labels.tolist() == ["0", "not 0", "not 0", "0"]
    assert data.positive_label == "0"


@pytest.mark.parametrize("wanted", [2, True, "a"])
def test_an_unknown_positive_label_is_answered_with_the_labels(wanted):
    with pytest.raises(DataError, match=r"dataset\.positive_label.*Its labels: 0, 1\."):
        frame_data([0, 1], positive_label=wanted)


def test_a_yes_that_yaml_made_a_boolean_is_explained():
    with pytest.raises(DataError, match=r"Its labels: 'no', 'yes'\..*needs quotes"):
        frame_data(["yes", "no"], positive_label=True)


# Bad rows

HOLES = "text,label\nfine,1\n,0\nbad,\n   ,1\nworse,0\n"


def test_missing_texts_and_labels_are_counted_and_located(write):
    with pytest.raises(DataError) as caught:
        load(write(HOLES))
    message = str(caught.value)
    assert "3 of 5 data rows" in message
    assert "'text' is missing or blank in 2, 'label' in 1" in message
    assert "data row 2, 3, 4 (row 1 is the first after the header)" in message
    assert "dataset.on_bad_rows=drop" in message


def test_bad_rows_are_dropped_with_a_warning_and_integers_stay_integers(write, caplog):
    with caplog.at_level(logging.WARNING):
        data = load(write(HOLES), on_bad_rows="drop")
    assert data.texts.tolist() == ["fine", "worse"]
    assert data.labels.dtype == np.int64
    assert data.fingerprint == load(write("text,label\nfine,1\nworse,0\n")).fingerprint
    (record,) = caplog.records
    assert "dropped: 3 of 5 data rows" in record.getMessage()


def test_good_rows_are_dropped_in_silence(write, caplog):
    load(write(GOOD), on_bad_rows="drop")
    assert not caplog.records


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, "", " \t"])
def test_every_kind_of_missing_label_in_a_frame_is_seen(missing):
    with pytest.raises(DataError, match=r"1 of 3 data rows .*data row 3"):
        frame_data(["a", "b", missing])


def test_labels_with_gaps_come_out_as_integers_from_a_frame():
    data = frame_data([0, 1, None, 1], on_bad_rows="drop")
    assert data.labels.tolist() == [0, 1, 1]
    assert data.labels.dtype == np.int64


def test_many_bad_rows_are_not_all_listed():
    with pytest.raises(DataError, match="data row 1, 2, 3, 4, 5, … "):
        frame_data([None] * 50 + ["a", "b"])


@pytest.mark.parametrize("wanted", ["warn", "", None, True])
def test_on_bad_rows_is_error_or_drop(write, wanted):
    with pytest.raises(ConfigError, match="either error or drop"):
        load(write(GOOD), on_bad_rows=wanted)


# What is refused


def test_one_class_is_named(write):
    with pytest.raises(DataError, match="every row has the label 'spam'"):
        load(write("text,label\na,spam\nb,spam\n"))


def test_nothing_left_after_dropping(write):
    with pytest.raises(DataError, match="no row is left"):
        load(write("text,label\na,\nb,\n"), on_bad_rows="drop")


@pytest.mark.parametrize("content", ["text,label\n", "text,label", "text,label\n\n\n"])
def test_a_header_alone_is_no_data(write, content):
    with pytest.raises(DataError, match="no data rows"):
        load(write(content))


def test_a_wrong_column_is_answered_with_the_columns(write):
    with pytest.raises(DataError, match=r"no column 'tweet' \(dataset\.text_column\)\. Its columns: 'text', 'label'"):
        load(write(GOOD), text_column="tweet")
    with pytest.raises(DataError, match=r"no column 'class' \(dataset\.label_column\)"):
        load(write(GOOD), label_column="class")


@pytest.mark.parametrize(("separator", "typed"), [(";", ";"), ("\t", r"\t"), ("|", "|")])
def test_a_wrong_separator_is_guessed_even_where_rows_are_ragged(write, separator, typed):
    content = f"text{separator}label\nwell, well{separator}1\nbad{separator}0\n"
    with pytest.raises(DataError) as caught:
        load(write(content))
    assert f"\"dataset.separator='{typed}'\"" in str(caught.value)
    assert load(write(content), separator=typed).texts.tolist() == ["well, well", "bad"]


def test_a_column_that_stands_there_twice_or_serves_twice(write):
    with pytest.raises(DataError, match="2 columns named 'text'"):
        load(write("text,text,label\na,b,1\nc,d,0\n"))
    with pytest.raises(DataError, match="are both 'text'"):
        load(write(GOOD), label_column="text")


# Real files


def real_file(name: str) -> Path:
    file = REAL_DATA / name
    if not file.exists():
        pytest.skip(f"{name} is not in the data folder beside the checkout")
    return file


@pytest.mark.real_data
def test_davidson_three_classes_and_hate_against_the_rest():
    file = real_file("davidson/labeled_data.csv")
    options = {"text_column": "tweet", "label_column": "class", "path": file, "url": "unused", "sha256": "unused"}
    data = load_downloaded_text_csv(**options)
    assert np.bincount(data.labels).tolist() == [1_430, 19_190, 4_163]
    hate = load_downloaded_text_csv(**options, positive_label=0)
    assert (hate.labels == "0").sum() == 1_430
    assert hate.fingerprint == data.fingerprint
    assert data.texts.tolist() == pd.read_csv(file, keep_default_na=False)["tweet"].tolist()


@pytest.mark.real_data
def test_toxicity_with_fields_of_several_lines():
    file = real_file("toxicity/toxicity_en.csv")
    data = load_text_csv(file, "text", "is_toxic", positive_label="Toxic")
    assert (data.labels == "Toxic").sum() == 501
    assert len(data.labels) == 1_000
    assert data.texts.tolist() == pd.read_csv(file, keep_default_na=False)["text"].tolist()
