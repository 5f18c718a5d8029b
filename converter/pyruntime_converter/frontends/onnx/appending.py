"""Loops that append (`acc = cat([acc, part])`, `acc.append(part)`): all parts, put together behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, helper

from pyruntime.ir.dims import maximum
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.handlers.common import concatenated, rows_along
from pyruntime_converter.frontends.onnx.order import reads

_GIVEN = 2  # inputs of a body before what it carries: the iteration's number, the condition


@dataclass(frozen=True)
class Appended:
    """A carried value to which a body appends: which one, along which axis, and whether in front."""

    place: int
    axis: int
    in_front: bool


def parts_of(body: GraphProto, carried: int) -> tuple[GraphProto, list[Appended]]:
    """A body that gives, after all else, what it appended before, and no longer carries what that went to.

    A carried value counts where nothing but the Concat that makes its next one reads it, and nothing that.
    """
    found: list[Appended] = []
    changed: dict[int, NodeProto] = {}  # by number
    for place, number in _next_ones(body, carried, "Concat"):
        node, before = body.node[number], body.input[_GIVEN + place].name
        stated = [a.i for a in node.attribute if a.name == "axis"]
        if not stated or len(node.input) < 2 or before not in (node.input[0], node.input[-1]):
            continue
        in_front = node.input[-1] == before
        others = node.input[:-1] if in_front else node.input[1:]
        found.append(Appended(place, stated[0], in_front))
        changed[number] = helper.make_node("Concat", others, node.output, name=node.name, axis=stated[0])
    return _instead(body, [f.place for f in found], changed), found


def inserted_into(body: GraphProto, carried: int) -> tuple[GraphProto, list[int]]:
    """As `parts_of`, of carried sequences that get one tensor more at their end: by place."""
    changed: dict[int, NodeProto] = {}  # by number
    found: list[int] = []
    for place, number in _next_ones(body, carried, "SequenceInsert"):
        node = body.node[number]
        if len(node.input) == 2 and node.input[0] == body.input[_GIVEN + place].name:
            found.append(place)
            changed[number] = helper.make_node("Identity", node.input[1:], node.output, name=node.name)
    return _instead(body, found, changed), found


def _next_ones(body: GraphProto, carried: int, op: str) -> Iterator[tuple[int, int]]:
    """By place, the numbers of nodes that make a next value, and alone may read the one before.

    Nothing else reads these two, nor are they given.
    """
    uses = Counter(name for node in body.node for name in reads(node))
    uses.update(v.name for v in body.output)
    made = {name: number for number, node in enumerate(body.node) for name in node.output}
    for place in range(carried):
        before, after = body.input[_GIVEN + place].name, body.output[1 + place].name
        number = made.get(after)
        if number is None or uses[before] != 1 or uses[after] != 1:
            continue
        if body.node[number].op_type == op and not body.node[number].domain:
            yield place, number


def _instead(body: GraphProto, places: Sequence[int], changed: Mapping[int, NodeProto]) -> GraphProto:
    """A body with other nodes, by number, that carries some places no more, and gives them last."""
    rest = GraphProto()
    rest.CopyFrom(body)
    for field, first in ((rest.input, _GIVEN), (rest.output, 1)):
        kept = [v for i, v in enumerate(field) if i - first not in places]
        kept += [body.output[1 + place] for place in places] if field is rest.output else []
        del field[:]
        field.extend(kept)
    del rest.node[:]
    rest.node.extend(changed.get(number, node) for number, node in enumerate(body.node))
    return rest


def put_together(ctx: NodeContext, initial: Value, parts: Value, how: Appended) -> Value:
    """What a loop makes of `initial`; parts: [iterations, ...]."""
    axis = ctx.axis(how.axis, parts.rank - 1)
    if how.in_front:
        last, rest = maximum(parts.shape[0] - 1, 0), parts.rank - 1
        parts = ctx.one(
            "Slice", parts, starts=(last, *[0] * rest), sizes=parts.shape, steps=(-1, *[1] * rest)
        )
    flat = rows_along(ctx, parts, axis, new=False)
    return concatenated(ctx, [flat, initial] if how.in_front else [initial, flat], axis)
