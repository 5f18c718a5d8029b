"""Control flow."""

from __future__ import annotations

from pyruntime.ir.conditions import truth
from pyruntime.ir.dims import Dim
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles


@handles("If")
def conditional(ctx: NodeContext) -> list[Value]:
    """The branch that a condition on constants and sizes chooses, in place of the node."""
    then, otherwise = ctx.required("then_branch"), ctx.required("else_branch")
    condition = _condition(ctx, ctx.input())
    if condition is None:
        ctx.fail("its condition is not known before the model runs", "Export with fixed input sizes.")
    return ctx.inline(then if ctx.decide(condition) else otherwise)


def _condition(ctx: NodeContext, value: Value) -> Dim | None:
    """A condition as a dim that is 0 or 1; None where it depends on data."""
    found = ctx.contents(value)
    if found is None:
        return None
    if len(found) != 1:
        ctx.invalid(f"a condition of {len(found)} elements")
    return truth(found[0])
