"""Matrix products: MatMul with its vector cases, Gemm."""

from __future__ import annotations

from pyruntime.ir.dims import Expr
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import levelled_axis


def product(ctx: NodeContext, a: Value, b: Value) -> Value:
    """a @ b as NumPy has it: a vector counts as one row, or one column."""
    if not a.rank or not b.rank:
        ctx.invalid("an operand is a scalar")
    left = ctx.reshape(a, (1, *a.shape)) if a.rank == 1 else a
    right = ctx.reshape(b, (*b.shape, 1)) if b.rank == 1 else b
    left, right = _meeting(ctx, left, right)
    result = ctx.one("MatMul", *ctx.broadcast(left, right, kept=2))
    shape = list(result.shape)
    if b.rank == 1:
        shape.pop(-1)
    if a.rank == 1:
        shape.pop(-2 if b.rank > 1 else -1)
    return ctx.reshape(result, shape)


@handles("MatMul")
def matmul(ctx: NodeContext) -> Value:
    """A product of matrices, stacks of them or vectors."""
    return product(ctx, ctx.input(0), ctx.input(1))


def oriented_product(ctx: NodeContext, a: Value, b: Value) -> Value:
    """A @ B of two matrices, transposed where the attributes say so."""
    if a.rank != 2 or b.rank != 2:
        ctx.invalid(f"operands of rank {a.rank} and {b.rank}, not 2")
    if ctx.attr("transA"):
        a = ctx.one("Transpose", a, perm=(1, 0))
    if ctx.attr("transB"):
        b = ctx.one("Transpose", b, perm=(1, 0))
    return ctx.one("MatMul", *_meeting(ctx, a, b))


def _meeting(ctx: NodeContext, a: Value, b: Value) -> tuple[Value, Value]:
    """Operands whose inner axes are of one size: that of b, or of a if that is simpler."""
    inner, other = a.shape[-1], b.shape[-2]
    if isinstance(other, Expr) and (isinstance(inner, int) or inner.is_atom):
        return a, levelled_axis(ctx, b, b.rank - 2, inner)
    return levelled_axis(ctx, a, a.rank - 1, other), b


@handles("Gemm")
def gemm(ctx: NodeContext) -> Value:
    """alpha * A @ B + beta * C, with A and B transposed where it says so."""
    a, b, c = ctx.input(0), ctx.input(1), ctx.optional(2)
    alpha, beta = ctx.attr("alpha"), ctx.attr("beta")
    ctx.attr("broadcast")  # of C, in the first opsets: it is broadcast the same way without
    result = oriented_product(ctx, a, b)
    if alpha != 1:
        result = ctx.one("Mul", result, ctx.like(alpha, result))
    if c is None or beta == 0:
        return result
    if beta != 1:
        c = ctx.one("Mul", c, ctx.like(beta, c))
    return ctx.one("Add", result, c)
