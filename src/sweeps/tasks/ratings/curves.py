"""Figures for the runs of a sweep."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# At its first import on a machine it logs that it has listed the fonts, which is nothing to a user.
logging.getLogger("matplotlib").setLevel(logging.WARNING)


def draw_curves(lines: Mapping[str, np.ndarray], xs: Sequence[float], x_label: str, y_label: str) -> Figure:
    """Several lines over the same logarithmic x axis, each with its lowest point marked.

    Args:
        lines: by name, values of shape (len(xs),), NaN where a line has none.
        xs: positive, ascending.
        x_label: what x is.
        y_label: what y is.
    """
    from matplotlib.figure import Figure  # it is slow to import, and only plots need it

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, ys in lines.items():
        lowest = int(np.nanargmin(ys))
        (line,) = axes.plot(xs, ys, label=f"{name}: {ys[lowest]:.4f} at {xs[lowest]:g}")
        axes.plot(xs[lowest], ys[lowest], "o", color=line.get_color())
    axes.set_xscale("log")
    axes.set_xticks(xs[::2], [f"{x:g}" for x in xs[::2]])
    axes.minorticks_off()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
