"""Delimited text, read for every task and for `sweeps.predict`: decoded, parsed strictly, its columns found.

A field may be quoted with '"' and then holds separators, line ends, and quotes written twice. Blank lines are no rows.
What cannot be read as it was meant is refused, never padded, shifted or cut.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.content import Content, uncompressed_name
from sweeps.tasks.rows import first_numbers, settle_bad_rows, shown, typed_option
from sweeps.tasks.values import BLANKS

UNIT_SEPARATOR = "\x1f"  # ASCII's own separator, which stands for one that a parser does not know
LONGEST_LINE = 2**24
"""Characters in a line or a field; in a longer one a quote is not closed, or it is no table."""

BLOCK = 2**20
QUOTINGS = ("double", "none")


@dataclass(frozen=True)
class Layout:
    r"""How a delimited text is written.

    Attributes:
        separator: one character or several, such as "::"; "\t" may be typed as a backslash and a t. None: a tab where
            the file's name ends in .tsv or .tab, else a comma.
        encoding: name of a codec of Python's; a byte order mark is left out.
        columns: names of all columns, for a text without a header; None: the first line names them.
        quoting: "double", or "none": a double quote is a character like any other.
        escape: the character that makes the next one ordinary, such as a backslash before a quote; None: none does.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    columns: Sequence[str] | None = None
    quoting: str = "double"
    escape: str | None = None


class Table:
    """A delimited text.

    Args:
        content: what it is read from.
        layout: how it is written.
        prefix: what stands before an option's name where it is typed: "dataset." or "--".

    Attributes:
        name: what to call it in messages.
        separator: between its fields.
        columns: names for a text without a header.

    Raises:
        ConfigError: an option that makes no sense.
    """

    def __init__(self, content: Content, layout: Layout, prefix: str = "dataset.") -> None:
        self.content = content
        self.name = content.name
        self._option = partial(typed_option, prefix)
        self.separator = self._as_separator(layout.separator)
        self.encoding = self._as_encoding(layout.encoding)
        self.columns = self._as_names(layout.columns)
        if layout.quoting not in QUOTINGS:
            raise ConfigError(f"{self._option('quoting', layout.quoting)}: it must be one of {', '.join(QUOTINGS)}.")
        self.is_quoted = layout.quoting == "double"
        self.escape = self._as_escape(layout.escape)

    @property
    def delimiter(self) -> str:
        """The separator in what `open` gives; pandas' fast reader and the csv module know one ASCII character."""
        return self.separator if len(self.separator) == 1 and self.separator.isascii() else UNIT_SEPARATOR

    @contextmanager
    def open(self) -> Iterator[io.TextIOBase]:
        """The text, line ends as they are; to be used inside `reading`."""
        with self.content.open() as binary, io.TextIOWrapper(binary, self.encoding, newline="") as text:
            yield text if self.delimiter == self.separator else _Replaced(text, self.separator, self.delimiter)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What goes wrong while the text is opened, unpacked, decoded or parsed, in words.

        Raises:
            DataError: any of these.
        """
        before = csv.field_size_limit(LONGEST_LINE)  # a limit of the whole process, by default of 128 KiB
        try:
            self.content.check_start()
            yield
        except UnicodeError as error:
            raise DataError(
                f"{self.name} is not {self.encoding.removesuffix('-sig')}: {self._first_undecodable()} does not "
                f"decode. Name its encoding, for example {self._option('encoding', self._likely_encoding())}"
            ) from error
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise DataError(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        finally:
            csv.field_size_limit(before)

    def names(self) -> list[str]:
        """The names of the columns, without surrounding blanks.

        Raises:
            DataError: it cannot be read, or is empty.
        """
        if self.columns is not None:
            return self.columns
        with self.reading(), self.open() as text:
            first = next(self._records(text), None)
        if first is None:
            raise DataError(f"{self.name} is empty: a line with the names of its columns is needed, and rows of data.")
        names = [name.strip(BLANKS) for name in first[1]]
        if re.fullmatch("sep=.?", self.separator.join(first[1]).strip()):
            raise DataError(
                f"{self.name} starts with a note for Excel, {shown(self.separator.join(first[1]))}: remove that line, "
                "so that the names of the columns come first."
            )
        return names

    def data(self, text: io.TextIOBase, *, keep_blank_lines: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Each row of data in what `open` gave, with the line it starts on (from 1).

        Args:
            text: at its start.
            keep_blank_lines: whether a blank line is a row of one empty field.

        Raises:
            DataError: it cannot be parsed.
        """
        records = self._records(text, keep_blank_lines)
        if self.columns is None:
            next(records, None)
        return records

    def fields(
        self, positions: Sequence[int], *, width: int, least: int, on_bad_rows: str, keep_blank_lines: bool = False
    ) -> tuple[list[list[str]], str]:
        """The fields of some columns, one list for each.

        Args:
            positions: of the columns, from 0.
            width: number of columns there are.
            least: number of fields that a row must have; more than `width` are never right.
            on_bad_rows: what to do about rows with too many or too few fields; see `settle_bad_rows`.
            keep_blank_lines: see `data`.

        Returns:
            The fields, and what was dropped and why, "" where nothing was.

        Raises:
            DataError: it cannot be read, or rows are bad.
        """
        found: list[list[str]] = [[] for _ in positions]
        pairs = list(zip(found, positions, strict=True))
        ragged: list[tuple[int, int]] = []
        first: list[str] = []
        n_rows = 0
        with self.reading(), self.open() as text:
            for line, record in self.data(text, keep_blank_lines=keep_blank_lines):
                n_rows += 1
                if least <= len(record) <= width:
                    for fields, position in pairs:
                        fields.append(record[position])
                else:
                    first = first or record
                    ragged.append((line, len(record)))
        if not ragged:
            return found, ""
        return found, self._settle_ragged(ragged, first, n_rows, width, on_bad_rows)

    def _settle_ragged(
        self, ragged: list[tuple[int, int]], first: list[str], n_rows: int, width: int, on_bad_rows: str
    ) -> str:
        advice = f"Put double quotes around fields that hold {shown(self.separator)} or a line end"
        if len(ragged) == n_rows and all(length == width + 1 for _, length in ragged):
            advice = (
                "The first line names one column less than there are: name them all, also row numbers, which R writes "
                "without a name, and what stands behind a separator at the end of a line"
            )
        return settle_bad_rows(
            f"{len(ragged)} of {n_rows} data rows have too many or too few fields for the {width} columns; "
            f"line {first_numbers([line for line, _ in ragged])} of the file (line {ragged[0][0]} has {len(first)}: "
            f"{shown(self.separator.join(first))})",
            advice=advice,
            source=self.name,
            on_bad_rows=on_bad_rows,
        )

    def _records(self, text: io.TextIOBase, keep_blank_lines: bool = False) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line it starts on (from 1).

        Strict, since a stray quote would otherwise swallow the rows up to the next one without a word.
        """
        reader = csv.reader(
            self._lines(text),
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.is_quoted else csv.QUOTE_NONE,
            escapechar=self.escape,
            strict=True,
        )
        is_replaced = self.delimiter != self.separator
        line = 1
        try:
            for record in reader:
                if is_replaced:  # a quoted field may hold the separator
                    record = [field.replace(self.delimiter, self.separator) for field in record]
                if len(record) > 1 or (record and record[0].strip()):
                    yield line, record
                elif keep_blank_lines:
                    yield line, record or [""]
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{self.name}, the row that starts on line {line}: {error}. A field that begins with a double quote "
                'must end with one, and a double quote inside it must be written twice (""). Where quotes mean '
                f"nothing: {self._option('quoting', 'none')}; where a backslash stands before them: "
                f"{self._option('escape', chr(92))}"
            ) from error

    def _lines(self, text: io.TextIOBase) -> Iterator[str]:
        for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE), ""), 1):
            if "\0" in line:
                raise self.nul_in_line(number)
            if len(line) == LONGEST_LINE:
                raise self.too_long_a_line(number)
            yield line

    def nul_in_line(self, number: int) -> DataError:
        """The error about a NUL character in a line."""
        return DataError(
            f"{self.name}, line {number}: there is a NUL character in it, which no text has. If the encoding is "
            f"another, name it, for example {self._option('encoding', 'utf-16')}; else remove them: "
            "tr -d '\\000' < FILE > NEW_FILE"
        )

    def too_long_a_line(self, number: int) -> DataError:
        """The error about a line that is longer than `LONGEST_LINE`."""
        return DataError(
            f"{self.name}, line {number}: it has {LONGEST_LINE:,} characters or more. Is it a table, with line ends?"
        )

    def _likely_encoding(self) -> str:
        with self.content.open() as binary:
            start = binary.read(2)
        return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"

    def _first_undecodable(self) -> str:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        seen = lines = 0
        with self.content.open() as binary:
            while block := binary.read(BLOCK):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError as error:
                    # The decoder's input is this block behind what it kept of the last one.
                    place = len(block) - len(error.object) + error.start
                    lines += block.count(b"\n", 0, max(place, 0))
                    return f"the byte at offset {seen + place} (line {lines + 1})"
                except UnicodeError:  # of codecs that want a byte order mark
                    return "its start"
                seen += len(block)
                lines += block.count(b"\n")
        return "its end"

    def _as_separator(self, separator: str | None) -> str:
        if separator is None:
            return "\t" if uncompressed_name(self.name).endswith((".tsv", ".tab")) else ","
        # A shell and Hydra both hand on '\t' as the two characters that were typed.
        separator = "\t" if separator == r"\t" else str(separator)
        if not separator or any(character in separator for character in '"\r\n\0'):
            raise ConfigError(
                f"{self._option('separator', separator)}: it must be one or more characters, none of them a double "
                "quote or a line end; left out, it follows from the file's name."
            )
        return separator

    def _as_encoding(self, encoding: str) -> str:
        try:
            io.TextIOWrapper(io.BytesIO(), str(encoding)).close()  # refuses codecs that are not of text, too
            "a".encode(str(encoding))  # and "undefined"
        except (LookupError, ValueError) as error:
            raise DataError(
                f"{self._option('encoding', encoding)}: Python knows no such text encoding. Try utf-8, utf-16, latin-1 "
                "or cp1252."
            ) from error
        # utf-8-sig is utf-8 that leaves out a byte order mark, as utf-16 does by itself.
        return "utf-8-sig" if codecs.lookup(str(encoding)).name == "utf-8" else str(encoding)

    def _as_names(self, columns: Sequence[str] | None) -> list[str] | None:
        if columns is None:
            return None
        if isinstance(columns, str) or not isinstance(columns, Sequence) or not columns:
            raise ConfigError(
                f"{self._option('columns', columns)}: it must be a list of names, such as [id,label,text], for a file "
                "without a header; null takes them from the first line."
            )
        return [str(column).strip(BLANKS) for column in columns]

    def _as_escape(self, escape: str | None) -> str | None:
        if escape is None:
            return None
        escape = "\\" if escape == r"\\" else str(escape)
        if len(escape) != 1 or escape in '"\r\n\0 ' or escape in self.separator:
            raise ConfigError(
                f"{self._option('escape', escape)}: it must be one character, such as a backslash, and neither a "
                "double quote nor the separator; null for none."
            )
        return escape


class _Replaced(io.TextIOBase):
    """A text with one string in place of another, which holds no line end."""

    def __init__(self, text: io.TextIOBase, old: str, new: str) -> None:
        self._text, self._old, self._new = text, old, new

    def read(self, size: int | None = -1, /) -> str:
        # Up to the end of a line, so that no separator is cut in two.
        return (self._text.read(size) + self._text.readline(LONGEST_LINE)).replace(self._old, self._new)

    def readline(self, size: Any = -1, /) -> str:  # type: ignore[override]  # text, not bytes
        return self._text.readline(-1 if size is None else size).replace(self._old, self._new)
