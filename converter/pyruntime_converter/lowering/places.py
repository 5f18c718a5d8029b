"""Where what a Concat makes lies: so that the Reshape behind it is a matter of strides, where that can be."""

from __future__ import annotations

from collections.abc import Sequence

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.hosts import dense
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import SCATTERING, Lowering
from pyruntime_converter.lowering.states import parts

from pyruntime.ir.graph import Node, Value
from pyruntime.ir.views import View


def place(low: Lowering, node: Node, pattern: Lazy) -> View:
    """Where a Concat's result is to lie: within that of the Concat around it, if that was decided before.

    Where products are put together and then seen under another shape, as parts of an image that take turns
    along its axes are, all Concats up to the Reshape lie in one tensor, and each axis that they add, right
    inside of the one before it. Anything else lies as `pattern`, one of the operands, does.
    """
    if node.output in low.places:
        return low.places[node.output]
    order = low.layout(pattern)
    if isinstance(pattern.host, SCATTERING):
        chain, reader = _chain(low, node)
        whole = chain[-1].output
        if reader is not None and reader.op == "Reshape":
            tensor = low.tensor(whole.name, whole.dtype, whole.shape)
            view = dense(tensor, whole.shape, _inside(order, pattern, chain))
            if views.reshape(view, whole.shape, reader.output.shape) is not None:
                _note(low, chain[-1], view)
                return low.places[node.output]
    made = node.output
    return dense(low.tensor(made.name, made.dtype, made.shape), made.shape, order)


def _chain(low: Lowering, node: Node) -> tuple[list[Node], Node | None]:
    """A Concat and those that it goes into and nowhere else, outwards, and the only reader of the last."""
    chain = [node]
    while (reader := _only_reader(low, chain[-1].output)) is not None and reader.op == "Concat":
        chain.append(reader)
    return chain, reader


def _only_reader(low: Lowering, value: Value) -> Node | None:
    """The node that alone reads a value, once; None for outputs, and for what is a part of a state."""
    readers = low.uses.get(value, [])
    kept = value in low.graph.outputs or value in low.states.after
    return readers[0] if len(readers) == 1 and not kept else None


def _inside(order: Sequence[int], pattern: Lazy, chain: Sequence[Node]) -> list[int]:
    """The order, with axes that are added moved right inside of those before them."""
    moved = list(order)
    for axis in sorted(c.attrs["axis"] for c in chain):
        if axis and pattern.shape[axis] == 1:
            moved.remove(axis)
            moved.insert(moved.index(axis - 1) + 1, axis)
    return moved


def _note(low: Lowering, node: Node, view: View) -> None:
    """Let a Concat lie at a view, and its operands that are Concats at their parts of it."""
    low.places[node.output] = view
    for operand, part in zip(node.inputs, parts(node, view), strict=True):
        maker = None if operand is None else operand.producer
        if maker is not None and maker.op == "Concat" and _only_reader(low, maker.output) is node:
            _note(low, maker, part)
