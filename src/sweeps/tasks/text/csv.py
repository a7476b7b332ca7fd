"""Labelled texts from a CSV or TSV file, the user's own or a published one."""

import csv
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from sweeps.base.errors import DataError
from sweeps.tasks.download import existing_file, fetch
from sweeps.tasks.rows import check_columns, check_on_bad_rows, first_numbers, refuse_gzip, settle_bad_rows
from sweeps.tasks.text.data import TextData, text_data_from_frame

# 18 digits always fit an int64; ".0" is what a spreadsheet or pandas makes of a whole number.
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


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
    delimiter = _delimiter(file, separator)
    content = _read(file, encoding)
    with _any_field_size(content):
        records = _records(file, content, delimiter)
        _, header = next(records, (0, []))
        if not header:
            raise DataError(f"{file} is empty: it needs a header and data rows.")
        # Before the rows: with the wrong separator they have all sorts of lengths, and that is not what to tell.
        check_columns(header, text_column=text_column, label_column=label_column, source=str(file))
        rows = _complete_rows(file, records, len(header), on_bad_rows)
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    frame[str(label_column)] = _typed(frame[str(label_column)].tolist())
    return text_data_from_frame(
        frame,
        text_column=text_column,
        label_column=label_column,
        positive_label=positive_label,
        source=str(file),
        on_bad_rows=on_bad_rows,
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


def _delimiter(file: Path, separator: str | None) -> str:
    if separator is None:
        return "\t" if file.suffix.lower() in (".tsv", ".tab") else ","
    # A shell and Hydra both hand on '\t' as the two characters that were typed.
    separator = "\t" if separator == r"\t" else str(separator)
    if len(separator) != 1 or separator in '"\r\n':
        raise DataError(
            f"dataset.separator={separator!r}: it is one character, and neither a double quote nor a line end; "
            "null takes it from the file's extension."
        )
    return separator


def _read(file: Path, encoding: str) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    refuse_gzip(content, str(file))
    try:
        decoded = content.decode(str(encoding))
    except UnicodeDecodeError as error:
        # Some codecs count from behind the byte order mark.
        offset = len(content) - len(error.object) + error.start
        line = content.count(b"\n", 0, offset) + 1
        guess = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
        raise DataError(
            f"{file} is not {encoding}: the byte at offset {offset} (line {line}) does not decode. "
            f"Name its encoding, for example dataset.encoding={guess}"
        ) from error
    except (LookupError, ValueError) as error:
        raise DataError(
            f"dataset.encoding={encoding}: Python knows no such text encoding. Try utf-8, utf-16, latin-1 or cp1252."
        ) from error
    return decoded.removeprefix("\ufeff")


@contextmanager
def _any_field_size(content: str) -> Iterator[None]:
    # The csv module refuses fields beyond 128 KiB, a limit of the whole process; a document may be longer.
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, len(content)))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(file: Path, content: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on (from 1), blank lines left out.

    Strict, since a stray quote would otherwise swallow the rows up to the next one without a word.
    """
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            if record and (len(record) > 1 or record[0].strip()):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{file}, the row that starts on line {line}: {error}. A field that begins with a double quote ends with "
            'one, and a double quote inside it is written twice ("").'
        ) from error


def _complete_rows(
    file: Path, records: Iterator[tuple[int, list[str]]], width: int, on_bad_rows: str
) -> list[list[str]]:
    rows: list[list[str]] = []
    ragged: list[tuple[int, int]] = []
    for line, record in records:
        if len(record) == width:
            rows.append(record)
        else:
            ragged.append((line, len(record)))
    if ragged:
        settle_bad_rows(
            f"{len(ragged)} of {len(rows) + len(ragged)} data rows have another number of fields than the header's "
            f"{width}; line {first_numbers([line for line, _ in ragged])} of the file (line {ragged[0][0]} has "
            f"{ragged[0][1]})",
            advice="Put double quotes around fields that hold a separator or a line end",
            source=str(file),
            on_bad_rows=on_bad_rows,
        )
    return rows


def _typed(fields: list[str]) -> list[int | bool | str | None]:
    """The labels of a column as whole numbers, as booleans or as they are; None where a field is blank."""
    present = [field.strip() for field in fields if field.strip()]
    if all(WHOLE_NUMBER.fullmatch(field) for field in present):
        return [int(field.strip().partition(".")[0]) if field.strip() else None for field in fields]
    if all(field in TRUTHS for field in present):
        return [TRUTHS[field.strip()] if field.strip() else None for field in fields]
    return [field if field.strip() else None for field in fields]
