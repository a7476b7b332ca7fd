"""Labelled texts from a CSV or TSV file, the user's own or a published one."""

import os

import pandas as pd

from sweeps.tasks.content import file_content, uncompressed_name
from sweeps.tasks.download import existing_file, fetch
from sweeps.tasks.rows import check_columns, check_on_bad_rows
from sweeps.tasks.table import Table, separator_for
from sweeps.tasks.text.data import TextData, text_data_from_frame


def load_text_csv(
    path: str | os.PathLike[str] | None,
    text_column: str,
    label_column: str,
    positive_label: bool | int | float | str | None = None,
    encoding: str = "utf-8",
    separator: str | None = None,
    on_bad_rows: str = "error",
) -> TextData:
    r"""Read labelled texts from any CSV or TSV file with a header.

    Fields may be quoted with '"' and then hold separators, line ends, and quotes written twice. Only empty and blank
    fields are missing: "NA" and "null" are texts. Blank lines are skipped. Labels that are all whole numbers come out
    as int64, labels that are all true or false as bool, any others as str, as they stand in the file.

    Args:
        path: the file.
        text_column: name of the column of texts in the header.
        label_column: name of the column of labels.
        positive_label: the label precision, recall and F1 are about; None: every class counts alike.
        encoding: name of a codec of Python's; a byte order mark is left out.
        separator: one character ("\t" may be typed as a backslash and a t). None: a tab for .tsv and .tab, else a
            comma.
        on_bad_rows: "error", or "drop": rows without a text or a label, or with more or fewer fields than the header,
            are left out with a warning.

    Raises:
        DataError: the file cannot be found, read, decoded or parsed, or `text_data_from_frame` refuses its content.
        ConfigError: `on_bad_rows` is neither "error" nor "drop".
    """
    check_on_bad_rows(on_bad_rows)
    file = existing_file(path)
    table = Table(
        file_content(file),
        separator=separator_for(uncompressed_name(file).name) if separator is None else separator,
        encoding=encoding,
    )
    names = table.names()
    # Before the rows: with the wrong separator they have all sorts of lengths, and that is not what to tell.
    places = check_columns(names, text_column=text_column, label_column=label_column, source=table.name)
    width = len(names)
    (texts, labels), dropped = table.fields(list(places.values()), width=width, least=width, on_bad_rows=on_bad_rows)
    frame = pd.DataFrame({str(text_column): texts, str(label_column): labels}, dtype=object)
    return text_data_from_frame(
        frame,
        text_column=text_column,
        label_column=label_column,
        positive_label=positive_label,
        source=table.name,
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
