"""Sequences and optionals: lists of tensors, resolved where lengths and positions are known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, minimum
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import dims_of
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import (
    add_up,
    concatenated,
    parted,
    rows_along,
    stacked,
    with_axis,
)
from pyruntime_converter.frontends.onnx.held import (
    Empty,
    Held,
    OpenSequence,
    TensorSequence,
    Text,
    shape_of,
)

MOST_PARTS = 4096  # tensors that a node may split one into


@handles("SequenceEmpty")
def sequence_empty(ctx: NodeContext) -> TensorSequence:
    """No tensors; their dtype is what is put in."""
    ctx.attr("dtype")
    return TensorSequence(())


@handles("SequenceConstruct")
def sequence_construct(ctx: NodeContext) -> TensorSequence:
    """The inputs."""
    values = tuple(ctx.element(i) for i in range(max(ctx.stated_inputs, 1)))
    types = [_type_of(v) for v in values]
    if len(set(types)) > 1:
        ctx.invalid(f"elements of types {', '.join(types)}")
    return TensorSequence(values)


def with_row(ctx: NodeContext, held: OpenSequence, made: Value) -> OpenSequence:
    """One tensor more at the end, of the shape that all have."""
    if made.dtype is not held.rows.dtype:
        ctx.invalid(f"a {made.dtype.value} among elements of type {held.rows.dtype.value}")
    if made.shape != held.rows.shape[1:]:
        ctx.fail(f"a tensor of shape {made.shape} among such of shape {held.rows.shape[1:]}", FIX_DIMS)
    return OpenSequence(ctx.one("Concat", held.rows, with_axis(ctx, made, 0), axis=0))


def _type_of(element: Value | Text) -> str:
    return "string" if isinstance(element, Text) else element.dtype.value


@handles("SequenceLength")
def sequence_length(ctx: NodeContext) -> Value:
    """How many there are."""
    held = ctx.held()
    if isinstance(held, OpenSequence):
        return ctx.builder.dims(held.rows.shape[0])
    return ctx.builder.dims(len(ctx.items()))


@handles("SequenceAt")
def sequence_at(ctx: NodeContext) -> Value | Text:
    """One of them; where only a run tells which, all of one shape, as a slice of them put together."""
    held = ctx.held()
    if isinstance(held, OpenSequence):
        return _row(ctx, held.rows, ctx.input(1))
    items, place = ctx.items(), ctx.input(1)
    dims = dims_of(place)
    if dims is not None and all(isinstance(d, int) for d in dims):
        return items[_position(ctx, place, len(items))]
    if len({shape_of(v) for v in items}) != 1:
        ctx.fail(
            "which of its tensors it takes depends on the model's input, and their shapes differ", FIX_DIMS
        )

    def taken(values: Sequence[Value]) -> Value:
        return ctx.one("Gather", stacked(ctx, values), ctx.reshape(place, ()), axis=0)

    return text.joined(ctx.builder, items, taken)


def _row(ctx: NodeContext, rows: Value, place: Value) -> Value:
    """The tensor at a position, which may count from the end; inputs that have none there are refused."""
    for dim in ctx.contents(place) or ():
        count = rows.shape[0]
        there = (1 - less(dim, -count)) * less(dim, count)
        if not ctx.varies(there):
            ctx.require(there, f"there must be a tensor at position {dim} of {count}")
    return ctx.one("Gather", rows, ctx.reshape(place, ()), axis=0)


@handles("SequenceInsert")
def sequence_insert(ctx: NodeContext) -> Held:
    """One more, by default at the end."""
    held = ctx.held()
    if isinstance(held, OpenSequence) and not ctx.has_input(2):
        return with_row(ctx, held, ctx.input(1))
    items, given, made = ctx.items(), ctx.optional(2), ctx.element(1)
    if items and _type_of(items[0]) != _type_of(made):
        ctx.invalid(f"a {_type_of(made)} among elements of type {_type_of(items[0])}")
    place = len(items) if given is None else _position(ctx, given, len(items), last=len(items))
    return TensorSequence((*items[:place], made, *items[place:]))


@handles("SequenceErase")
def sequence_erase(ctx: NodeContext) -> TensorSequence:
    """One less, by default the last."""
    items, given = ctx.items(), ctx.optional(1)
    if not items:
        ctx.invalid("the sequence is empty")
    place = len(items) - 1 if given is None else _position(ctx, given, len(items))
    return TensorSequence((*items[:place], *items[place + 1 :]))


def _position(ctx: NodeContext, value: Value, count: int, last: int | None = None) -> int:
    """A position among `count`, counted from the front; at most `last`, by default that of the last one."""
    stated = ctx.known_ints(value, "the position in the sequence")
    if len(stated) != 1:
        ctx.invalid(f"a position of {len(stated)} elements")
    place, most = stated[0], count - 1 if last is None else last
    if not -count <= place <= most:
        ctx.invalid(f"position {place} in a sequence of {count}")
    return place + count if place < 0 else place


@handles("ConcatFromSequence")
def concat_from_sequence(ctx: NodeContext) -> Value | Text:
    """All of them, along an axis, which may be a new one."""
    held, new = ctx.held(), bool(ctx.attr("new_axis"))
    if isinstance(held, OpenSequence):
        axis = ctx.axis(ctx.required("axis"), held.rows.rank - 1 + new)
        return rows_along(ctx, held.rows, axis, new=new)
    items = ctx.items()
    if not items:
        ctx.invalid("the sequence is empty")
    axis = ctx.axis(ctx.required("axis"), len(shape_of(items[0])) + new)
    return text.joined(ctx.builder, items, partial(stacked if new else concatenated, ctx, axis=axis))


@handles("SplitToSequence")
def split_to_sequence(ctx: NodeContext) -> TensorSequence | OpenSequence:
    """Parts of stated sizes, of one size (the last may be smaller), or each index by itself."""
    strings, given = ctx.text(), ctx.optional(1)
    x = ctx.input() if strings is None else strings.rows
    axis, keeps = ctx.axis(ctx.attr("axis"), x.rank), bool(ctx.attr("keepdims"))
    size = x.shape[axis]
    single = given is None or (given.rank == 0 and ctx.contents(given) == (1,))
    if strings is None and single and not isinstance(size, int):
        rest = [a for a in range(x.rank) if a != axis]
        rows = ctx.one("Transpose", x, perm=(axis, *rest))
        return OpenSequence(rows if given is None and not keeps else with_axis(ctx, rows, 1 + axis))
    sizes = _equal_parts(ctx, size, 1) if given is None else _stated_parts(ctx, given, size)
    parts = parted(ctx, x, axis, sizes)
    if given is None and not keeps:
        parts = [ctx.reshape(p, (*x.shape[:axis], *x.shape[axis + 1 :])) for p in parts]
    return TensorSequence(tuple(p if strings is None else Text(p, strings.table) for p in parts))


def _stated_parts(ctx: NodeContext, given: Value, size: Dim) -> list[Dim]:
    stated = list(ctx.known_sizes(given, "the sizes of its parts"))
    if given.rank == 0:
        return _equal_parts(ctx, size, stated[0])
    add_up(ctx, stated, size, ctx.require)
    return stated


def _equal_parts(ctx: NodeContext, size: Dim, part: Dim) -> list[Dim]:
    """As many parts of one size as there are; the last may be smaller."""
    if size == part:
        return [part]
    if not isinstance(size, int) or not isinstance(part, int):
        ctx.fail(f"how many parts of {part} a size of {size} has depends on the input sizes", FIX_DIMS)
    if part < 1:
        ctx.invalid(f"parts of {part}")
    if size > part * MOST_PARTS:
        ctx.fail(f"size {size} has more than {MOST_PARTS} parts of {part}")
    return [minimum(part, size - start) for start in range(0, size, part)]


@handles("SequenceMap")
def sequence_map(ctx: NodeContext) -> list[Held]:
    """The body of each of them; other inputs are sequences as long, or tensors that all get."""
    items, body = ctx.items(), ctx.required("body")
    others = [ctx.held(i) for i in range(1, ctx.stated_inputs)]
    for other in others:
        if isinstance(other, TensorSequence) and len(other.items) != len(items):
            ctx.invalid(f"sequences of {len(items)} and {len(other.items)}")
    rows: list[list[Value | Text]] = [[] for _ in body.output]
    for place, item in enumerate(items):
        taken = [v.items[place] if isinstance(v, TensorSequence) else v for v in others]
        for row, made in zip(rows, ctx.inline(body, [item, *taken]), strict=True):
            row.append(made if isinstance(made, Text) else ctx.tensor(made, "a result of its body"))
    return [TensorSequence(tuple(row)) for row in rows]


@handles("Optional")
def optional(ctx: NodeContext) -> Held:
    """What it holds, or nothing of a type."""
    ctx.attr("type")
    return ctx.held() if ctx.has_input() else Empty()


@handles("OptionalHasElement")
def optional_has_element(ctx: NodeContext) -> Value:
    """Whether it holds anything."""
    held = ctx.held() if ctx.has_input() else Empty()
    return ctx.builder.constant(not isinstance(held, Empty))


@handles("OptionalGetElement")
def optional_get_element(ctx: NodeContext) -> Held:
    """What it holds."""
    held = ctx.held()
    if isinstance(held, Empty):
        ctx.invalid("the optional is empty")
    return held
