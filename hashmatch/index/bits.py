"""Digests as words, and the bits that differ between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["Hits", "popcount", "prefetch", "to_words"]

_WORD_BYTES: Final = 8

# (query_index int64[k], digest_index int64[k], distance int64[k]), ordered by query, then digest.
Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def to_words(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Digests uint8 ``[n, width]`` as uint64 ``[n, ceil(width / 8)]``, filled up with zeros.

    Distances between digests of one width are those between their words. A view, where nothing
    has to be filled up.
    """
    count, width = digests.shape
    if width % _WORD_BYTES == 0:
        return np.ascontiguousarray(digests).view(np.uint64)
    words = -(-width // _WORD_BYTES)
    padded = np.zeros((count, words * _WORD_BYTES), np.uint8)
    padded[:, :width] = digests
    return padded.view(np.uint64)


def _popcount(_: Any, value: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return value(value), generate


def _prefetch(_: Any, array: Any, row: Any, column: Any) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        made = context.make_array(kind)(context, builder, arguments[0])
        tools: Any = cgutils  # Has no types.
        place = tools.get_item_pointer(context, builder, kind, made, list(arguments[1:]))
        address, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        returns = ir.FunctionType(ir.VoidType(), [address, number, number, number])
        function = tools.get_or_insert_function(builder.module, returns, "llvm.prefetch.p0")
        # To be read; kept in all caches; data. Source: LLVM Language Reference.
        how = [number(0), number(3), number(1)]
        builder.call(function, [builder.bitcast(place, address), *how])
        return context.get_dummy_value()

    return types.none(array, row, column), generate


# For kernels: bits set in an integer, of its own type, by the processor's instruction.
popcount: Any = intrinsic(_popcount)

# For kernels: begins to bring ``array[row, column]`` into the cache, and does not wait for it; row
# and column are int64.
prefetch: Any = intrinsic(_prefetch)
