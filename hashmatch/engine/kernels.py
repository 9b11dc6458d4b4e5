"""How functions over arrays are compiled."""

from __future__ import annotations

from typing import Any

import numba

__all__ = ["kernel"]


def kernel(function: Any) -> Any:
    """Compiles a function when it is first called with a sort of arguments, and keeps what came of
    it on disk. It releases the GIL, and checks no bounds.
    """
    return numba.njit(nogil=True, cache=True)(function)
