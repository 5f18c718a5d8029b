"""Elementwise kernel calls that every target must compute: sizes, strides, guards, indices and dtypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.ir.kernel import Map
from pyruntime.ir.scalar import FUNCTIONS, Const, Index, Load, Scalar, Size, bitcast, call, cast
from pyruntime.ir.views import Guard, Indirect, View
from tests.kernels.case import Case, Maker

BOOL, F16, F32, F64 = DType.BOOL, DType.F16, DType.F32, DType.F64
I32, I64, U8 = DType.I32, DType.I64, DType.U8
INTEGERS = tuple(d for d in PLAIN if d.is_integer)

SHAPES: tuple[tuple[int, ...], ...] = (
    *((), (1,), (3,), (4,), (5,), (17,), (64,), (257,), (3, 1), (1, 7), (5, 7), (7, 5), (13, 4), (2, 3, 5)),
    *((3, 5, 2, 3), (2, 3, 2, 3, 5), (0,), (3, 0), (0, 5), (2, 1, 31)),
)


def x(operand: int = 0, dtype: DType = F32) -> Scalar:
    """The element of an operand."""
    return Load(dtype, operand)


def number(value: float, dtype: DType = F32) -> Scalar:
    """A literal."""
    return Const(dtype, value if dtype.is_float else int(value))


def gelu(a: Scalar) -> Scalar:
    """A tree with a shared subtree."""
    half = call("mul", a, number(0.5))
    return call("mul", half, call("add", call("erf", call("mul", a, number(2**-0.5))), number(1.0)))


def _map(
    maker: Maker,
    name: str,
    sizes: Sequence[Dim],
    body: Scalar,
    inputs: Sequence[View],
    output: View | None = None,
    wasm_only: str = "",
) -> Case:
    output = output or maker.output(sizes, body.dtype)
    made = Map(name=name, sizes=tuple(sizes), body=body, inputs=tuple(inputs), output=output)
    return Case(name, made, maker.inputs, maker.symbols, wasm_only)


def shapes() -> Iterator[Case]:
    """A cheap and a costly tree over every shape."""
    for shape in SHAPES:
        maker = Maker(seed=len(shape))
        tree = call("max", call("add", x(0), x(1)), number(0.0))
        yield _map(maker, f"add relu {shape}", shape, tree, [maker.dense(shape), maker.dense(shape)])
        maker = Maker(seed=len(shape) + 1)
        yield _map(maker, f"gelu {shape}", shape, gelu(x()), [maker.dense(shape)])


def strides() -> Iterator[Case]:
    """Broadcast, permuted, reversed, strided and offset views, on both sides."""
    shape = (3, 5, 7)
    tree = call("sub", x(0), call("mul", x(1), number(2.0)))
    for name, kept in {
        "row": (0, 1, 0),
        "column": (1, 0, 0),
        "last": (0, 0, 1),
        "outer": (1, 1, 0),
        "one": (0, 0, 0),
    }.items():
        maker = Maker(seed=1)
        small = tuple(n if k else 1 for n, k in zip(shape, kept, strict=True))
        view = maker.dense(small)
        view = View(view.tensor, 0, tuple(s if k else 0 for s, k in zip(view.strides, kept, strict=True)))
        yield _map(maker, f"broadcast {name}", shape, tree, [maker.dense(shape), view])
    for order in ((2, 1, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1)):
        maker = Maker(seed=2)
        inputs = [maker.permuted(shape, order), maker.dense(shape)]
        yield _map(maker, f"permuted {order}", shape, tree, inputs)
        maker = Maker(seed=3)
        inputs = [maker.dense(shape), maker.permuted(shape, order)]
        yield _map(maker, f"permuted output {order}", shape, tree, inputs, maker.output(shape, F32, order))
    for axis in range(3):
        maker = Maker(seed=4)
        view = maker.dense(shape)
        turned = [-s if a == axis else s for a, s in enumerate(view.strides)]
        reverse = View(view.tensor, view.strides[axis] * (shape[axis] - 1), tuple(turned))
        yield _map(maker, f"reversed {axis}", shape, tree, [reverse, maker.dense(shape)])
    maker = Maker(seed=5)
    wide = maker.dense((6, 10, 30))
    cut = View(wide.tensor, 17, (600, 60, 3))
    yield _map(maker, "sliced", shape, tree, [cut, maker.dense(shape)])
    maker = Maker(seed=6)
    yield _map(
        maker,
        "part of a concatenation",
        shape,
        tree,
        [maker.dense(shape), maker.dense(shape)],
        maker.part(shape, 4, 3),
    )
    maker = Maker(seed=7)
    spread = maker.part(shape, 0, 14)
    every = View(spread.tensor, 2, (*spread.strides[:2], 3))
    yield _map(maker, "strided output", shape, tree, [maker.dense(shape), maker.dense(shape)], every)


def symbolic() -> Iterator[Case]:
    """Sizes, strides and offsets that are known at run time only."""
    n, m = symbol("n"), symbol("m")
    for values in ({"n": 5, "m": 9}, {"n": 1, "m": 4}, {"n": 3, "m": 1}):
        maker = Maker(values)
        wide = maker.dense((n, m + 3))
        cut = View(wide.tensor, 2, wide.strides)
        transposed = maker.permuted((n, m), (1, 0))
        scale = call("div", x(1), cast(Size(I64, 0), F32))
        made = Map(
            name=f"symbolic {values}",
            sizes=(n, m),
            body=call("add", x(0), scale),
            inputs=(cut, transposed),
            output=maker.output((n, m)),
            size_values=(product((n, m)),),
        )
        yield Case(made.name, made, maker.inputs, values)


def guards() -> Iterator[Case]:
    """Padding and everything else that guards express."""
    for low, high, size in ((2, 9, 12), (0, 5, 5), (3, 20, 25), (1, 2, 3), (0, 4, 9), (5, 5, 8), (4, 13, 16)):
        maker = Maker(seed=size)
        view = maker.dense((3, high - low))
        padded = View(view.tensor, -low, view.strides, (Guard(1, low, high),), fill=0.5)
        yield _map(maker, f"padded inner {low} {high} {size}", (3, size), gelu(x()), [padded])
        maker = Maker(seed=size)
        view = maker.dense((high - low, 6))
        padded = View(view.tensor, -low * 6, view.strides, (Guard(0, low, high),), fill=-1.0)
        yield _map(maker, f"padded outer {low} {high} {size}", (size, 6), x(), [padded])
    maker = Maker()
    view = maker.dense((3, 4, 5))
    both = View(view.tensor, -20 - 5 - 2, view.strides, (Guard(0, 1, 4), Guard(1, 1, 5), Guard(2, 2, 7)))
    yield _map(
        maker, "padded on all sides", (5, 6, 10), call("add", x(0), x(1)), [both, maker.dense((5, 6, 10))]
    )
    maker = Maker()
    row = maker.dense((7,))
    inside = View(row.tensor, -2, (0, 1), (Guard(1, 2, 9), Guard(0, 1, 2), Guard(1, 0, 8)))
    yield _map(maker, "guards with a broadcast axis", (3, 11), x(), [inside])
    maker = Maker()
    first, second = maker.dense((3, 4)), maker.dense((3, 5))
    pieces = [
        View(first.tensor, 0, first.strides, (Guard(1, 0, 4),)),
        View(second.tensor, -4, second.strides, (Guard(1, 4, 9),)),
    ]
    joined = call("select", call("lt", Index(I32, 1), number(4, I32)), x(0), x(1))
    yield _map(maker, "concatenation as guards", (3, 9), joined, pieces)
    maker = Maker()
    reverse = maker.dense((3, 6))
    turned = View(reverse.tensor, 7, (6, -1), (Guard(1, 2, 8),), fill=9.0)
    yield _map(maker, "guarded and reversed", (3, 11), x(), [turned])
    maker = Maker()
    out = maker.dense((4, 7))
    written = View(out.tensor, 0, out.strides, (Guard(1, 2, 6), Guard(0, 1, 3)))
    yield _map(maker, "guarded output", (4, 7), call("neg", x(0)), [maker.dense((4, 7))], written)
    maker = Maker()
    mask = maker.dense((5, 6), BOOL)
    padded = View(mask.tensor, -1, mask.strides, (Guard(1, 1, 7),), fill=True)
    yield _map(
        maker,
        "padded mask",
        (5, 9),
        call("select", x(0, BOOL), number(1.0), x(1)),
        [padded, maker.dense((5, 9))],
    )


def indirect() -> Iterator[Case]:
    """Gathers, with indices from the end and out of range, and scatters."""
    for dtype in (I32, I64, U8):
        for wrap in (True, False):
            maker = Maker(seed=int(wrap))
            table = maker.dense((9, 6))
            index = maker.dense((5,), dtype)
            maker.inputs[index.tensor][:] = np.array([3, -1, 8, 9, -10]).astype(dtype.value)
            rows = View(table.tensor, 0, (0, 1), indirect=(Indirect(1, 6, 9, wrap),), fill=7.0)
            column = View(index.tensor, 0, (1, 0))
            yield _map(maker, f"rows by {dtype!r} wrap {wrap}", (5, 6), gelu(x()), [rows, column])
            across = View(table.tensor, 0, (6, 0), indirect=(Indirect(1, 1, 6, wrap),), fill=-7.0)
            line = View(index.tensor, 0, (0, 1))
            yield _map(maker, f"columns by {dtype!r} wrap {wrap}", (9, 5), gelu(x()), [across, line])
    maker = Maker()
    cube, first, second = maker.dense((4, 5, 6)), maker.dense((7,), I64), maker.dense((7,), I64)
    both = View(cube.tensor, 0, (0, 1), indirect=(Indirect(1, 30, 4), Indirect(2, 6, 5)), fill=0.25)
    views = [both, View(first.tensor, 0, (1, 0)), View(second.tensor, 0, (1, 0))]
    yield _map(maker, "two indices", (7, 6), x(), views)
    maker = Maker()
    table, index = maker.dense((9, 6)), maker.dense((5,), I64)
    rows = View(table.tensor, 0, (0, 1), (Guard(0, 1, 4), Guard(1, 0, 5)), (Indirect(1, 6, 9),), fill=3.0)
    yield _map(maker, "guarded rows", (5, 6), x(), [rows, View(index.tensor, 0, (1, 0))])
    maker = Maker()
    target, index = maker.dense((9, 6)), maker.dense((5,), I64)
    maker.inputs[index.tensor][:] = [3, -1, 0, 9, 7]
    scatter = View(target.tensor, 0, (0, 1), indirect=(Indirect(1, 6, 9),))
    yield _map(
        maker, "scattered rows", (5, 6), x(), [maker.dense((5, 6)), View(index.tensor, 0, (1, 0))], scatter
    )
    maker = Maker()
    table, index = maker.dense((4, 6)), maker.dense((3, 5), U8)
    maker.inputs[index.tensor][:] %= 4
    picked = View(table.tensor, 0, (0, 0, 1), indirect=(Indirect(1, 6, 4),))
    yield _map(maker, "embedding", (3, 5, 6), x(), [picked, View(index.tensor, 0, (5, 1, 0))])


def indices() -> Iterator[Case]:
    """The iteration index and sizes as values."""
    for axis in range(3):
        for dtype in (I32, I64):
            maker = Maker()
            tree = call("mul", cast(Index(dtype, axis), F32), x())
            yield _map(maker, f"index {axis} {dtype!r}", (3, 4, 7), tree, [maker.dense((3, 4, 7))])
    maker = Maker()
    yield _map(
        maker,
        "one hot",
        (5, 7),
        cast(call("eq", x(0, I32), Index(I32, 1)), F32),
        [View(maker.tensor(5, I32), 0, (1, 0))],
    )
    maker = Maker()
    upper = call("ge", Index(I32, 1), Index(I32, 0))
    yield _map(maker, "triangle", (6, 6), call("select", upper, x(), number(0.0)), [maker.dense((6, 6))])


def dtypes() -> Iterator[Case]:
    """Copies, arithmetic and every conversion."""
    for dtype in PLAIN:
        for shape in ((13,), (3, 5)):
            maker = Maker(seed=3)
            yield _map(maker, f"copy {dtype!r} {shape}", shape, x(0, dtype), [maker.dense(shape, dtype)])
            maker = Maker(seed=4)
            transposed = maker.permuted(shape, tuple(reversed(range(len(shape)))), dtype)
            yield _map(maker, f"transposed {dtype!r} {shape}", shape, x(0, dtype), [transposed])
        for target in PLAIN:
            if target is not dtype:
                maker = Maker(seed=5)
                view = maker.dense((11,), dtype)
                if dtype.is_float and target.is_integer:
                    maker.inputs[view.tensor][:] = [
                        -1.5,
                        300.7,
                        -0.5,
                        0,
                        0.99,
                        1e4,
                        5.5,
                        100,
                        -3e4,
                        127.5,
                        2.5,
                    ]
                yield _map(maker, f"{dtype!r} to {target!r}", (11,), cast(x(0, dtype), target), [view])


# functions that are defined, or accurate on every target, on a part of the reals only
RANGES = {
    "acosh": (1.0, 9.0),
    "asin": (-0.95, 0.95),
    "acos": (-0.95, 0.95),
    "atanh": (-0.95, 0.95),
    "log": (0.01, 20.0),
    "sqrt": (0.0, 50.0),
    "tan": (-1.4, 1.4),
    "pow": (0.1, 4.0),
    "exp": (-9.0, 9.0),
}
DOMAINS = {"f": (F32, F16), "i": (I32, DType.I8, I64), "u": (DType.U32, U8), "b": (BOOL,)}


def functions() -> Iterator[Case]:
    """Every function of FUNCTIONS, for every class of dtypes that it takes."""
    for function in FUNCTIONS.values():
        for dtype in [d for letter in function.domain for d in DOMAINS[letter]]:
            maker = Maker(seed=len(function.name))
            shape = (3, 41)
            views = [maker.dense(shape, dtype) for _ in range(function.arity - (function.name == "select"))]
            loads: list[Scalar] = [x(i, dtype) for i in range(len(views))]
            for i, view in enumerate(views):
                values = maker.inputs[view.tensor]
                if dtype.is_float:
                    low, high = RANGES.get(function.name, (-4.0, 4.0))
                    values[:] = low + (high - low) * (values.astype(np.float32) + 1) / 2
                    # between steps of what rounds
                    values[:] = np.where(np.abs(values - np.rint(values)) < 0.01, values + 0.1, values)
                if i and (function.name.startswith("shift") or function.name == "ipow"):
                    values[:] = np.abs(values) % 8
            if function.name == "select":
                views.append(maker.dense(shape, BOOL))
                loads.insert(0, x(2, BOOL))
            yield _map(maker, f"{function.name} of {dtype!r}", shape, call(function.name, *loads), views)
            if dtype is I32 and function.arity == 2:
                maker = Maker()
                tree = call(function.name, x(0, dtype), number(3, dtype))
                views = [maker.dense(shape, dtype)]
                yield _map(maker, f"{function.name} of {dtype!r} and 3", shape, tree, views)


def bits() -> Iterator[Case]:
    """Shifts of all elements by as many bits, and the same bits as other types."""
    for dtype in INTEGERS:
        for function in ("shift_left", "shift_right"):
            for amount in (0, 3, dtype.bits - 1):
                maker = Maker(seed=amount)
                tree = call(function, x(0, dtype), number(amount, dtype))
                name = f"{function} of {dtype!r} by {amount}"
                yield _map(maker, name, (13,), tree, [maker.dense((13,), dtype)])
    for dtype, target in ((F32, I32), (F32, DType.U32), (I32, F32), (DType.U32, F32), (F64, I64), (I64, F64)):
        maker = Maker(seed=1)
        view = maker.dense((13,), dtype)
        if dtype.is_integer:
            maker.inputs[view.tensor][:] = np.linspace(-3, 3, 13).astype(target.value).view(dtype.value)
        yield _map(maker, f"bits of {dtype!r} as {target!r}", (13,), bitcast(x(0, dtype), target), [view])


def special() -> Iterator[Case]:
    """NaN, infinities and signed zeros."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 3.4e38, 1e-45], np.float32)
    first, second = np.meshgrid(values, values)
    for name in ("min", "max", "add", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"):
        maker = Maker()
        views = [maker.dense((81,)), maker.dense((81,))]
        for view, operand in zip(views, (first, second), strict=True):
            maker.inputs[view.tensor][:] = operand.ravel()
        lax = "x != NaN is false on drivers that assume NaN away" if name == "ne" else ""
        yield _map(maker, f"special values: {name}", (81,), call(name, x(0), x(1)), views, wasm_only=lax)
    for name in (
        "is_nan",
        "is_inf",
        "neg",
        "abs",
        "sign",
        "floor",
        "round",
        "sqrt",
        "exp",
        "tanh",
        "erf",
        "sin",
    ):
        maker = Maker()
        view = maker.dense((9,))
        maker.inputs[view.tensor][:] = values
        lax = "the sine of 3.4e38 is the driver's" if name == "sin" else ""
        yield _map(maker, f"special values: {name}", (9,), call(name, x(0)), [view], wasm_only=lax)
    maker = Maker()
    constants = (
        number(float("nan")),
        number(float("inf")),
        number(float("-inf")),
        number(-0.0),
        number(1e-45),
    )
    tree: Scalar = number(7.0)
    for i, constant in enumerate(constants):
        tree = call("select", call("eq", Index(I32, 0), number(i, I32)), constant, tree)
    yield _map(maker, "special values: literals", (7,), tree, [])


def wide() -> Iterator[Case]:
    """Integers that need all their bits, and trees that share much."""
    for dtype in INTEGERS:
        limits = np.iinfo(dtype.value)
        values = [limits.min, limits.max, limits.max // 2 + 1, 1, 3]
        for name in ("add", "mul", "div", "rem", "mod", "max", "lt", "sub"):
            maker = Maker()
            views = [maker.dense((25,), dtype), maker.dense((25,), dtype)]
            first, second = np.meshgrid(np.array(values, dtype.value), np.array(values, dtype.value))
            for view, operand in zip(views, (first, second), strict=True):
                maker.inputs[view.tensor][:] = operand.ravel()
            tree = call(name, x(0, dtype), x(1, dtype))
            yield _map(maker, f"{name} of wide {dtype!r}", (25,), tree, views)
    maker = Maker()
    tree = x()
    for _ in range(40):  # 2^40 nodes, were it not for sharing
        tree = call("mul", call("add", tree, tree), number(0.5))
    yield _map(maker, "shared subtrees", (9,), tree, [maker.dense((9,))])


def cases() -> Iterator[Case]:
    """All of them."""
    for group in (
        shapes,
        strides,
        symbolic,
        guards,
        indirect,
        indices,
        dtypes,
        functions,
        bits,
        special,
        wide,
    ):
        yield from group()
