"""Probabilities of classes from those of pairs of classes, as libsvm couples them.

Wu, Lin and Weng, "Probability estimates for multi-class classification by pairwise coupling" (2004), their
second method: the p that minimises the sum over pairs of (r[j][i] p[i] - r[i][j] p[j])^2 and sums to 1, where
r[i][j] is how probable i is against j. It is approached class by class, and left once it is near enough:
the steps are part of what the probabilities are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis
from pyruntime_converter.frontends.onnx.loops import repeated

_MOST_STEPS = 100  # or as many as there are classes
_NEAR = 0.005  # over the number of classes: how far from the least a row may stay


def coupled(ctx: NodeContext, pairs: Value, classes: int) -> Value:
    """Probabilities [rows, classes], of those of i against j [rows, pairs], for i < j in order."""
    rows = pairs.shape[0]
    q = _forms(ctx, pairs, classes)
    start = ctx.one("Expand", ctx.like(1 / classes, pairs), shape=(rows, classes))
    near = _NEAR / classes

    def step(inner: NodeContext, _: Value, carried: Sequence[Value], taken: Sequence[Value]) -> list[Value]:
        return [_nearer(inner, carried[0], taken[0], near)]

    times = ctx.builder.constant(max(_MOST_STEPS, classes), DType.I64)
    (found,) = repeated(ctx, times, [start], [q], step)
    return found


def _forms(ctx: NodeContext, pairs: Value, classes: int) -> Value:
    """The matrix of each row's quadratic form, [rows, classes, classes]."""
    places, count = np.full((classes, classes), 0, np.int32), classes * (classes - 1) // 2
    above = np.triu_indices(classes, 1)
    places[above] = np.arange(count)
    places.T[above] = np.arange(count, 2 * count)
    both = ctx.one("Concat", pairs, ctx.one("Sub", ctx.like(1, pairs), pairs), axis=1)
    won = ctx.one("Gather", both, ctx.builder.constant(places), axis=1)
    lost = ctx.one("Transpose", won, perm=(0, 2, 1))
    diagonal = ctx.builder.constant(np.eye(classes, dtype=bool))
    squares = ctx.one("Where", diagonal, ctx.like(0, lost), ctx.one("Mul", lost, lost))
    own = ctx.one("ReduceSum", squares, axes=(2,), keepdims=True)
    return ctx.one("Where", diagonal, own, ctx.one("Neg", ctx.one("Mul", lost, won)))


def _nearer(ctx: NodeContext, p: Value, q: Value, near: float) -> Value:
    """p after a step of each class, or as it is where it is near enough to the least."""
    rows, classes = p.shape
    assert isinstance(classes, int)
    qp = ctx.one(
        "ReduceSum", ctx.one("Mul", q, ctx.reshape(p, (rows, 1, classes))), axes=(2,), keepdims=False
    )
    pqp = ctx.one("ReduceSum", ctx.one("Mul", p, qp), axes=(1,), keepdims=True)
    far = ctx.one("ReduceMax", ctx.one("Abs", ctx.one("Sub", qp, pqp)), axes=(1,), keepdims=True)
    moved = p
    for number in range(classes):
        moved, qp, pqp = _moved(ctx, moved, qp, pqp, _column(ctx, q, number, rows, classes), number)
    return ctx.one("Where", ctx.one("Less", far, ctx.like(near, far)), p, moved)


def _column(ctx: NodeContext, q: Value, number: int, rows: Dim, classes: int) -> Value:
    return ctx.reshape(slice_axis(ctx, q, 1, number, 1), (rows, classes))


def _moved(
    ctx: NodeContext, p: Value, qp: Value, pqp: Value, q: Value, number: int
) -> tuple[Value, Value, Value]:
    """p, Q p and p Q p, after the element `number` of p is at its best and the sum 1 again.

    `q` is that element's row of Q.
    """
    (_, classes), one = p.shape, ctx.like(1, p)
    assert isinstance(classes, int)
    own, at = (slice_axis(ctx, v, 1, number, 1) for v in (q, qp))
    change = ctx.one("Div", ctx.one("Sub", pqp, at), own)
    scale = ctx.one("Add", one, change)
    unit = ctx.builder.constant(np.eye(classes)[number : number + 1], p.dtype)
    grown = ctx.one("Add", p, ctx.one("Mul", unit, change))
    twice = ctx.one("Add", ctx.one("Mul", change, own), ctx.one("Mul", ctx.like(2, p), at))
    least = ctx.one("Add", pqp, ctx.one("Mul", change, twice))
    follows = ctx.one("Add", qp, ctx.one("Mul", change, q))
    least = ctx.one("Div", ctx.one("Div", least, scale), scale)
    return ctx.one("Div", grown, scale), ctx.one("Div", follows, scale), least
