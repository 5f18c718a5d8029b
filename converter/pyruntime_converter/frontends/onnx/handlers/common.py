"""What several families of handlers share: old ways of broadcasting, clamping, padding and reading axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyruntime.ir.conditions import choose, equal, less
from pyruntime.ir.dims import Dim, Expr, at_least, ceildiv, grouped, maximum, minimum
from pyruntime.ir.graph import Shape, Value
from pyruntime_converter.frontends.onnx.context import NodeContext

# exporters write these for "to the end", whatever the size
_FAR = 2**31 - 1


def legacy_broadcast(ctx: NodeContext) -> tuple[Value, Value]:
    """Both operands of a binary operator; before opset 7 the second one may state where it is aligned."""
    a, b = ctx.input(0), ctx.input(1)
    if ctx.opset >= 7:
        return a, b
    axis = ctx.attr("axis")
    if not ctx.attr("broadcast") or axis is None or b.rank == 0:
        return a, b
    trailing = a.rank - ctx.axis(axis, a.rank) - b.rank
    if trailing < 0:
        ctx.invalid(f"operands of rank {a.rank} and {b.rank} do not align at axis {axis}")
    return a, ctx.reshape(b, (*b.shape, *[1] * trailing))


def between_channels_last(ctx: NodeContext, x: Value, apply: Callable[[Value], Value]) -> Value:
    """apply, which takes channels in axis 1, of x that has them in its last axis, as has the result."""
    if x.rank < 3:
        ctx.invalid(f"an input of rank {x.rank}")
    last = x.rank - 1
    result = apply(ctx.one("Transpose", x, perm=(0, last, *range(1, last))))
    return ctx.one("Transpose", result, perm=(0, *range(2, result.rank), 1))


def fitted(ctx: NodeContext, *operands: Value) -> list[Value]:
    """Operands that are broadcast, where one was cut to the size of another: inputs must be so that it is.

    Of a table that is cut to a sequence's length, `min(1000, n)` rows are left. A longer sequence would meet
    other than 1 or as many rows, which has no meaning: such inputs are refused.
    """
    made = []
    for value in operands:
        shape = list(value.shape)
        for axis, size in enumerate(value.shape, -value.rank):
            for other in [v.shape[axis] for v in operands if v.rank >= -axis]:
                most = _cut_to(other, size)
                if most is not None and not ctx.varies(size):
                    reason = f"{other} must be at most {most}, or it does not fit {size}"
                    ctx.require(less(other, most + 1), reason)
                    shape[axis] = other
        whole = {"starts": (0,) * value.rank, "sizes": tuple(shape), "steps": (1,) * value.rank}
        made.append(value if value.shape == tuple(shape) else ctx.one("Slice", value, **whole))
    return made


def _cut_to(size: Dim, found: Dim) -> Dim | None:
    """The size that found was cut from, to be `size` at most, if that cannot have been 1; else None."""
    atom = found.terms[0][0][0] if isinstance(found, Expr) and found.is_atom else None
    if atom is None or atom.op != "min" or size not in atom.args:
        return None
    (most,) = (a for a in atom.args if a != size)
    return most if at_least(most, 2) else None


def axes_of(ctx: NodeContext, input_since: int) -> tuple[Dim, ...] | None:
    """The `axes` of an operator: an attribute before opset `input_since`, an input since. None if absent."""
    if ctx.opset < input_since:
        stated = ctx.attr("axes")
        return None if stated is None else tuple(stated)
    value = ctx.optional(1)
    return None if value is None else ctx.known(value, "its list of axes")


def clamp(dim: Dim, low: Dim, high: Dim) -> Dim:
    """dim, at least low and at most high."""
    return minimum(maximum(dim, low), high)


def slice_range(start: Dim, end: Dim, step: Dim, size: Dim) -> tuple[Dim, Dim]:
    """First index and number of elements of `start:end:step` in an axis of `size`, counted as Python does.

    A step that is known only at run time is not 0, and no larger than the axis.
    """
    if not isinstance(step, int):
        forward, length = less(0, step), maximum(maximum(step, -step), 1)
        low, high = _bound(start, size, 0, size), _bound(start, size, 0, size - 1)
        up = maximum(ceildiv(_bound(end, size, 0, size) - low, length), 0)
        down = maximum(ceildiv(high - _bound(end, size, -1, size - 1), length), 0)
        return choose(forward, low, high), grouped(choose(forward, up, down))
    if step > 0:
        first = (
            0 if start == 0 else _bound(start, size, 0, size)
        )  # size is at least 0, though it may not show
        last = _bound(end, size, 0, size)
        return first, ceildiv(size, step) if (first, last) == (0, size) else maximum(
            ceildiv(last - first, step), 0
        )
    first = _bound(start, size, 0, size - 1)
    return first, maximum(ceildiv(first - _bound(end, size, -1, size - 1), -step), 0)


def _bound(position: Dim, size: Dim, low: Dim, high: Dim) -> Dim:
    if isinstance(position, int):
        if position >= _FAR:
            return high
        if position <= -_FAR:
            return low
        if position < 0:
            return clamp(position + size, low, high)
    elif not at_least(position, 0):
        position = position + less(position, 0) * size
    return clamp(position, low, high)


def slice_axis(ctx: NodeContext, value: Value, axis: int, start: Dim, size: Dim) -> Value:
    """Elements start .. start + size of one axis; value itself where that is all of it."""
    if start == 0 and size == value.shape[axis]:
        return value
    starts = tuple(start if a == axis else 0 for a in range(value.rank))
    sizes = tuple(size if a == axis else d for a, d in enumerate(value.shape))
    return ctx.one("Slice", value, starts=starts, sizes=sizes, steps=(1,) * value.rank)


def parted(ctx: NodeContext, value: Value, axis: int, sizes: Sequence[Dim]) -> list[Value]:
    """Parts of these sizes, one after the other along an axis."""
    parts: list[Value] = []
    start: Dim = 0
    for size in sizes:
        parts.append(slice_axis(ctx, value, axis, start, size))
        start = start + size
    return parts


def add_up(ctx: NodeContext, parts: Sequence[Dim], size: Dim, ask: Callable[[Dim, str], None]) -> None:
    """Let inputs be refused, by `ask`, for which parts do not make up a size.

    Raises ModelError where they never do.
    """
    whole = equal(sum(parts, start=0), size)
    if whole == 0:
        ctx.invalid(f"parts {tuple(parts)} of size {size}")
    ask(whole, f"parts {', '.join(map(str, parts))} must add up to the size {size}")


def levelled_axis(ctx: NodeContext, value: Value, axis: int, size: Dim) -> Value:
    """Value, whose axis must have a size; inputs that give it another are refused.

    Where it cannot have, or data tell, value is as it was, and the op that it is made for says why not.
    """
    alike = equal(value.shape[axis], size)
    if alike in (0, 1) or ctx.varies(alike):
        return value
    ctx.require(alike, f"sizes {size} and {value.shape[axis]} along axis {axis} must be equal")
    return slice_axis(ctx, value, axis, 0, size)


def concatenated(ctx: NodeContext, values: Sequence[Value], axis: int) -> Value:
    """Values one after the other along an axis; a single one as it is."""
    return values[0] if len(values) == 1 else ctx.one("Concat", *values, axis=axis)


def with_axis(ctx: NodeContext, value: Value, axis: int) -> Value:
    """Value with one more axis, of size 1."""
    return ctx.reshape(value, (*value.shape[:axis], 1, *value.shape[axis:]))


def repeated_along(ctx: NodeContext, value: Value, axis: int, times: int) -> Value:
    """Every element of an axis several times in a row: no more than an expanded view."""
    before, count, after = value.shape[:axis], value.shape[axis], value.shape[axis + 1 :]
    wide = ctx.one("Expand", with_axis(ctx, value, axis + 1), shape=(*before, count, times, *after))
    return ctx.reshape(wide, (*before, count * times, *after))


def stacked(ctx: NodeContext, values: Sequence[Value], axis: int = 0) -> Value:
    """Values one after the other along a new axis."""
    return concatenated(ctx, [with_axis(ctx, v, axis) for v in values], axis)


def rows_along(ctx: NodeContext, rows: Value, axis: int, *, new: bool) -> Value:
    """Tensors [count, ...] one after the other along an axis of theirs, or along a new one."""
    moved = ctx.one("Transpose", rows, perm=(*range(1, axis + 1), 0, *range(axis + 1, rows.rank)))
    if new:
        return moved
    shape = list(rows.shape[1:])
    shape[axis] = shape[axis] * rows.shape[0]
    return ctx.reshape(moved, shape)


def ones(count: int) -> tuple[int, ...]:
    """As many ones: the default of strides and dilations."""
    return (1,) * count


def per_window_axis(ctx: NodeContext, name: str, rank: int) -> tuple[int, ...]:
    """strides, dilations: one positive number per spatial axis, by default 1."""
    values = ctx.attr(name)
    if values is None or not len(values):
        return ones(rank)
    if len(values) != rank or any(v < 1 for v in values):
        ctx.invalid(f"{name} {values} for {rank} spatial axes")
    return tuple(values)


def auto_pad(ctx: NodeContext) -> str:
    """Which way of padding a window the node asks for."""
    return ctx.choice("auto_pad", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def _let_windows_fit(
    ctx: NodeContext, sizes: Shape, kernel: Sequence[int], dilations: Sequence[int], pads: Sequence[int]
) -> None:
    """Refuse inputs whose sizes leave no room for one window; fixed sizes are judged by the op itself."""
    if ctx.attr("ceil_mode"):  # the last window may reach past the padding
        return
    for axis, (size, k, d) in enumerate(zip(sizes, kernel, dilations, strict=True)):
        reach = d * (k - 1) + 1
        room = size + pads[axis] + pads[len(kernel) + axis] - reach
        if not at_least(room, 0) and not isinstance(room, int):
            ctx.require_room(room, f"a window of {reach} does not fit spatial axis {axis}, of {size}")


def window_pads(
    ctx: NodeContext, sizes: Shape, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Dim, ...]:
    """pads, all begins and then all ends, with auto_pad resolved for these spatial sizes."""
    rank = len(kernel)
    stated, auto = ctx.attr("pads"), auto_pad(ctx)
    if auto == "NOTSET":
        pads = tuple(stated) if stated is not None and len(stated) else (0,) * (2 * rank)
        if len(pads) != 2 * rank:
            ctx.invalid(f"pads {pads} for {rank} spatial axes")
        _let_windows_fit(ctx, sizes, kernel, dilations, pads)
        return pads
    if auto == "VALID":
        _let_windows_fit(ctx, sizes, kernel, dilations, (0,) * (2 * rank))
        return (0,) * (2 * rank)
    totals = [
        maximum((ceildiv(size, s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    less, more = [t // 2 for t in totals], [ceildiv(t, 2) for t in totals]
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less)
