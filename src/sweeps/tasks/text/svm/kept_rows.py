"""Rows of the kernel that the solver keeps, in the order of its places, which shrinking swaps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sweeps.base.jit import kernel
from sweeps.tasks.text.svm.sparse_kernels import Kernel, SparseRows, kernel_floats

_SWAPS = 4  # times n of them are noted


class KeptRows(NamedTuple):
    """Rows of the kernel that were computed, and the store's bookkeeping.

    Values are in the order of places. A row follows the swaps of places when it is next needed.
    """

    values: np.ndarray  # float32, shape (n_kept, n)
    slot_of: np.ndarray  # of each row, -1 where it is not kept
    owner_of: np.ndarray  # of each slot, -1 where it is empty
    is_used: np.ndarray  # of each slot, since `next_slot` went past it
    next_slot: np.ndarray  # one number
    last_slot: np.ndarray  # one number: where the row is that was asked for last
    swaps: np.ndarray  # pairs of places; n / 2 of them at most come at once
    n_swaps: np.ndarray  # one number
    n_followed: np.ndarray  # of each slot
    scratch: np.ndarray  # float64, shape (n,)


@kernel
def keep_in(store: np.ndarray) -> KeptRows:
    """No rows as yet; `store` has room for some, float32, shape (n_kept, n)."""
    n_kept, n = store.shape
    return KeptRows(
        store,
        np.full(n, -1),
        np.full(n_kept, -1),
        np.zeros(n_kept, np.bool_),
        np.zeros(1, np.int64),
        np.full(1, -1),
        np.empty((_SWAPS * n, 2), np.uint32),
        np.zeros(1, np.int64),
        np.zeros(n_kept, np.int64),
        np.empty(n),
    )


@kernel
def in_order(rows: SparseRows, row_at: np.ndarray) -> SparseRows:
    """The same rows, but with columns and squares by place; `row_at` is the row at each place, shape (n,)."""
    place_of = np.empty(row_at.size, np.uint32)
    for place in range(row_at.size):
        place_of[row_at[place]] = place
    return SparseRows(
        rows.starts,
        rows.ids,
        rows.values,
        rows.column_starts,
        place_of[rows.column_rows],
        rows.column_values,
        rows.squares[row_at],
    )


@kernel
def kept_row(place: int, row_at: np.ndarray, kept: KeptRows, of: Kernel, rows: SparseRows) -> np.ndarray:
    """Kernel values of the unknown at a place with those at all places, good until the next but one are asked for.

    They are computed if need be, where a row was that has not been used lately.
    """
    row = row_at[place]
    slot = kept.slot_of[row]
    if slot < 0:
        slot = kept.next_slot[0]
        while kept.is_used[slot] or slot == kept.last_slot[0]:
            kept.is_used[slot] = False
            slot = (slot + 1) % kept.is_used.size
        kept.next_slot[0] = (slot + 1) % kept.is_used.size
        if kept.owner_of[slot] >= 0:
            kept.slot_of[kept.owner_of[slot]] = -1
        kept.owner_of[slot], kept.slot_of[row] = row, slot
        first, last = rows.starts[row], rows.starts[row + 1]
        kernel_floats(
            rows.ids[first:last],
            rows.values[first:last],
            rows.squares[place],
            of,
            rows,
            kept.scratch,
            kept.values[slot],
        )
    else:
        values = kept.values[slot]
        for one, other in kept.swaps[kept.n_followed[slot] : kept.n_swaps[0]]:
            values[one], values[other] = values[other], values[one]
    kept.n_followed[slot] = kept.n_swaps[0]
    kept.is_used[slot], kept.last_slot[0] = True, slot
    found: np.ndarray = kept.values[slot]
    return found


@kernel
def room_for_swaps(kept: KeptRows) -> int:
    """Start the list of swaps anew where it might become too long, without the rows that have not followed them all."""
    if kept.n_swaps[0] + kept.slot_of.size // 2 > len(kept.swaps):
        for slot in range(kept.owner_of.size):
            if kept.owner_of[slot] >= 0 and kept.n_followed[slot] < kept.n_swaps[0]:
                kept.slot_of[kept.owner_of[slot]], kept.owner_of[slot] = -1, -1
                kept.is_used[slot] = False
        kept.n_followed[:] = 0
        kept.n_swaps[0] = 0
    n_swaps: int = kept.n_swaps[0]
    return n_swaps


@kernel
def note_swap(one: int, other: int, kept: KeptRows) -> None:
    """Two unknowns have changed places."""
    swap = kept.n_swaps[0]
    kept.swaps[swap, 0], kept.swaps[swap, 1] = one, other
    kept.n_swaps[0] += 1
