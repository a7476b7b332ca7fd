"""Labelled texts, and the checks that every source of them shares.

A source (`text_csv`, `reviews`, one of your own) reads a frame; `text_data_from_frame` turns it into a `TextData` or
says in one `DataError` what is wrong with it.
"""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweeps.base.errors import DataError
from sweeps.tasks.rows import (
    SHOWN_CHARACTERS,
    check_columns,
    check_on_bad_rows,
    first_numbers,
    listed,
    settle_bad_rows,
    shown,
)
from sweeps.tasks.values import BLANKS, as_name, is_missing, read_values, truth

SHOWN_LABELS = 20
SHOWN_NOTES = 3
WORDS_FOR_NOTHING = {"nan", "na", "n/a", "null", "none", "nil", "?", "-"}


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
        dropped: what was left out and why; empty where nothing was.
        notes: what is odd about the labels, each a few words.
    """

    texts: np.ndarray[Any, np.dtype[Any]]
    labels: np.ndarray[Any, np.dtype[Any]]
    text_column: str
    positive_label: bool | int | str | None
    fingerprint: str
    source: str
    dropped: str = ""
    notes: tuple[str, ...] = ()


def text_data_from_frame(
    frame: pd.DataFrame,
    *,
    text_column: str,
    label_column: str,
    positive_label: bool | int | float | str | None,
    source: str,
    on_bad_rows: str,
    dropped: str = "",
) -> TextData:
    """Check a frame and take texts and labels from it.

    Args:
        frame: one row per text; other columns are ignored.
        text_column: column of texts; a value that is not a str is written as one.
        label_column: column of labels, read as a whole (see `sweeps.tasks.values`).
        positive_label: the label precision, recall and F1 are about, compared as text (1 finds "1"). With more than
            two classes the others become one, "not <positive_label>". None: every class counts alike.
        source: what to call the data in messages.
        on_bad_rows: what to do where a text or a label is missing or blank: "error", or "drop" (with a warning).
        dropped: what the source has left out already, and why.

    Raises:
        DataError: a column is missing or ambiguous, rows are bad, there is no row, fewer than two classes, or no such
            positive label.
        ConfigError: `on_bad_rows` is neither "error" nor "drop".
    """
    check_on_bad_rows(on_bad_rows)
    wanted = {"text_column": text_column, "label_column": label_column}
    places = check_columns(list(frame.columns), source=source, **wanted)
    if len(frame) == 0:
        raise DataError(f"{source} has a header but no data rows; at least two rows with different labels are needed.")

    raw_texts, raw_labels = (frame.iloc[:, place].tolist() for place in places.values())
    bad = [is_missing(text) or is_missing(label) for text, label in zip(raw_texts, raw_labels, strict=True)]
    if any(bad):
        missing = _settle_missing(raw_texts, raw_labels, bad, text_column, label_column, source, on_bad_rows)
        dropped = "; ".join(filter(None, (dropped, missing)))
        raw_texts, raw_labels = (
            [x for x, skip in zip(raw, bad, strict=True) if not skip] for raw in (raw_texts, raw_labels)
        )
    texts = np.array([str(text) for text in raw_texts], dtype=object)
    labels = _as_labels(raw_labels)
    classes = sorted(set(labels.tolist()))
    if len(classes) < 2:
        found = f"every row has the label {str(classes[0])[:SHOWN_CHARACTERS]!r}" if classes else "no row is left"
        raise DataError(
            f"{source} holds fewer than two classes in the column {str(label_column)!r}: {found}. "
            "A classifier needs two or more; is it the right column? dataset.label_column=NAME"
        )

    fingerprint = _fingerprint(texts, labels, source)
    notes = tuple(_notes(classes))
    positive = None
    if positive_label is not None:
        positive = _find_label(classes, positive_label, source)
        if len(classes) > 2:
            labels = np.array([str(x) if x == positive else f"not {positive}" for x in labels.tolist()], dtype=object)
            positive = str(positive)
    return TextData(texts, labels, str(text_column).strip(BLANKS), positive, fingerprint, source, dropped, notes)


def _settle_missing(
    texts: list[Any],
    labels: list[Any],
    bad: list[bool],
    text_column: str,
    label_column: str,
    source: str,
    on_bad_rows: str,
) -> str:
    rows = [number for number, is_bad in enumerate(bad, start=1) if is_bad]
    no_text = sum(is_missing(text) for text in texts)
    no_label = sum(is_missing(label) for label in labels)
    return settle_bad_rows(
        f"{len(rows)} of {len(bad)} data rows lack a text or a label "
        f"({str(text_column)!r} is missing or blank in {no_text}, {str(label_column)!r} in {no_label}); "
        f"data row {first_numbers(rows)} (row 1 is the first after the header)",
        advice="Fill them in",
        source=source,
        on_bad_rows=on_bad_rows,
    )


def _as_labels(values: list[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    is_plain = set(map(type, values)) == {str}
    # 1, 1.0 and True are one key to a dict, and to us they may be two labels.
    keys = (
        values
        if is_plain
        else [(type(value), value if isinstance(value, Hashable) else str(value)) for value in values]
    )
    different = list(dict.fromkeys(keys))
    raw = different if is_plain else [value for _, value in different]
    truths = [truth(value) for value in raw]
    are_truths = all(one is not None for one in truths)
    read: Sequence[bool | int | str | None] = truths if are_truths else read_values(raw)
    label_of = dict(zip(different, read, strict=True))
    kind = np.bool_ if are_truths else np.int64 if all(isinstance(label, int) for label in read) else object
    return np.array([label_of[key] for key in keys], dtype=kind)


def _notes(classes: list[bool | int | str]) -> Iterator[str]:
    """What is odd about the labels, and may be a mistake in the file."""
    names = [label for label in classes if isinstance(label, str)]
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    for same in [same for same in alike.values() if len(same) > 1][:SHOWN_NOTES]:
        yield f"labels that differ in case or blanks only: {listed(same)}"
    for name in [name for name in names if name.casefold() in WORDS_FOR_NOTHING][:SHOWN_NOTES]:
        yield f"a class is called {name!r}: is it a missing label?"
    if {name for name in names if truth(name) is not None} and {"0", "1"} & set(names):
        yield "labels that are true or false stand beside 0 or 1"
    codes = [name for name in names if name.lstrip("0") != name and (name.lstrip("0") or "0") in names and name != "0"]
    if codes:
        yield f"codes with leading zeros stand beside the same numbers without: {listed(codes)}"


def _find_label(classes: list[bool | int | str], wanted: bool | int | float | str, source: str) -> bool | int | str:
    for label in classes:
        if str(label) == as_name(wanted) or (isinstance(label, bool) and label is truth(wanted)):
            return label
    shown = ", ".join(repr(label)[:SHOWN_CHARACTERS] for label in classes[:SHOWN_LABELS])
    more = f" and {len(classes) - SHOWN_LABELS} more" if len(classes) > SHOWN_LABELS else ""
    # YAML's yes, no, on and off are booleans, so a label of that name is lost before it gets here.
    advice = " In a YAML file a label such as yes or no needs quotes." if isinstance(wanted, bool) else ""
    raise DataError(
        f"{source} has no label {wanted!r} (dataset.positive_label). Its labels: {shown}{more}. "
        f"Type one of them, or null to count every class alike.{advice}"
    )


def _fingerprint(texts: np.ndarray[Any, np.dtype[Any]], labels: np.ndarray[Any, np.dtype[Any]], source: str) -> str:
    # Lengths go before the content, so that no two different tables run together into the same bytes.
    digest = hashlib.sha256(f"{len(texts)} {labels.dtype.kind}\n".encode())
    for row, (text, label) in enumerate(zip(texts.tolist(), labels.tolist(), strict=True), start=1):
        for field in (text, str(label)):
            try:
                content = field.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{source}: half a character ({error.object[error.start]!a}) stands in usable row {row}: "
                    f"{shown(field)}. It cannot be stored; name the file's own encoding, dataset.encoding=NAME."
                ) from error
            digest.update(f"{len(content)}:".encode())
            digest.update(content)
    return digest.hexdigest()
