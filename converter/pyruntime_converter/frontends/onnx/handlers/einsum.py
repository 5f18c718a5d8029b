"""Einsum as products of matrices: operands are joined one by one, left to right."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.definition import broadcast
from pyruntime_converter.frontends.onnx.context import NodeContext, handles

# an axis is called by its letter, or as "...0", "...1" counted from the right within the ellipsis
Term = tuple[str, ...]


def _term(ctx: NodeContext, text: str, spread: int) -> Term:
    """The axes of one operand or of the result, where an ellipsis stands for `spread` axes."""
    if not re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", text):
        ctx.invalid(f"equation {ctx.attr('equation')!r}")
    before, dots, after = text.partition("...")
    return (*before, *(f"...{i}" for i in reversed(range(spread)) if dots), *after)


def _parse(ctx: NodeContext, operands: Sequence[Value]) -> tuple[list[Term], Term]:
    equation = re.sub(r"\s", "", ctx.required("equation"))
    left, arrow, right = equation.partition("->")
    texts = left.split(",")
    if len(texts) != len(operands):
        ctx.invalid(f"equation {equation!r} for {len(operands)} operands")
    spreads = [
        v.rank - len(t.replace("...", "")) if "..." in t else 0 for t, v in zip(texts, operands, strict=True)
    ]
    terms = [_term(ctx, t, s) for t, s in zip(texts, spreads, strict=True)]
    if any(len(t) != v.rank for t, v in zip(terms, operands, strict=True)):
        ctx.invalid(f"equation {equation!r} for operands of ranks {[v.rank for v in operands]}")
    widest = max(spreads)
    if arrow:
        return terms, _term(ctx, right, widest)
    letters = re.sub(r"[.,]", "", left)
    alone = sorted(c for c in set(letters) if letters.count(c) == 1)
    return terms, (*_term(ctx, "...", widest), *alone)


@handles("Einsum")
def einsum(ctx: NodeContext) -> Value:
    """Sums of products, as the equation says."""
    operands = ctx.variadic()
    terms, result = _parse(ctx, operands)
    if len(set(result)) != len(result):
        ctx.fail("an axis that appears twice in the result is not supported")
    drawn = [_diagonal(ctx, v, t) for v, t in zip(operands, terms, strict=True)]
    operands, terms = [v for v, _ in drawn], [t for _, t in drawn]
    missing = set(result).difference(*terms)
    if missing:
        ctx.invalid(f"no operand has {', '.join(sorted(missing))} of equation {ctx.attr('equation')!r}")
    value, term = operands[0], terms[0]
    for index in range(1, len(operands)):
        needed = set(result).union(*terms[index + 1 :])
        value, term = _join(ctx, (value, term), (operands[index], terms[index]), needed)
    value, term = _sum(ctx, value, term, result)
    return _ordered(ctx, value, term, result)


def _diagonal(ctx: NodeContext, value: Value, term: Term) -> tuple[Value, Term]:
    """value without what lies beside the diagonal of axes of one name: each name stays once."""
    for axis in reversed(range(len(term))):
        first = term.index(term[axis])
        if first == axis:
            continue
        size = value.shape[axis]
        if value.shape[first] != size:
            ctx.invalid(f"axis {term[axis]} has sizes {value.shape[first]} and {size}")
        position = ctx.one("Range", size=size, dtype=DType.I32)
        ends = [[size if a == at else 1 for a in range(value.rank)] for at in (first, axis)]
        inside = ctx.one("Equal", *(ctx.reshape(position, shape) for shape in ends))
        value = ctx.one("Where", inside, value, ctx.like(0, value))
        value = ctx.one("ReduceSum", value, axes=(axis,), keepdims=False)
        term = (*term[:axis], *term[axis + 1 :])
    return value, term


def _sum(ctx: NodeContext, value: Value, term: Term, needed: Collection[str]) -> tuple[Value, Term]:
    """value summed over the axes that nothing needs."""
    axes = tuple(i for i, axis in enumerate(term) if axis not in needed)
    if not axes:
        return value, term
    kept = tuple(axis for axis in term if axis in needed)
    return ctx.one("ReduceSum", value, axes=axes, keepdims=False), kept


def _ordered(ctx: NodeContext, value: Value, term: Term, wanted: Sequence[str]) -> Value:
    perm = tuple(term.index(axis) for axis in wanted)
    return value if perm == tuple(range(len(perm))) else ctx.one("Transpose", value, perm=perm)


def _join(
    ctx: NodeContext, a: tuple[Value, Term], b: tuple[Value, Term], needed: Collection[str]
) -> tuple[Value, Term]:
    """Two operands as one: a batched matrix product over the axes that both have and nothing else needs."""
    left, left_term = _sum(ctx, *a, {*needed, *b[1]})
    right, right_term = _sum(ctx, *b, {*needed, *left_term})
    both = [axis for axis in left_term if axis in right_term]
    batch = [axis for axis in both if axis in needed]
    summed = [axis for axis in both if axis not in needed]
    rows = [axis for axis in left_term if axis not in both]
    columns = [axis for axis in right_term if axis not in both]
    left = _ordered(ctx, left, left_term, [*batch, *rows, *summed])
    right = _ordered(ctx, right, right_term, [*batch, *summed, *columns])
    depth = broadcast([left.shape[len(batch) + len(rows) :], right.shape[len(batch) :][: len(summed)]])
    left = _expanded(ctx, left, (*left.shape[: len(batch) + len(rows)], *depth))
    right = _expanded(
        ctx, right, (*right.shape[: len(batch)], *depth, *right.shape[len(batch) + len(summed) :])
    )
    m, n = left.shape[len(batch) : len(batch) + len(rows)], right.shape[len(batch) + len(summed) :]
    matrix = ctx.reshape(left, (*left.shape[: len(batch)], product(m), product(depth)))
    other = ctx.reshape(right, (*right.shape[: len(batch)], product(depth), product(n)))
    joined = ctx.one("MatMul", matrix, other)
    shape: tuple[Dim, ...] = (*joined.shape[: len(batch)], *m, *n)
    return ctx.reshape(joined, shape), (*batch, *rows, *columns)


def _expanded(ctx: NodeContext, value: Value, shape: tuple[Dim, ...]) -> Value:
    return value if value.shape == shape else ctx.one("Expand", value, shape=shape)
