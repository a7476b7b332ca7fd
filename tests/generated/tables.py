"""Files of texts and of ratings with something wrong in them, or something unusual, and options that may not fit."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from sweeps.base.errors import ConfigError, DataError
from sweeps.tasks.ratings.csv import load_ratings_csv
from sweeps.tasks.text.csv import load_text_csv

from .trial_and_error import WrongError, check_message

CELLS = [
    "", " ", '"', '""', '"a', "a,b", "a\tb", "a;b", "\r", "\n", "\0", "NA", "nan", "inf", "-1", "01", "1e400",
    "9" * 400,
    "ü", "\ud7ff", "\ufeff", "\x1a", "\x1f", "true", "x" * 5_000, "'", "\\", '\\"', "0x10", "½", "1,5", "2020-01-01",
]  # fmt: skip
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "ascii"]


def table(rng: random.Random, header: list[str], row: Callable[[], list[str]]) -> tuple[str, str]:
    """A delimited text, some of its cells odd, and its separator."""
    separator, end = rng.choice([",", ",", ",", "\t", ";", "::", "|"]), rng.choice(["\n", "\n", "\r\n", "\r"])
    rows = [header] if rng.random() < 0.95 else []
    rows += [row() for _ in range(rng.choice([0, 1, 2, 5] + [30] * 12))]
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        if rows:
            chosen = rng.choice(rows)
            chosen[rng.randrange(len(chosen))] = rng.choice(CELLS)
    for _ in range(rng.choice([0, 0, 0, 1])):
        if rows:
            chosen = rng.choice(rows)
            chosen.append("more") if rng.random() < 0.5 else chosen.pop()
    return end.join(separator.join(cells) for cells in rows) + rng.choice(
        ["", end * 3, end + "\x1a"] + [end] * 12
    ), separator


def packed(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Perhaps compressed, with the ending of a name that may or may not fit."""
    ending = rng.choice([".csv"] * 20 + [".tsv", ".txt", ".gz", ".bz2", ".zip", ".parquet", ".csv.gz", ""])
    if rng.random() < 0.8:
        if ending.endswith(".gz"):
            content = gzip.compress(content)
        elif ending == ".bz2":
            content = bz2.compress(content)
        elif ending == ".zip":
            stream = io.BytesIO()
            with zipfile.ZipFile(stream, "w") as archive:
                for number in range(rng.choice([0, 1, 1, 1, 2])):
                    archive.writestr(f"{number}.csv", content)
            content = stream.getvalue()
        elif ending == ".parquet":
            stream = io.BytesIO()
            pd.DataFrame({"text": ["a", "b"] * 5, "label": [0, 1] * 5, "rating": [1.0] * 10}).to_parquet(stream)
            content = stream.getvalue()
    return content, ending


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Cut short, with bytes changed, put in or doubled; or as it is."""
    if not content or rng.random() < 0.9:
        return content
    place = rng.randrange(len(content))
    junk = rng.choice([b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"\n", b"\r", rng.randbytes(20)])
    return rng.choice(
        [
            content[:place],
            content[place:],
            content[:place] + junk + content[place:],
            content[:place] + junk,
            content * 2,
        ]
    )


def options(rng: random.Random, names: list[str]) -> dict[str, Any]:
    """Options of a reader, few of them of use."""
    choices: dict[str, list[Any]] = {
        "separator": [",", "\t", r"\t", ";", "::", "", "ü", "\n", '"', "ab", " "],
        "encoding": [*ENCODINGS, "nope", "", "rot13", "base64", "idna", "undefined"],
        "on_bad_rows": ["drop", "error", "ignore", ""],
        "columns": [names, names[:1], [], ["a", "a", "b"], [1, 2, 3], [*names, "more"], "text", [""]],
        "quoting": ["double", "none", "all"],
        "escape": ["\\", '"', "", "ab", "ü", ","],
    }
    return {key: rng.choice(choices[key]) for key in rng.sample(sorted(choices), rng.choice([0] * 6 + [1, 1, 2]))}


class Read:
    """Reads files of texts and of ratings.

    Args:
        folder: for them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, rng: random.Random) -> str:
        is_text = rng.random() < 0.5
        if is_text:
            names, words = ["text", "label"], ["good", "bad", "fine", "ü", "train", "bus"]
            content, separator = table(
                rng, [*names], lambda: [" ".join(rng.choices(words, k=4)), rng.choice(["0", "1"])]
            )
        else:
            names = ["userId", "movieId", "rating"]
            content, separator = table(
                rng, [*names], lambda: [str(rng.randint(1, 99)), f"m{rng.randint(1, 99)}", str(rng.randint(1, 10) / 2)]
            )
        encoding = rng.choice(["utf-8"] * 10 + ENCODINGS)
        data, ending = packed(rng, damaged(rng, content.encode(encoding, "replace")))
        file = self._folder / f"data{ending}"
        file.write_bytes(damaged(rng, data) if rng.random() < 0.2 else data)
        fitting = {"separator": separator, "encoding": encoding} if rng.random() < 0.9 and ending != ".parquet" else {}
        chosen = fitting | options(rng, names)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                n_rows = self._texts(rng, file, chosen) if is_text else self._ratings(rng, file, chosen)
        except (DataError, ConfigError) as error:
            check_message(str(error), chosen)
            return "refused"
        finally:
            file.unlink()
        if n_rows < 1:
            raise WrongError(f"no rows were read, and nobody said so: {chosen}")
        return "accepted"

    @staticmethod
    def _texts(rng: random.Random, file: Path, chosen: dict[str, Any]) -> int:
        chosen["positive_label"] = rng.choice([None] * 6 + [1, 1, "1", "yes", 1.5, True])
        columns = rng.choice([("text", "label")] * 20 + [("label", "label"), ("text", "nope"), ("", "")])
        read = load_text_csv(file, *columns, **chosen)
        if len(read.texts) != len(read.labels) or not all(
            isinstance(text, str) and text.strip() for text in read.texts
        ):
            raise WrongError(f"{chosen}: texts {read.texts}, labels {read.labels}")
        return len(read.texts)

    @staticmethod
    def _ratings(rng: random.Random, file: Path, chosen: dict[str, Any]) -> int:
        chosen["scale"] = rng.choice([None] * 10 + [[0.5, 5], [0.5, 5], [5, 1], [1], [float("nan"), 5], "15"])
        chosen["n_users"] = rng.choice([None] * 10 + [3, 3, 0, -1, 10**9])
        chosen["decimal"] = rng.choice(["."] * 10 + [",", "x"])
        read = load_ratings_csv(file, **chosen)
        if not len(read.users) == len(read.items) == len(read.ratings) or not pd.Series(read.ratings).notna().all():
            raise WrongError(f"{chosen}: {len(read.users)} users, {len(read.items)} items, ratings {read.ratings}")
        return len(read.users)
