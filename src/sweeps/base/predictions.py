"""A trial's own predictions, kept in its folder beside its log."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from sweeps.base.reporting import current_trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

PARTS = ("val", "test")
FOLDER = "predictions"
"""Of a trial's folder, and of its run's artifacts."""
_MOST_ROWS = 50_000  # of one model's predictions: 200,000 would cost a k-NN trial on a million ratings a third more
_SEED = 42  # of the sample of more


@dataclass(frozen=True)
class Predictions:
    """What a model predicted of one part, or of one fold of it.

    Attributes:
        part: `val` or `test`.
        y_true: the truth, shape (n,); numbers or texts.
        y_pred: the predictions, shape (n,).
        groups: of the rows, shape (n,); None where each stands for itself.
        is_sample: whether there were more rows.
        repeat: the same rows are in folds of each repeat, from 0 on.
    """

    part: str
    y_true: np.ndarray
    y_pred: np.ndarray
    groups: np.ndarray | None = None
    is_sample: bool = False
    repeat: int = 0


def read_predictions(folder: Path) -> list[Predictions]:
    """The predictions in a folder: `val` in the order of the calls, then `test`; none if a file is damaged."""
    found = []
    for part in PARTS:
        for file in sorted(folder.glob(f"{part}-*.npz"), key=lambda file: (len(file.name), file.name)):
            try:
                found.append(_read(file, part))
            except (OSError, ValueError, LookupError, EOFError, BadZipFile, zlib.error):
                return []  # a part of them would be taken for all
    return found


def _read(file: Path, part: str) -> Predictions:
    import numpy as np

    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:  # numpy would leave it open
        truth, predicted, groups = arrays["y_true"], arrays["y_pred"], arrays.get("groups")
        return Predictions(part, truth, predicted, groups, "is_sample" in arrays, int(arrays.get("repeat", 0)))


def log_predictions(part: str, y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None = None) -> None:
    """Keep what the running trial's model predicts, as evidence for the comparison of models.

    They are written to `predictions/<part>-<call>.npz` in the trial's folder, as the arrays `y_true`, `y_pred` and
    `groups`, and go into MLflow with the winner. A trial that fails keeps none; above 200 MB in a study those of the
    worst trials are removed. Outside of a sweep it checks its arguments and keeps nothing.

    Args:
        part: `val`, once for each fold, or `test`.
        y_true: the truth, one row each; numbers or texts.
        y_pred: the predictions, as many.
        groups: rows of one group are not independent, such as those of one user; as many, or None.

    Raises:
        ValueError: another part, lengths that differ, no rows, or values that are neither numbers nor texts.

    >>> log_predictions("test", [1, 0, 1], [1, 0, 0])
    """
    if part not in PARTS:
        raise ValueError(f"sweeps.log_predictions: part must be val or test; it is {part!r}.")
    arrays = _arrays(y_true, y_pred, groups)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"sweeps.log_predictions: the arrays must have the same number of rows, at least 1: {listed}.")
    if (trial := current_trial()) is not None:
        _keep(trial.folder / FOLDER, part, arrays)


def keep_predictions(predictions: Sequence[Predictions], folder: Path | None = None) -> None:
    """Keep what a task's trial predicts, as `log_predictions` does; of more than 50,000 rows a fixed sample.

    Args:
        predictions: of each fold, and of the test part; none for a task that gives none.
        folder: where; None for that of the running trial, if there is one.
    """
    import numpy as np

    if folder is None:
        trial = current_trial()
        if trial is None:
            return
        folder = trial.folder / FOLDER
    n_rows = sum(len(one.y_true) for one in predictions)
    rng = np.random.default_rng(_SEED)
    for one in predictions:
        arrays = _arrays(one.y_true, one.y_pred, one.groups)
        if n_rows > _MOST_ROWS:
            size = max(1, len(one.y_true) * _MOST_ROWS // n_rows)
            rows = ((np.arange(size) + rng.random(size)) * (len(one.y_true) / size)).astype(np.int64)  # one of each run
            arrays = {name: array[rows] for name, array in arrays.items()} | {"is_sample": np.array(True)}
        if one.repeat:
            arrays["repeat"] = np.array(one.repeat)
        if arrays["y_pred"].dtype == np.float64:
            arrays["y_pred"] = arrays["y_pred"].astype(np.float32)  # noise to the eighth digit, half the time and space
        _keep(folder, one.part, arrays)


def _arrays(y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None) -> dict[str, np.ndarray]:
    given = {"y_true": y_true, "y_pred": y_pred, **({} if groups is None else {"groups": groups})}
    return {name: _array(name, values) for name, values in given.items()}


def _keep(folder: Path, part: str, arrays: Mapping[str, np.ndarray]) -> None:
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    call = sum(1 for _ in folder.glob(f"{part}-*.npz"))
    # As `np.savez_compressed`, whose level 6 takes thrice as long.
    with ZipFile(folder / f"{part}-{call}.npz", "w", ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _array(name: str, values: Any) -> np.ndarray:
    import numpy as np

    array = np.asarray(values)
    if array.dtype == object:
        array = np.asarray(array.tolist())  # texts in a frame are objects
    if array.ndim != 1 or array.dtype.kind not in "biufUS":
        raise ValueError(
            f"sweeps.log_predictions: {name} must be numbers or texts, one a row; it has the shape {array.shape} and "
            f"the type {array.dtype}."
        )
    return array
