"""Lowering of gathers and of tensors computed from indices and dims alone."""

from __future__ import annotations

from dataclasses import replace

from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.panels import (
    QUAD,
    WORD,
    places,
    rows_of_panels,
    rows_of_quads,
    words_of_levels,
)
from pyruntime_converter.lowering.rules.matmul import PANELS, packed, packed_levels
from pyruntime_converter.lowering.views import contiguous
from pyruntime_converter.tied import Tied

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Map
from pyruntime.ir.program import Boundary
from pyruntime.ir.scalar import Const, Index, Load, Scalar, Size, call, cast
from pyruntime.ir.views import Indirect, View
from pyruntime.ops.layouts import level_words, panel_elements


@lowers("Gather", "Embedding")
def gather(low: Lowering, node: Node) -> Lazy:
    """Loads whose offset another tensor's elements give; a constant scalar index is a slice."""
    data, indices = node.input(0), node.input(1)
    axis = node.attrs["axis"]
    if indices.data is not None and indices.data.size == 1:
        start = int(indices.data.reshape(())) + 0
        size = data.shape[axis]
        first: Dim = start if start >= 0 else size + start
        lengths = tuple(1 if a == axis else d for a, d in enumerate(data.shape))
        starts = tuple(first if a == axis else 0 for a in range(data.rank))
        part = low.store(low.lazy(data), why=Boundary.LAYOUT) if low.lazy(data).host else low.lazy(data)
        sliced = part.slice(starts, lengths, (1,) * data.rank) or low.store(part, why=Boundary.LAYOUT).slice(
            starts, lengths, (1,) * data.rank
        )
        assert sliced is not None
        return sliced.reshape(node.output.shape) or low.reshaped(
            low.store(sliced, why=Boundary.LAYOUT), node.output.shape
        )
    if data in low.tied:
        return _tied_rows(low, node, low.tied[data])
    return low.gathered(
        low.view(data), data.shape, axis, Lazy.of(low.view(indices), indices.shape), node.output.shape
    )


def _tied_rows(low: Lowering, node: Node, tied: Tied) -> Lazy:
    """Rows of a table that is stored in panels, as an operand of a product."""
    table, operand, shape = node.input(0), tied.operand, node.output.shape
    indices = node.input(1)
    assert table.data is not None
    view, (rows, width) = low.view(indices), table.data.shape

    def at(panel: int, lane: tuple[int, int] = (1, 1)) -> View:
        stored = low.store(places(view, indices.shape, rows, panel, lane)).view
        assert stored is not None
        return stored

    assert operand.data is not None
    if table.dtype is DType.U32:
        bits, k = tied.product.attrs["bits"], tied.product.attrs["k"]
        words = packed_levels(low, operand, bits, k)
        begin = at(level_words(k, PANELS, bits), (bits, WORD))
        return low.store(words_of_levels(words, begin, view, rows, shape, bits, k), why=Boundary.LAYOUT)
    matrix = operand.data if tied.product.op == "MatMul" else operand.data.T
    if table.dtype.is_float:
        tensor = packed(low, operand, matrix).tensor
        return rows_of_panels(tensor, at(panel_elements(width, PANELS, PANELS)), shape)
    tensor = packed(low, operand, matrix, exact=True).tensor
    fours = rows_of_quads(tensor, at(-(-width // QUAD) * QUAD * PANELS, (QUAD, 1)), shape)
    whole = low.reshaped(fours, (*shape[:-1], fours.shape[-2] * QUAD))
    found = whole.slice((0,) * len(shape), shape, (1,) * len(shape))
    assert found is not None
    return found


@lowers("GatherElements")
def gather_elements(low: Lowering, node: Node) -> Lazy:
    """As gather, with an index per element of the output."""
    data, indices = node.input(0), node.input(1)
    return low.gathered_elements(
        low.view(data), data.shape, node.attrs["axis"], Lazy.of(low.view(indices), indices.shape)
    )


@lowers("GatherND")
def gather_nd(low: Lowering, node: Node) -> Lazy:
    """As gather, with an index for each of several axes."""
    data, indices = node.input(0), node.input(1)
    view, at, batch = low.view(data), low.view(indices), node.attrs["batch_dims"]
    count, rank = int(str(indices.shape[-1])), indices.rank - 1
    tail = view.strides[batch + count :]
    strides = (*at.strides[:-1], *(0 for _ in tail))
    coordinates = [replace(at, offset=at.offset + j * at.strides[-1], strides=strides) for j in range(count)]
    terms = tuple(Indirect(1 + j, view.strides[batch + j], data.shape[batch + j]) for j in range(count))
    strides = (*view.strides[:batch], *(0 for _ in range(batch, rank)), *tail)
    read = replace(view, strides=strides, indirect=terms)
    return Lazy(node.output.shape, Load(data.dtype, 0), (read, *coordinates))


@lowers("Positions")
def positions(low: Lowering, node: Node) -> Lazy:
    """Each index is stored where its element says; -1 is no place at all."""
    source, (count,) = node.input(0), node.output.shape
    tensor = low.tensor(node.output.name, DType.I32, (count,))
    output = View(tensor, 0, (0,), indirect=(Indirect(0, 1, count, wrap=False),))
    low.program.steps.append(
        Map(
            name=low.call_name("map", node.origin),
            origins=(node.origin,),
            inputs=(low.view(source),),
            output=output,
            sizes=source.shape,
            body=Index(DType.I32, 0),
        )
    )
    return Lazy.of(contiguous(tensor, (count,)), (count,))


@lowers("ReverseSequence")
def reverse_sequence(low: Lowering, node: Node) -> Lazy:
    """Loads along time at indices that a small kernel computes from the lengths."""
    x, lengths = node.input(0), low.view(node.input(1))
    time, batch = node.attrs["time_axis"], node.attrs["batch_axis"]
    steps, t = x.shape[time], Index(DType.I32, 0)
    end = call("min", cast(Load(lengths.tensor.dtype, 0), DType.I32), Size(DType.I32, 0))
    back = call("sub", call("sub", end, Const(DType.I32, 1)), t)
    row = replace(lengths, strides=(0, *lengths.strides))
    source = Lazy((steps, x.shape[batch]), call("select", call("lt", t, end), back, t), (row,), (steps,))
    indices = low.store(source).view
    assert indices is not None
    data = low.view(x)
    moved = Indirect(1, data.strides[time], steps, wrap=False)
    read = replace(
        data, strides=tuple(0 if a == time else s for a, s in enumerate(data.strides)), indirect=(moved,)
    )
    where = dict(zip((time, batch), indices.strides, strict=True))
    at = replace(indices, strides=tuple(where.get(a, 0) for a in range(x.rank)))
    return Lazy(x.shape, Load(x.dtype, 0), (read, at))


@lowers("OneHot")
def one_hot(low: Lowering, node: Node) -> Lazy:
    """on where the index along `axis` is the given one (counted from the end if negative), else off."""
    indices, values = node.input(0), node.input(1)
    axis, depth = node.attrs["axis"], node.attrs["depth"]
    axis = axis % node.output.rank
    lazy = low.lazy(indices)
    spread = (low.store(lazy, why=Boundary.LAYOUT) if lazy.host else lazy).reshape(
        (*indices.shape[:axis], 1, *indices.shape[axis:])
    )
    if spread is None:
        spread = low.reshaped(
            low.store(lazy, why=Boundary.LAYOUT), (*indices.shape[:axis], 1, *indices.shape[axis:])
        )
    whole = spread.expand(node.output.shape)
    assert whole is not None
    pair = Lazy.of(low.view(values), (2,))
    off, on = (pair.slice((i,), (1,), (1,)) for i in range(2))
    assert off is not None
    assert on is not None
    count = Const(DType.I32, depth) if isinstance(depth, int) else Size(DType.I32, 0)
    length = Lazy((), count, (), () if isinstance(depth, int) else (depth,))

    def build(trees: list[Scalar]) -> Scalar:
        index = cast(trees[0], DType.I32)
        from_end = call("add", index, trees[3])
        wrapped = call("select", call("lt", index, Const(DType.I32, 0)), from_end, index)
        return call("select", call("eq", wrapped, Index(DType.I32, axis)), trees[2], trees[1])

    result = combine([whole, off, on, length], node.output.shape, build)
    assert result is not None
    return result


@lowers("DimTensor")
def dim_tensor(low: Lowering, node: Node) -> Lazy:
    """A small integer tensor of dims: a choice by index."""
    dims, shape, dtype = node.attrs["dims"], node.attrs["shape"], node.output.dtype
    held = dtype if dtype in (DType.I32, DType.I64) else DType.I64
    flat: Scalar = Index(DType.I32, 0)
    tree: Scalar = Size(held, len(dims) - 1)
    for i in reversed(range(len(dims) - 1)):
        tree = call("select", call("eq", flat, Const(DType.I32, i)), Size(held, i), tree)
    lazy = Lazy((len(dims),), cast(tree, dtype), (), tuple(dims))
    if not shape:
        return Lazy((), cast(Size(held, 0), dtype), (), tuple(dims))
    return lazy.reshape(tuple(int(d) for d in shape)) or low.reshaped(
        low.store(lazy, why=Boundary.LAYOUT), shape
    )


@lowers("Range")
def number_range(_: Lowering, node: Node) -> Lazy:
    """start + index * step."""
    dtype = node.output.dtype
    held = DType.F32 if dtype is DType.F16 else dtype
    sizes: list[Dim] = []

    def number(value: Dim | float) -> Scalar:
        if isinstance(value, (int, float)):
            return cast(Const(DType.F64 if isinstance(value, float) else DType.I64, value), held)
        sizes.append(value)
        return cast(Size(DType.I32, len(sizes) - 1), held)

    tree = cast(Index(DType.I32, 0), held)
    if node.attrs["step"] != 1:
        tree = call("mul", tree, number(node.attrs["step"]))
    if node.attrs["start"] != 0:
        tree = call("add", tree, number(node.attrs["start"]))
    return Lazy(node.output.shape, cast(tree, dtype), (), tuple(sizes))
