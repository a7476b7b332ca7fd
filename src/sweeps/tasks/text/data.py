"""Labelled texts, and the checks that every source of them shares.

A source (`text_csv`, `reviews`, one of your own) reads a frame; `text_data_from_frame` turns it into a `TextData` or
says in one `DataError` what is wrong with it.
"""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import DataError
from sweeps.tasks.rows import check_columns, check_on_bad_rows, first_numbers, is_missing, settle_bad_rows

logger = logging.getLogger(__name__)

SHOWN_LABELS = 20


@dataclass(frozen=True)
class TextData:
    """Labelled texts, ready to be split.

    Attributes:
        texts: (n,) object array of str, none of them blank.
        labels: (n,) array of int64, of bool, or of object holding str; at least two different ones.
        text_column: name of the column the texts came from.
        positive_label: the label of `labels` that precision, recall and F1 are about; None means all classes alike.
        fingerprint: sha256 (hex) of the texts and the labels as the source gave them, in order. The positive label is
            no part of it, nor is the layout of the file: the same table as CSV and as TSV has one fingerprint.
        source: what to show a user: a path, or the name of a data set.
    """

    texts: np.ndarray[Any, np.dtype[Any]]
    labels: np.ndarray[Any, np.dtype[Any]]
    text_column: str
    positive_label: bool | int | str | None
    fingerprint: str
    source: str


def text_data_from_frame(
    frame: pd.DataFrame,
    *,
    text_column: str,
    label_column: str,
    positive_label: bool | int | float | str | None,
    source: str,
    on_bad_rows: str,
) -> TextData:
    """Check a frame and take texts and labels from it.

    Args:
        frame: one row per text; other columns are ignored.
        text_column: column of texts; a value that is not a str is written as one.
        label_column: column of labels: whole numbers, booleans, or anything else, which is then read as str.
        positive_label: the label precision, recall and F1 are about, compared as text (1 finds "1"). With more than
            two classes the others become one, "not <positive_label>". None: every class counts alike.
        source: what to call the data in messages.
        on_bad_rows: what to do where a text or a label is missing or blank: "error", or "drop" (with a warning).

    Raises:
        DataError: a column is missing or ambiguous, rows are bad, there is no row, fewer than two classes, or no such
            positive label.
        ConfigError: `on_bad_rows` is neither "error" nor "drop".
    """
    check_on_bad_rows(on_bad_rows)
    check_columns(list(frame.columns), text_column=text_column, label_column=label_column, source=source)
    if len(frame) == 0:
        raise DataError(f"{source} has a header but no data rows; at least two rows with different labels are needed.")

    raw_texts = _values(frame, text_column)
    raw_labels = _values(frame, label_column)
    bad = [is_missing(text) or is_missing(label) for text, label in zip(raw_texts, raw_labels, strict=True)]
    if any(bad):
        _settle_missing(raw_texts, raw_labels, bad, text_column, label_column, source, on_bad_rows)

    texts = np.array([str(text) for text, skip in zip(raw_texts, bad, strict=True) if not skip], dtype=object)
    labels = _as_labels([label for label, skip in zip(raw_labels, bad, strict=True) if not skip])
    classes = sorted(set(labels.tolist()))
    if len(classes) < 2:
        found = f"every row has the label {classes[0]!r}" if classes else "no row is left"
        raise DataError(
            f"{source} holds fewer than two classes in the column {str(label_column)!r}: {found}. "
            "A classifier needs two or more; is it the right column? dataset.label_column=NAME"
        )

    fingerprint = _fingerprint(texts, labels)
    positive = None
    if positive_label is not None:
        positive = _find_label(classes, positive_label, source)
        if len(classes) > 2:
            labels = np.array([str(x) if x == positive else f"not {positive}" for x in labels.tolist()], dtype=object)
            positive = str(positive)
    return TextData(texts, labels, str(text_column), positive, fingerprint, source)


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    position = [str(column) for column in frame.columns].index(str(name))
    return frame.iloc[:, position].tolist()


def _settle_missing(
    texts: list[Any],
    labels: list[Any],
    bad: list[bool],
    text_column: str,
    label_column: str,
    source: str,
    on_bad_rows: str,
) -> None:
    rows = [number for number, is_bad in enumerate(bad, start=1) if is_bad]
    no_text = sum(is_missing(text) for text in texts)
    no_label = sum(is_missing(label) for label in labels)
    settle_bad_rows(
        f"{len(rows)} of {len(bad)} data rows lack a text or a label "
        f"({str(text_column)!r} is missing or blank in {no_text}, {str(label_column)!r} in {no_label}); "
        f"data row {first_numbers(rows)} (row 1 is the first after the header)",
        advice="Fill them in",
        source=source,
        on_bad_rows=on_bad_rows,
    )


def _as_labels(values: list[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(isinstance(value, bool) for value in plain):
        return np.array(plain, dtype=np.bool_)
    if all(_is_whole(value) for value in plain):
        return np.array([int(value) for value in plain], dtype=np.int64)
    return np.array([str(value) for value in plain], dtype=object)


def _is_whole(value: Any) -> bool:
    # A column of integers with a gap in it reaches us as floats; a number beyond int64 is an identifier, not a count.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 and value == int(value)


def _find_label(classes: list[bool | int | str], wanted: bool | int | float | str, source: str) -> bool | int | str:
    if isinstance(wanted, float) and wanted.is_integer():
        wanted = int(wanted)
    for label in classes:
        if str(label) == str(wanted):
            return label
    listed = ", ".join(repr(label) for label in classes[:SHOWN_LABELS])
    more = f" and {len(classes) - SHOWN_LABELS} more" if len(classes) > SHOWN_LABELS else ""
    # YAML's yes, no, on and off are booleans, so a label of that name is lost before it gets here.
    advice = " In a YAML file a label such as yes or no needs quotes." if isinstance(wanted, bool) else ""
    raise DataError(
        f"{source} has no label {wanted!r} (dataset.positive_label). Its labels: {listed}{more}. "
        f"Type one of them, or null to count every class alike.{advice}"
    )


def _fingerprint(texts: np.ndarray[Any, np.dtype[Any]], labels: np.ndarray[Any, np.dtype[Any]]) -> str:
    # Lengths go before the content, so that no two different tables run together into the same bytes.
    digest = hashlib.sha256(f"{len(texts)} {labels.dtype.kind}\n".encode())
    for text, label in zip(texts.tolist(), labels.tolist(), strict=True):
        for field in (text, str(label)):
            content = field.encode("utf-8", "surrogatepass")
            digest.update(f"{len(content)}:".encode())
            digest.update(content)
    return digest.hexdigest()
