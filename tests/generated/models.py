"""Stored models whose bytes were changed anywhere. What changes by array and by scalar is in `tests/tasks`."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stored_models import RATING_KINDS, store
from sweeps.base.errors import DataError, ModelError
from sweeps.tracking.models.pyfunc import load_predictor

from .trial_and_error import check_message

TEXTS = pd.DataFrame({"text": ["good day", "", "nothing known", "bad sad rain " * 20]})
PAIRS = pd.DataFrame({"user": ["a", "b", "nobody"], "item": [1, 2, 99]})


def changed(rng: random.Random, content: bytes) -> bytes:
    """With some bytes flipped, moved, doubled, left out or of another file's kind."""
    if not content:
        return rng.randbytes(10)
    start, end = sorted((rng.randrange(len(content)), rng.randrange(len(content) + 1)))
    flipped = bytearray(content)
    for _ in range(rng.choice([1, 1, 3, 50])):
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return rng.choice(
        [
            bytes(flipped),
            bytes(flipped),
            bytes(flipped),
            content[:start],
            content[:start] + content[end:],
            content[:end] + content[start:],
            content[:start] + rng.randbytes(end - start) + content[end:],
            content[:start] + bytes(end - start) + content[end:],
            b"",
            b"\x93NUMPY" + content,
            b"PK\x03\x04" + content[:start],
        ]
    )


class Load:
    """Loads damaged models and predicts with them.

    Args:
        folder: empty.
        kinds: of `stored_models`.
    """

    def __init__(self, folder: Path, kinds: Sequence[str]) -> None:
        self._folder = folder
        self._kinds = kinds
        for kind in kinds:
            store(kind, folder / kind)

    def __call__(self, rng: random.Random) -> str:
        kind = rng.choice(self._kinds)
        copy = self._folder / "damaged"
        shutil.copytree(self._folder / kind, copy)
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        for file in rng.sample(files, min(len(files), rng.choice([1, 1, 1, 2]))):
            file.write_bytes(changed(rng, file.read_bytes()))
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # of numbers that a changed model makes of good ones
                predictor = load_predictor(copy)
                predictor.predict(PAIRS if kind in RATING_KINDS else TEXTS)
        except (ModelError, DataError) as error:
            check_message(str(error), kind)
            return "refused"
        finally:
            shutil.rmtree(copy)
        return "accepted"
