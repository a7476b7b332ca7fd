"""Dataclasses as named arrays and back: what a file of arrays can hold of a computed result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

_T = TypeVar("_T")
_SPARSE = {kind.__name__: kind for kind in (sparse.csr_matrix, sparse.csr_array)}


def pack(value: Any) -> dict[str, np.ndarray] | None:
    """The fields of a dataclass as arrays, by name; None where one of them is neither array, CSR matrix nor scalar.

    A CSR matrix is three arrays and its shape, `field:type.part`.
    """
    arrays: dict[str, np.ndarray] = {}
    for field in fields(value):
        content = getattr(value, field.name)
        kind = type(content)
        if _SPARSE.get(kind.__name__) is kind:
            parts = {name: getattr(content, name) for name in ("data", "indices", "indptr")}
            parts["shape"] = np.array(content.shape, np.int64)
            arrays |= {f"{field.name}:{kind.__name__}.{name}": part for name, part in parts.items()}
        elif kind is np.ndarray or kind in (bool, int, float, str):
            arrays[field.name] = np.asarray(content)
        else:
            return None
    if any(array.dtype.hasobject or not array.flags.c_contiguous for array in arrays.values()):
        return None
    return arrays


def unpack(kind: type[_T], arrays: Mapping[str, np.ndarray]) -> _T:
    """The dataclass that `pack` was given, with the arrays as they are.

    Raises:
        ValueError, TypeError, KeyError: these are not the arrays of this dataclass.
    """
    values: dict[str, Any] = {}
    for name, array in arrays.items():
        field, _, rest = name.partition(":")
        if not rest:
            values[field] = array if array.ndim else array.item()
            continue
        kind_name, _, part = rest.partition(".")
        if part == "shape":
            matrix = _SPARSE[kind_name](tuple(array.tolist()), dtype=arrays[f"{field}:{kind_name}.data"].dtype)
            for own in ("data", "indices", "indptr"):  # as they are: the constructor would choose an index type anew
                setattr(matrix, own, arrays[f"{field}:{kind_name}.{own}"])
            values[field] = matrix
    return kind(**values)
