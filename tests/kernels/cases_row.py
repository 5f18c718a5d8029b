"""Reductions, softmax and norms that every target must compute: axes, layouts, sizes, dtypes and passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import PLAIN, DType
from pyruntime.ir.kernel import Combine, Reduction, Row
from pyruntime.ir.scalar import Acc, Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.views import Guard, Indirect, View
from tests.kernels.case import Case, Maker

BOOL, F16, F32, F64, I32, I64 = DType.BOOL, DType.F16, DType.F32, DType.F64, DType.I32, DType.I64
COMBINES: tuple[Combine, ...] = ("sum", "prod", "min", "max")
X = Load(F32, 0)


def arranged(shape: Sequence[Dim], reduced: Sequence[int]) -> list[int]:
    """Axes of shape in a Row's order: those kept, then those reduced."""
    return [*(a for a in range(len(shape)) if a not in reduced), *reduced]


def over(view: View, order: Sequence[int]) -> View:
    """The view with its axes in another order."""
    guards = tuple(replace(g, axis=list(order).index(g.axis)) for g in view.guards)
    return replace(view, strides=tuple(view.strides[a] for a in order), guards=guards)


def row(
    maker: Maker,
    name: str,
    shape: Sequence[Dim],
    reduced: Sequence[int],
    reductions: Sequence[Reduction],
    body: Scalar,
    inputs: Sequence[View],
    *,
    elementwise: bool = False,
    sizes: tuple[Dim, ...] = (),
) -> Case:
    """A Row over dense tensors of `shape`; `inputs` have strides in the order of shape's axes."""
    order = arranged(shape, reduced)
    kept = [1 if a in reduced and not elementwise else n for a, n in enumerate(shape)]
    output = maker.output(kept, body.dtype)
    strides = tuple(0 if kept[a] == 1 and a in reduced else output.strides[a] for a in order)
    made = Row(
        name=name,
        sizes=tuple(shape[a] for a in order),
        reduced=len(reduced),
        reductions=tuple(reductions),
        body=body,
        elementwise=elementwise,
        inputs=tuple(over(v, order) for v in inputs),
        output=View(output.tensor, 0, strides),
        size_values=sizes,
    )
    return Case(name, made, maker.inputs, maker.symbols)


def softmax(maker: Maker, name: str, shape: Sequence[Dim], reduced: Sequence[int], log: bool = False) -> Case:
    """(Log-)softmax: a maximum, a sum of exponentials, a body that uses both."""
    shifted = call("sub", X, Acc(F32, 0))
    passes = [Reduction("max", X), Reduction("sum", call("exp", shifted))]
    body = call("div", call("exp", shifted), Acc(F32, 1))
    if log:
        body = call("sub", shifted, call("log", Acc(F32, 1)))
    return row(maker, name, shape, reduced, passes, body, [maker.dense(shape)], elementwise=True)


def layer_norm(maker: Maker, name: str, shape: Sequence[Dim], reduced: Sequence[int]) -> Case:
    """Mean, variance, and a body with operands that vary along the row only."""
    length = product([shape[a] for a in reduced])
    count = Const(F32, float(length)) if isinstance(length, int) else cast(Size(I64, 0), F32)
    mean = call("div", Acc(F32, 0), count)
    centred = call("sub", X, mean)
    passes = [Reduction("sum", X), Reduction("sum", call("mul", centred, centred))]
    variance = call("add", call("div", Acc(F32, 1), count), Const(F32, 1e-5))
    body = call("add", call("mul", call("div", centred, call("sqrt", variance)), Load(F32, 1)), Load(F32, 2))
    inner = [n if a in reduced else 1 for a, n in enumerate(shape)]
    scales = []
    for _ in range(2):
        view = maker.dense(inner)
        strides = tuple(s if a in reduced else 0 for a, s in enumerate(view.strides))
        scales.append(View(view.tensor, 0, strides))
    inputs = [maker.dense(shape), *scales]
    sizes = () if isinstance(length, int) else (length,)
    return row(maker, name, shape, reduced, passes, body, inputs, elementwise=True, sizes=sizes)


AXES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((7,), (0,)),
    ((1,), (0,)),
    ((1000,), (0,)),
    ((5, 1), (1,)),
    ((5, 2), (1,)),
    ((9, 3), (1,)),
    ((3, 7), (1,)),
    ((3, 16), (1,)),
    ((4, 67), (1,)),
    ((7, 5), (0,)),
    ((33, 13), (0,)),
    ((2, 9), (0,)),
    ((3, 5, 7), (1,)),
    ((3, 5, 7), (0, 2)),
    ((3, 5, 7), (1, 2)),
    ((3, 5, 8), (0, 1)),
    ((2, 3, 2, 17), (3,)),
    ((2, 3, 4, 5), (1, 2)),
    ((2, 3, 4, 2, 3), (0, 3)),
    ((7, 37), (0,)),  # sixteen rows at a time, and some more
    ((2, 5, 32), (1,)),
    ((3, 2, 50), (0, 1)),
    ((4, 1, 6), (1,)),
    ((0, 5), (1,)),
    ((5, 0), (1,)),
    ((0, 5), (0,)),
)


def axes() -> Iterator[Case]:
    """Every combination over inner, outer and middle axes; softmax and norms over the same."""
    for shape, reduced in AXES:
        for combine in COMBINES:
            maker = Maker(seed=len(shape))
            body = call("mul", Acc(F32, 0), Const(F32, 2.0))
            name = f"{combine} {shape} over {reduced}"
            yield row(maker, name, shape, reduced, [Reduction(combine, X)], body, [maker.dense(shape)])
            maker = Maker(seed=len(shape))
            less = [Reduction(combine, call("sub", X, Const(F32, 0.5)))]  # binds less than a product
            yield row(maker, f"{name} less a half", shape, reduced, less, body, [maker.dense(shape)])
        yield softmax(Maker(seed=3), f"softmax {shape} over {reduced}", shape, reduced)
        yield layer_norm(Maker(seed=4), f"norm {shape} over {reduced}", shape, reduced)
    yield softmax(Maker(seed=5), "log softmax", (5, 11), (1,), log=True)
    for batch in (1, 3):
        n = symbol("n")
        yield softmax(Maker({"n": batch}), f"symbolic softmax {batch}", (n, 9), (1,))
        yield layer_norm(Maker({"n": batch}), f"symbolic norm {batch}", (4, n * 3), (1,))


def dtypes() -> Iterator[Case]:
    """Every dtype, in vectors and not."""
    for dtype in PLAIN:
        for shape, reduced in (((5, 13), (1,)), ((13, 5), (0,))):
            for combine in COMBINES if dtype is not BOOL else ("and", "or", "min", "max"):
                maker = Maker(seed=7)
                acc = cast(Acc(dtype, 0), dtype)
                name = f"{combine} of {dtype!r} over {reduced}"
                inputs = [maker.dense(shape, dtype)]
                yield row(maker, name, shape, reduced, [Reduction(combine, Load(dtype, 0))], acc, inputs)
    maker = Maker()
    counted = [Reduction("sum", cast(call("gt", X, Const(F32, 0.0)), I32))]
    yield row(maker, "count", (5, 13), (1,), counted, Acc(I32, 0), [maker.dense((5, 13))])
    maker = Maker()
    wide = [Reduction("sum", cast(call("gt", X, Const(F32, 0.0)), I64))]
    yield row(maker, "wide count", (13, 5), (0,), wide, Acc(I64, 0), [maker.dense((13, 5))])


def arg_max() -> Iterator[Case]:
    """The first index of the maximum: a second pass that uses the first, with Index."""
    for shape, reduced in (((5, 13), (1,)), ((13, 6), (0,)), ((4, 3), (1,)), ((1, 40), (1,))):
        for dtype in (I32, I64):
            maker = Maker(seed=9)
            axis = len(shape) - 1
            here = call("eq", X, Acc(F32, 0))
            index = call("select", here, Index(dtype, axis), Const(dtype, 2**30))
            passes = [Reduction("max", X), Reduction("min", index)]
            view = maker.dense(shape)
            maker.inputs[view.tensor][:] = np.round(maker.inputs[view.tensor] * 4)  # equal maxima
            yield row(maker, f"arg max {shape} {dtype!r}", shape, reduced, passes, Acc(dtype, 1), [view])


def special() -> Iterator[Case]:
    """NaN and infinities, several results, per-row operands, guards and indices within rows."""
    for shape, reduced in (
        ((4, 21), (1,)),
        ((21, 6), (0,)),
        ((6, 3), (1,)),
        ((5, 100), (1,)),
        ((5, 300), (1,)),
    ):
        for combine in COMBINES:
            if combine == "prod" and shape[1] > 100:  # of so many, which leaves the range on the way
                continue
            maker = Maker(seed=11)
            view = maker.dense(shape)
            values = maker.inputs[view.tensor].reshape(shape)
            at = tuple(1 if a in reduced else 2 for a in range(2))
            values[at] = np.nan
            values[tuple(0 if a in reduced else 1 for a in range(2))] = np.inf
            name = f"{combine} of special values {shape}"
            yield row(maker, name, shape, reduced, [Reduction(combine, X)], Acc(F32, 0), [view])
    maker = Maker(seed=12)
    views = [maker.dense((5, 18)), View(maker.tensor(5), 0, (1, 0))]
    scaled = call("mul", X, Load(F32, 1))
    passes = [Reduction("max", scaled), Reduction("sum", call("exp", call("sub", scaled, Acc(F32, 0))))]
    body = call("add", call("log", Acc(F32, 1)), call("mul", Acc(F32, 0), Load(F32, 1)))
    yield row(maker, "log sum exp with per-row operands", (5, 18), (1,), passes, body, views)
    maker = Maker(seed=13)
    view = maker.dense((4, 9))
    padded = View(view.tensor, -9 - 2, view.strides, (Guard(0, 1, 5), Guard(1, 2, 11)), fill=0.25)
    yield row(maker, "sum of a padded view", (6, 14), (1,), [Reduction("sum", X)], Acc(F32, 0), [padded])
    maker = Maker(seed=13)
    view = maker.dense((4, 9))
    padded = View(view.tensor, -9 - 2, view.strides, (Guard(0, 1, 5), Guard(1, 2, 11)), fill=0.25)
    yield row(maker, "columns of a padded view", (6, 14), (0,), [Reduction("sum", X)], Acc(F32, 0), [padded])
    maker = Maker(seed=14)
    table, index = maker.dense((9, 12)), maker.dense((5,), I64)
    rows = View(table.tensor, 0, (0, 1), indirect=(Indirect(1, 12, 9),), fill=1.0)
    views = [rows, View(index.tensor, 0, (1, 0))]
    yield row(maker, "sum of gathered rows", (5, 12), (1,), [Reduction("sum", X)], Acc(F32, 0), views)
    maker = Maker(seed=15)
    table, index = maker.dense((9, 12)), maker.dense((5, 7), I32)
    bag = View(table.tensor, 0, (0, 0, 1), indirect=(Indirect(1, 12, 9),))
    views = [bag, View(index.tensor, 0, (7, 1, 0))]
    yield row(maker, "embedding bag", (5, 7, 12), (1,), [Reduction("sum", X)], Acc(F32, 0), views)
    maker = Maker(seed=16)
    causal = call("select", call("le", Index(I32, 1), Index(I32, 0)), X, Const(F32, float("-inf")))
    shifted = call("sub", causal, Acc(F32, 0))
    passes = [Reduction("max", causal), Reduction("sum", call("exp", shifted))]
    body = call("div", call("exp", shifted), Acc(F32, 1))
    yield row(maker, "causal softmax", (9, 9), (1,), passes, body, [maker.dense((9, 9))], elementwise=True)


def cases() -> Iterator[Case]:
    """All of them."""
    for group in (axes, dtypes, arg_max, special):
        yield from group()
