"""Recognises activation functions that were exported as arithmetic."""

from __future__ import annotations

import math

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.patterns import (
    factors,
    is_number,
    is_polynomial,
    made_by,
    orders,
    polynomial,
    products_of,
)
from pyruntime_converter.passes.rewriter import rewrite

_TANH = {1: math.sqrt(2 / math.pi), 3: 0.044715 * math.sqrt(2 / math.pi)}
_ERF = {1: math.sqrt(0.5)}


def recognise_activations(graph: Graph) -> None:
    """GELU by erf and by tanh, and SiLU (x times a sigmoid of a multiple of x)."""

    def rule(node: Node, builder: Builder) -> Value | None:
        return _gated(node, builder) if node.op in ("Mul", "Div") and node.output.dtype.is_float else None

    rewrite(graph, rule)


def _gated(node: Node, builder: Builder) -> Value | None:
    """x times a gate that depends on x alone, in any association of the product with its numbers."""
    candidates = list(dict.fromkeys(products_of(node.output)))
    for gate in candidates:
        for function in ("Erf", "Tanh", "Sigmoid"):
            argument = _argument(gate, function)
            for x in candidates if argument is not None else ():
                assert argument is not None
                if x is gate or x.shape != node.output.shape:
                    continue
                found, number = factors(node.output, frozenset({x, gate}))
                if sorted(map(id, found)) == sorted((id(x), id(gate))):
                    result = _activation(function, x, argument, number, builder)
                    if result is not None:
                        return result
    return None


def _argument(gate: Value, function: str) -> Value | None:
    """u, where gate is the sigmoid of u, or 1 + function(u)."""
    if function == "Sigmoid":
        node = made_by(gate, "Sigmoid")
        return None if node is None else node.input(0)
    total = made_by(gate, "Add")
    for inner, one in orders(total) if total is not None else ():
        node = made_by(inner, function)
        if node is not None and is_number(one, 1.0):
            return node.input(0)
    return None


def _activation(function: str, x: Value, argument: Value, number: float, builder: Builder) -> Value | None:
    if function == "Sigmoid":
        found = polynomial(argument, x)
        linear = found is not None and set(found) == {1} and number == 1.0
        return builder.one("Swish", x, alpha=float(found[1])) if found is not None and linear else None
    if not math.isclose(number, 0.5, rel_tol=1e-6):
        return None
    wanted, form = (_ERF, "none") if function == "Erf" else (_TANH, "tanh")
    return builder.one("Gelu", x, approximate=form) if is_polynomial(argument, x, wanted) else None
