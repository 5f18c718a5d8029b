"""Spells out what has no kernel: attention of other types, products with blocks that only a run knows."""

from __future__ import annotations

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.blocks import spelled
from pyruntime_converter.passes.rewriter import constant_of, rewrite


def expand_attention(graph: Graph) -> None:
    """Attention of other dtypes than float32 as MatMul, Softmax, MatMul and what lies between."""

    def rule(node: Node, builder: Builder) -> Value | None:
        spelled = node.op == "Attention" and node.output.dtype is not DType.F32
        return _expanded(node, builder) if spelled else None

    rewrite(graph, rule)


def expand_blocks(graph: Graph) -> None:
    """Products with a weight in blocks that is no constant as what they stand for."""

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op != "BlockMatMul" or all(constant_of(v) for v in node.inputs[1:] if v is not None):
            return None
        return spelled(builder, node.inputs, node.attrs)

    rewrite(graph, rule)


def _expanded(node: Node, builder: Builder) -> Value:
    one, attrs = builder.one, node.attrs
    q, k, v = (node.input(i) for i in range(3))
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    k, v = (_with_heads(x, q, builder) for x in (k, v))
    swapped = (*range(k.rank - 2), k.rank - 1, k.rank - 2)
    wide = DType.F32 if q.dtype is DType.F16 else q.dtype
    score = one("Cast", one("MatMul", q, one("Transpose", k, perm=swapped)), to=wide)
    score = one("Mul", score, builder.constant(attrs["scale"], wide))
    if attrs["softcap"]:
        cap = builder.constant(attrs["softcap"], wide)
        score = one("Mul", one("Tanh", one("Div", score, cap)), cap)
    if mask is not None and mask.dtype is DType.BOOL:
        score = one("Where", mask, score, builder.constant(attrs["fill"], wide))
    elif mask is not None:
        score = one("Add", score, one("Cast", mask, to=wide))
    least = builder.constant(float("-inf"), wide)
    if attrs["causal"]:
        seen = _causal(score.shape[-2], score.shape[-1], attrs["past"], builder)
        score = one("Where", seen, score, least)
    weights = one("Softmax", score, axis=score.rank - 1)
    if attrs["safe"]:
        most = one("ReduceMax", score, axes=(score.rank - 1,), keepdims=True)
        weights = one("Where", one("Equal", most, least), builder.constant(0, wide), weights)
    return one("MatMul", one("Cast", weights, to=q.dtype), v)


def _with_heads(x: Value, q: Value, builder: Builder) -> Value:
    """Keys or values with each head repeated for the queries that share it."""
    if x.rank < 3 or x.shape[-3] in (1, q.shape[-3]):
        return x
    heads, rows, width = x.shape[-3:]
    factor = q.shape[-3] // heads
    apart = builder.one("Reshape", x, shape=(*x.shape[:-3], heads, 1, rows, width))
    spread = builder.one("Expand", apart, shape=(*x.shape[:-3], heads, factor, rows, width))
    return builder.one("Reshape", spread, shape=(*x.shape[:-3], product((heads, factor)), rows, width))


def _causal(m: Dim, n: Dim, past: Dim, builder: Builder) -> Value:
    """[m, n]: whether key j is no later than query i."""
    last = builder.one("Range", start=past, size=m, dtype=DType.I32)
    rows = builder.one("Reshape", last, shape=(m, 1))
    return builder.one("LessOrEqual", builder.one("Range", size=n, dtype=DType.I32), rows)
