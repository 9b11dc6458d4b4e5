"""Rows of products of small matrices, compiled for one size.

A compiler that knows neither size nor that arrays are apart checks both for each row, and keeps
what it adds up in memory: for thirty-two columns that is four fifths of the time. Here sums stay in
registers. They are added in the order of the terms, so that all processors give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["row_product"]

# Numbers that are worked on at once; processors with narrower registers take several of them.
_LANES: Final = 16


def row_product(terms: int, columns: int) -> Any:
    """For kernels: a function ``(left, matrix, out, i)`` with ``out[i] = left[i] @ matrix``.

    ``left`` float32 ``[n, terms]``, ``matrix`` float32 ``[terms, columns]``, ``out`` float32 ``[n,
    columns]``, all of them C-contiguous; ``columns`` is a multiple of 16. Checks no bounds.
    """
    if columns % _LANES:
        raise ValueError(f"{columns} columns; a multiple of {_LANES} is needed")

    def product(_: Any, left: Any, matrix: Any, out: Any, i: Any) -> Any:
        arrays = left, matrix, out
        if any(not _is_plain(each) for each in arrays):
            return None  # Numba tells the caller which types there is no version for.

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            made = zip(signature.args[:3], arguments[:3], strict=True)
            data = [context.make_array(kind)(context, builder, each).data for kind, each in made]
            _generate(builder, data, arguments[3], terms, columns)
            return context.get_dummy_value()

        return types.none(left, matrix, out, i), generate

    made: Callable[..., Any] = intrinsic(product)
    return made


def _is_plain(kind: Any) -> bool:
    return (
        isinstance(kind, types.Array)
        and kind.dtype == types.float32
        and kind.ndim == 2
        and kind.layout == "C"
    )


def _generate(builder: Any, data: list[Any], i: Any, terms: int, columns: int) -> None:
    number, index = ir.FloatType(), ir.IntType(64)
    vector = ir.VectorType(number, _LANES)
    spread = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
    unset = ir.Constant(vector, ir.Undefined)
    left = builder.gep(data[0], [builder.mul(i, index(terms))])
    out = builder.gep(data[2], [builder.mul(i, index(columns))])

    def at(place: Any, first: int) -> Any:
        return builder.bitcast(builder.gep(place, [index(first)]), vector.as_pointer())

    sums = [ir.Constant(vector, [0.0] * _LANES) for _ in range(columns // _LANES)]
    for term in range(terms):
        weight = builder.load(builder.gep(left, [index(term)]))
        weights = builder.insert_element(unset, weight, ir.IntType(32)(0))
        weights = builder.shuffle_vector(weights, unset, spread)
        for part, total in enumerate(sums):
            values = builder.load(at(data[1], term * columns + part * _LANES))
            values.align = 4
            sums[part] = builder.fadd(total, builder.fmul(weights, values))
    for part, total in enumerate(sums):
        builder.store(total, at(out, part * _LANES)).align = 4
