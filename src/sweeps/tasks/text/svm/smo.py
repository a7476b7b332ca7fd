"""The dual problem of a two-class C-SVM on sparse rows, solved step by step as LIBSVM does, in compiled loops.

Sequential minimal optimisation with second-order working sets (Fan, Chen and Lin, JMLR 6, 2005) and LIBSVM's shrinking
(Chang and Lin, "LIBSVM: a library for support vector machines", ACM TIST 2, 2011, sections 4 and 5). With K the kernel,
y the signs and a the unknowns:

    minimise 1/2 sum_ij a_i a_j y_i y_j K_ij - sum_i a_i   with   sum_i y_i a_i = 0,   0 <= a_i <= C_i

LIBSVM keeps its kernel as 4-byte floats and all else as doubles; so does this, and it does every sum in LIBSVM's order.
Gradients are kept multiplied by y, which changes signs only. So the result is LIBSVM's to the last bit wherever the
kernel's values are. What is faster is the kernel: a row of dot products is summed up along the columns of the matrix,
not merged from two rows at a time; and the passes over all unknowns, which the compiler turns into vector instructions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.text.svm.kept_rows import KeptRows, in_order, keep_in, kept_row, note_swap, room_for_swaps
from sweeps.tasks.text.svm.sparse_kernels import Kernel, SparseRows, kernel_diagonal

_INFINITY = np.inf
_TINY = 1e-12  # stands for a curvature that is not positive
_LANES = 128  # maxima are sought side by side, as each comparison in one search waits for the one before it


class _Peaks(NamedTuple):
    """For each lane, the largest value in it."""

    values: np.ndarray  # shape (_LANES,)
    starts: np.ndarray  # place of lane 0 when the last of the largest was met


class _State(NamedTuple):
    """Of the unknown at each place; shrinking moves places."""

    row: np.ndarray
    sign: np.ndarray
    bound: np.ndarray
    alpha: np.ndarray
    gradient: np.ndarray  # times sign
    up: np.ndarray  # whether sign * alpha may grow
    low: np.ndarray  # whether it may fall
    at_bounds: np.ndarray  # the gradient's part by unknowns at their upper bound, times sign
    curvature: np.ndarray  # the kernel's diagonal


@kernel
def solve(
    rows: SparseRows,
    of: Kernel,
    signs: np.ndarray,
    bounds: np.ndarray,
    tolerance: float,
    shrinking: bool,
    max_iterations: int,
    store: np.ndarray,
) -> tuple[np.ndarray, float, int, bool]:
    """Solve the dual problem.

    Args:
        rows: n of them.
        of: the kernel.
        signs: 1.0 or -1.0, float64, shape (n,).
        bounds: C of each row, float64, shape (n,).
        tolerance: largest violation of the optimality conditions at the end.
        shrinking: leave rows out that are likely to stay at a bound.
        max_iterations: -1 for no limit.
        store: room for rows of the kernel, float32, shape (n_kept, n); where it is full, rows are computed again.

    Returns:
        a_i * y_i of each row, shape (n,); the offset rho; the iterations; whether `max_iterations` ended them.
    """
    n = signs.size
    kept, state = keep_in(store), _start(rows, of, signs, bounds)
    of_rows, rows = rows, in_order(rows, state.row)
    peaks = _Peaks(np.empty(_LANES), np.empty(_LANES, np.int64))
    active, is_unshrunk, ended_early = n, False, False
    iteration, countdown = 0, min(n, 1000) + 1
    while True:
        if max_iterations != -1 and iteration >= max_iterations:
            ended_early = True
            break
        countdown -= 1
        if countdown == 0:
            countdown = min(n, 1000)
            if shrinking:
                n_swaps = room_for_swaps(kept)
                active, is_unshrunk = _shrink(active, is_unshrunk, tolerance, state, kept, of, rows)
                if kept.n_swaps[0] > n_swaps:
                    rows = in_order(of_rows, state.row)
        i, j = _working_set(active, tolerance, state, kept, of, rows, peaks)
        if j < 0:
            _reconstruct(active, state, kept, of, rows)
            active = n
            i, j = _working_set(active, tolerance, state, kept, of, rows, peaks)
            if j < 0:
                break
            countdown = 1
        iteration += 1
        row_i = kept_row(i, state.row, kept, of, rows)
        row_j = kept_row(j, state.row, kept, of, rows)
        _step(i, j, active, state, row_i, row_j)
        _follow_bounds(i, state, kept, of, rows)
        _follow_bounds(j, state, kept, of, rows)
    return _by_row(state), _offset(active, state), iteration, ended_early


@kernel
def _start(rows: SparseRows, of: Kernel, signs: np.ndarray, bounds: np.ndarray) -> _State:
    """Every a_i is zero, and every row is at its own place."""
    n = signs.size
    curvature = np.array([kernel_diagonal(square, of) for square in rows.squares])
    return _State(
        np.arange(n),
        signs.copy(),
        bounds.copy(),
        np.zeros(n),
        -signs,
        signs > 0.0,
        signs < 0.0,
        np.zeros(n),
        curvature,
    )


@kernel
def _by_row(state: _State) -> np.ndarray:
    """a_i * y_i of each row."""
    result = np.empty(state.row.size)
    for place in range(state.row.size):
        result[state.row[place]] = state.alpha[place] * state.sign[place]
    return result


@kernel
def _working_set(
    active: int,
    tolerance: float,
    state: _State,
    kept: KeptRows,
    of: Kernel,
    rows: SparseRows,
    peaks: _Peaks,
) -> tuple[int, int]:
    """The places i and j to optimise, of equals the last; j = -1 where no pair violates the conditions enough."""
    _seek_up(active, state, peaks)
    largest, i = _last_largest(peaks)
    if i < 0:
        return -1, -1
    row_i = kept_row(i, state.row, kept, of, rows)
    if not _seek_gain(active, largest, tolerance, state.curvature[i], row_i, state, peaks):
        return i, -1
    _, j = _last_largest(peaks)
    return i, j


@kernel
def _seek_up(active: int, state: _State, peaks: _Peaks) -> None:
    """Where -gradient is largest among the unknowns that may grow."""
    values, starts = peaks.values, peaks.starts
    values[:] = -_INFINITY
    for first in range(0, active, _LANES):
        last = min(first + _LANES, active)
        gradient, up = state.gradient[first:last], state.up[first:last]
        for lane in range(gradient.size):
            value = -gradient[lane] if up[lane] else -_INFINITY
            is_larger = value >= values[lane]
            values[lane] = value if is_larger else values[lane]
            starts[lane] = first if is_larger else starts[lane]


@kernel
def _seek_gain(
    active: int,
    largest: float,
    tolerance: float,
    own: float,
    row_i: np.ndarray,
    state: _State,
    peaks: _Peaks,
) -> bool:
    """Where the second-order gain is largest among the unknowns that may fall, and whether any violates enough."""
    values, starts = peaks.values, peaks.starts
    values[:] = -_INFINITY
    n_violating = 0
    for first in range(0, active, _LANES):
        last = min(first + _LANES, active)
        gradient, low, curvature = state.gradient[first:last], state.low[first:last], state.curvature[first:last]
        shared = row_i[first:last]
        for lane in range(gradient.size):
            difference = largest + gradient[lane]
            n_violating += low[lane] and difference >= tolerance
            bend = own + curvature[lane] - 2.0 * shared[lane]
            gain = difference * difference / (bend if bend > 0.0 else _TINY)
            value = gain if low[lane] and difference > 0.0 else -_INFINITY
            is_larger = value >= values[lane]
            values[lane] = value if is_larger else values[lane]
            starts[lane] = first if is_larger else starts[lane]
    return n_violating > 0


@kernel
def _last_largest(peaks: _Peaks) -> tuple[float, int]:
    """The largest value and the last place that has it; -1 where all are -inf or NaN."""
    largest, place = peaks.values.max(), -1
    if largest > -_INFINITY:
        for lane in range(_LANES):
            if peaks.values[lane] == largest:
                place = max(place, peaks.starts[lane] + lane)
    return largest, place


@kernel
def _step(i: int, j: int, active: int, state: _State, row_i: np.ndarray, row_j: np.ndarray) -> None:
    """Optimise two unknowns within their bounds, and follow in the gradient."""
    sign, gradient, alpha = state.sign, state.gradient, state.alpha
    old_i, old_j, bound_i, bound_j = alpha[i], alpha[j], state.bound[i], state.bound[j]
    bend = state.curvature[i] + state.curvature[j] - 2.0 * row_i[j]
    if bend <= 0.0:
        bend = _TINY
    if sign[i] != sign[j]:
        change = (-sign[i] * gradient[i] - sign[j] * gradient[j]) / bend
        difference = old_i - old_j
        new_i, new_j = old_i + change, old_j + change
        if difference > 0.0:
            if new_j < 0.0:
                new_i, new_j = difference, 0.0
        elif new_i < 0.0:
            new_i, new_j = 0.0, -difference
        if difference > bound_i - bound_j:
            if new_i > bound_i:
                new_i, new_j = bound_i, bound_i - difference
        elif new_j > bound_j:
            new_i, new_j = bound_j + difference, bound_j
    else:
        change = (sign[i] * gradient[i] - sign[j] * gradient[j]) / bend
        total = old_i + old_j
        new_i, new_j = old_i - change, old_j + change
        if total > bound_i:
            if new_i > bound_i:
                new_i, new_j = bound_i, total - bound_i
        elif new_j < 0.0:
            new_i, new_j = total, 0.0
        if total > bound_j:
            if new_j > bound_j:
                new_i, new_j = total - bound_j, bound_j
        elif new_i < 0.0:
            new_i, new_j = 0.0, total
    alpha[i], alpha[j] = new_i, new_j
    by_i, by_j = sign[i] * (new_i - old_i), sign[j] * (new_j - old_j)
    for place in range(active):
        gradient[place] += row_i[place] * by_i + row_j[place] * by_j


@kernel
def _follow_bounds(place: int, state: _State, kept: KeptRows, of: Kernel, rows: SparseRows) -> None:
    """Note whether an unknown reached a bound or left it."""
    positive, alpha, bound = state.sign[place] > 0.0, state.alpha[place], state.bound[place]
    was_at_top = not (state.up[place] if positive else state.low[place])
    at_top = alpha >= bound
    at_bottom = not at_top and alpha <= 0.0
    state.up[place] = not (at_top if positive else at_bottom)
    state.low[place] = not (at_bottom if positive else at_top)
    if at_top != was_at_top:
        values = kept_row(place, state.row, kept, of, rows)
        weight = state.sign[place] * bound if at_top else -state.sign[place] * bound
        for other in range(values.size):
            state.at_bounds[other] += weight * values[other]


@kernel
def _reconstruct(active: int, state: _State, kept: KeptRows, of: Kernel, rows: SparseRows) -> None:
    """Compute the gradient of the places left out, which was not followed."""
    n = state.row.size
    if active == n:
        return
    gradient = state.gradient[active:]
    gradient[:] = state.at_bounds[active:] - state.sign[active:]
    free = np.flatnonzero(state.up[:active] & state.low[:active])
    if free.size * n > 2 * active * (n - active):
        for place in range(active, n):
            values = kept_row(place, state.row, kept, of, rows)
            for other in free:
                state.gradient[place] += state.alpha[other] * state.sign[other] * values[other]
    else:
        for other in free:
            values = kept_row(int(other), state.row, kept, of, rows)
            weight, left_out = state.alpha[other] * state.sign[other], values[active:]
            for place in range(gradient.size):
                gradient[place] += weight * left_out[place]


@kernel
def _shrink(
    active: int,
    is_unshrunk: bool,
    tolerance: float,
    state: _State,
    kept: KeptRows,
    of: Kernel,
    rows: SparseRows,
) -> tuple[int, bool]:
    """Move unknowns that are likely to stay at their bound behind the active ones."""
    most_up, most_low = -_INFINITY, -_INFINITY
    for place in range(active):
        if state.up[place]:
            most_up = max(most_up, -state.gradient[place])
        if state.low[place]:
            most_low = max(most_low, state.gradient[place])
    if not is_unshrunk and most_up + most_low <= tolerance * 10.0:
        is_unshrunk = True
        _reconstruct(active, state, kept, of, rows)
        active = state.row.size
    place = 0
    while place < active:
        if _stays(place, state, most_up, most_low):
            active -= 1
            while active > place and _stays(active, state, most_up, most_low):
                active -= 1
            if active > place:
                _swap(place, active, state, kept)
        place += 1
    return active, is_unshrunk


@kernel
def _stays(place: int, state: _State, most_up: float, most_low: float) -> bool:
    if not state.up[place]:
        return bool(-state.gradient[place] > most_up)
    if not state.low[place]:
        return bool(state.gradient[place] > most_low)
    return False


@kernel
def _swap(one: int, other: int, state: _State, kept: KeptRows) -> None:
    note_swap(one, other, kept)
    state.row[one], state.row[other] = state.row[other], state.row[one]
    for numbers in (state.sign, state.bound, state.alpha, state.gradient, state.at_bounds, state.curvature):
        numbers[one], numbers[other] = numbers[other], numbers[one]
    for truths in (state.up, state.low):
        truths[one], truths[other] = truths[other], truths[one]


@kernel
def _offset(active: int, state: _State) -> float:
    n_free, total = 0, 0.0
    above, below = _INFINITY, -_INFINITY
    for place in range(active):
        if not state.low[place]:
            above = min(above, state.gradient[place])
        elif not state.up[place]:
            below = max(below, state.gradient[place])
        else:
            n_free += 1
            total += state.gradient[place]
    return total / n_free if n_free > 0 else (above + below) / 2.0
