"""Loops that count by themselves (`while i < n: ...; i += 1`): how often they run, and what i is.

Only such a bound makes sizes inside the body known, of `x[i:i+1]` for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from pyruntime.ir.conditions import choose
from pyruntime.ir.dims import Dim, Expr, floordiv, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.symbols import substitute
from pyruntime.ops.builder import Builder, dims_of
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.states import Element

_GIVEN = 2  # inputs of a body before what it carries: the iteration's number, the condition
_DEEP = 8  # nodes of a condition that are looked through
Inputs = Callable[[Builder, list[Element]], list[Element]]


@dataclass(frozen=True)
class Counted:
    """A carried number that grows by as much in each iteration."""

    start: Dim
    step: int

    def at(self, counter: Dim) -> Dim:
        """What it is in an iteration."""
        return self.start + counter * self.step


def counted_in(ctx: NodeContext, body: GraphProto, held: Sequence[Element]) -> dict[int, Counted]:
    """By place, the carried integers that a body adds a constant to, and whose first value is known."""
    made = {name: node for node in body.node for name in node.output}
    weights = {w.name: w for w in body.initializer}
    found: dict[int, Counted] = {}
    for place, value in enumerate(held):
        if not isinstance(value, Value) or value.dtype not in (DType.I32, DType.I64) or value.elements != 1:
            continue
        before, after = body.input[_GIVEN + place].name, body.output[1 + place].name
        step = _step(made.get(after), before, made, weights)
        start = ctx.contents(value) if step else None
        if step and start is not None:
            found[place] = Counted(start[0], step)
    return found


def _step(
    node: NodeProto | None, before: str, made: Mapping[str, NodeProto], weights: Mapping[str, TensorProto]
) -> int:
    """What a node adds to a carried number; 0 where it does something else."""
    if node is None or node.op_type != "Add" or node.domain or before not in node.input:
        return 0
    (other,) = [name for name in node.input if name != before] or [before]
    if other in weights:
        number = numpy_helper.to_array(weights[other])
        return int(number.item()) if number.size == 1 else 0
    constant = made.get(other)
    if constant is None or constant.op_type != "Constant":
        return 0
    for attribute in constant.attribute:
        if attribute.name == "value":
            number = numpy_helper.to_array(attribute.t)
            return int(number.item()) if number.size == 1 else 0
        if attribute.name == "value_int":
            return attribute.i
    return 0


def replaced(counted: Mapping[int, Counted], counter: Dim, inputs: Inputs) -> Inputs:
    """The inputs of a body, of which the counted numbers are dims over the loop's counter."""

    def given(builder: Builder, carried: list[Element]) -> list[Element]:
        known = list(carried)
        for place, number in counted.items():
            value = carried[place]
            assert isinstance(value, Value)
            dims = [number.at(counter)] if value.rank else number.at(counter)
            known[place] = builder.dims(dims, value.dtype)
        return inputs(builder, known)

    return given


def most_iterations(
    ctx: NodeContext,
    body: GraphProto,
    held: Sequence[Value],
    counted: Mapping[int, Counted],
    begins: Dim | None,
) -> tuple[Dim, bool] | None:
    """How many iterations a body's condition leaves at most, and whether they are always as many.

    None where it says nothing of sizes alone.

    Args:
        ctx: the loop.
        body: its body.
        held: what it carries, before the first iteration.
        counted: what of that counts.
        begins: the condition before the first iteration, as a dim; None where data tell it.
    """
    condition = GraphProto()
    condition.CopyFrom(body)
    del condition.output[1:]
    counter = ctx.counter(None)

    def inputs(builder: Builder, carried: list[Element]) -> list[Element]:
        return [builder.dims(counter), builder.constant(True, DType.BOOL), *carried]

    def given(builder: Builder) -> list[Element]:
        carried: list[Element] = [builder.input(v.name, v.dtype, v.shape) for v in held]
        return replaced(counted, counter, inputs)(builder, carried)

    probe = ctx.probe(condition, given)
    going = probe.results[0] if probe is not None else None
    more = _true_for(_needed(going), counter) if isinstance(going, Value) else None
    if more is None:
        return None
    exact = begins is not None and isinstance(going, Value) and dims_of(going) is not None
    return (more + 1 if begins is None else choose(begins, more + 1, 0)), exact


def _needed(going: Value, deep: int = _DEEP) -> Dim | None:
    """A dim without which a condition does not hold."""
    known = dims_of(going)
    if known is not None:
        return known[0]
    node = going.producer
    if node is None or not deep:
        return None
    if node.op == "If":  # as `a and b` is written: if a, then b, else false
        other = node.attrs["else_branch"].outputs[node.outputs.index(going)]
        never = other.data is not None and not other.data.any()
        condition: Dim | None = node.attrs["condition"]
        return condition if never else None
    if node.op == "And":
        found = [_needed(v, deep - 1) for v in node.inputs if v is not None]
        return next((f for f in found if f is not None), None)
    return _needed(node.input(0), deep - 1) if node.op in ("Cast", "Reshape", "Identity") else None


def _true_for(condition: Dim | None, counter: Dim) -> Dim | None:
    """For how many numbers from 0 on a condition on a counter holds, that never holds again afterwards."""
    margin = None if condition is None else _margin(condition)
    if margin is None:
        return None
    first, second = (substitute(margin, {str(counter): step}) for step in (0, 1))
    rate = second - first
    if not isinstance(rate, int) or rate >= 0 or margin != first + rate * counter:
        return None
    return maximum(floordiv(first - 1 - rate, -rate), 0)


def _margin(condition: Dim) -> Dim | None:
    """What is at least 1 where a comparison holds, and less where it does not."""
    if isinstance(condition, Expr) and condition.is_atom:
        atom = condition.terms[0][0][0]
        inner = [a for a in atom.args if a != 0]
        if atom.op == "max" and len(inner) == 1 and isinstance(inner[0], Expr) and inner[0].is_atom:
            least = inner[0].terms[0][0][0]
            rest = [a for a in least.args if a != 1]
            return rest[0] if least.op == "min" and len(rest) == 1 else None
        return None
    opposite = 1 - condition
    if isinstance(opposite, Expr) and opposite.is_atom:
        margin = _margin(opposite)
        return None if margin is None else 1 - margin
    return None
