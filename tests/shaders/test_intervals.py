"""What integer arithmetic can give: what of 64 bits provably fits 32-bit words, and what may not."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import pytest
from pyruntime_shaders.intervals import Interval, bounds, stored

from pyruntime.ir.dtypes import DType, needs_pair
from pyruntime.ir.scalar import FUNCTIONS, Acc, Call, Const, Function, Index, Load, Scalar, call, cast
from pyruntime.ops.evaluate import evaluate

I64 = DType.I64
WIDE, BYTE, INDEX = Load(I64, 0), cast(Load(DType.U8, 1), I64), Index(I64, 0)
WORD = Acc(I64, 1)


def _known(leaf: Scalar) -> tuple[int, int] | None:
    if isinstance(leaf, Acc) and leaf.index == 1:
        return stored(I64)
    return (0, 999) if isinstance(leaf, (Index, Acc)) else None


@pytest.mark.parametrize(
    "tree",
    [
        WORD,
        call("min", WORD, Const(I64, 5)),
        call("select", call("lt", WIDE, Const(I64, 0)), WORD, INDEX),
        call("add", call("mul", BYTE, Const(I64, 1000)), INDEX),
        call("div", WORD, Const(I64, 3)),
        call("mod", WIDE, Const(I64, 100)),
        call("bit_and", WIDE, Const(I64, 255)),
        call("add", call("mod", WIDE, Const(I64, 100)), Const(I64, 2**20)),
        cast(call("mul", Load(DType.I32, 0), Load(DType.I32, 1)), I64),
        cast(WIDE, DType.U8),
        call("sub", Acc(I64, 0), Const(I64, 1)),
        call("lt", call("add", WIDE, WIDE), BYTE),
    ],
    ids=repr,
)
def test_fits(tree: Scalar) -> None:
    assert not needs_pair(tree.dtype, bounds(tree, _known))


@pytest.mark.parametrize(
    "tree",
    [
        WIDE,
        call("add", WORD, Const(I64, 1)),
        call("mul", INDEX, call("mul", INDEX, Const(I64, 2**20))),
        call("neg", WORD),
        call("abs", WORD),
        call("bit_xor", call("add", WORD, WORD), BYTE),
        call("shift_left", BYTE, Const(I64, 30)),
        call("ipow", BYTE, BYTE),
        cast(Load(DType.U32, 0), I64),
        cast(Load(DType.I8, 0), DType.U64),
        cast(Load(DType.F32, 0), I64),
        Const(I64, 2**40),
    ],
    ids=repr,
)
def test_may_not_fit(tree: Scalar) -> None:
    assert needs_pair(tree.dtype, bounds(tree, _known))


def test_what_leaves_64_bits_may_be_anything() -> None:
    assert bounds(call("add", WIDE, Const(I64, 1)), _known) == (-(2**63), 2**63 - 1)
    assert bounds(call("neg", cast(Load(DType.U8, 0), DType.U64)), _known) == (0, 2**64 - 1)


SMALL = (-7, -3, -1, 0, 1, 2, 5, 7)
BINARY = [f for f in FUNCTIONS.values() if "i" in f.domain and f.arity == 2 and f.result == "same"]
UNARY = [f for f in FUNCTIONS.values() if "i" in f.domain and f.arity == 1 and f.result == "same"]


def _of_axis(ranges: Sequence[Interval], leaf: Scalar) -> Interval | None:
    return ranges[leaf.axis] if isinstance(leaf, Index) else None


@pytest.mark.parametrize("function", [*BINARY, *UNARY], ids=lambda f: f.name)
def test_sound(function: Function) -> None:
    """The interval of a result holds every result of values from the operands' intervals."""
    ranges = [(low, high) for low, high in itertools.product(SMALL, SMALL) if low <= high]
    for operands in itertools.product(ranges, repeat=function.arity):
        if function.name.startswith("shift") and operands[1][0] < 0:
            continue  # negative amounts have no meaning
        leaves = tuple(Index(I64, axis) for axis in range(function.arity))
        tree = Call(I64, function.name, leaves)
        low, high = bounds(tree, functools.partial(_of_axis, operands))
        for values in itertools.product(*(range(a, b + 1) for a, b in operands)):
            constants = tuple(Const(I64, v) for v in values)
            result = int(evaluate(Call(I64, function.name, constants), []))
            assert low <= result <= high, (function.name, values, result, (low, high))


def test_stored() -> None:
    assert stored(I64) == stored(DType.I32) == (-(2**31), 2**31 - 1)
    assert stored(DType.BOOL) == (0, 1)
    assert stored(DType.U16) == (0, 65535)
