"""Col2Im: patches added up where they lie in an image."""

from __future__ import annotations

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim, floordiv, maximum, mod, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import per_window_axis
from pyruntime_converter.frontends.onnx.sampling import Math, positions


@handles("Col2Im")
def col2im(ctx: NodeContext) -> Value:
    """One axis after the other: what reaches an element is gathered, and added up."""
    x = ctx.input(0)
    sizes = ctx.known_sizes(ctx.input(1), "its image_shape")
    block = ctx.known_sizes(ctx.input(2), "its block_shape", 1)
    rank = len(sizes)
    strides, dilations = (per_window_axis(ctx, name, rank) for name in ("strides", "dilations"))
    pads = ctx.attr("pads") or (0,) * (2 * rank)
    counts = [
        maximum(
            floordiv(sizes[a] + pads[a] + pads[a + rank] - dilations[a] * (block[a] - 1) - 1, strides[a]) + 1,
            0,
        )
        for a in range(rank)
    ]
    n, rows, columns = x.shape
    fits = equal(columns, product(counts)) * equal(mod(rows, product(block)), 0)
    if len(block) != rank or fits == 0:
        ctx.invalid(f"columns {x.shape} for an image {sizes} of blocks {block}")
    ctx.require(fits, f"columns {x.shape} must fit an image {sizes} of blocks {block}")
    channels = floordiv(rows, product(block))
    image = ctx.reshape(x, (n, channels, *block, *counts))
    for a in range(rank):
        # [n, c, done..., block from a on..., counts from a on...]: both axes of one dimension go last
        left = rank - a
        first, second = 2 + a, 2 + a + left
        others = [axis for axis in range(image.rank) if axis not in (first, second)]
        image = ctx.one("Transpose", image, perm=(*others, first, second))
        image = ctx.reshape(image, (*image.shape[:-2], block[a] * counts[a]))
        image = _added_up(ctx, image, sizes[a], block[a], counts[a], (pads[a], dilations[a], strides[a]))
        # the finished axis goes behind those that are
        order = (*range(2 + a), image.rank - 1, *range(2 + a, image.rank - 1))
        image = ctx.one("Transpose", image, perm=order)
    return image


def _added_up(
    ctx: NodeContext, image: Value, size: Dim, block: Dim, count: Dim, window: tuple[int, int, int]
) -> Value:
    """The last axis (block, count) as `size` sums of what lies at the same place."""
    pad, dilation, stride = window
    numbers = Math(ctx, DType.I32)
    place = positions(numbers, [(size, pad, 1), (block, 0, -dilation)], DType.I32)
    fits = ctx.one("Equal", numbers.apply("Mod", place, stride), numbers.number(0))
    step = numbers.apply("Div", numbers.apply("Max", place, 0), stride)
    inside = ctx.one("And", numbers.apply("GreaterOrEqual", place, 0), numbers.apply("Less", step, count))
    taken = numbers.clip(step, 0, count - 1)
    tap = positions(numbers, [(1, 0, 1), (block, 0, 1)], DType.I32)
    index = ctx.one("Add", numbers.apply("Mul", tap, count), taken)
    found = ctx.one("Gather", image, index, axis=image.rank - 1)
    found = ctx.one("Where", ctx.one("And", fits, inside), found, ctx.like(0, found))
    if found.dtype is DType.BOOL:  # whether any is true
        most = ctx.one("ReduceMax", ctx.cast(found, DType.I32), axes=(found.rank - 1,), keepdims=False)
        return ctx.cast(most, DType.BOOL)
    return ctx.one("ReduceSum", found, axes=(found.rank - 1,), keepdims=False)
