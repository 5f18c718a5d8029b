"""Sizes that a branch learns from data: they leave it as numbers, beside tensors with room for the most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Value
from pyruntime.ir.ranges import Range, largest
from pyruntime.ir.symbols import symbols_of
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx.bodies import Body
from pyruntime_converter.frontends.onnx.context import NodeContext


@dataclass(frozen=True)
class Learnt:
    """A result with axes whose sizes are elements of a further result."""

    place: int
    axes: tuple[int, ...]


def with_sizes(bodies: Sequence[Body]) -> list[Learnt]:
    """Fill up results whose sizes a branch alone knows, and let branches give these sizes as further outputs.

    Results of unlike types are left as they are, and so are those for whose sizes nothing is known.
    """
    ranges = [_measured(b.graph) for b in bodies]
    found = []
    for place, results in enumerate(zip(*(b.graph.outputs for b in bodies), strict=False)):
        if len({(r.dtype, r.rank) for r in results}) != 1:
            continue
        own = [
            [not symbols_of(d).isdisjoint(m) for d in r.shape] for r, m in zip(results, ranges, strict=True)
        ]
        axes = tuple(a for a, each in enumerate(zip(*own, strict=True)) if any(each))
        rooms = [_rooms(r, axes, m) for r, m in zip(results, ranges, strict=True)]
        if axes and None not in rooms:
            found.append(Learnt(place, axes))
            for body, result, room in zip(bodies, results, rooms, strict=True):
                assert room is not None
                sizes = [result.shape[a] for a in axes]
                body.graph.outputs[place] = _filled(body.builder, result, room)
                body.graph.outputs.append(body.builder.dims(sizes, DType.I32))
    return found


def cut(ctx: NodeContext, learnt: Sequence[Learnt], values: Sequence[Value]) -> list[Value]:
    """The results of branches in their sizes; `values` are followed by what `with_sizes` added."""
    results = list(values[: len(values) - len(learnt)])
    for each, told in zip(learnt, values[len(results) :], strict=True):
        value = results[each.place]
        sizes = list(value.shape)
        for position, axis in enumerate(each.axes):
            size = ctx.one("Slice", told, starts=(position,), sizes=(1,), steps=(1,))
            sizes[axis] = ctx.measure(ctx.reshape(size, ()), value.shape[axis])
        nothing, ones = (0,) * value.rank, (1,) * value.rank
        results[each.place] = ctx.one("Slice", value, starts=nothing, sizes=tuple(sizes), steps=ones)
    return results


def _measured(graph: Graph) -> dict[str, Range]:
    """What the sizes that nodes learn stay in: Measure has a most, a Loop the number of its iterations."""
    ranges: dict[str, Range] = {}
    for node in graph.nodes:
        most = node.attrs["most"] if "most" in node.attrs else node.attrs.get("trip")
        ranges |= dict.fromkeys(node.measures, (0, maximum(most or 0, 0)))
    return ranges


def _rooms(value: Value, axes: Sequence[int], ranges: dict[str, Range]) -> list[Dim] | None:
    """The shape with room along these axes for whatever a run learns; None where that is not known."""
    rooms = list(value.shape)
    for axis in axes:
        most = largest(rooms[axis], ranges)
        if most is None:
            return None
        rooms[axis] = most
    return rooms


def _filled(builder: Builder, value: Value, room: Sequence[Dim]) -> Value:
    missing = tuple(a - b for a, b in zip(room, value.shape, strict=True))
    if not any(m != 0 for m in missing):
        return value
    return builder.one("Pad", value, before=(0,) * value.rank, after=missing)
