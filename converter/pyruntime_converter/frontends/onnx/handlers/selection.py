"""Operators that select elements by what they are, as many as there are."""

from __future__ import annotations

import numpy as np

from pyruntime.ir.dims import Dim, ceildiv, minimum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import clamp, slice_axis, stacked
from pyruntime_converter.frontends.onnx.held import Text

# a running count of more elements goes by rows of so many, which GPUs count side by side
COUNTED_ROW = 256
_COUNTED_AT_ONCE = 1024


def true_positions(ctx: NodeContext, x: Value) -> Value:
    """The row-major positions (int32) of the elements that are not zero; a NaN is not."""
    if x in ctx.selected:  # so that selecting by the same again gives the same size
        return ctx.selected[x]
    elements = x.elements
    mask = ctx.cast(x, DType.BOOL)
    mask = ctx.reshape(mask, (elements,))
    before, total = running_count(ctx, ctx.cast(mask, DType.I32), elements)
    place = ctx.one("Where", mask, before, ctx.like(-1, before))
    found = ctx.one("Positions", place, count=ctx.measure(total, elements))
    if x.data is None:  # constants belong to no graph
        ctx.selected[x] = found
    return found


def running_count(ctx: NodeContext, ones: Value, elements: Dim) -> tuple[Value, Value]:
    """For each element of an int32 vector the sum of those before it, and the sum of all."""
    if isinstance(elements, int) and elements <= _COUNTED_AT_ONCE:
        total = ctx.one("ReduceSum", ones, axes=(0,), keepdims=False)
        return ctx.one("CumSum", ones, axis=0, exclusive=True), total
    rows = ceildiv(elements, COUNTED_ROW)
    whole = rows * COUNTED_ROW
    padded = ctx.one("Pad", ones, before=(0,), after=(whole - elements,))
    table = ctx.reshape(padded, (rows, COUNTED_ROW))
    sums = ctx.one("ReduceSum", table, axes=(1,), keepdims=True)
    starts = ctx.one("CumSum", sums, axis=0, exclusive=True)
    before = ctx.one("Add", ctx.one("CumSum", table, axis=1, exclusive=True), starts)
    return (
        slice_axis(ctx, ctx.reshape(before, (whole,)), 0, 0, elements),
        ctx.one("ReduceSum", sums, axes=(0, 1), keepdims=False),
    )


@handles("NonZero")
def non_zero(ctx: NodeContext) -> Value:
    """The indices of the elements that are not zero, or strings that are not empty: an axis in each row."""
    strings = ctx.text()
    x = ctx.input() if strings is None else _filled(ctx, strings)
    found = true_positions(ctx, x)
    if not x.rank:  # without axes, without indices
        return ctx.one("Expand", ctx.builder.constant(np.zeros((0, 1), np.int64)), shape=(0, *found.shape))
    rows = []
    for axis, size in enumerate(x.shape):
        row = found
        step = product(x.shape[axis + 1 :])
        if step != 1:
            row = ctx.one("Div", row, ctx.builder.dims(step, DType.I32))
        if axis:
            row = ctx.one("Mod", row, ctx.builder.dims(size, DType.I32))
        rows.append(ctx.cast(row, DType.I64))
    table = stacked(ctx, rows)
    ctx.indices.add(table)
    return table


def _filled(ctx: NodeContext, strings: Text) -> Value:
    """The bytes of each string, as a number."""
    counts = text.lengths(ctx.builder, text.bytes_of(ctx.builder, strings))
    return ctx.reshape(counts, strings.rows.shape)


@handles("Compress")
def compress(ctx: NodeContext) -> Value:
    """The elements, or the slices along an axis, for which a condition holds."""
    x, condition, axis = ctx.input(0), ctx.input(1), ctx.attr("axis")
    if axis is None:
        x, axis = ctx.reshape(x, (x.elements,)), 0
    axis = ctx.axis(axis, x.rank)
    return ctx.one("Gather", x, true_positions(ctx, condition), axis=axis)


@handles("NonMaxSuppression")
def non_max_suppression(ctx: NodeContext) -> Value:
    """Image, class and number of each selected box, in rows."""
    boxes, scores, lowest = ctx.input(0), ctx.input(1), ctx.optional(4)
    batch, classes, count = scores.shape
    most = _most_boxes(ctx, count)
    if most == 0:
        ctx.optional(3)
        return ctx.builder.constant(np.zeros((0, 3), np.int64))
    zero = ctx.builder.constant(np.zeros(1, np.float32))
    given = [zero if v is None else ctx.reshape(v, (1,)) for v in (ctx.optional(3), lowest)]
    selected = ctx.one(
        "SuppressBoxes",
        boxes,
        scores,
        ctx.one("Concat", *given, axis=0),
        most=most,
        centred=bool(ctx.attr("center_point_box")),
        bounded=lowest is not None,
    )
    room = ctx.reshape(selected, (batch * classes * most,))
    at = true_positions(ctx, ctx.one("GreaterOrEqual", room, ctx.like(0, room)))
    row = ctx.one("Div", at, ctx.builder.dims(most, DType.I32))
    columns = [
        ctx.one("Div", row, ctx.builder.dims(classes, DType.I32)),
        ctx.one("Mod", row, ctx.builder.dims(classes, DType.I32)),
        ctx.one("Gather", room, at, axis=0),
    ]
    wide = [ctx.reshape(ctx.cast(v, DType.I64), (*at.shape, 1)) for v in columns]
    return ctx.one("Concat", *wide, axis=1)


def _most_boxes(ctx: NodeContext, count: Dim) -> Dim:
    """How many boxes of a class may be selected, at most."""
    limit = ctx.optional(2)
    if limit is None:
        return 0
    known = ctx.contents(limit)
    if known is not None:
        return clamp(minimum(known[0], 2**31 - 1), 0, count)
    least, most = ctx.like(0, limit), ctx.builder.dims(count, limit.dtype)
    return ctx.measure(ctx.one("Min", ctx.one("Max", limit, least), most), count)
