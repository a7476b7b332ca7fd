"""A trial's own predictions, kept in its folder beside its log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.base.reporting import current_trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

PARTS = ("val", "test")


def predictions_of(folder: Path) -> Sequence[Path]:
    """The files of predictions in a trial's folder, those of a part in the order that they were written in."""
    return sorted((folder / "predictions").glob("*.npz"), key=lambda file: (len(file.name), file.name))


def log_predictions(part: str, y_true: ArrayLike, y_pred: ArrayLike, groups: ArrayLike | None = None) -> None:
    """Keep what the running trial's model predicts, as evidence for the comparison of models.

    They are written to `predictions/<part>-<call>.npz` in the trial's folder, as the arrays `y_true`, `y_pred` and
    `groups`, and go into MLflow with the winner. Outside of a sweep it checks its arguments and keeps nothing.

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
    given = {"y_true": y_true, "y_pred": y_pred, **({} if groups is None else {"groups": groups})}
    arrays = {name: _array(name, values) for name, values in given.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"sweeps.log_predictions: the arrays must have the same number of rows, at least 1: {listed}.")
    trial = current_trial()
    if trial is None:
        return
    import numpy as np

    folder = trial.folder / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    call = sum(1 for _ in folder.glob(f"{part}-*.npz"))
    np.savez_compressed(folder / f"{part}-{call}.npz", **arrays)  # type: ignore[arg-type]  # arrays by name


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
