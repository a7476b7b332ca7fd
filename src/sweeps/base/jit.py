"""How compiled loops are compiled: one place for numba's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

_P = ParamSpec("_P")
_R = TypeVar("_R")


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile a function with numba: without the GIL, kept on disk after the first use on a machine.

    Never with `fastmath`: the kernels promise the floats that the written order of operations gives, as C does.
    A division by zero gives inf or NaN as in numpy; kernels that must refuse it look at the divisor.

    Args:
        function: of arrays, scalars and named tuples of them.
    """
    try:
        compiled = njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba found no folder that it may write the machine code to
        compiled = njit(nogil=True, error_model="numpy")(function)
    return cast(Callable[_P, _R], compiled)
