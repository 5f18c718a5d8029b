"""Lowering of reductions, softmax and normalisations to row kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from pyruntime_converter.lowering.hosts import CumulateHost, RowHost
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, combine, inverse
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Shape
from pyruntime.ir.kernel import Combine, Reduction
from pyruntime.ir.program import Boundary
from pyruntime.ir.scalar import Acc, Const, Index, Scalar, Size, call, cast, cost

# a costlier prologue is stored once instead of being computed again by each pass
PROLOGUE_COST = 8


def operand(low: Lowering, node: Node, axes: Sequence[int], passes: int, others: Sequence[Lazy] = ()) -> Lazy:
    """The input with the reduced axes last, not pending on another kernel; `others` join its kernel later."""
    lazy = low.lazy(node.input(0))
    tensors = lazy.tensors.union(*(other.tensors for other in others))
    costly = passes > 1 and cost(lazy.tree) > PROLOGUE_COST
    if lazy.host or not lazy.leaves or costly or len(tensors) > MAX_TENSORS_READ:
        why = Boundary.OPERAND
        if not lazy.host:
            why = Boundary.PASSES if costly else Boundary.TENSORS
        low.view(node.input(0), why=why)
        lazy = low.lazy(node.input(0))
    kept = [a for a in range(len(lazy.shape)) if a not in axes]
    return lazy.transpose([*kept, *axes])


def wide(tree: Scalar) -> Scalar:
    """A value that may be summed: sums and squares pass the ends of float16 long before a mean does."""
    return cast(tree, DType.F32) if tree.dtype is DType.F16 else tree


def count(dtype: DType, sizes: list[Dim], number: Dim) -> Scalar:
    """A number of elements as a value of dtype."""
    if isinstance(number, int):
        return cast(Const(DType.I32, number), dtype)
    sizes.append(number)
    return cast(Size(DType.I32, len(sizes) - 1), dtype)


_COMBINE: dict[str, Combine] = {
    "ReduceSum": "sum",
    "ReduceMean": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
}


@lowers(*_COMBINE)
def reduce(low: Lowering, node: Node) -> Lazy:
    """One reduction per row; the mean divides in the epilogue."""
    axes = node.attrs["axes"]
    source = node.input(0)
    if not axes:
        return low.lazy(source)
    lazy = operand(low, node, axes, 1)
    outer = len(lazy.space) - len(axes)
    x = wide(lazy.tree)
    reductions: tuple[Reduction, ...] = (Reduction(_COMBINE[node.op], x),)
    body: Scalar = Acc(x.dtype)
    sizes: list[Dim] = []
    if node.op == "ReduceMean":
        body = call("div", body, count(x.dtype, sizes, product(lazy.space[outer:])))
    return _row(lazy, outer, reductions, cast(body, node.output.dtype), node, sizes)


def _row(
    lazy: Lazy,
    outer: int,
    reductions: tuple[Reduction, ...],
    body: Scalar,
    node: Node,
    sizes: Sequence[Dim] = (),
) -> Lazy:
    """A value per row, with kept axes of size one put back."""
    host = RowHost(lazy.space[:outer], lazy.space[outer:], lazy.leaves, lazy.sizes, reductions, False)
    result = Lazy(host.outer, body, (), tuple(sizes), (node.origin, *lazy.origins), host)
    reshaped = result.reshape(node.output.shape)
    assert reshaped is not None
    return reshaped


@lowers("ArgMax", "ArgMin")
def arg(low: Lowering, node: Node) -> Lazy:
    """The extreme value, then the first (or last) index that has it."""
    axis = node.attrs["axis"]
    lazy = operand(low, node, (axis,), 2)
    outer = len(lazy.space) - 1
    combine: Combine = "max" if node.op == "ArgMax" else "min"
    index = Index(DType.I32, outer)
    last = node.attrs["select_last_index"]
    is_best = call("eq", lazy.tree, Acc(lazy.tree.dtype, 0))
    if lazy.tree.dtype.is_float:  # a NaN is the extreme value, as in NumPy
        is_best = call("or", is_best, call("is_nan", lazy.tree))
    place = call("select", is_best, index, Const(DType.I32, -1 if last else 2**31 - 1))
    reductions = (Reduction(combine, lazy.tree), Reduction("max" if last else "min", place))
    return _row(lazy, outer, reductions, cast(Acc(DType.I32, 1), node.output.dtype), node)


@lowers("CumSum", "CumProd")
def cumulative(low: Lowering, node: Node) -> Lazy:
    """Running sums or products, with the axis moved last and back."""
    axis = node.attrs["axis"]
    lazy = operand(low, node, (axis,), 1)
    host = CumulateHost(
        lazy.space,
        lazy.leaves,
        lazy.sizes,
        "sum" if node.op == "CumSum" else "prod",
        lazy.tree,
        node.attrs["exclusive"],
        node.attrs["reverse"],
    )
    whole = Lazy(lazy.space, Acc(node.output.dtype), (), (), (node.origin, *lazy.origins), host)
    kept = [a for a in range(len(lazy.space)) if a != axis]
    return whole.transpose(inverse([*kept, axis]))


@lowers("Softmax", "LogSoftmax")
def softmax(low: Lowering, node: Node) -> Lazy:
    """max, sum of exp(x - max), then the quotient (or the difference of logarithms)."""
    axis = node.attrs["axis"]
    lazy = operand(low, node, (axis,), 3)
    x = wide(lazy.tree)
    dtype = x.dtype
    shifted = call("sub", x, Acc(dtype, 0))
    reductions = (Reduction("max", x), Reduction("sum", call("exp", shifted)))
    if node.op == "Softmax":
        body = call("div", call("exp", shifted), Acc(dtype, 1))
    else:
        body = call("sub", shifted, call("log", Acc(dtype, 1)))
    return _elementwise(lazy, reductions, replace(lazy, tree=cast(body, node.output.dtype)), node, (axis,))


def _elementwise(
    rows: Lazy, reductions: tuple[Reduction, ...], result: Lazy, node: Node, axes: Sequence[int]
) -> Lazy:
    """result, an expression over all elements and the reductions of rows, with axes back in their places."""
    outer = len(rows.space) - len(axes)
    host = RowHost(rows.space[:outer], rows.space[outer:], rows.leaves, rows.sizes, reductions, True)
    hosted = replace(result, host=host, origins=(node.origin, *result.origins))
    kept = [a for a in range(len(rows.space)) if a not in axes]
    return hosted.transpose(inverse([*kept, *axes]))


def _normalise(low: Lowering, node: Node, axes: Sequence[int], operands: list[Lazy]) -> Lazy:
    """(x - mean) / sqrt(variance + epsilon) over axes, in two reductions, then times and plus operands."""
    lazy = operand(low, node, axes, 3, operands)
    x = wide(lazy.tree)
    dtype = x.dtype
    if not dtype.is_float:
        raise UnsupportedError(node.origin.op, node.origin.name, f"normalisation of {dtype!r}")
    sizes = list(lazy.sizes)
    n = count(dtype, sizes, product(lazy.space[len(lazy.space) - len(axes) :]))
    centred = call("sub", x, call("div", Acc(dtype, 0), n))
    reductions = (Reduction("sum", x), Reduction("sum", call("mul", centred, centred)))
    epsilon = Const(dtype, float(node.attrs["epsilon"]))
    deviation = call("sqrt", call("add", call("div", Acc(dtype, 1), n), epsilon))
    rows = replace(lazy, sizes=tuple(sizes))
    normal = replace(rows, tree=call("div", centred, deviation))
    kept = [a for a in range(len(lazy.space)) if a not in axes]
    extras = [extra.transpose([*kept, *axes]) for extra in operands]
    result = combine([normal, *extras], lazy.space, partial(_affine, dtype=node.output.dtype))
    assert result is not None
    return _elementwise(rows, reductions, result, node, axes)


def _affine(trees: list[Scalar], dtype: DType) -> Scalar:
    x, *operands = trees
    for function, value in zip(("mul", "add"), operands, strict=False):
        x = call(function, x, wide(value))
    return cast(x, dtype)


def _parameters(low: Lowering, node: Node, shape: Shape | None = None) -> list[Lazy]:
    """Scale and bias, where present, broadcast to the output; `shape` stands for their own."""
    found: list[Lazy] = []
    for value in node.inputs[1:3]:
        if value is not None:
            lazy = low.lazy(value)
            moved = (low.store(lazy, why=Boundary.LAYOUT) if lazy.host else lazy).reshape(
                shape or value.shape
            )
            assert moved is not None
            expanded = moved.expand(node.output.shape)
            assert expanded is not None
            found.append(expanded)
    return found


@lowers("LayerNormalization")
def layer_normalization(low: Lowering, node: Node) -> Lazy:
    """Over all axes from `axis` on; scale and bias broadcast."""
    return _normalise(low, node, range(node.attrs["axis"], node.input(0).rank), _parameters(low, node))


@lowers("RMSNormalization")
def rms_normalization(low: Lowering, node: Node) -> Lazy:
    """Over all axes from `axis` on: one reduction, then x times scale over the root."""
    axes = range(node.attrs["axis"], node.input(0).rank)
    parameters = _parameters(low, node)
    lazy = operand(low, node, axes, 2, parameters)
    x = wide(lazy.tree)
    dtype = x.dtype
    sizes = list(lazy.sizes)
    mean = call("div", Acc(dtype, 0), count(dtype, sizes, product(lazy.space[len(lazy.space) - len(axes) :])))
    root = call("sqrt", call("add", mean, Const(dtype, float(node.attrs["epsilon"]))))
    rows = replace(lazy, sizes=tuple(sizes))
    normal = replace(rows, tree=call("div", x, root))
    kept = [a for a in range(len(lazy.space)) if a not in axes]
    extras = [extra.transpose([*kept, *axes]) for extra in parameters]
    result = combine([normal, *extras], lazy.space, partial(_affine, dtype=node.output.dtype))
    assert result is not None
    return _elementwise(rows, (Reduction("sum", call("mul", x, x)),), result, node, axes)


@lowers("InstanceNormalization")
def instance_normalization(low: Lowering, node: Node) -> Lazy:
    """Over the spatial axes; scale and bias per channel."""
    rank = node.input(0).rank
    shape = (node.input(0).shape[1], *(1 for _ in range(rank - 2)))
    return _normalise(low, node, range(2, rank), _parameters(low, node, shape))
