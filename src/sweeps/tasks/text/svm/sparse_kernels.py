"""Kernels of sparse rows, a whole row of values at a time.

Dot products are summed up along the columns of the matrix, each in the order of ascending columns, as LIBSVM does when
it merges two rows: the floats are the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sweeps.base.jit import kernel

LINEAR, RBF, POLY, SIGMOID = range(4)

_BLOCK = 128  # values of exp: where one of them needs libm's, all of them get it
_FAR = 700.0  # beyond, exp comes near infinity or the subnormal numbers, which `_exp` knows nothing of
_BEYOND_FLOATS = 200.0  # beyond, exp is infinity or 0 as a float32
_EXP_ERROR = 1e-14  # relative, more than that of `_exp` and that of libm together
_LOG2_HIGH = float.fromhex("0x1.62e42feep-1")  # so few bits that its product with a double's exponent is exact
_LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")  # log(2) - _LOG2_HIGH
_PER_LOG2 = 1.0 / math.log(2.0)
_TO_WHOLE = 1.5 * 2.0**52  # added to a double, it leaves the nearest whole number in the lowest bits
_TAYLOR = tuple(1.0 / math.factorial(degree) for degree in range(12))


class SparseRows(NamedTuple):
    """Rows to compute kernels of.

    Attributes:
        starts, ids, values: CSR with ascending ids: int32, int32, float64.
        column_starts, column_rows, column_values: the same as CSC: int32, uint32, float64.
        squares: each row's dot product with itself, float64, shape (n,).
    """

    starts: np.ndarray
    ids: np.ndarray
    values: np.ndarray
    column_starts: np.ndarray
    column_rows: np.ndarray
    column_values: np.ndarray
    squares: np.ndarray


class Kernel(NamedTuple):
    """LINEAR, RBF, POLY or SIGMOID, and scikit-learn's parameters of it."""

    code: int
    gamma: float
    coef0: float
    degree: int


@kernel
def kernel_floats(
    ids: np.ndarray,
    values: np.ndarray,
    square: float,
    of: Kernel,
    rows: SparseRows,
    scratch: np.ndarray,
    out: np.ndarray,
) -> None:
    """Kernel values of one sparse row with all `rows`, as LIBSVM rounds them to float32, written to `out`, shape (n,).

    `scratch` is float64, shape (n,).
    """
    if of.code != RBF:
        kernel_row(ids, values, square, of, rows, scratch)
        for other in range(out.size):
            out[other] = scratch[other]
        return
    _dot_products(ids, values, rows, scratch)
    for first in range(0, out.size, _BLOCK):
        part, squares = scratch[first : first + _BLOCK], rows.squares[first : first + _BLOCK]
        floats = out[first : first + _BLOCK]
        n_unsure = 0
        for place in range(part.size):
            part[place] = -of.gamma * (square + squares[place] - 2.0 * part[place])
            power = -_BEYOND_FLOATS if part[place] < -_BEYOND_FLOATS else part[place]
            value = _exp(_BEYOND_FLOATS if power > _BEYOND_FLOATS else power)
            floats[place] = value * (1.0 + _EXP_ERROR)
            n_unsure += floats[place] != np.float32(value * (1.0 - _EXP_ERROR))
        if n_unsure > 0:
            for place in range(part.size):
                floats[place] = math.exp(part[place])


@kernel
def kernel_row(
    ids: np.ndarray, values: np.ndarray, square: float, of: Kernel, rows: SparseRows, out: np.ndarray
) -> None:
    """Kernel values of one sparse row with all `rows`, float64, written to `out`, shape (n,)."""
    _dot_products(ids, values, rows, out)
    if of.code == RBF:
        for first in range(0, out.size, _BLOCK):
            part, squares = out[first : first + _BLOCK], rows.squares[first : first + _BLOCK]
            n_far = 0
            for place in range(part.size):
                part[place] = -of.gamma * (square + squares[place] - 2.0 * part[place])
                n_far += not abs(part[place]) < _FAR
            if n_far > 0:
                for place in range(part.size):
                    part[place] = math.exp(part[place])
            else:
                for place in range(part.size):
                    part[place] = _exp(part[place])
    elif of.code == POLY:
        for other in range(out.size):
            out[other] = _power(of.gamma * out[other] + of.coef0, of.degree)
    elif of.code == SIGMOID:
        for other in range(out.size):
            out[other] = math.tanh(of.gamma * out[other] + of.coef0)


@kernel
def _dot_products(ids: np.ndarray, values: np.ndarray, rows: SparseRows, out: np.ndarray) -> None:
    """Dot products of one sparse row with all `rows`, written to `out`."""
    out[:] = 0.0
    for place in range(ids.size):
        value, first, last = values[place], rows.column_starts[ids[place]], rows.column_starts[ids[place] + 1]
        column_rows, column_values = rows.column_rows[first:last], rows.column_values[first:last]
        for at in range(column_rows.size):
            out[column_rows[at]] += value * column_values[at]


@kernel
def _exp(power: float) -> float:
    """exp of a number between -700 and 700, off by less than 7e-15 of itself, and without a branch or a call.

    exp(x) = 2^k exp(r) where k = round(x / log 2); |r| <= log(2) / 2, so r^12 / 12! is below 7e-15.
    """
    shifted = power * _PER_LOG2 + _TO_WHOLE
    whole = shifted - _TO_WHOLE
    rest = (power - whole * _LOG2_HIGH) - whole * _LOG2_LOW
    square = rest * rest
    fourth = square * square
    low = (_TAYLOR[2] + _TAYLOR[3] * rest) + (_TAYLOR[4] + _TAYLOR[5] * rest) * square
    middle = (_TAYLOR[6] + _TAYLOR[7] * rest) + (_TAYLOR[8] + _TAYLOR[9] * rest) * square
    high = _TAYLOR[10] + _TAYLOR[11] * rest
    scaled = 1.0 + (rest + square * (low + fourth * (middle + fourth * high)))
    exponent = np.float64(shifted).view(np.int64) + 1023  # a double's sign is its highest bit, its mantissa the low 52
    return scaled * np.int64(exponent << 52).view(np.float64)


@kernel
def _power(base: float, times: int) -> float:
    result = 1.0
    while times > 0:
        if times % 2 == 1:
            result *= base
        base *= base
        times //= 2
    return result


@kernel
def kernel_diagonal(square: float, of: Kernel) -> float:
    """The kernel's value of a row with itself; `square` is their dot product."""
    if of.code == RBF:
        return math.exp(-of.gamma * (square + square - 2.0 * square))
    if of.code == POLY:
        return _power(of.gamma * square + of.coef0, of.degree)
    if of.code == SIGMOID:
        return math.tanh(of.gamma * square + of.coef0)
    return square


@kernel
def squares_of(starts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The dot product of each CSR row with itself, float64, shape (n,)."""
    squares = np.zeros(starts.size - 1)
    for row in range(squares.size):
        for place in range(starts[row], starts[row + 1]):
            squares[row] += values[place] * values[place]
    return squares


@kernel
def decision_values(
    rows: SparseRows, of: Kernel, support: SparseRows, coefficients: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Decision values of sparse rows, one for each pair of classes.

    Args:
        rows: m of them.
        of: the kernel.
        support: the n support vectors.
        coefficients: a_i * y_i of each in each pair's problem, 0 where it is not in it; shape (n, n_pairs).
        offsets: rho of each pair, shape (n_pairs,).

    Returns:
        float64, shape (m, n_pairs).
    """
    found = np.zeros((offsets.size, rows.squares.size))
    values = np.empty(rows.squares.size)
    for vector in range(support.squares.size):
        first, last = support.starts[vector], support.starts[vector + 1]
        kernel_row(support.ids[first:last], support.values[first:last], support.squares[vector], of, rows, values)
        for pair in range(offsets.size):
            coefficient, sums = coefficients[vector, pair], found[pair]
            if coefficient != 0.0:
                for row in range(values.size):
                    sums[row] += coefficient * values[row]
    for pair in range(offsets.size):
        found[pair] -= offsets[pair]
    return found.T
