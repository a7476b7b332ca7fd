"""Parquet: the same data as from CSV, for texts, ratings and predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sweeps.base.errors import ConfigError, DataError
from sweeps.cli.predict import read_input
from sweeps.tasks.ratings.csv import load_ratings_csv
from sweeps.tasks.table import Layout
from sweeps.tasks.text.csv import load_text_csv

BIG = 2**62 + 1


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """One table as Parquet and as CSV."""
    frame = pd.DataFrame(
        {
            " text ": ["fine", "bad, very", "no"],
            "label": ["a ", "b", "b"],
            "user": pd.array([BIG, BIG + 1, 7], dtype="Int64"),
            "item": pd.Categorical(["01", "1", "x"]),
            "rating": [1.0, 2.5, 3.0],
            "time": pd.to_datetime(["2005-04-02", "2005-04-03", "2005-04-04"]),
        }
    )
    parquet, delimited = tmp_path / "data.parquet", tmp_path / "data.csv"
    frame.to_parquet(parquet)
    frame.to_csv(delimited, index=False)
    return parquet, delimited


def test_texts_and_ratings_are_those_of_the_same_table_as_csv(files: tuple[Path, Path]) -> None:
    texts = [load_text_csv(file, "text", "label") for file in files]
    assert texts[0].fingerprint == texts[1].fingerprint
    columns = {"user_column": "user", "item_column": "item", "rating_column": "rating", "timestamp_column": "time"}
    ratings = [load_ratings_csv(file, **columns) for file in files]
    assert ratings[0].fingerprint == ratings[1].fingerprint
    assert ratings[0].users.tolist() == [BIG, BIG + 1, 7]
    assert ratings[0].items.tolist() == ["01", "1", "x"]
    frame, separator = read_input(str(files[0]))
    assert frame["text"].tolist() == ["fine", "bad, very", "no"]
    assert separator == ","


def test_missing_cells_are_found(tmp_path: Path) -> None:
    file = tmp_path / "data.pq"
    pd.DataFrame({"text": ["a", None, "c", "d"], "label": pd.array([BIG, 2, None, 2], dtype="Int64")}).to_parquet(file)
    with pytest.raises(DataError, match=r"2 of 4 data rows lack a text or a label"):
        load_text_csv(file, "text", "label")
    assert load_text_csv(file, "text", "label", on_bad_rows="drop").labels.tolist() == [BIG, 2]


@pytest.mark.parametrize("options", [{"separator": ";"}, {"columns": ["a"]}, {"encoding": "latin-1"}, {"escape": "~"}])
def test_what_only_text_has_is_refused(files: tuple[Path, Path], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"which has no option {next(iter(options))}"):
        load_text_csv(files[0], "text", "label", **options)
    with pytest.raises(ConfigError, match="has no option"):
        read_input(str(files[0]), Layout(**options))


def test_a_wrong_column_and_a_file_that_is_none(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'tweet' \(dataset\.text_column\)\. Its columns: 'text', 'label'"):
        load_text_csv(files[0], "tweet", "label")
    (tmp_path / "not.parquet").write_bytes(files[1].read_bytes())
    (tmp_path / "is_one.csv").write_bytes(files[0].read_bytes())
    with pytest.raises(DataError, match=r"not\.parquet cannot be read as Parquet"):
        load_text_csv(tmp_path / "not.parquet", "text", "label")
    with pytest.raises(DataError, match=r"is_one\.csv is a Parquet file: give its name the ending \.parquet"):
        load_text_csv(tmp_path / "is_one.csv", "text", "label")
