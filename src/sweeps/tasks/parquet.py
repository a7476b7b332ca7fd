"""Tables in Parquet files, for every task and for `sweeps.predict`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.rows import check_columns
from sweeps.tasks.table import Layout
from sweeps.tasks.values import BLANKS

ENDINGS = (".parquet", ".pq")


def is_parquet(file: Path) -> bool:
    """Whether a file's name says that it is one."""
    return file.suffix.lower() in ENDINGS


def read_parquet(file: Path, layout: Layout, wanted: dict[str, str] | None = None) -> pd.DataFrame:
    """The table in a Parquet file.

    Args:
        file: it.
        layout: of delimited text, which is to be as it is where nothing was typed.
        wanted: names of the columns to read, by the key that asks for them, such as `text_column`; None: all.

    Raises:
        DataError: it cannot be read, or lacks a column.
        ConfigError: an option of delimited text was typed.
    """
    import pyarrow.parquet as pq  # a tenth of a second; MLflow needs pyarrow, so it is there

    typed = [field.name for field in fields(Layout) if getattr(layout, field.name) != field.default]
    if typed:
        raise ConfigError(f"{file} is a Parquet file, which has no option {' or '.join(typed)}; leave it out.")
    try:
        names = pq.read_schema(file).names
        if wanted is not None:
            check_columns(names, source=str(file), **wanted)
            sought = {str(name).strip(BLANKS) for name in wanted.values()}
            names = [name for name in names if name.strip(BLANKS) in sought]
        frame: pd.DataFrame = pq.read_table(file, columns=names).to_pandas(integer_object_nulls=True)
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error
    return frame.reset_index(drop=True).rename(columns=lambda name: str(name).strip(BLANKS))
