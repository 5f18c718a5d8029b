"""Recognises scaled dot-product attention that was exported as two products with a softmax between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Shape, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import OpError
from pyruntime_converter.passes.indices import causal_past
from pyruntime_converter.passes.patterns import (
    constant_side,
    made_by,
    number,
    orders,
    swaps_last,
    unscaled,
)
from pyruntime_converter.passes.rewriter import rewrite

_ABSORBS = -1e30  # a masked score of this or less is the mask alone: floats have no digits for more


@dataclass(frozen=True)
class _Score:
    """What a score is made of: factor * q k^T + mask, or `fill` where a bool mask is false.

    Attributes:
        lead: the axes before the last two, in the outermost form that masks are added in.
        factor: of the product.
        masks: floats that are added.
        seen: bools that say where `fill` does not stand.
    """

    lead: Shape
    factor: float = 1.0
    softcap: float = 0.0
    masks: tuple[Value, ...] = ()
    seen: tuple[Value, ...] = ()
    fill: float = -math.inf
    product: Node | None = None


def recognise_attention(graph: Graph) -> None:
    """MatMul(Softmax(score), v), where score is a scaled MatMul(q, transposed k) with masks, as Attention."""
    uses = graph.uses()
    outputs = set(graph.outputs)

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op != "MatMul" or node.output.dtype not in (DType.F32, DType.F16):
            return None
        walked = {node}
        guarded, safe = _guarded(node.input(0), walked)
        weights = _through_reshape(guarded, walked)
        softmax = made_by(weights, "Softmax")
        if softmax is None or softmax.attrs["axis"] != weights.rank - 1 or weights.rank < 2:
            return None
        # weights that others read would be computed all the same
        inner = {v for n in (walked | {softmax}) - {node} for v in n.outputs}
        if inner & outputs or any(not walked.issuperset(uses.get(v, ())) for v in inner):
            return None
        score = _score(softmax.input(0), _Score(softmax.output.shape[:-2]), builder)
        return None if score is None else _emit(node, score, safe, builder)

    rewrite(graph, rule)


def _guarded(value: Value, walked: set[Node]) -> tuple[Value, bool]:
    """The weights, and whether NaN in them, of queries that see no key, was made zero."""
    where = made_by(value, "Where")
    test = None if where is None else made_by(where.input(0), "IsNaN")
    if where is None or test is None or number(where.input(1)) != 0.0 or test.input(0) is not where.input(2):
        return value, False
    walked |= {where, test}
    return where.input(2), True


def _through_reshape(value: Value, walked: set[Node]) -> Value:
    """What was reshaped to value in its leading axes alone."""
    node = made_by(value, "Reshape")
    if node is None or not _keeps_matrices(node.input(0), value):
        return value
    walked.add(node)
    return node.input(0)


def _keeps_matrices(a: Value, b: Value) -> bool:
    return a.rank >= 2 and b.rank >= 2 and a.shape[-2:] == b.shape[-2:]


def _score(value: Value, score: _Score, builder: Builder) -> _Score | None:
    """The score that value is, walked from the softmax up to the product."""
    node = value.producer
    if node is None:
        return None
    side = constant_side(node) if node.op in ("Mul", "Div", "Add") else None
    match node.op:
        case "MatMul":
            return replace(score, product=node)
        case "Reshape" if _keeps_matrices(node.input(0), value):
            plain = not score.masks and not score.seen
            inner = replace(score, lead=node.input(0).shape[:-2]) if plain else score
            return _score(node.input(0), inner, builder)
        case "Mul" | "Div" if side is not None and side[1] != 0:
            tanh = made_by(side[0], "Tanh")
            if node.op == "Mul" and tanh is not None:
                return _capped(tanh, side[1], score)
            if node.op == "Div" and side[0] is not node.input(0):
                return None
            factor = side[1] if node.op == "Mul" else 1 / side[1]
            return _score(side[0], replace(score, factor=score.factor * factor), builder)
        case "Add" if value.shape[:-2] == score.lead:
            for x, mask in orders(node):
                if x.shape == value.shape and _has_product(x):
                    masks = (*score.masks, _times(mask, score.factor, builder))
                    return _score(x, replace(score, masks=masks), builder)
        case "Where" if value.shape[:-2] == score.lead:
            return _chosen(node, score, builder)
    return None


def _capped(tanh: Node, cap: float, score: _Score) -> _Score | None:
    """cap * tanh(p / cap), which must be the innermost step but for the product's factor."""
    product, factor = unscaled(tanh.input(0))
    matmul = made_by(product, "MatMul")
    if score.factor != 1.0 or matmul is None or cap <= 0:
        return None
    return replace(score, softcap=cap, factor=factor * cap, product=matmul)


def _has_product(value: Value, depth: int = 8) -> bool:
    """Whether a product lies above value along what a score may be made of."""
    node = value.producer if depth else None
    if node is None:
        return False
    if node.op == "MatMul":
        return value.shape == node.output.shape
    if node.op not in ("Add", "Mul", "Div", "Where", "Reshape", "Tanh"):
        return False
    operands = [v for v in node.inputs if v is not None and v.data is None]
    same = operands if node.op == "Reshape" else [v for v in operands if v.shape == value.shape]
    return any(_has_product(v, depth - 1) for v in same if v.dtype is value.dtype)


def _times(mask: Value, factor: float, builder: Builder) -> Value:
    if factor == 1.0:
        return mask
    return builder.one("Mul", mask, builder.constant(np.asarray(factor, mask.dtype.value)))


def _chosen(node: Node, score: _Score, builder: Builder) -> _Score | None:
    """Where(seen, inner, fill) or Where(hidden, fill, inner)."""
    seen, a, b = (node.input(i) for i in range(3))
    for inner, other, hidden in ((a, b, False), (b, a, True)):
        fill = number(other)
        if fill is None or inner.shape != node.output.shape or not _has_product(inner):
            continue
        fill *= score.factor
        # what was added outside the choice was added to its number too
        if score.masks and fill > _ABSORBS:
            return None
        if score.seen and fill != score.fill:
            return None
        mask = builder.one("Not", seen) if hidden else seen
        return _score(inner, replace(score, seen=(*score.seen, mask), fill=fill), builder)
    return None


def _emit(node: Node, score: _Score, safe: bool, builder: Builder) -> Value | None:
    assert score.product is not None
    if all(x.data is not None for x in (score.product.input(1), node.input(1))):
        return None  # a layer with a softmax inside: its weights are better packed
    q, q_factor = unscaled(score.product.input(0))
    k, k_factor = _keys(score.product.input(1), builder)
    v = node.input(1)
    if not q.rank == k.rank == score.product.output.rank >= 2 or v.rank != node.output.rank:
        return None
    score, past = _causal(score)
    mask = _mask(score, builder)
    if mask is None and (score.masks or score.seen):
        return None
    lead = score.lead
    operands = [_with_lead(x, lead, builder) for x in (q, k, v)]
    if any(x is None for x in operands):
        return None
    q, k, v = (x for x in operands if x is not None)
    k, v = _grouped(k, v, q)
    scale = score.factor * q_factor * k_factor
    try:
        result = builder.one(
            "Attention",
            q,
            k,
            v,
            mask,
            scale=scale,
            softcap=score.softcap,
            fill=score.fill,
            safe=safe,
            causal=past is not None,
            past=0 if past is None else past,
        )
    except OpError:
        return None
    if result.shape == node.output.shape:
        return result
    return builder.one("Reshape", result, shape=node.output.shape)


def _causal(score: _Score) -> tuple[_Score, Dim | None]:
    """The score without a mask that says no more than that later keys are not seen, and how many come before.

    Since each query then sees a key, what stands at those that it does not see adds nothing to its softmax.
    """
    rank = len(score.lead) + 2
    for mask in score.masks:
        where = made_by(mask, "Where")
        if where is None or number(where.input(1)) != 0.0 or not _excludes(number(where.input(2))):
            continue
        past = causal_past(where.input(0), rank)
        if past is not None:
            return replace(score, masks=tuple(m for m in score.masks if m is not mask)), past
    for mask in score.seen if _excludes(score.fill) else ():
        past = causal_past(mask, rank)
        if past is not None:
            return replace(score, seen=tuple(m for m in score.seen if m is not mask)), past
    return score, None


def _excludes(fill: float | None) -> bool:
    return fill is not None and fill <= _ABSORBS


def _keys(value: Value, builder: Builder) -> tuple[Value, float]:
    """The keys whose transpose, times a number, is value."""
    inner, factor = unscaled(value)
    node = made_by(inner, "Transpose")
    if node is not None and swaps_last(node.attrs["perm"]):
        keys, more = unscaled(node.input(0))
        return keys, factor * more
    if inner.rank < 2:
        return inner, factor
    perm = (*range(inner.rank - 2), inner.rank - 1, inner.rank - 2)
    return builder.one("Transpose", inner, perm=perm), factor


def _mask(score: _Score, builder: Builder) -> Value | None:
    """All masks of a score as one: bools where there are no others, else floats."""
    seen: Value | None = None
    for mask in score.seen:
        seen = mask if seen is None else builder.one("And", seen, mask)
    total: Value | None = None
    for mask in score.masks:
        total = mask if total is None else builder.one("Add", total, mask)
    if seen is None or total is None:
        return total if seen is None else seen
    if score.fill > _ABSORBS:
        return None  # a score of `fill` is not the same as one with it added
    return builder.one("Where", seen, total, builder.constant(score.fill, total.dtype))


def _with_lead(value: Value, lead: Shape, builder: Builder) -> Value | None:
    """value with these leading axes, of which it may have fewer heads or ones; None where they do not fit."""
    if value.rank == len(lead) + 2:
        return value
    if product(value.shape[:-2]) != product(lead):
        return None
    return builder.one("Reshape", value, shape=(*lead, *value.shape[-2:]))


def _grouped(k: Value, v: Value, q: Value) -> tuple[Value, Value]:
    """Keys and values before their heads were repeated for the queries that share them."""
    plain = [_unrepeated(x) for x in (k, v)]
    if any(x is None for x in plain) or q.rank < 3:
        return k, v
    a, b = (x for x in plain if x is not None)
    return (a, b) if a.shape[-3] == b.shape[-3] else (k, v)


def _unrepeated(value: Value) -> Value | None:
    """[..., kv, n, d] where value is it with each head repeated: reshaped, expanded and reshaped back."""
    merged = made_by(value, "Reshape")
    spread = None if merged is None else made_by(merged.input(0), "Expand")
    apart = None if spread is None else made_by(spread.input(0), "Reshape")
    if merged is None or spread is None or apart is None or value.rank < 3:
        return None
    source = apart.input(0)
    *outer, heads, n, d = source.shape
    if source.rank != value.rank or spread.output.rank != value.rank + 1:
        return None
    factor = spread.output.shape[-3]
    fits = apart.output.shape == (*outer, heads, 1, n, d) and spread.output.shape == (
        *outer,
        heads,
        factor,
        n,
        d,
    )
    return source if fits and value.shape == (*outer, heads * factor, n, d) else None
