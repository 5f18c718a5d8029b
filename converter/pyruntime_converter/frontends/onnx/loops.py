"""Loops that handlers make for operators whose work data decide."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.onnx.bodies import Body, finish
from pyruntime_converter.frontends.onnx.context import NodeContext

# inside the body: its context, the step's number (int32), carried and taken values; gives the carried anew
Step = Callable[[NodeContext, Value, Sequence[Value], Sequence[Value]], Sequence[Value]]


def repeated(
    ctx: NodeContext, times: Value, carried: Sequence[Value], taken: Sequence[Value], step: Step
) -> list[Value]:
    """What steps make of the carried values, which keep their types; data may decide how many there are.

    Args:
        ctx: the node that needs the loop.
        times: the number of steps, one integer.
        carried: what each step gets from the one before.
        taken: what all steps read.
        step: builds one.
    """
    known = ctx.contents(times)
    counter = ctx.counter(known[0] if known else None)
    body = Body(Builder(Graph("body"), around=ctx.builder))
    inner = copy.copy(ctx)
    inner.builder = body.builder
    held = [body.builder.input(v.name, v.dtype, v.shape) for v in carried]
    inside = [body.capture(v) for v in taken]
    body.graph.outputs = [*step(inner, body.builder.dims(counter, DType.I32), held, inside)]
    finish([body])
    attrs = {
        "body": body.graph,
        "carried": len(carried),
        "counter": str(counter),
        "trip": known[0] if known else None,
    }
    return ctx.builder.emit("Loop", [None if known else times, None, *carried, *body.captured], attrs)
