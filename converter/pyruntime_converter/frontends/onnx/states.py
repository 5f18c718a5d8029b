"""Bodies of loops over tensors alone: strings that they carry, take and give are rows of bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onnx import GraphProto

from pyruntime.ir.dims import Dim, maximum
from pyruntime.ir.graph import Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.bodies import Body
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.held import Text, flat, kind_of

Element = Value | Text
MOST_WIDTHS = 3  # that are tried for the strings that a loop carries


@dataclass(frozen=True)
class Repeated:
    """A body that gives tensors of numbers.

    Attributes:
        body: gives what comes before the states, the states, and what is put together.
        initial: the states before the first iteration.
        strings: which results are strings, the states first.
    """

    body: Body
    initial: list[Value]
    strings: list[bool]

    def outside(self, ctx: NodeContext, results: Sequence[Value]) -> list[Element]:
        """What the loop gives, of the tensors that it gives."""
        return [text.bare(ctx.builder, v, s) for v, s in zip(results, self.strings, strict=True)]


def repeated(
    ctx: NodeContext,
    graph: GraphProto,
    held: Sequence[Element],
    leading: int,
    inputs: Callable[[Builder, list[Element]], list[Element]],
) -> Repeated | None:
    """The body of a loop; None where its strings grow from one iteration to the next.

    Args:
        ctx: the loop.
        graph: its body.
        held: the states before the first iteration.
        leading: how many of the body's results are no states and come before these.
        inputs: the body's inputs, for the states that an iteration gets.
    """
    widths = [_width(v) for v in held]
    for _ in range(MOST_WIDTHS):
        initial = [_fitted(ctx.builder, v, w) for v, w in zip(held, widths, strict=True)]

        def given(builder: Builder, initial: Sequence[Value] = initial) -> list[Element]:
            carried = [builder.input(v.name, v.dtype, v.shape) for v in initial]
            strings = [isinstance(v, Text) for v in held]
            return inputs(builder, [text.bare(builder, v, s) for v, s in zip(carried, strings, strict=True)])

        body = ctx.subgraph(graph, given)
        made: list[Element] = []
        for result in body.results:
            if not isinstance(result, Element):
                ctx.fail(f"what leaves its body is {kind_of(result)}, and it is not known how often it runs")
            made.append(result)
        states = made[leading : leading + len(held)]
        wider = [maximum(w, _width(v)) for w, v in zip(widths, states, strict=True)]
        if wider == widths:
            fitted = [_fitted(body.builder, v, w) for v, w in zip(states, widths, strict=True)]
            others = [text.tensor_of(body.builder, v) for v in made[leading + len(held) :]]
            body.results = [*made[:leading], *fitted, *others]
            body.graph.outputs = flat(body.results)
            return Repeated(body, initial, [isinstance(v, Text) for v in made[leading:]])
        widths = wider
    return None


def _width(element: Element) -> Dim:
    """Bytes of the rows of strings; 0 for numbers."""
    return element.table.shape[1] if isinstance(element, Text) else 0


def _fitted(builder: Builder, element: Element, width: Dim) -> Value:
    if not isinstance(element, Text):
        return element
    return text.fitted(builder, text.bytes_of(builder, element), width)
