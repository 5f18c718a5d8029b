"""Recognises rotary embeddings that were exported as slices, products and concatenations."""

from __future__ import annotations

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import OpError, broadcast
from pyruntime_converter.passes.patterns import made_by, orders
from pyruntime_converter.passes.rewriter import rewrite


def recognise_rotary(graph: Graph) -> None:
    """x cos + turned(x) sin, and both halves (or the even and odd features) of the result put together."""

    def rule(node: Node, builder: Builder) -> Value | None:
        if node.op == "Add":
            return _whole(node, builder)
        return _in_parts(node, builder) if node.op in ("Concat", "Reshape") else None

    rewrite(graph, rule)


def _part(value: Value) -> tuple[Value, str, int] | None:
    """(x, "half" or "every", which) where value is half of the features of x: a run, or every other one."""
    node = made_by(value, "Slice")
    if node is None:
        return None
    x = node.input(0)
    width = x.shape[-1] if x.rank else 0
    starts, steps = node.attrs["starts"], node.attrs["steps"]
    outer = all(s == 0 for s in starts[:-1]) and all(s == 1 for s in steps[:-1])
    if not isinstance(width, int) or width % 2 or value.shape != (*x.shape[:-1], width // 2) or not outer:
        return None
    if steps[-1] == 1 and starts[-1] in (0, width // 2):
        return x, "half", int(starts[-1] != 0)
    return (x, "every", starts[-1]) if steps[-1] == 2 and starts[-1] in (0, 1) else None


def _pair(first: Value, second: Value) -> tuple[Value, str] | None:
    """(x, how) where these are the first and the second of each pair of features of x."""
    a, b = _part(first), _part(second)
    if a is None or b is None or a[0] is not b[0] or a[1] != b[1]:
        return None
    return (a[0], a[1]) if (a[2], b[2]) == (0, 1) else None


def _joined(value: Value) -> tuple[Value, Value, str] | None:
    """(a, b, how) where value has the features of a and then those of b, or of both in turn."""
    node = made_by(value, "Concat")
    if node is not None and len(node.inputs) == 2 and node.attrs["axis"] == value.rank - 1:
        return node.input(0), node.input(1), "half"
    flat = made_by(value, "Reshape")
    node = None if flat is None else made_by(flat.input(0), "Concat")
    if node is None or len(node.inputs) != 2 or not 1 <= node.attrs["axis"] == node.output.rank - 1:
        return None
    parts = [made_by(v, "Reshape") for v in node.inputs]
    shape = (*value.shape[:-1], node.output.shape[-2], 2)
    if any(p is None for p in parts) or node.output.shape != shape:
        return None
    a, b = (p.input(0) for p in parts if p is not None)
    return (a, b, "every") if a.shape == b.shape == shape[:-1] else None


def _turned(value: Value) -> tuple[Value, str] | None:
    """(x, how) where value has the pairs (a, b) of x as (-b, a)."""
    joined = _joined(value)
    negated = None if joined is None else made_by(joined[0], "Neg")
    if joined is None or negated is None:
        return None
    found = _pair(joined[1], negated.input(0))
    return found if found is not None and found[1] == joined[2] else None


def _whole(node: Node, builder: Builder) -> Value | None:
    """x cos + turned(x) sin."""
    for left, right in orders(node):
        direct, across = made_by(left, "Mul"), made_by(right, "Mul")
        if direct is None or across is None:
            continue
        for turned, sin in orders(across):
            found = _turned(turned)
            for x, cos in orders(direct) if found is not None else ():
                if found is not None and x is found[0] and x.shape == node.output.shape:
                    return _emit(builder, x, cos, sin, found[1])
    return None


def _in_parts(node: Node, builder: Builder) -> Value | None:
    """a cos - b sin and b cos + a sin, joined."""
    joined = _joined(node.output)
    difference = None if joined is None else made_by(joined[0], "Sub")
    total = None if joined is None else made_by(joined[1], "Add")
    if joined is None or difference is None or total is None:
        return None
    products = [made_by(v, "Mul") for v in (*difference.inputs, *total.inputs)]
    if any(p is None for p in products):
        return None
    a_cos, b_sin, *rest = [p for p in products if p is not None]
    for a, cos in orders(a_cos):
        for b, sin in orders(b_sin):
            found = _pair(a, b)
            if found is None or found[1] != joined[2] or found[0].shape != node.output.shape:
                continue
            wanted = {frozenset((b, cos)), frozenset((a, sin))}
            if {frozenset((p.input(0), p.input(1))) for p in rest} == wanted:
                return _emit(builder, found[0], cos, sin, found[1])
    return None


def _emit(builder: Builder, x: Value, cos: Value, sin: Value, how: str) -> Value | None:
    width = x.shape[-1]
    assert isinstance(width, int)
    for angle in (cos, sin):
        if not angle.rank or angle.shape[-1] not in (width, width // 2) or angle.dtype is not x.dtype:
            return None
        try:
            if broadcast([angle.shape[:-1], x.shape[:-1]]) != x.shape[:-1]:
                return None
        except OpError:
            return None
    return builder.one("RotaryEmbedding", x, cos, sin, interleaved=how == "every")
