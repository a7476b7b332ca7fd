"""Labels and ids: one rule, against a plain loop and against pandas' own reading of a column."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.tasks.values import as_name, is_missing, read_values, truth, whole_number


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1", 1),
        (" 1\t", 1),
        ("+1", 1),
        ("-0", 0),
        ("1.", 1),
        ("1.000", 1),
        (1.0, 1),
        ("01", None),
        ("00", None),
        ("+01", None),
        ("1e3", None),
        ("1_000", None),
        ("1,000", None),
        ("1.5", None),
        ("", None),
        (True, None),
        (None, None),
        (float("nan"), None),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (str(2**63), None),
        ("9" * 5_000, None),
    ],
)
def test_whole_numbers(cell: Any, number: int | None) -> None:
    assert whole_number(cell) == number
    assert number is None or as_name(cell) == str(number)


@pytest.mark.parametrize("cell", ["", " ", "\t\n", "\xa0", "\u3000", "\u200b", "\ufeff ", None, float("nan"), pd.NaT])
def test_blank_cells_are_missing(cell: Any) -> None:
    assert is_missing(cell)


@pytest.mark.parametrize("cell", ["0", "NA", "null", "nan", ".", 0, False, [], ["x"]])
def test_words_and_zeros_are_not_missing(cell: Any) -> None:
    assert not is_missing(cell)


@pytest.mark.parametrize(("cell", "value"), [("true ", True), ("FALSE", False), (True, True), ("yes", None), (1, None)])
def test_truths(cell: Any, value: bool | None) -> None:
    assert truth(cell) is value


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_a_column_of_whole_numbers_is_what_pandas_reads(numbers: list[int]) -> None:
    text = "x\n" + "\n".join(map(str, numbers))
    column = pd.read_csv(io.StringIO(text))["x"].tolist()
    assert read_values([str(number) for number in numbers]) == read_values(numbers) == column == numbers


cells = st.one_of(
    st.integers(-20, 20).map(str),
    st.integers(-20, 20).map(lambda number: f"{number}.0"),
    st.integers(0, 20).map(lambda number: f"0{number}"),
    st.sampled_from(["x", "X", "1.5", "true", "nan", "1e3"]),
)


@given(st.lists(st.tuples(cells, st.sampled_from(["", " ", "\t", "\xa0"])), min_size=1))
def test_blanks_never_count_and_the_whole_column_decides(pairs: list[tuple[str, str]]) -> None:
    values = read_values([blank + cell + blank for cell, blank in pairs])
    assert values == read_values([cell for cell, _ in pairs])
    is_whole = all(whole_number(cell) is not None for cell, _ in pairs)
    assert {type(value) for value in values} == {int if is_whole else str}
    names = [cell if whole_number(cell) is None else str(int(float(cell))) for cell, _ in pairs]
    assert [str(value) for value in values] == names
