"""Texts to fit or to predict, however they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sweeps.base.errors import DataError


def as_texts(texts: Iterable[str | None]) -> npt.NDArray[Any]:
    """Object array of strings, the empty string for a missing one.

    Raises:
        DataError: an entry is neither a string nor missing.
    """
    if isinstance(texts, list) and all(type(text) is str for text in texts):  # a frame costs more than a prediction
        return np.array(texts, dtype=object)
    series = pd.Series(texts if isinstance(texts, pd.Series) else list(texts), dtype=object)
    documents: npt.NDArray[Any] = series.mask(series.isna(), "").to_numpy(dtype=object)
    for row, document in enumerate(documents):
        if not isinstance(document, str):
            raise DataError(
                f"Row {row} of the texts (counted from 0) is of type {type(document).__name__}: {document!r}. "
                "A text or nothing is expected; convert the column with astype(str)."
            )
    return documents
