"""Kernels of sparse rows, a whole row of values at a time.

Dot products are summed up along the columns of the matrix, each in the order of ascending columns, as LIBSVM does when
it merges two rows: the floats are the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sweeps.models.knn_jit import kernel

LINEAR, RBF, POLY, SIGMOID = range(4)


class SparseRows(NamedTuple):
    """Rows to compute kernels of.

    Attributes:
        starts, ids, values: CSR with ascending ids: int32, int32, float64.
        column_starts, column_rows, column_values: the same as CSC.
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
def kernel_row(
    ids: np.ndarray, values: np.ndarray, square: float, of: Kernel, rows: SparseRows, out: np.ndarray
) -> None:
    """Kernel values of one sparse row with all `rows`, float64, written to `out`, shape (n,)."""
    out[:] = 0.0
    for place in range(ids.size):
        value, column = values[place], ids[place]
        for at in range(rows.column_starts[column], rows.column_starts[column + 1]):
            out[rows.column_rows[at]] += value * rows.column_values[at]
    if of.code == RBF:
        for other in range(out.size):
            out[other] = math.exp(-of.gamma * (square + rows.squares[other] - 2.0 * out[other]))
    elif of.code == POLY:
        for other in range(out.size):
            out[other] = _power(of.gamma * out[other] + of.coef0, of.degree)
    elif of.code == SIGMOID:
        for other in range(out.size):
            out[other] = math.tanh(of.gamma * out[other] + of.coef0)


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
    starts: np.ndarray,
    ids: np.ndarray,
    values: np.ndarray,
    squares: np.ndarray,
    of: Kernel,
    support: SparseRows,
    coefficients: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Decision values of CSR rows, one for each pair of classes.

    Args:
        starts, ids, values, squares: of the m rows.
        of: the kernel.
        support: the n support vectors.
        coefficients: a_i * y_i of each in each pair's problem, 0 where it is not in it; shape (n, n_pairs).
        offsets: rho of each pair, shape (n_pairs,).

    Returns:
        float64, shape (m, n_pairs).
    """
    found = np.zeros((squares.size, offsets.size))
    row = np.empty(support.squares.size)
    for one in range(squares.size):
        first, last = starts[one], starts[one + 1]
        kernel_row(ids[first:last], values[first:last], squares[one], of, support, row)
        for vector in range(row.size):
            for pair in range(offsets.size):
                found[one, pair] += coefficients[vector, pair] * row[vector]
        found[one] -= offsets
    return found
