"""Sixteen float32 at once for numba kernels: the vector registers of the machine, spelt out.

LLVM finds vector instructions by itself in long loops over one kind of number, hardly ever in short ones that compare
and mark. `Lanes` are sixteen numbers as one value that lives in registers (one of AVX-512, two of AVX2, four of NEON);
the functions here are what can be done with them. They check nothing: an offset beyond its array reads what lies there.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

WIDTH = 16

_FLOAT, _BITS = ir.FloatType(), ir.IntType(WIDTH)
_VECTOR = ir.VectorType(_FLOAT, WIDTH)
_MASK = ir.VectorType(ir.IntType(1), WIDTH)


class Lanes(types.Type):
    """WIDTH float32."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes({WIDTH})")


LANES = Lanes()
MARKS = types.uint16
"""A bit for each of the lanes."""


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _place(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    """Pointer to the lanes at `offset` of a contiguous float32 array of any shape."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer())


def _spread(builder: Any, number: Any) -> Any:
    """The lanes that all hold `number`."""
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


@intrinsic
def load(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """The lanes at `offset` of a contiguous float32 array."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load(_place(context, builder, signature.args[0], args[0], args[1]), align=4)

    return LANES(array, types.intp), generate


@intrinsic
def store(typingctx, array, offset, lanes):  # type: ignore[no-untyped-def]
    """Write the lanes to `offset` of a contiguous float32 array."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store(args[2], _place(context, builder, signature.args[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, LANES), generate


@intrinsic
def spread(typingctx, number):  # type: ignore[no-untyped-def]
    """The same number in all lanes."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _spread(builder, args[0])

    return LANES(types.float32), generate


@intrinsic
def load_one(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """The number at `offset` of a contiguous float32 array, in all lanes."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return _spread(builder, builder.load(builder.gep(data, [args[1]]), align=4))

    return LANES(array, types.intp), generate


@intrinsic
def multiply_add(typingctx, left, right, sum_):  # type: ignore[no-untyped-def]
    """left · right + sum_, rounded once."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{WIDTH}f32"), args)

    return LANES(LANES, LANES, LANES), generate


@intrinsic
def add(typingctx, left, right):  # type: ignore[no-untyped-def]
    """left + right."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fadd(*args)

    return LANES(LANES, LANES), generate


@intrinsic
def multiply(typingctx, left, right):  # type: ignore[no-untyped-def]
    """left · right."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fmul(*args)

    return LANES(LANES, LANES), generate


@intrinsic
def greater(typingctx, left, right):  # type: ignore[no-untyped-def]
    """Marks where left > right."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(builder.fcmp_ordered(">", *args), _BITS)

    return MARKS(LANES, LANES), generate


@intrinsic
def equal(typingctx, left, right):  # type: ignore[no-untyped-def]
    """Marks where left == right."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(builder.fcmp_ordered("==", *args), _BITS)

    return MARKS(LANES, LANES), generate


@intrinsic
def choose(typingctx, marks, there, elsewhere):  # type: ignore[no-untyped-def]
    """`there` where marked, `elsewhere` where not."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.select(builder.bitcast(args[0], _MASK), args[1], args[2])

    return LANES(MARKS, LANES, LANES), generate


@intrinsic
def lowest_bit(typingctx, bits):  # type: ignore[no-untyped-def]
    """Place of the lowest bit that is set in an int64, of which one must be."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


@intrinsic
def prefetch(typingctx, array, offset):  # type: ignore[no-untyped-def]
    """Ask for what lies at `offset` of a contiguous array of any kind to be fetched, for use soon."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, number(0), number(3), number(1)])  # to read, into all levels, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
