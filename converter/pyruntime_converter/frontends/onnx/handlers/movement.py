"""Operators that only move elements: reshaping, slicing, padding, joining, repeating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyruntime.ir.conditions import choose, equal, less, signed
from pyruntime.ir.dims import (
    Dim,
    at_least,
    ceildiv,
    divides,
    floordiv,
    grouped,
    maximum,
    minimum,
    mod,
    product,
)
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import broadcast
from pyruntime_converter.frontends.onnx.axes import FedAxes, fed_axes, integers
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import (
    add_up,
    axes_of,
    clamp,
    concatenated,
    levelled_axis,
    ones,
    parted,
    slice_axis,
    slice_range,
)


@handles("Reshape", until=4)
def reshape_attribute(ctx: NodeContext) -> Value:
    """A target that is an attribute."""
    return ctx.reshape(ctx.input(), _target(ctx, ctx.required("shape"), keep_zero=False))


@handles("Reshape", since=5)
def reshape(ctx: NodeContext) -> Value:
    """A target that is an input: constant, or computed from input sizes."""
    target, keep_zero = ctx.known(ctx.input(1), "its target shape"), bool(ctx.attr("allowzero"))
    fed = any(signed(dim) and not _is_own(ctx, axis, dim) for axis, dim in enumerate(target))
    return ctx.reshape(ctx.input(), (_fed_target if fed else _target)(ctx, target, keep_zero=keep_zero))


def _is_own(ctx: NodeContext, axis: int, dim: Dim) -> bool:
    """Whether a dim of a target is certain to be that axis of the input, and so says no more than 0 would."""
    x = ctx.input()
    return axis < x.rank and dim == x.shape[axis] and at_least(dim, 0)


def _fed_target(ctx: NodeContext, target: Sequence[Dim], *, keep_zero: bool) -> tuple[Dim, ...]:
    """As `_target`, where the input's contents tell at run time which dims are 0 and -1."""
    x = ctx.input()
    copied = [0 if keep_zero or axis >= x.rank else x.shape[axis] for axis in range(len(target))]
    stated = [choose(equal(dim, 0), own, dim) for dim, own in zip(target, copied, strict=True)]
    # sizes as one atom each: products of sums would grow without bound
    others = product(
        [maximum(choose(equal(dim, -1), 1, size), 0) for dim, size in zip(target, stated, strict=True)]
    )
    left = floordiv(x.elements, maximum(others, 1))
    shape = [maximum(choose(equal(dim, -1), left, size), 0) for dim, size in zip(target, stated, strict=True)]
    ctx.require(equal(product(shape), x.elements), f"its target shape must have {x.elements} elements")
    return tuple(shape)


def _target(ctx: NodeContext, target: Sequence[Dim], *, keep_zero: bool) -> tuple[Dim, ...]:
    """The target with 0 (that axis of the input) and -1 (what is left) resolved."""
    x = ctx.input()
    shape: list[Dim] = []
    copied: set[int] = set()
    for axis, dim in enumerate(target):
        if dim == 0 and not keep_zero:
            if axis >= x.rank:
                ctx.invalid(f"target {tuple(target)} copies axis {axis} of an input of rank {x.rank}")
            copied.add(axis)
            dim = x.shape[axis]
        elif _is_own(ctx, axis, dim) and not at_least(dim, 1):
            copied.add(axis)
        shape.append(dim)
    if shape.count(-1) > 1 or any(isinstance(d, int) and d < -1 for d in shape):
        ctx.invalid(f"target {tuple(target)}")
    if -1 in shape:
        # what is copied says nothing of what is left, which is then known without elements, too
        whole, rest = (
            product([d for axis, d in enumerate(dims) if axis not in copied and d != -1])
            for dims in (x.shape, shape)
        )
        if rest == 0:
            ctx.invalid(f"target {tuple(target)} leaves -1 undefined")
        if isinstance(whole, int) and isinstance(rest, int) and not divides(rest, whole):
            ctx.invalid(f"{x.elements} elements do not fit {tuple(target)}")
        shape[shape.index(-1)] = floordiv(whole, rest)
        if not divides(rest, whole):
            ctx.expect(equal(mod(whole, rest), 0), f"{whole} elements must be a multiple of {rest}")
    else:
        _expect_elements(ctx, shape)
    return tuple(shape)


def _expect_elements(ctx: NodeContext, shape: Sequence[Dim]) -> None:
    """Refuse inputs that have more or fewer elements than a target shape."""
    whole, wanted = ctx.input().elements, product(shape)
    alike = equal(wanted, whole)
    if alike not in (0, 1):  # what never can be is the op's to say
        ctx.expect(alike, f"{whole} elements must be as many as {wanted}")


@handles("Flatten")
def flatten(ctx: NodeContext) -> Value:
    """Two axes: what is before `axis`, and the rest."""
    x, axis = ctx.input(), ctx.attr("axis")
    split = x.rank if axis == x.rank else ctx.axis(axis, x.rank)
    return ctx.reshape(x, (product(x.shape[:split]), product(x.shape[split:])))


@handles("Squeeze")
def squeeze(ctx: NodeContext) -> Value:
    """Without the named axes, or without all that are known to be 1."""
    x, stated = ctx.input(), axes_of(ctx, 13)
    if stated is None:
        return ctx.reshape(x, [d for d in x.shape if not _is_one(ctx, d)])
    known = integers(stated)
    if known is None:
        fed = fed_axes(ctx, stated, x.rank)
        ones = [choose(fed.selects(a), equal(d, 1), 1) for a, d in enumerate(x.shape)]
        ctx.require(product(ones), "the axes that it drops must have size 1")
        return ctx.reshape(x, fed.without(x.shape))
    axes = ctx.axes(known, x.rank)
    for axis in axes:
        if x.shape[axis] != 1:
            if isinstance(x.shape[axis], int):
                ctx.invalid(f"axis {axis} has size {x.shape[axis]}, not 1")
            ctx.require(equal(x.shape[axis], 1), f"axis {axis} that it drops must have size 1")
    return ctx.reshape(x, [d for a, d in enumerate(x.shape) if a not in axes])


def _is_one(ctx: NodeContext, size: Dim) -> bool:
    """Whether an axis goes; where only the run knows its size, ranks behind it hang on that."""
    condition = equal(size, 1)
    decided = ctx.decided(condition)
    return ctx.undecided(condition) if decided is None else decided


@handles("Unsqueeze")
def unsqueeze(ctx: NodeContext) -> Value:
    """With new axes of size 1."""
    x, stated = ctx.input(), axes_of(ctx, 13)
    if stated is None:
        ctx.invalid("it names no axes")
    rank = x.rank + len(stated)
    known = integers(stated)
    if known is None:
        return ctx.reshape(x, fed_axes(ctx, stated, rank).with_ones(x.shape))
    axes, dims = ctx.axes(known, rank), iter(x.shape)
    return ctx.reshape(x, [1 if a in axes else next(dims) for a in range(rank)])


@handles("Transpose")
def transpose(ctx: NodeContext) -> Value:
    """Axes in another order; by default reversed."""
    x = ctx.input()
    perm = ctx.attr("perm")
    perm = tuple(reversed(range(x.rank))) if perm is None else ctx.axes(perm, x.rank)
    if len(perm) != x.rank:
        ctx.invalid(f"perm {perm} for rank {x.rank}")
    return x if perm == tuple(range(x.rank)) else ctx.one("Transpose", x, perm=perm)


@handles("Slice", until=9)
def slice_attributes(ctx: NodeContext) -> Value:
    """Bounds that are attributes."""
    starts, ends = ctx.required("starts"), ctx.required("ends")
    axes = ctx.attr("axes")
    return _slice(ctx, starts, ends, range(len(starts)) if axes is None else axes, ones(len(starts)))


@handles("Slice", since=10)
def slice_inputs(ctx: NodeContext) -> Value:
    """Bounds that are inputs."""
    x, first, last = (ctx.input(i) for i in range(3))
    if first.rank != 1 or not isinstance(first.elements, int):
        ctx.fail(f"how many axes it slices, {first.elements}, depends on the input sizes", FIX_DIMS)
    axes, steps = ctx.optional(3), ctx.optional(4)
    every = ones(first.elements) if steps is None else ctx.known(steps, "its steps")
    along = range(first.elements) if axes is None else ctx.known(axes, "its list of axes")
    starts = _positions(ctx, first, x, along, every, "where it starts")
    return _slice(ctx, starts, _positions(ctx, last, x, along, every, "where it ends"), along, every)


def _positions(
    ctx: NodeContext, value: Value, x: Value, along: Sequence[Dim], steps: Sequence[Dim], what: str
) -> Sequence[Dim]:
    """Bounds along axes of x, as dims; those that data alone tell count from the front, and lie within."""
    known, axes = ctx.contents(value), integers(along)
    forward = all(isinstance(step, int) and step > 0 for step in steps)  # -1 lies before the first, backwards
    if known is not None or axes is None or not forward or value.shape != (len(axes),):
        return ctx.known(value, what)
    found: list[Dim] = []
    for place, axis in enumerate(ctx.axes(axes, x.rank)):
        stated = ctx.reshape(slice_axis(ctx, value, 0, place, 1), ())
        size, zero = ctx.builder.dims(x.shape[axis], stated.dtype), ctx.like(0, stated)
        front = ctx.one("Where", ctx.one("Less", stated, zero), ctx.one("Add", stated, size), stated)
        found.append(ctx.measure(ctx.one("Min", ctx.one("Max", front, zero), size), x.shape[axis]))
    return found


@dataclass(frozen=True)
class Part:
    """What a Slice takes of one axis, as it is stated."""

    start: Dim
    end: Dim
    step: Dim

    def of(self, size: Dim) -> tuple[Dim, Dim, Dim]:
        """First index, number of elements and step in an axis of size."""
        step = self.step
        if not isinstance(step, int):  # a longer one takes one element as well
            step = clamp(step, -maximum(size, 1), maximum(size, 1))
        return (*slice_range(self.start, self.end, step, size), step)


def _slice(
    ctx: NodeContext, starts: Sequence[Dim], ends: Sequence[Dim], axes: Sequence[Dim], steps: Sequence[Dim]
) -> Value:
    x = ctx.input()
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        ctx.invalid(f"starts {starts}, ends {ends}, axes {tuple(axes)}, steps {steps}")
    for step in steps:
        ctx.require(1 - equal(step, 0), "its steps must not be 0")
    parts = [Part(start, end, step) for start, end, step in zip(starts, ends, steps, strict=True)]
    known = integers(axes)
    if known is None:
        fed = fed_axes(ctx, axes, x.rank)
        ranges = [_of_one(fed, axis, parts, size) for axis, size in enumerate(x.shape)]
    else:
        ranges = [(0, size, 1) for size in x.shape]
        for axis, part in zip(ctx.axes(known, x.rank), parts, strict=True):
            size = x.shape[axis]
            ranges[axis] = _of_table(ctx, x, axis, part) or _of_iteration(ctx, size, part) or part.of(size)
    first, sizes, every = (tuple(column) for column in zip(*ranges, strict=True)) if ranges else ((), (), ())
    if not any(f != 0 for f in first) and sizes == x.shape and all(s == 1 for s in every):
        return x
    return ctx.one("Slice", x, starts=first, sizes=sizes, steps=every)


def _of_one(fed: FedAxes, axis: int, parts: Sequence[Part], size: Dim) -> tuple[Dim, Dim, Dim]:
    """First index, number and step along an axis that one of the parts may be of."""
    first, length, every = [list(column) for column in zip(*(p.of(size) for p in parts), strict=True)]
    chosen = [row[axis] for row in fed.named]
    return (
        sum((c * f for c, f in zip(chosen, first, strict=True)), start=0),
        grouped(sum((c * (n - size) for c, n in zip(chosen, length, strict=True)), start=size)),
        sum((c * (s - 1) for c, s in zip(chosen, every, strict=True)), start=1),
    )


def _of_table(ctx: NodeContext, x: Value, axis: int, part: Part) -> tuple[Dim, Dim, Dim] | None:
    """start and length of a run of a constant table (positions, masks) whose end is known at run time.

    A run that reached beyond the table would be cut off, and then not fit what it is made for: such inputs
    are refused instead, and the length is what it says.
    """
    start, end, size = part.start, part.end, x.shape[axis]
    if x.data is None or part.step != 1:
        return None
    if isinstance(end, int) or not (at_least(start, 0) and at_least(end, start)):
        return None
    if not at_least(size, end):
        last = ctx.greatest(end)
        ctx.require(less(last, size + 1), f"{last} must be at most {size}, the size of its table")
    return start, end - start, 1


def _of_iteration(ctx: NodeContext, size: Dim, part: Part) -> tuple[Dim, Dim, Dim] | None:
    """What is taken between bounds that move by a loop's counter, where no iteration leaves the axis."""
    start, end, step = part.start, part.end, part.step
    if not isinstance(step, int) or step < 1 or not (at_least(start, 0) and at_least(end, start)):
        return None
    if at_least(size, end) or not at_least(size, ctx.greatest_within(end)):
        return None
    return start, ceildiv(end - start, step), step


@handles("Split")
def split(ctx: NodeContext) -> list[Value]:
    """One slice per output: stated sizes, or equal ones of which the last may be smaller."""
    x, count = ctx.input(), len(ctx.outputs)
    axis = ctx.axis(ctx.attr("axis") or 0, x.rank)
    size = x.shape[axis]
    stated: Sequence[Dim] | None = ctx.attr("split")
    given = ctx.optional(1)
    if given is not None:
        stated = ctx.known_sizes(given, "the sizes of its parts")
    if stated is None or not len(stated):
        if ctx.attr("num_outputs") not in (None, count) or (
            ctx.opset < 18 and isinstance(size, int) and size % count
        ):
            ctx.invalid(f"size {size} does not split into {count} equal parts")
        if ctx.opset < 18 and not divides(count, size):
            ctx.expect(equal(mod(size, count), 0), f"a size of {size} must split into {count} equal parts")
        part = ceildiv(size, count)
        starts: list[Dim] = [minimum(part * i, size) for i in range(count)]
        stated = [minimum(part, size - start) for start in starts]
    else:
        add_up(ctx, stated, size, ctx.expect)
    return parted(ctx, x, axis, stated)


@handles("Concat")
def concat(ctx: NodeContext) -> Value:
    """Operands one after the other; in opset 1 by default along axis 1."""
    values = ctx.variadic()
    axis = ctx.attr("axis")
    axis = ctx.axis(1 if axis is None else axis, values[0].rank)
    return joined(ctx, values, axis)


def joined(ctx: NodeContext, values: Sequence[Value], axis: int) -> Value:
    """Values one after the other, all of the first one's sizes beside that axis; other inputs are refused.

    Feature maps that meet again after halving and doubling are equal for some sizes alone.
    """
    first, levelled = values[0], list(values[:1])
    for value in values[1:]:
        for other in range(min(first.rank, value.rank)):
            if other != axis:
                value = levelled_axis(ctx, value, other, first.shape[other])
        levelled.append(value)
    return concatenated(ctx, levelled, axis)


@handles("Pad", until=10)
def pad_attributes(ctx: NodeContext) -> Value:
    """Amounts that are attributes (`paddings` in opset 1)."""
    pads = ctx.attr("pads")
    return _pad(ctx, ctx.required("paddings") if pads is None else pads, ctx.attr("value") or 0.0, None)


@handles("Pad", since=11)
def pad(ctx: NodeContext) -> Value:
    """Amounts that are inputs."""
    pads = ctx.known(ctx.input(1), "how much it pads")
    value, axes = ctx.optional(2), ctx.optional(3)
    stated = None if axes is None else ctx.known(axes, "its list of axes")
    if value is None or ctx.attr("mode") not in (None, "constant"):
        return _pad(ctx, pads, 0, stated)
    if value.data is not None:
        return _pad(ctx, pads, ctx.scalar(value, "what it pads with"), stated)
    # ones where the input is, and what to pad with elsewhere
    x, every = ctx.input(), ctx.one("Expand", ctx.builder.constant(True), shape=ctx.input().shape)
    return ctx.one(
        "Where", _pad(ctx, pads, False, stated, every), _pad(ctx, pads, 0, stated, x), ctx.reshape(value, ())
    )


def _pad(
    ctx: NodeContext,
    pads: Sequence[Dim],
    value: float | int | bool,
    stated: Sequence[Dim] | None,
    padded: Value | None = None,
) -> Value:
    """The input, or what is `padded` in its place, with more elements around it, or fewer."""
    x = ctx.input() if padded is None else padded
    mode = ctx.choice("mode", "constant", "reflect", "edge", "wrap")
    before, after = _ends(ctx, x.rank, pads, range(x.rank) if stated is None else stated)
    # negative amounts crop
    for axis in range(x.rank):
        low, high = (-d if isinstance(d, int) and d < 0 else 0 for d in (before[axis], after[axis]))
        x = slice_axis(ctx, x, axis, low, x.shape[axis] - low - high)
        before[axis], after[axis] = before[axis] + low, after[axis] + high
    for size, first, last in zip(x.shape, before, after, strict=True):
        if not isinstance(first, int) or not isinstance(last, int):
            _require_room(ctx, mode, size, first, last)
    if not any(d != 0 for d in (*before, *after)):
        return x
    return ctx.one("Pad", x, before=tuple(before), after=tuple(after), mode=mode, value=value)


def _require_room(ctx: NodeContext, mode: str, size: Dim, before: Dim, after: Dim) -> None:
    """Refuse amounts, known only at run time, that crop more than there is, or that a mode cannot fill."""
    if mode == "constant":
        ctx.require(1 - less(size + before + after, 0), f"it must not crop more than an axis of {size}")
        return
    kept = size + minimum(before, 0) + minimum(after, 0)
    ctx.require(less(0, kept), f"of an axis of {size} that it pads some element must be left")
    if mode != "edge":
        most = kept - 1 if mode == "reflect" else kept
        reached = 1 - less(most, maximum(before, after))
        ctx.require(reached, f"it must not pad an axis by more elements than mode {mode} can repeat")


def _ends(
    ctx: NodeContext, rank: int, pads: Sequence[Dim], axes: Sequence[Dim]
) -> tuple[list[Dim], list[Dim]]:
    """How much is padded before and after each axis of a rank."""
    if len(pads) != 2 * len(axes):
        ctx.invalid(f"pads {tuple(pads)} for {len(axes)} axes")
    ends: tuple[list[Dim], list[Dim]] = ([0] * rank, [0] * rank)
    halves = pads[: len(axes)], pads[len(axes) :]
    known = integers(axes)
    if known is None:
        named = fed_axes(ctx, axes, rank).named
        for end, amounts in zip(ends, halves, strict=True):
            for axis in range(rank):
                end[axis] = sum((r[axis] * d for r, d in zip(named, amounts, strict=True)), start=0)
        return ends
    for end, amounts in zip(ends, halves, strict=True):
        for axis, amount in zip(ctx.axes(known, rank), amounts, strict=True):
            end[axis] = amount
    return ends


@handles("Tile", until=5)
def tile_axis(ctx: NodeContext) -> Value:
    """Copies along one axis."""
    x = ctx.input()
    (tiles,) = ctx.known_sizes(ctx.input(1), "its number of copies") or (1,)
    (axis,) = ctx.known_ints(ctx.input(2), "its axis") or (0,)
    at = ctx.axis(axis, x.rank)
    return ctx.one("Tile", x, repeats=tuple(tiles if a == at else 1 for a in range(x.rank)))


@handles("Tile", since=6)
def tile(ctx: NodeContext) -> Value:
    """Copies along every axis."""
    x, repeats = ctx.input(), ctx.known_sizes(ctx.input(1), "its number of copies")
    if len(repeats) != x.rank or any(isinstance(r, int) and r < 0 for r in repeats):
        ctx.invalid(f"repeats {repeats} for rank {x.rank}")
    return x if all(r == 1 for r in repeats) else ctx.one("Tile", x, repeats=repeats)


@handles("Expand")
def expand(ctx: NodeContext) -> Value:
    """The input broadcast against a shape, which may have ones where the input has more."""
    x, target = ctx.input(), list(ctx.known_sizes(ctx.input(1), "its target shape"))
    if any(isinstance(d, int) and d < 0 for d in target):
        ctx.invalid(f"target {target}")
    for axis in range(-min(x.rank, len(target)), 0):
        own, asked = x.shape[axis], target[axis]
        if signed(asked) and own not in (1, asked):
            fits = maximum(equal(asked, own), equal(asked, 1))
            ctx.require(fits, f"size {asked} of its target shape must be 1 or {own}")
            target[axis] = own
    shape = ctx.joined(x.shape, tuple(target)) or broadcast([x.shape, tuple(target)])
    x = ctx.spread(x, shape)
    return x if shape == x.shape else ctx.one("Expand", x, shape=shape)


@handles("DepthToSpace")
def depth_to_space(ctx: NodeContext) -> Value:
    """Blocks of channels become blocks of pixels."""
    x, block = ctx.input(), ctx.required("blocksize")
    mode = ctx.choice("mode", "DCR", "CRD")
    n, c, h, w = _image(ctx, x)
    if block < 1 or (isinstance(c, int) and c % (block * block)):
        ctx.invalid(f"mode {mode!r} and blocksize {block} for {c} channels")
    depth = floordiv(c, block * block)
    if mode == "DCR":
        split, perm = (n, block, block, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3)
    moved = ctx.one("Transpose", ctx.reshape(x, split), perm=perm)
    return ctx.reshape(moved, (n, depth, h * block, w * block))


@handles("SpaceToDepth")
def space_to_depth(ctx: NodeContext) -> Value:
    """Blocks of pixels become blocks of channels, or, in mode CRD, channels become blocks of their pixels."""
    x, block = ctx.input(), ctx.required("blocksize")
    perm = (0, 3, 5, 1, 2, 4) if ctx.choice("mode", "DCR", "CRD") == "DCR" else (0, 1, 3, 5, 2, 4)
    n, c, h, w = _image(ctx, x)
    if block < 1 or any(isinstance(d, int) and d % block for d in (h, w)):
        ctx.invalid(f"blocksize {block} for {h} x {w}")
    for size in (h, w):
        ctx.expect(equal(mod(size, block), 0), f"a size of {size} must be a multiple of {block}")
    height, width = floordiv(h, block), floordiv(w, block)
    split = ctx.reshape(x, (n, c, height, block, width, block))
    moved = ctx.one("Transpose", split, perm=perm)
    return ctx.reshape(moved, (n, c * (block * block), height, width))


def _image(ctx: NodeContext, x: Value) -> tuple[Dim, Dim, Dim, Dim]:
    if x.rank != 4:
        ctx.invalid(f"rank {x.rank}, not 4")
    n, c, h, w = x.shape
    return n, c, h, w
