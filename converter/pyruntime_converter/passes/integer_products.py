"""Products of dequantised operands become integer ones, with scales and zero points in their epilogue."""

from __future__ import annotations

from pyruntime.ir.dims import Dim
from pyruntime.ir.dims import product as product_of
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Shape, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.integers import WEIGHTS, convolution, product
from pyruntime_converter.passes.dequantized import zero_of
from pyruntime_converter.passes.patterns import made_by
from pyruntime_converter.passes.rewriter import rewrite

MOST_TERMS = (2**31 - 1) // (255 * 255)  # of 8 bits each, summed in 32


def integer_products(graph: Graph) -> None:
    """MatMul and Conv of Dequantize and Dequantize: as QDQ models have them, and QLinear ones as imported."""

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op not in ("MatMul", "Conv"):
            return None
        sides = [made_by(v, "Dequantize") for v in node.inputs[:2]]
        if any(s is None or s.input(0).dtype not in WEIGHTS for s in sides):
            return None
        left, right = (s for s in sides if s is not None)
        made = _matmul(left, right, builder) if node.op == "MatMul" else _conv(node, left, right, builder)
        return made if made is None or made.dtype is node.output.dtype else _cast(builder, made, node)

    rewrite(graph, rule)


def scaled(builder: Builder, sums: Value, *scales: Value) -> Value:
    """Sums in int32 times their scales, in float32."""
    factor, *others = (_single(builder, s) for s in scales)
    for other in others:
        factor = builder.one("Mul", factor, other)
    return builder.one("Dequantize", sums, factor)


def _matmul(left: Node, right: Node, builder: Builder) -> Value | None:
    a, b = left.input(0), right.input(0)
    if a.rank < 2 or b.rank < 2 or not _few(a.shape[-1]):
        return None
    rows = [v for v in (left.input(1), zero_of(left)) if v is not None]
    columns = [v for v in (right.input(1), zero_of(right)) if v is not None]
    if any(v.rank and v.shape[-1] != 1 for v in rows):
        return None
    if any(v.rank > 1 and v.shape[-2] != 1 for v in columns):
        return None
    sums = product(builder, a, b, zero_of(left), zero_of(right))
    return scaled(builder, sums, left.input(1), right.input(1))


def _conv(node: Node, left: Node, right: Node, builder: Builder) -> Value | None:
    x, w = left.input(0), right.input(0)
    if not _few(product_of(w.shape[1:])):
        return None
    if any(v is not None and v.elements != 1 for v in left.inputs[1:]):
        return None
    channels = (w.shape[0], *(1 for _ in w.shape[1:]))
    if any(v is not None and v.elements != 1 and v.shape != channels for v in right.inputs[1:]):
        return None
    geometry = {k: v for k, v in node.attrs.items() if k != "pad_value"}
    sums = convolution(builder, x, w, _scalar(builder, zero_of(left)), zero_of(right), geometry)
    each = _scalar(builder, right.input(1))
    assert each is not None
    if each.rank:
        each = builder.one("Reshape", each, shape=channels[:-1])
    result = scaled(builder, sums, builder.one("Reshape", left.input(1), shape=()), each)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return result if bias is None else with_bias(builder, result, bias)


def with_bias(builder: Builder, result: Value, bias: Value) -> Value:
    """A convolution's result [n, oc, ...] plus a bias [oc], in float32."""
    spread: Shape = (*bias.shape, *(1 for _ in range(result.rank - 2)))
    return builder.one("Add", result, builder.one("Reshape", _single(builder, bias), shape=spread))


def _few(terms: Dim) -> bool:
    """Whether sums of so many terms fit 32 bits; of an unknown number they are taken to."""
    return not isinstance(terms, int) or terms <= MOST_TERMS


def _scalar(builder: Builder, value: Value | None) -> Value | None:
    return value if value is None or value.elements != 1 else builder.one("Reshape", value, shape=())


def _single(builder: Builder, value: Value) -> Value:
    return value if value.dtype is DType.F32 else builder.one("Cast", value, to=DType.F32)


def _cast(builder: Builder, value: Value, node: Node) -> Value:
    return builder.one("Cast", value, to=node.output.dtype)
