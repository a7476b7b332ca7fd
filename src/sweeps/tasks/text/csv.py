"""Labelled texts from a CSV or TSV file, the user's own or a published one."""

import os
from collections.abc import Sequence

import pandas as pd

from sweeps.tasks.content import file_content
from sweeps.tasks.download import existing_file, fetch
from sweeps.tasks.parquet import is_parquet, read_parquet
from sweeps.tasks.rows import check_columns, check_on_bad_rows
from sweeps.tasks.table import Layout, Table
from sweeps.tasks.text.data import TextData, text_data_from_frame


def load_text_csv(
    path: str | os.PathLike[str] | None,
    text_column: str,
    label_column: str,
    positive_label: bool | int | float | str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
    on_bad_rows: str = "error",
    columns: Sequence[str] | None = None,
    quoting: str = "double",
    escape: str | None = None,
) -> TextData:
    r"""Read labelled texts from any CSV, TSV or Parquet file.

    Fields may be quoted with '"' and then hold separators, line ends, and quotes written twice. Only empty and blank
    fields are missing: "NA" and "null" are texts. Blank lines are skipped. Labels that are all whole numbers come out
    as int64, labels that are all true or false as bool, any others as str (see `sweeps.tasks.values`).

    Args:
        path: the file; one that ends in .gz, .bz2 or .zip is unpacked as it is read.
        text_column: name of the column of texts.
        label_column: name of the column of labels.
        positive_label: the label precision, recall and F1 are about; None: every class counts alike.
        encoding: see `Layout`, as for separator, columns, quoting and escape.
        separator: between fields.
        on_bad_rows: "error", or "drop": rows without a text or a label, or with more or fewer fields than there are
            columns, are left out with a warning.
        columns: names of all columns, for a file without a header.
        quoting: "double" or "none".
        escape: the character that makes the next one ordinary.

    Raises:
        DataError: the file cannot be found, read, decoded or parsed, or `text_data_from_frame` refuses its content.
        ConfigError: an option that makes no sense.
    """
    check_on_bad_rows(on_bad_rows)
    file = existing_file(path)
    layout = Layout(separator, encoding, columns, quoting, escape)
    wanted = {"text_column": text_column, "label_column": label_column}
    dropped = ""
    if is_parquet(file):
        frame = read_parquet(file, layout, wanted)
    else:
        table = Table(file_content(file), layout)
        names = table.names()
        # Before the rows: with the wrong separator they have all sorts of lengths, and that is not what to tell.
        places = list(check_columns(names, source=table.name, **wanted).values())
        fields, dropped = table.fields(places, width=len(names), least=len(names), on_bad_rows=on_bad_rows)
        frame = pd.DataFrame(dict(zip(map(str, wanted.values()), fields, strict=True)), dtype=object)
    return text_data_from_frame(
        frame,
        text_column=text_column,
        label_column=label_column,
        positive_label=positive_label,
        source=str(file),
        on_bad_rows=on_bad_rows,
        dropped=dropped,
    )


def load_downloaded_text_csv(
    url: str,
    sha256: str,
    text_column: str,
    label_column: str,
    path: str | os.PathLike[str] | None = None,
    positive_label: bool | int | float | str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
    on_bad_rows: str = "error",
) -> TextData:
    """Read labelled texts from a published CSV or TSV file, downloaded on first use and kept.

    Args:
        url: http or https address of the file.
        sha256: its checksum, hex.
        path: a copy to read instead; then nothing is downloaded.

    The other arguments are those of `load_text_csv`.

    Raises:
        DataError: as `fetch` and `load_text_csv`.
        ConfigError: as `load_text_csv`.
    """
    return load_text_csv(
        fetch(url, sha256, path),
        text_column=text_column,
        label_column=label_column,
        positive_label=positive_label,
        encoding=encoding,
        separator=separator,
        on_bad_rows=on_bad_rows,
    )
