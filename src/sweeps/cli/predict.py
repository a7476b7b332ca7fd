"""Predict with a promoted model: `python -m sweeps.predict models:/reviews@champion input.csv -o output.csv`."""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from sweeps.base.atomic_file import replacing
from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError, DataError, PredictionTimeoutError
from sweeps.base.signals import time_limit
from sweeps.tasks.content import file_content, standard_input
from sweeps.tasks.download import existing_file
from sweeps.tasks.parquet import is_parquet, read_parquet
from sweeps.tasks.table import Layout, Table

if TYPE_CHECKING:  # MLflow is slow to import
    from sweeps.tasks.base import Predictor
    from sweeps.tracking.models.versions import Version

_STANDARD = "-"
DEFAULT_LAYOUT = Layout()
_TIMEOUT = 60.0
_ROWS_OF_A_TIMEOUT = 1_000
_PATIENCE = 5.0  # seconds for MLflow to take a log


def main(argv: Sequence[str] | None = None) -> None:
    """Read a table, predict each row, write the table with the predictions beside it."""
    parser = argparse.ArgumentParser(prog="python -m sweeps.predict", description=__doc__)
    parser.add_argument("model", help="models:/NAME@champion, models:/NAME/VERSION or another MLflow model address")
    parser.add_argument("input", help="CSV, TSV or Parquet file with the model's input column, or -: standard input")
    parser.add_argument("-o", "--output", default=_STANDARD, help="file to write, or - (default): standard output")
    parser.add_argument("--separator", help="of input and output; default: tab for .tsv and .tab, otherwise comma")
    parser.add_argument("--encoding", default="utf-8", help="of the input (default: utf-8)")
    parser.add_argument("--columns", help="names of all columns, such as id,text, for an input without a header")
    parser.add_argument("--quoting", default="double", help="none: double quotes in the input are ordinary characters")
    parser.add_argument("--escape", help="the character before quotes inside a field of the input, such as a backslash")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TYPE", help="a type or task outside sweeps that may be loaded"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help=f"for each {_ROWS_OF_A_TIMEOUT:,} rows; a model that takes longer is given up (default: %(default)g)",
    )
    parser.add_argument("--log", action="store_true", help="log counts, confidence and version as an MLflow run")
    parser.add_argument("--log-inputs", action="store_true", help="log the input with its predictions, too")
    parser.add_argument("--positive", metavar="LABEL", help="the positive label, where the version does not say")
    arguments = parser.parse_args(argv)
    columns = arguments.columns.split(",") if arguments.columns else None
    layout = Layout(arguments.separator, arguments.encoding, columns, arguments.quoting, arguments.escape)
    log = LogOptions(arguments.log_inputs, arguments.positive) if arguments.log or arguments.log_inputs else None
    run_command(
        lambda: predict_file(
            arguments.model,
            arguments.input,
            arguments.output,
            layout=layout,
            trusted=arguments.trust,
            timeout=arguments.timeout,
            log=log,
        )
    )


@dataclass(frozen=True)
class LogOptions:
    """How predictions are logged.

    Attributes:
        inputs: with what was predicted.
        positive_label: where the model's version does not say which label is the positive one.
    """

    inputs: bool = False
    positive_label: str | None = None


def predict_file(
    model_uri: str,
    source: str,
    target: str,
    *,
    layout: Layout = DEFAULT_LAYOUT,
    trusted: Sequence[str] = (),
    timeout: float = _TIMEOUT,
    log: LogOptions | None = None,
) -> None:
    """Predict every row of a table.

    Args:
        model_uri: an MLflow model address.
        source: a file, or `-`.
        target: a file, written as a whole or not at all, or `-`.
        layout: of the source; the target has its separator, quotes written twice, and is UTF-8.
        trusted: types and tasks outside sweeps that may be loaded.
        timeout: seconds that the model may take for each 1,000 rows, begun ones included.
        log: how to log the predictions, once they are written; None: they are not.

    Raises:
        DataError: the table is missing, unreadable or lacks the model's column.
        TrackingError: no such model.
        ModelError: the model is damaged, needs types that are not trusted, or takes too long.
    """
    frame, separator = read_input(source, layout)

    from sweeps.tracking.client import connect
    from sweeps.tracking.models.load import load
    from sweeps.tracking.models.versions import find_version

    client = connect(must_exist=True)
    version = find_version(client, model_uri) if log else None
    predictor = load(client, version.uri if version else model_uri, trusted)
    inputs = frame.to_dict("records") if log and log.inputs else None
    start = time.perf_counter()
    predicted = _predict(predictor, frame, timeout)
    seconds = time.perf_counter() - start
    for column in predicted.columns:
        if column in frame.columns:
            sys.stderr.write(f"Note: the input's column {column} is replaced.\n")
        frame[column] = predicted[column].to_numpy()
    with _replacing(target) as file:
        frame.to_csv(file, index=False, sep=separator, quoting=csv.QUOTE_MINIMAL)
        file.flush()
    if log and version:
        _log(predicted, version, seconds, log, inputs)


def _predict(predictor: Predictor, frame: pd.DataFrame, timeout: float) -> pd.DataFrame:
    from sweeps.tasks.text.model import limit_seconds

    seconds = timeout * max(1, math.ceil(len(frame) / _ROWS_OF_A_TIMEOUT))
    too_long = PredictionTimeoutError(
        f"The model did not answer within {seconds:g} s; nothing is written. If it is slow and not stuck, allow more "
        f"for each {_ROWS_OF_A_TIMEOUT:,} rows: --timeout {10 * timeout:g}"
    )
    limit_seconds(predictor, 2 * seconds)  # the limit here is the one that counts
    with time_limit(seconds, too_long):
        return predictor.predict(frame)


def _log(
    predicted: pd.DataFrame, version: Version, seconds: float, log: LogOptions, inputs: Sequence[Any] | None
) -> None:
    from sweeps.tracking.predictions.batch import PredictionBatch
    from sweeps.tracking.predictions.sender import send_soon
    from sweeps.tracking.predictions.spool import FOLDER, Spool

    batch = PredictionBatch.of(
        predicted["prediction"].tolist(),
        predicted["confidence"].tolist() if "confidence" in predicted else None,
        model=version.name,
        version=version.number,
        run_id=version.run_id,
        source="sweeps.predict",
        seconds=seconds,
        positive_label=version.positive_label or log.positive_label,
        inputs=inputs,
    )
    spool = Spool(Path(FOLDER))
    spool.make()
    spool.put(batch, always=True)
    if not send_soon(spool, _PATIENCE):
        sys.stderr.write(
            f"Note: MLflow has not accepted the log yet; it is kept in {FOLDER} and is sent with the next one.\n"
        )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be a positive number of seconds")
    return seconds


def read_input(source: str, layout: Layout = DEFAULT_LAYOUT) -> tuple[pd.DataFrame, str]:
    """A table to predict, and the separator for the predictions.

    Args:
        source: a file, or `-`.
        layout: of the source, unless it is a Parquet file.

    Returns:
        A frame, of str where it is from delimited text, every field as it stands there; and one character.

    Raises:
        DataError: it is missing or unreadable, or a row has another width than the header.
        ConfigError: an option that makes no sense.
    """
    if source == _STANDARD:
        content = standard_input()
    else:
        file = existing_file(source, "name a file with the model's input, or -: standard input")
        if is_parquet(file):
            return read_parquet(file, layout), ","
        content = file_content(file)
    table = Table(content, layout, prefix="--")
    if len(table.separator) > 1:
        raise ConfigError(f"--separator {table.separator!r}: it must be one character, since the output has it, too.")
    names = table.names()
    width = len(names)
    columns, _ = table.fields(range(width), width=width, least=width, on_bad_rows="refuse", keep_blank_lines=width == 1)
    return pd.DataFrame(dict(enumerate(columns)), dtype=object).set_axis(names, axis=1), table.separator


@contextmanager
def _replacing(target: str) -> Iterator[IO[str]]:
    """Open a file that takes the target's place when it is complete."""
    if target == _STANDARD:
        yield sys.stdout
        return
    path = Path(target)
    if path.is_dir():
        raise DataError(f"{target} is a folder; name a file to write.")
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}.") from error
