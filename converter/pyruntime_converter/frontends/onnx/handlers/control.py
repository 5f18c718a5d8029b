"""Control flow: If, Loop and Scan."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from onnx import GraphProto

from pyruntime.ir.conditions import pins, truth
from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import Builder, dims_of
from pyruntime.ops.definition import OpError
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.appending import inserted_into, parts_of, put_together
from pyruntime_converter.frontends.onnx.bodies import Body, align, finish
from pyruntime_converter.frontends.onnx.context import FIX_DIMS, NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import stacked
from pyruntime_converter.frontends.onnx.held import (
    Held,
    OpenSequence,
    TensorSequence,
    Text,
    alike,
    flat,
    refilled,
    shape_of,
)
from pyruntime_converter.frontends.onnx.inductions import Counted, counted_in, most_iterations, replaced
from pyruntime_converter.frontends.onnx.learnt import cut, with_sizes
from pyruntime_converter.frontends.onnx.states import Element, repeated

_ENDLESS = 2**31 - 1  # iterations: exporters write as many where a condition alone ends a loop
MOST_UNROLLED = 64  # iterations of a loop whose shapes change
SHAPES_CHANGE = "Export with results of one shape, padded where need be."


@handles("If")
def conditional(ctx: NodeContext) -> list[Held]:
    """One of two branches: chosen now, when sizes are known, or by data."""
    then, otherwise = ctx.required("then_branch"), ctx.required("else_branch")
    condition = _condition(ctx, ctx.input())
    if condition is None:
        branches = [ctx.subgraph(graph, lambda _: ()) for graph in (then, otherwise)]
        return _branches(ctx, ctx.input(), None, branches)
    outcome = ctx.decided(condition)
    if outcome is not None:
        return ctx.inline(then if outcome else otherwise, ())
    tried = [ctx.attempt(g, pins(condition, h) or {}) for g, h in ((then, 1), (otherwise, 0))]
    bodies = [b for b in tried if b is not None]
    with contextlib.suppress(OpError):  # of results of unlike types: what follows is another model for each
        if len(bodies) == len(tried) and alike(*(b.results for b in bodies)):
            return _branches(ctx, None, condition, bodies)
    return ctx.undecided(condition)


def _condition(ctx: NodeContext, value: Value) -> Dim | None:
    """A condition as a dim that is 0 or 1; None where it depends on data."""
    found = ctx.contents(value)
    if found is None:
        return None
    if len(found) != 1:
        ctx.invalid(f"a condition of {len(found)} elements")
    return truth(found[0])


def _branches(
    ctx: NodeContext, value: Value | None, condition: Dim | None, bodies: Sequence[Body]
) -> list[Held]:
    results = [b.results for b in bodies]
    if not alike(*results):
        ctx.fail(
            "data decide which of its branches runs, and they give sequences of unlike lengths", FIX_DIMS
        )
    _even_out(bodies)
    by_data = value is not None
    learnt = with_sizes(bodies)
    if value is not None and _unlike_sizes(bodies):
        condition = ctx.measure(ctx.cast(ctx.reshape(value, ()), DType.I32), 1)
        value = None
    finish(bodies)
    taken = align(bodies)
    then, otherwise = (b.graph for b in bodies)
    attrs = {"then_branch": then, "else_branch": otherwise, "condition": condition}
    try:
        made = ctx.builder.emit("If", [value, *taken], attrs)
    except OpError as error:
        if not by_data:
            raise
        ctx.fail(str(error), SHAPES_CHANGE)
    return refilled(bodies[0].results, cut(ctx, learnt, made))


def _unlike_sizes(bodies: Sequence[Body]) -> bool:
    """Whether sizes of a result, but not its rank, hang on the branch: then its condition must be a dim."""
    pairs = zip(*(b.graph.outputs for b in bodies), strict=False)
    return any((a.dtype, a.rank) == (b.dtype, b.rank) and a.shape != b.shape for a, b in pairs)


def _even_out(bodies: Sequence[Body]) -> None:
    """Let strings that either branch gives be in tables of the same shape."""
    for place, results in enumerate(zip(*(b.results for b in bodies), strict=True)):
        made = [
            text.bytes_of(b.builder, r) for b, r in zip(bodies, results, strict=True) if isinstance(r, Text)
        ]
        width: Dim = 0
        for whole in made:
            width = maximum(width, whole.shape[-1])
        for body, whole in zip(bodies, made, strict=False):
            body.results[place] = text.of_bytes(body.builder, text.fitted(body.builder, whole, width))
            body.graph.outputs = flat(body.results)


@handles("Loop")
def loop(ctx: NodeContext) -> Sequence[Held]:
    """A body for a number of times, or while a condition holds."""
    return _looped(ctx, ctx.required("body"), [ctx.held(i) for i in range(2, ctx.stated_inputs)])


def _looped(ctx: NodeContext, graph: GraphProto, held: Sequence[Held]) -> Sequence[Held]:
    """The loop of a body over what is carried."""
    trip, condition = ctx.optional(0), ctx.optional(1)
    trips = ctx.contents(trip) if trip else None
    elements = [v for v in held if isinstance(v, Element)]
    if len(elements) < len(held):
        short = trips and isinstance(trips[0], int) and trips[0] <= MOST_UNROLLED
        collected = None if short else _collecting(ctx, graph, held)
        return _of_sequences(ctx, trips, condition, held) if collected is None else collected
    begins = _condition(ctx, condition) if condition else 1
    counted, trips, steady = _counted(ctx, graph, elements, trips, begins)
    counter = ctx.counter(trips[0] if trips else None)

    def inputs(builder: Builder, carried: list[Element]) -> list[Element]:
        return [builder.dims(counter), builder.constant(np.array(True)), *carried]

    found = repeated(ctx, graph, elements, 1, replaced(counted, counter, inputs))
    if found is None:
        return _of_sequences(ctx, trips, condition, held)
    body, initial = found.body, found.initial
    if trip and trips is None and len(body.graph.outputs) > 1 + len(initial):
        trips = _measured(ctx, trip)
    attrs: dict[str, object] = {
        "trip": trips[0] if trips else None,
        "condition": begins,
        "reverse": (False,) * (len(body.graph.outputs) - 1 - len(initial)),
    }
    going, *results = body.graph.outputs
    known = (1,) if steady else dims_of(going)
    body.graph.outputs = [going, *results] if known is None else results
    attrs |= {"tested": known is None, "goes_on": 1 if known is None else truth(known[0])}
    if attrs["reverse"] and trips and (begins is None or known is None or attrs["goes_on"] != 1):
        attrs["measures"] = str(ctx.size())  # as many as there were iterations
    inputs_ = [None if trips else trip, condition if begins is None else None, *initial]
    try:
        made = _loop(ctx, body, inputs_, {**attrs, "counter": str(counter), "carried": len(initial)})
        return found.outside(ctx, made)
    except OpError as error:
        count = attrs["trip"]
        if begins != 1 or not isinstance(count, int) or count > MOST_UNROLLED:
            return _appending(ctx, graph, held, str(error))
        return _unrolled(ctx, count, held, str(error))


def _counted(
    ctx: NodeContext,
    graph: GraphProto,
    elements: Sequence[Element],
    trips: tuple[Dim, ...] | None,
    begins: Dim | None,
) -> tuple[dict[int, Counted], tuple[Dim, ...] | None, bool]:
    """What a loop counts by itself, its number of iterations, and whether its condition tells no less."""
    endless = not ctx.has_input(0) or (trips and isinstance(trips[0], int) and trips[0] >= _ENDLESS)
    tensors = [v for v in elements if isinstance(v, Value)]
    counted = counted_in(ctx, graph, elements) if endless and len(tensors) == len(elements) else {}
    found = most_iterations(ctx, graph, tensors, counted, begins) if counted else None
    return ({}, trips, False) if found is None else (counted, (found[0],), found[1])


def _appending(ctx: NodeContext, graph: GraphProto, held: Sequence[Held], reason: str) -> Sequence[Held]:
    """A loop whose carried values grow by what each iteration appends to them: all of that at once."""
    body, found = parts_of(graph, len(held))
    if not found or not all(isinstance(held[f.place], Value) for f in found):
        ctx.fail(reason, SHAPES_CHANGE)
    places = {f.place for f in found}
    results = list(_looped(ctx, body, [v for i, v in enumerate(held) if i not in places]))
    parts = [ctx.tensor(v, "what it appends") for v in results[-len(found) :]]
    results = results[: -len(found)]
    for how, part in zip(found, parts, strict=True):
        initial = ctx.tensor(held[how.place], "what it appends to")
        results.insert(how.place, put_together(ctx, initial, part, how))
    return results


def _collecting(ctx: NodeContext, graph: GraphProto, held: Sequence[Held]) -> list[Held] | None:
    """A loop that puts one tensor into sequences in each iteration; None where it does else with any."""
    body, places = inserted_into(graph, len(held))
    others = [v for i, v in enumerate(held) if i not in places]
    if not places or not all(isinstance(v, Element) for v in others):
        return None
    results = list(_looped(ctx, body, others))
    rows = [ctx.tensor(v, "what it puts into a sequence") for v in results[len(results) - len(places) :]]
    results = results[: len(results) - len(places)]
    for place, row in zip(places, rows, strict=True):
        results.insert(place, _behind(ctx, held[place], row))
    return results


def _behind(ctx: NodeContext, first: Held, rows: Value) -> OpenSequence:
    """What a loop put into a sequence, behind what was in it before."""
    match first:
        case TensorSequence(items=()):
            return OpenSequence(rows)
        case TensorSequence(items):
            before = stacked(ctx, [ctx.tensor(v, "what a sequence holds") for v in items])
        case OpenSequence(rows=before):
            pass
        case _:
            ctx.invalid("a tensor is put into what is no sequence")
    if before.shape[1:] != rows.shape[1:]:
        ctx.fail(f"a sequence gets tensors of shapes {before.shape[1:]} and {rows.shape[1:]}", SHAPES_CHANGE)
    return OpenSequence(ctx.one("Concat", before, rows, axis=0))


def _measured(ctx: NodeContext, trip: Value) -> tuple[Dim] | None:
    """A number of iterations that a run tells; None where nothing bounds it."""
    most = ctx.bound(trip, "its number of iterations")
    if most is None:
        return None
    counted = ctx.one("Max", ctx.reshape(trip, ()), ctx.like(0, trip))
    counted = ctx.one("Min", counted, ctx.builder.dims(most, trip.dtype))
    return (ctx.measure(counted, most),)


def _loop(
    ctx: NodeContext, body: Body, inputs: Sequence[Value | None], attrs: Mapping[str, object]
) -> list[Value]:
    finish([body])
    taken = align([body])
    return ctx.builder.emit("Loop", [*inputs, *taken], {**attrs, "body": body.graph})


def _of_sequences(
    ctx: NodeContext, trips: Sequence[Dim] | None, condition: Value | None, held: Sequence[Held]
) -> list[Held]:
    """A loop that carries sequences, or strings that grow: its iterations must be known."""
    what = "strings that grow" if all(isinstance(v, Element) for v in held) else "a sequence"
    begins = _condition(ctx, condition) if condition else 1
    count = trips[0] if trips else None
    if begins not in (0, 1) or not isinstance(count, int):
        ctx.fail(f"it carries {what}, and how often it runs is not known", FIX_DIMS)
    if begins and count > MOST_UNROLLED:
        ctx.fail(f"it carries {what} through {count} iterations, more than {MOST_UNROLLED}")
    if begins and count > 0:
        return _unrolled(ctx, count, held, f"it carries {what}")
    if any(ctx.outputs[len(held) :]):
        ctx.fail(f"it carries {what} and never runs, so that nothing tells what its other outputs are")
    return list(held)


def _unrolled(ctx: NodeContext, count: int, initial: Sequence[Held], reason: str) -> list[Held]:
    """The body once for each of a known number of iterations: every one with shapes of its own."""
    carried = list(initial)
    stacks: list[list[Element]] | None = None
    for step in range(count):
        constants = [ctx.builder.constant(np.array(c)) for c in (np.int64(step), True)]
        going, *results = ctx.inline(ctx.required("body"), [*constants, *carried])
        carried, made = results[: len(initial)], results[len(initial) :]
        stacks = [[] for _ in made] if stacks is None else stacks
        for stack, result in zip(stacks, made, strict=True):
            what = "what a body gives for each iteration"
            stack.append(result if isinstance(result, Text) else ctx.tensor(result, what))
        goes_on = dims_of(ctx.tensor(going, "the condition"))
        if goes_on is None or not isinstance(goes_on[0], int):
            ctx.fail(f"{reason}, and data may end it", SHAPES_CHANGE)
        if not goes_on[0]:
            break
    if stacks is None:
        ctx.fail(reason, SHAPES_CHANGE)
    return [*carried, *(text.joined(ctx.builder, s, partial(stacked, ctx)) for s in stacks)]


@handles("Scan", since=9)
def scan(ctx: NodeContext) -> list[Element]:
    """A loop over slices of its last inputs, whose further results are put together."""
    count = ctx.required("num_scan_inputs")
    values = [ctx.element(i) for i in range(max(ctx.stated_inputs, 1))]
    initial, scanned = values[: len(values) - count], values[len(values) - count :]
    stated = zip(_listed(ctx, "scan_input_axes", count), scanned, strict=True)
    axes = [ctx.axis(a, len(shape_of(v))) for a, v in stated]
    results = _scanned(ctx, initial, scanned, axes, _listed(ctx, "scan_input_directions", count))
    states, stacks = results[: len(initial)], results[len(initial) :]
    places = _listed(ctx, "scan_output_axes", len(stacks))
    return [
        *states,
        *(_moved(ctx, v, ctx.axis(a, len(shape_of(v)))) for v, a in zip(stacks, places, strict=True)),
    ]


@handles("Scan", until=8)
def scan_batch(ctx: NodeContext) -> list[Value]:
    """The first form of it: once for each element of a batch, over the second axis."""
    if ctx.optional(0) is not None:
        ctx.fail("its sequences have lengths of their own", "Export with opset 9 or newer.")
    values = [ctx.input(i) for i in range(1, ctx.stated_inputs)]
    count = ctx.required("num_scan_inputs")
    backwards = _listed(ctx, "directions", count)
    batch = values[0].shape[0]
    if not isinstance(batch, int) or not 0 < batch <= MOST_UNROLLED:
        ctx.fail(f"its batch of {batch} is not fixed, or large", "Export with opset 9 or newer.")
    results: list[list[Value]] = []
    for element in range(batch):
        parts = [_slice(ctx.builder, v, 0, element) for v in values]
        split = len(parts) - count
        made = _scanned(ctx, parts[:split], parts[split:], (0,) * count, backwards)
        results.append([ctx.tensor(v, "a result of its body") for v in made])
    return [stacked(ctx, every) for every in zip(*results, strict=True)]


def _scanned(
    ctx: NodeContext,
    initial: Sequence[Element],
    scanned: Sequence[Element],
    axes: Sequence[int],
    backwards: Sequence[int],
) -> list[Element]:
    """The final states, and the other results stacked along a first axis."""
    lengths = {shape_of(v)[a] for a, v in zip(axes, scanned, strict=True)}
    if len(lengths) != 1:
        ctx.fail(f"its inputs are scanned over axes of sizes {', '.join(map(str, lengths))}")
    (length,) = lengths
    counter = ctx.counter(length)
    outer = [text.tensor_of(ctx.builder, v) for v in scanned]

    def inputs(builder: Builder, carried: list[Element]) -> list[Element]:
        slices: list[Element] = []
        for element, value, axis, back in zip(scanned, outer, axes, backwards, strict=True):
            whole = builder.input(value.name, value.dtype, value.shape)
            part = _slice(builder, whole, axis, length - 1 - counter if back else counter)
            slices.append(text.bare(builder, part, isinstance(element, Text)))
        return [*carried, *slices]

    found = repeated(ctx, ctx.required("body"), initial, 0, inputs)
    if found is None:
        ctx.fail("strings that it carries grow from one iteration to the next")
    stacks = len(found.body.graph.outputs) - len(initial)
    reverse = tuple(map(bool, _listed(ctx, "scan_output_directions", stacks)))
    attrs = {"trip": length, "counter": str(counter), "carried": len(initial), "reverse": reverse}
    try:
        return found.outside(ctx, _loop(ctx, found.body, [None, None, *found.initial, *outer], attrs))
    except OpError as error:
        ctx.fail(str(error), SHAPES_CHANGE)


def _listed(ctx: NodeContext, name: str, count: int) -> Sequence[int]:
    """An attribute with one number for each of `count`, by default zeros."""
    stated = ctx.attr(name) or (0,) * count
    if len(stated) != count:
        ctx.invalid(f"{name} has {len(stated)} elements, not {count}")
    return tuple(stated)


def _slice(builder: Builder, value: Value, axis: int, position: Dim) -> Value:
    """One index of an axis, which goes."""
    starts = tuple(position if a == axis else 0 for a in range(value.rank))
    sizes = tuple(1 if a == axis else d for a, d in enumerate(value.shape))
    part = builder.one("Slice", value, starts=starts, sizes=sizes, steps=(1,) * value.rank)
    return builder.one("Reshape", part, shape=(*value.shape[:axis], *value.shape[axis + 1 :]))


def _moved(ctx: NodeContext, value: Element, axis: int) -> Element:
    """The first axis in another place."""
    if axis == 0:
        return value
    if isinstance(value, Text):
        return Text(_turned(ctx, value.rows, axis), value.table)
    return _turned(ctx, value, axis)


def _turned(ctx: NodeContext, value: Value, axis: int) -> Value:
    rest = list(range(1, value.rank))
    return ctx.one("Transpose", value, perm=(*rest[:axis], 0, *rest[axis:]))
