"""Control flow that is decided while converting."""

from __future__ import annotations

from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles


@handles("If")
def conditional(ctx: NodeContext) -> list[Value]:
    """The branch that a constant condition chooses, in place of the node."""
    then, otherwise = ctx.required("then_branch"), ctx.required("else_branch")
    condition = ctx.input()
    if condition.data is None:
        ctx.fail("its condition is not known before the model runs", "Export with fixed input sizes.")
    return ctx.inline(then if ctx.scalar(condition, "its condition") else otherwise)
