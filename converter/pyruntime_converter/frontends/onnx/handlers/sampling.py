"""Operators that read images at points that tensors give: GridSample, DeformConv; AffineGrid."""

from __future__ import annotations

import math

from pyruntime.ir.conditions import equal
from pyruntime.ir.dims import Dim, maximum, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.windows import Windows
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import per_window_axis, slice_axis
from pyruntime_converter.frontends.onnx.sampling import (
    Math,
    by_channel,
    channels_in_rows,
    corners_of,
    positions,
    precise,
    taps_along,
    total,
)

_MODES = {
    "linear": "linear",
    "bilinear": "linear",
    "cubic": "cubic",
    "bicubic": "cubic",
    "nearest": "nearest",
}


@handles("GridSample")
def grid_sample(ctx: NodeContext) -> Value:
    """The image at normalised coordinates, the last axis's first."""
    x, grid = ctx.input(0), ctx.input(1)
    rank = x.rank - 2
    if rank < 1 or grid.rank != x.rank or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        ctx.invalid(f"a grid {grid.shape} for an input {x.shape}")
    mode, corners = _MODES[ctx.choice("mode", *_MODES)], bool(ctx.attr("align_corners"))
    padding = ctx.choice("padding_mode", "zeros", "border", "reflection")
    numbers = Math(ctx, precise(grid, x))
    sizes, points = x.shape[2:], grid.shape[1:-1]
    count = product(points)
    axes = []
    for axis, size in enumerate(sizes):
        part = slice_axis(ctx, grid, grid.rank - 1, rank - 1 - axis, 1)
        place = ctx.cast(ctx.reshape(part, (x.shape[0], count)), numbers.dtype)
        place = numbers.apply("Add", place, 1)
        if corners:
            place = numbers.apply("Mul", numbers.apply("Mul", place, 0.5), size - 1)
        else:
            place = numbers.apply("Mul", numbers.apply("Sub", numbers.apply("Mul", place, size), 1), 0.5)
        axes.append(taps_along(numbers, place, size, mode, padding, corners=corners))
    first = positions(numbers, [(x.shape[0], 0, 1), (1, 0, 1)], DType.I32)
    first = numbers.apply("Mul", first, product(sizes))
    terms = corners_of(numbers, channels_in_rows(ctx, x), first, sizes, axes)
    sampled = ctx.one("Transpose", ctx.cast(total(ctx, terms), x.dtype), perm=(0, 2, 1))
    return ctx.reshape(sampled, (*x.shape[:2], *points))


@handles("AffineGrid")
def affine_grid(ctx: NodeContext) -> Value:
    """Each point of a grid over [-1, 1] along each axis, the last axis first, and one, times a matrix."""
    theta, (n, _, *stated) = ctx.input(0), ctx.known_sizes(ctx.input(1), "its size")
    sizes = [maximum(size, 0) for size in stated]
    rank = len(sizes)
    if theta.rank != 3 or theta.shape[1:] != (rank, rank + 1):
        ctx.invalid(f"matrices {theta.shape} for {rank} spatial axes")
    batch = theta.shape[0]
    if n != batch:
        ctx.require(equal(n, batch), f"its size is for {n} matrices, of which there are {batch}")
    corners, numbers = bool(ctx.attr("align_corners")), Math(ctx, theta.dtype)
    grid = None
    for column in range(rank + 1):
        part = slice_axis(ctx, theta, 2, column, 1)
        part = ctx.reshape(part, (theta.shape[0], *[1] * rank, rank))
        if column < rank:
            axis = rank - 1 - column
            line = _line(numbers, sizes[axis], corners=corners)
            line = ctx.reshape(line, (sizes[axis], *[1] * column, 1))
            part = ctx.one("Mul", line, part)
        grid = part if grid is None else ctx.one("Add", grid, part)
    assert grid is not None
    return grid


def _line(numbers: Math, size: Dim, *, corners: bool) -> Value:
    """`size` coordinates over [-1, 1]: from end to end, or the middles of as many parts."""
    held = Math(numbers.ctx, precise(numbers.number(0)))
    line = numbers.ctx.one("Range", start=0, step=2, size=size, dtype=held.dtype)
    if corners:
        whole = held.apply("Div", line, maximum(size - 1, 1))
        return numbers.ctx.cast(held.apply("Sub", whole, 1), numbers.dtype)
    middle = held.apply("Div", held.apply("Add", line, 1), size)
    return numbers.ctx.cast(held.apply("Sub", middle, 1), numbers.dtype)


@handles("DeformConv")
def deform_conv(ctx: NodeContext) -> Value:
    """A product of the filters and of what is sampled where each tap of a window is moved to."""
    x, w, offset = ctx.input(0), ctx.input(1), ctx.input(2)
    bias, mask = ctx.optional(3), ctx.optional(4)
    kernel = tuple(d for d in w.shape[2:] if isinstance(d, int))
    rank = len(kernel)
    group, apart = ctx.attr("group"), ctx.attr("offset_group")
    stated = ctx.attr("kernel_shape")
    if rank != x.rank - 2 or w.rank != x.rank or (stated and tuple(stated) != kernel):
        ctx.invalid(f"weights {w.shape} for an input {x.shape} and kernel_shape {stated}")
    n, channels, *sizes = x.shape
    outputs, depth = w.shape[:2]
    if not isinstance(channels, int) or not isinstance(outputs, int) or not isinstance(depth, int):
        ctx.fail("its channels depend on the input")
    if channels != depth * group or outputs % group or channels % apart:
        ctx.invalid(f"weights {w.shape} in {group} groups, {apart} of offsets, for an input {x.shape}")
    strides, dilations = (per_window_axis(ctx, name, rank) for name in ("strides", "dilations"))
    pads = ctx.attr("pads") or (0,) * (2 * rank)
    taps, out = math.prod(kernel), Windows(kernel, strides, dilations, tuple(pads)).output_sizes(sizes)
    _fits(ctx, "offsets", offset, (n, apart * taps * rank, *out))
    if mask is not None:
        _fits(ctx, "a mask", mask, (n, apart * taps, *out))
    images, count = n * apart, product(out)
    numbers = Math(ctx, precise(x))
    moved = ctx.reshape(ctx.cast(offset, numbers.dtype), (images, taps, rank, count))
    axes = []
    for axis, size in enumerate(sizes):
        windows = positions(numbers, _over(axis, kernel, out, dilations, strides, -pads[axis]), numbers.dtype)
        place = ctx.one("Expand", windows, shape=(*kernel, *out))
        place = ctx.reshape(place, (1, taps, count))
        part = ctx.reshape(slice_axis(ctx, moved, 2, axis, 1), (images, taps, count))
        axes.append(taps_along(numbers, ctx.one("Add", part, place), size, "linear", "zeros", corners=True))
    first = positions(numbers, [(images, 0, 1), (1, 0, 1), (1, 0, 1)], DType.I32)
    first = numbers.apply("Mul", first, product(sizes))
    grouped = ctx.reshape(x, (images, channels // apart, *sizes))
    sampled = total(ctx, corners_of(numbers, channels_in_rows(ctx, grouped), first, sizes, axes))
    if mask is not None:
        share = ctx.reshape(ctx.cast(mask, numbers.dtype), (images, taps, count))
        sampled = ctx.one("Mul", sampled, by_channel(ctx, share))
    # [images, taps, points, channels] to the rows that the filters have
    columns = ctx.one("Transpose", ctx.cast(sampled, x.dtype), perm=(0, 3, 1, 2))
    columns = ctx.reshape(columns, (n, group, depth * taps, count))
    filters = ctx.reshape(w, (1, group, outputs // group, depth * taps))
    result = ctx.reshape(ctx.one("MatMul", filters, columns), (n, outputs, *out))
    return result if bias is None else ctx.one("Add", result, ctx.reshape(bias, (outputs, *[1] * rank)))


def _fits(ctx: NodeContext, what: str, value: Value, shape: tuple[Dim, ...]) -> None:
    """Refuse a shape that is another one, and inputs that make it one."""
    if value.rank != len(shape):
        ctx.invalid(f"{what} of shape {value.shape}, not {shape}")
    for given, wanted in zip(value.shape, shape, strict=True):
        alike = equal(given, wanted)
        if alike == 0:
            ctx.invalid(f"{what} of shape {value.shape}, not {shape}")
        if alike != 1:
            ctx.require(alike, f"{what} have {wanted} along an axis of {given}")


def _over(
    axis: int,
    kernel: tuple[int, ...],
    out: tuple[Dim, ...],
    dilations: tuple[int, ...],
    strides: tuple[int, ...],
    start: int,
) -> list[tuple[Dim, Dim, int]]:
    """Axes (taps..., points...) along which a coordinate of `axis` grows."""
    inner: list[tuple[Dim, Dim, int]] = [
        (k, 0, d) if a == axis else (1, 0, 1) for a, (k, d) in enumerate(zip(kernel, dilations, strict=True))
    ]
    outer: list[tuple[Dim, Dim, int]] = [
        (o, start, s) if a == axis else (1, 0, 1) for a, (o, s) in enumerate(zip(out, strides, strict=True))
    ]
    return inner + outer
