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

from hashmatch.engine.kernels import kernel

__all__ = [
    "USUAL_WORDS",
    "Hits",
    "collect",
    "differing",
    "frozen",
    "popcount",
    "prefetch",
    "put",
    "to_words",
]

_WORD_BYTES: Final = 8

# Words of the digests that most searches are for: PDQ's 256 bits. Written out, comparing them takes
# a quarter of the time.
USUAL_WORDS: Final = 4

# (query_index int64[k], digest_index int64[k], distance int64[k]), ordered by query, then digest.
Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def to_words(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Digests uint8 ``[n, width]`` as uint64 ``[n, ceil(width / 8)]``, filled up with zeros.

    Distances between digests of one width are those between their words. A view, where nothing
    has to be filled up; `frozen` in any case.
    """
    count, width = digests.shape
    if width % _WORD_BYTES == 0:
        return frozen(np.ascontiguousarray(digests).view(np.uint64))
    words = -(-width // _WORD_BYTES)
    padded = np.zeros((count, words * _WORD_BYTES), np.uint8)
    padded[:, :width] = digests
    return frozen(padded.view(np.uint64))


def frozen(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written to, as what is mapped from a file cannot: kernels are compiled
    once for both.
    """
    view = column.view()
    view.flags.writeable = False
    return view


def collect(search: Callable[[npt.NDArray[np.int64]], int], digests: int) -> Hits:
    """Runs a kernel that writes as many pairs as fit into an array int64 ``[3, capacity]`` and says
    how many there are; once more, if there were more. Puts them in order. ``digests`` is how many
    there are to be found.
    """
    capacity = 1024
    while True:
        out = np.empty((3, capacity), np.int64)
        found = int(search(out))
        if found <= capacity:
            break
        capacity = found
    out = out[:, :found]
    place = out[0] * digests + out[1]
    if (place[1:] < place[:-1]).any():
        out = out[:, np.argsort(place)]
    return out[0], out[1], out[2]


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


@kernel
def differing(query, digests, row):  # type: ignore[no-untyped-def]
    """For kernels: the bits by which a digest differs from a query of as many words."""
    if query.shape[0] == USUAL_WORDS:
        return np.int64(
            popcount(query[0] ^ digests[row, 0])
            + popcount(query[1] ^ digests[row, 1])
            + popcount(query[2] ^ digests[row, 2])
            + popcount(query[3] ^ digests[row, 3])
        )
    distance = np.int64(0)
    for w in range(query.shape[0]):
        distance += np.int64(popcount(query[w] ^ digests[row, w]))
    return distance


@kernel
def put(out, found, query, digest, distance):  # type: ignore[no-untyped-def]
    """For kernels: writes a pair after the first ``found``, if it fits; returns how many there are
    by then. See `collect`.
    """
    if found < out.shape[1]:
        out[0, found] = query
        out[1, found] = digest
        out[2, found] = distance
    return found + 1
