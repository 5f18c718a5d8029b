"""Lowering of control flow: kernels of subgraphs between jumps, over symbols that steps set or read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.ir.conditions import less
from pyruntime.ir.dims import Dim, maximum, minimum, symbol
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ir.program import Boundary, Jump, Read, Set
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.control import COUNTS

_ANY = (-(2**63), 2**63 - 1)


@lowers("If")
def branches(low: Lowering, node: Node) -> list[Lazy]:
    """Both branches store to the same tensors; a jump leaves one of them out."""
    given = _held(low, node.inputs[1:])
    condition = node.attrs["condition"]
    if condition is None:
        condition = _read(low, node.input(0), "test")
    results = [low.tensor(v.name, v.dtype, v.shape) for v in node.outputs]
    otherwise = _jump(low, condition)
    _store(low, node.attrs["then_branch"], given, results)
    end = _jump(low, 0)
    _land(low, otherwise)
    _store(low, node.attrs["else_branch"], given, results)
    _land(low, end)
    return [_whole(t, v) for t, v in zip(results, node.outputs, strict=True)]


def _store(low: Lowering, graph: Graph, given: Sequence[Lazy], results: Sequence[Tensor]) -> None:
    inner = low.nested(graph, given)
    for value, tensor in zip(graph.outputs, results, strict=True):
        inner.store_into(inner.lazy(value), views.contiguous(tensor, value.shape), Boundary.CONTROL)


@lowers("Loop")
def loop(low: Lowering, node: Node) -> list[Lazy]:
    """Carried values stay in tensors of their own; each iteration overwrites them at its end."""
    attrs = node.attrs
    trip_count, begins, *values = node.inputs
    body, first, count = attrs["body"], int(attrs["tested"]), attrs["carried"]
    given = _held(low, values[count:])
    state = [low.tensor(v.name, v.dtype, v.shape) for v in body.inputs[:count]]
    for tensor, value in zip(state, values, strict=False):
        assert value is not None
        low.store_into(low.lazy(value), views.contiguous(tensor, value.shape), Boundary.CONTROL)
    stacks = [low.tensor(v.name, v.dtype, (_room(node, v), *v.shape[1:])) for v in node.outputs[count:]]
    trip: Dim | None = attrs["trip"] if trip_count is None else _read(low, trip_count, "trip")
    going: Dim = attrs["condition"] if begins is None else _read(low, begins, "begin")
    counter = symbol(attrs["counter"], COUNTS)
    if attrs["trip"] is not None:
        low.program.ranges[attrs["counter"]] = (0, maximum(attrs["trip"] - 1, 0))
    going_on = low.own_symbol("on") if first or attrs["goes_on"] != 1 else ""
    if going_on:
        low.program.steps.append(Set(going_on, going))
        going = symbol(going_on, _ANY)
    low.program.steps.append(Set(attrs["counter"], 0))
    top = len(low.program.steps)
    end = _jump(low, going if trip is None else minimum(going, less(counter, trip)))

    inner = low.nested(body, [*(_whole(t, v) for t, v in zip(state, body.inputs, strict=False)), *given])
    if first:
        view = inner.view(body.outputs[0], why=Boundary.CONTROL)
        low.program.steps.append(Read(going_on, view.tensor, view.offset))
    elif going_on:
        low.program.steps.append(Set(going_on, attrs["goes_on"]))
    for tensor, value, back in zip(stacks, body.outputs[first + count :], attrs["reverse"], strict=True):
        position = counter
        if back:
            assert trip is not None
            position = trip - 1 - counter
        part = replace(views.contiguous(tensor, value.shape), offset=position * value.elements)
        inner.store_into(inner.lazy(value), part, Boundary.CONTROL)
    _overwrite(inner, state, body.outputs[first : first + count])
    low.program.steps += [Set(attrs["counter"], counter + 1), Jump(top)]
    _land(low, end)
    if attrs["measures"]:
        low.program.ranges[attrs["measures"]] = (0, maximum(attrs["trip"], 0))
        low.program.steps.append(Set(attrs["measures"], counter))
    return [_whole(t, v) for t, v in zip([*state, *stacks], node.outputs, strict=True)]


def _room(node: Node, stack: Value) -> Dim:
    """How many elements a stack may get."""
    return maximum(node.attrs["trip"], 0) if node.attrs["measures"] else stack.shape[0]


@lowers("Measure")
def measure(low: Lowering, node: Node) -> Lazy:
    """The program reads the number; what it bounds has memory for the most that it can be."""
    view, symbol_ = low.view(node.input(0), why=Boundary.CONTROL), node.attrs["measures"]
    low.program.ranges[symbol_] = (0, node.attrs["most"])
    low.program.steps.append(Read(symbol_, view.tensor, view.offset))
    return Lazy.of(replace(view, strides=()), ())


def _overwrite(inner: Lowering, state: Sequence[Tensor], values: Sequence[Value]) -> None:
    """Store new carried values, each of which may be computed from all old ones."""
    ready: list[tuple[Tensor, Value, View]] = []
    for tensor, value in zip(state, values, strict=True):
        view = inner.view(value, why=Boundary.CONTROL)
        if view.tensor in state:
            if view.tensor is tensor and views.is_contiguous(view, value.shape):
                continue  # as it was
            copy = inner.store(inner.lazy(value), order=range(value.rank), why=Boundary.CONTROL).view
            assert copy is not None
            view = copy
        ready.append((tensor, value, view))
    for tensor, value, view in ready:
        into = views.contiguous(tensor, value.shape)
        inner.store_into(Lazy.of(view, value.shape), into, Boundary.CONTROL)


def _held(low: Lowering, values: Sequence[Value | None]) -> list[Lazy]:
    """Values for a subgraph: in memory before any jump, or constants."""
    held = []
    for value in values:
        assert value is not None
        if value.data is None:
            low.view(value, why=Boundary.CONTROL)
        held.append(low.lazy(value))
    return held


def _whole(tensor: Tensor, value: Value) -> Lazy:
    return Lazy.of(views.contiguous(tensor, value.shape), value.shape)


def _read(low: Lowering, value: Value, name: str) -> Dim:
    """The only element of a value, as a symbol that the program reads."""
    if value.data is not None:
        return int(value.data.item())
    view = low.view(value, why=Boundary.CONTROL)
    own = low.own_symbol(name)
    low.program.steps.append(Read(own, view.tensor, view.offset))
    return symbol(own, _ANY)


def _jump(low: Lowering, unless: Dim) -> int:
    """A jump forward whose end is not known yet; its number."""
    low.program.steps.append(Jump(-1, unless))
    return len(low.program.steps) - 1


def _land(low: Lowering, number: int) -> None:
    """Let a jump end here."""
    jump = low.program.steps[number]
    assert isinstance(jump, Jump)
    low.program.steps[number] = replace(jump, to=len(low.program.steps))
