"""Ratings from any delimited text file, with or without a header."""

import codecs
import csv
import io
import os
import re
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.download import existing_file
from sweeps.tasks.ratings.data import RatingsData, ratings_from_frame, whole_number
from sweeps.tasks.rows import check_columns, check_on_bad_rows, first_numbers, is_missing, refuse_gzip, settle_bad_rows

ROWS_AT_A_TIME = 1_000_000
UNIT_SEPARATOR = "\x1f"  # ASCII's own separator, which no file of ratings uses
BLOCK = 2**20


@dataclass(frozen=True)
class Content:
    """Bytes that can be read from the start as often as needed: a file's, or those of a file in a zip.

    Attributes:
        name: what to call it in messages.
        open: opens it for binary reading; may raise OSError, or what `zipfile` raises.
    """

    name: str
    open: Callable[[], IO[bytes]]


def load_ratings_csv(
    path: str | os.PathLike[str] | None,
    user_column: str = "userId",
    item_column: str = "movieId",
    rating_column: str = "rating",
    timestamp_column: str | None = None,
    scale: Sequence[float] | None = None,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    n_users: int | None = None,
    n_items: int | None = None,
    on_bad_rows: str = "error",
) -> RatingsData:
    r"""Read ratings from a file of one rating a line.

    Fields may be quoted with '"'. Only empty and blank fields are missing: "NA" is a name. Blank lines are skipped.

    Args:
        path: the file.
        user_column: name of the column of user ids.
        item_column: name of the column of item ids.
        rating_column: name of the column of ratings.
        timestamp_column: name of the column of timestamps; None: there are none, or they do not matter.
        scale: lowest and highest rating possible; None: those found.
        columns: names of all columns, for a file without a header; None: the first line names them.
        separator: one character or several, such as "::" ("\t" may be typed as a backslash and a t). None: a tab for
            .tsv and .tab, else a comma.
        encoding: name of a codec of Python's; a byte order mark is left out.
        n_users: keep the most active users, that many; None: all.
        n_items: keep the most rated items, that many; None: all.
        on_bad_rows: "error", or "drop": rows that `ratings_from_frame` calls bad, and rows with more fields than there
            are columns or too few to hold a rating, are left out with a warning.

    Raises:
        DataError: the file cannot be found, read, decoded or parsed, or `ratings_from_frame` refuses its content.
        ConfigError: an option that makes no sense.
    """
    file = existing_file(path)
    if separator is None and file.suffix.lower() in (".tsv", ".tab"):
        separator = "\t"
    return ratings_from_content(
        Content(str(file), lambda: file.open("rb")),
        user_column=user_column,
        item_column=item_column,
        rating_column=rating_column,
        timestamp_column=timestamp_column,
        scale=scale,
        columns=columns,
        separator=separator,
        encoding=encoding,
        n_users=n_users,
        n_items=n_items,
        on_bad_rows=on_bad_rows,
    )


def ratings_from_content(
    content: Content,
    *,
    user_column: str,
    item_column: str,
    rating_column: str,
    timestamp_column: str | None,
    scale: Sequence[float] | None,
    columns: Sequence[str] | None,
    separator: str | None,
    encoding: str,
    n_users: int | None,
    n_items: int | None,
    on_bad_rows: str,
) -> RatingsData:
    """Read ratings from an open text; arguments and errors are those of `load_ratings_csv`."""
    check_on_bad_rows(on_bad_rows)
    wanted = {"user_column": user_column, "item_column": item_column, "rating_column": rating_column}
    if timestamp_column is not None:
        wanted["timestamp_column"] = timestamp_column
    table = _Table(content, _as_separator(separator), _as_encoding(encoding), _as_names(columns))
    with _reading(table):
        names, first = table.names_and_first_record()
        _check_names(table, names, wanted)
        positions = {str(name): names.index(str(name)) for name in wanted.values()}
        frame = _read(table, len(names), first, positions, on_bad_rows)
    return ratings_from_frame(
        frame,
        user_column=user_column,
        item_column=item_column,
        rating_column=rating_column,
        timestamp_column=timestamp_column,
        scale=scale,
        n_users=n_users,
        n_items=n_items,
        source=content.name,
        on_bad_rows=on_bad_rows,
    )


@dataclass(frozen=True)
class _Table:
    """A delimited text: what it is read from, and how."""

    content: Content
    separator: str
    encoding: str
    columns: list[str] | None

    @property
    def delimiter(self) -> str:
        """The separator in what `open` gives; pandas' fast reader and the csv module know one ASCII character."""
        return self.separator if len(self.separator) == 1 and self.separator.isascii() else UNIT_SEPARATOR

    @contextmanager
    def open(self) -> Iterator[io.TextIOBase]:
        """The text, line ends as they are."""
        with self.content.open() as binary, io.TextIOWrapper(binary, self.encoding, newline="") as text:
            yield text if self.delimiter == self.separator else _Replaced(text, self.separator, self.delimiter)

    def records(self, text: io.TextIOBase) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line it starts on (from 1), blank lines left out.

        Strict, since a stray quote would otherwise swallow the rows up to the next one without a word.
        """
        reader = csv.reader(text, delimiter=self.delimiter, strict=True)
        line = 1
        try:
            for record in reader:
                if record and (len(record) > 1 or record[0].strip()):
                    yield line, record
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{self.content.name}, the row that starts on line {line}: {error}. A field that begins with a double "
                'quote ends with one, and a double quote inside it is written twice ("").'
            ) from error

    def names_and_first_record(self) -> tuple[list[str], list[str] | None]:
        """The names of the columns, and the first record of data, or None where there is none."""
        with self.open() as text:
            records = (record for _, record in self.records(text))
            names = self.columns or next(records, None)
            first = next(records, None)
        if names is None or (self.columns and first is None):
            raise DataError(f"{self.content.name} is empty: at least two ratings are needed.")
        return names, first


class _Replaced(io.TextIOBase):
    """A text with one string in place of another, which holds no line end."""

    def __init__(self, text: io.TextIOBase, old: str, new: str) -> None:
        self._text, self._old, self._new = text, old, new

    def read(self, size: int | None = -1, /) -> str:
        # Up to the end of a line, so that no separator is cut in two.
        return (self._text.read(size) + self._text.readline()).replace(self._old, self._new)

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]  # text, not bytes
        return self._text.readline(-1 if size is None else size).replace(self._old, self._new)


class _WithoutCodes(io.TextIOBase):
    """A text whose fields are numbers; a code with leading zeros, which pandas would read as a number, is refused."""

    def __init__(self, text: io.TextIOBase, delimiter: str) -> None:
        self._text = text
        self._before = ""  # the end of the part before, where a code may begin
        self._starts = ("\n", "\r", delimiter, '"')
        # One pattern for each, as a search for a fixed text is ten times as fast as one for blanks and signs.
        self._codes = [re.compile(re.escape(f"{start}0") + "[0-9]") for start in self._starts]
        self._set_off = re.compile(f"[{re.escape(''.join(self._starts))}][ \t]*[+-]?0[0-9]")

    def read(self, size: int | None = -1, /) -> str:
        part = self._text.read(size)
        seen = self._before + part
        if any(code.search(seen) for code in self._codes):
            raise ValueError("a code with leading zeros")
        if any(mark in seen for mark in (" 0", "\t0", "+0", "-0")) and self._set_off.search(seen):
            raise ValueError("a code with leading zeros after a blank or a sign")
        last = max(seen.rfind(start) for start in self._starts)
        self._before = seen[last:] if last >= 0 else ""
        return part


def _read(
    table: _Table, width: int, first: list[str] | None, positions: dict[str, int], on_bad_rows: str
) -> pd.DataFrame:
    """The wanted columns, as numbers where all of a column's fields are, else as str.

    pandas' fast reader reads a good file. It is mute about rows that are too short and vague about those too long, so
    a file that has such rows is gone through once more, slowly.
    """
    if first is None:
        return pd.DataFrame({name: [] for name in positions})
    try:
        try:
            return _read_fast(table, width, positions, _likely_types(first, positions))
        except (pd.errors.ParserError, UnicodeError):
            raise
        except (ValueError, TypeError, OverflowError):
            # A field that is not of its column's type: a name among numbers, or nothing at all.
            frame = _read_fast(table, width, positions, dict.fromkeys(positions.values(), object))
        if not any(is_missing(field) for name in positions for field in pd.unique(frame[name])):
            return frame
    except (pd.errors.ParserError, pd.errors.ParserWarning):
        pass
    return _read_slowly(table, width, positions, on_bad_rows)


def _likely_types(first: list[str], positions: dict[str, int]) -> dict[int, Any]:
    types: dict[int, Any] = {}
    for place, position in enumerate(positions.values()):
        field = first[position] if position < len(first) else ""
        is_rating = place == 2
        types[position] = np.float64 if is_rating else object if whole_number(field) is None else np.int64
    return types


def _read_fast(table: _Table, width: int, positions: dict[str, int], types: dict[int, Any]) -> pd.DataFrame:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in positions}
    with table.open() as text, warnings.catch_warnings():
        # That the first row is too long is only a warning to pandas.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        pieces = pd.read_csv(
            _WithoutCodes(text, table.delimiter) if np.int64 in types.values() else text,
            engine="c",
            sep=table.delimiter,
            header=None if table.columns else 0,
            names=range(width),
            index_col=False,  # else a row that is too long would move all columns
            dtype=types,
            na_filter=False,
            low_memory=False,
            chunksize=ROWS_AT_A_TIME,
        )
        for piece in pieces:
            for name, position in positions.items():
                parts[name].append(piece[position].to_numpy())
    return pd.DataFrame({name: np.concatenate(parts.pop(name)) for name in positions}, copy=False)


def _read_slowly(table: _Table, width: int, positions: dict[str, int], on_bad_rows: str) -> pd.DataFrame:
    fields: dict[str, list[str]] = {name: [] for name in positions}
    needed = max(positions.values()) + 1
    ragged: list[tuple[int, int]] = []
    with table.open() as text:
        records = table.records(text)
        if table.columns is None:
            next(records)
        for line, record in records:
            if needed <= len(record) <= width:
                for name, position in positions.items():
                    # Interned, since the same few ids come again and again.
                    fields[name].append(sys.intern(record[position]))
            else:
                ragged.append((line, len(record)))
    frame = pd.DataFrame(fields, dtype=object)
    if ragged:
        settle_bad_rows(
            f"{len(ragged)} of {len(frame) + len(ragged)} data rows have too many or too few fields for the {width} "
            f"columns; line {first_numbers([line for line, _ in ragged])} of the file (line {ragged[0][0]} has "
            f"{ragged[0][1]})",
            advice="Put double quotes around fields that hold a separator or a line end",
            source=table.content.name,
            on_bad_rows=on_bad_rows,
        )
    return frame


def _check_names(table: _Table, names: list[str], wanted: dict[str, str]) -> None:
    name = table.content.name
    if table.columns is None and not {str(column) for column in wanted.values()} & set(names):
        if len(names) == 1 and "::" in names[0]:
            raise DataError(
                f"{name} holds '::' between its fields, not {table.separator!r}. Type \"dataset.separator='::'\", and "
                "dataset.columns=[userId,movieId,rating,timestamp] where its first line is a rating and no header."
            )
        if all(whole_number(field) is not None for field in names[:2]):
            raise DataError(
                f"{name} starts with a rating, not with names of columns: {table.separator.join(names)}. "
                "Name all of them: dataset.columns=[userId,movieId,rating,timestamp]"
            )
    check_columns(names, source=name, **wanted)


def _as_separator(separator: str | None) -> str:
    if separator is None:
        return ","
    # A shell and Hydra both hand on '\t' as the two characters that were typed.
    separator = "\t" if separator == r"\t" else str(separator)
    if not separator or any(character in separator for character in '"\r\n'):
        raise ConfigError(
            f"dataset.separator={separator!r}: it is one or more characters, none of them a double quote or a line "
            "end; null takes it from the file's extension."
        )
    return separator


def _as_encoding(encoding: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), str(encoding)).close()  # refuses codecs that are not of text, too
    except (LookupError, ValueError) as error:
        raise DataError(
            f"dataset.encoding={encoding}: Python knows no such text encoding. Try utf-8, utf-16, latin-1 or cp1252."
        ) from error
    # utf-8-sig is utf-8 that leaves out a byte order mark, as utf-16 does by itself.
    return "utf-8-sig" if codecs.lookup(str(encoding)).name == "utf-8" else str(encoding)


def _as_names(columns: Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not columns:
        raise ConfigError(
            f"dataset.columns={columns}: it is a list of names, such as [userId,movieId,rating], for a file without "
            "a header; null takes them from the first line."
        )
    return [str(column) for column in columns]


@contextmanager
def _reading(table: _Table) -> Iterator[None]:
    """What goes wrong while a text is opened, read or decoded, in words."""
    name = table.content.name
    try:
        with table.content.open() as binary:
            refuse_gzip(binary.read(2), name)
        yield
    except UnicodeError as error:
        raise DataError(
            f"{name} is not {table.encoding.removesuffix('-sig')}: {_first_undecodable(table)} does not decode. "
            "Name its encoding, for example dataset.encoding=latin-1"
        ) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _first_undecodable(table: _Table) -> str:
    decoder = codecs.getincrementaldecoder(table.encoding)()
    seen = lines = 0
    with table.content.open() as binary:
        while block := binary.read(BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                # The decoder's input is this block behind what it kept of the last one.
                place = len(block) - len(error.object) + error.start
                lines += block.count(b"\n", 0, max(place, 0))
                return f"the byte at offset {seen + place} (line {lines + 1})"
            seen += len(block)
            lines += block.count(b"\n")
    return "its end"
