r"""The product of a layer, register by register: `UNITS` units by `LANES` pixels at a time.

.. math:: s_{u,p} = b_u + \sum_k w_{u,k}\, x_{k,p}

The sums stay in vector registers while k runs, one fused multiplication and addition a step,
always in the order of k: a pixel's sum has the same bits wherever the pixel stands, whatever the
processor's vectors and however many threads there are. OpenBLAS keeps no such order (on processors
without AVX-512 its kernels round the columns of one product differently), and for layers of this
size it is no faster.

The loop is written in LLVM's intermediate language, in which a vector of 16 numbers is one value
that LLVM maps to what registers there are; Numba has no way to say so.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES: Final = 16
"""Pixels per product."""
UNITS: Final = 8 if binding.get_host_cpu_features().get("avx512f", False) else 6
"""Units per product: with 16 vector registers of eight numbers, twelve hold the sums."""

_FLOAT: Final = ir.FloatType()
_VECTOR: Final = ir.VectorType(_FLOAT, LANES)
_INDEX: Final = ir.VectorType(ir.IntType(32), LANES)
_BYTES: Final = 4


@intrinsic
def _accumulate(
    typing: Any, weight: Any, bias: Any, x: Any, out: Any, inputs: Any, wide: Any
) -> Any:
    """Write the sums of `UNITS` units for `LANES` pixels.

    Parameters
    ----------
    weight : int
        Address of the first unit's weights; a unit's ``inputs`` weights lie side by side, and the
        units one behind the other.
    bias : int
        Address of the first unit's bias, with which its sum begins; the units lie side by side.
    x : int
        Address of the first pixel's first input; the pixels lie side by side, and the inputs
        ``wide`` numbers apart.
    out : int
        Address of the first unit's first sum; the pixels lie side by side, the units ``wide``
        numbers apart.
    inputs, wide : int
    """
    signature = types.void(*[types.intp] * 6)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weight, bias, x, out, inputs, wide = arguments
        integer = weight.type

        def constant(value: int) -> Any:
            return ir.Constant(integer, value)

        def at(address: Any, kind: Any) -> Any:
            return builder.inttoptr(address, kind.as_pointer())

        fused = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(_VECTOR, [_VECTOR] * 3),
            f"llvm.fma.v{LANES}f32",
        )
        nothing = ir.Constant(_VECTOR, ir.Undefined)

        def spread(address: Any) -> Any:
            """Load a number into all places of a vector."""
            number = builder.load(at(address, _FLOAT), align=_BYTES)
            first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(first, nothing, ir.Constant(_INDEX, [0] * LANES))

        row = builder.mul(inputs, constant(_BYTES))
        stride = builder.mul(wide, constant(_BYTES))
        begin = [spread(builder.add(bias, constant(_BYTES * unit))) for unit in range(UNITS)]
        entry = builder.block
        loop, done = builder.append_basic_block("inputs"), builder.append_basic_block("done")
        builder.branch(loop)

        builder.position_at_end(loop)
        number, place = builder.phi(integer), builder.phi(integer)
        sums = [builder.phi(_VECTOR) for _ in range(UNITS)]
        last = []
        number.add_incoming(constant(0), entry)
        place.add_incoming(x, entry)
        pixels = builder.load(at(place, _VECTOR), align=_BYTES)
        offset = builder.mul(number, constant(_BYTES))
        for unit, before in enumerate(sums):
            start = builder.add(weight, builder.mul(row, constant(unit)))
            after = builder.call(fused, [spread(builder.add(start, offset)), pixels, before])
            before.add_incoming(begin[unit], entry)
            before.add_incoming(after, loop)
            last.append(after)
        following = builder.add(number, constant(1))
        number.add_incoming(following, loop)
        place.add_incoming(builder.add(place, stride), loop)
        builder.cbranch(builder.icmp_signed("<", following, inputs), loop, done)

        builder.position_at_end(done)
        for unit, total in enumerate(last):
            target = builder.add(out, builder.mul(stride, constant(unit)))
            builder.store(total, at(target, _VECTOR), align=_BYTES)
        return context.get_dummy_value()

    return signature, generate


accumulate: Any = _accumulate
"""As kernels call it: without the typing context."""
