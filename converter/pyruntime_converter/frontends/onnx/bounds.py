"""Bounds of numbers that are computed of a few fed ones: room for as many results, whatever a run gives."""

from __future__ import annotations

from collections.abc import Mapping

from pyruntime.ir.conditions import equal, less
from pyruntime.ir.dims import Dim, ceildiv, floordiv, maximum
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.ratios import ratios_of

_MOST = 2**31 - 1
_PRODUCT = 2**48  # the Wasm module counts to 2^50
_KEEP = frozenset({"Abs", "Cast", "Ceil", "Floor", "Neg", "Relu", "Reshape"})


def bound_of(value: Value, sources: Mapping[Value, Value]) -> tuple[Dim, Dim] | None:
    """What a number of one element never exceeds, and the condition (0 or 1) under which that holds.

    None where other than small inputs decide it, or other than a few operators.

    Args:
        value: the number.
        sources: for inputs of subgraphs, the values around that they stand for.
    """
    conditions: list[Dim] = []
    most = _magnitude(value, sources, conditions)
    if most is None:
        return None
    # exact but for rounding, of which the few operators have no more than that even in bfloat16
    most = most + floordiv(most, 32) + 1
    holds = less(most, _MOST)
    for condition in conditions:
        holds = holds * condition
    return most, holds


def _magnitude(value: Value, sources: Mapping[Value, Value], conditions: list[Dim]) -> Dim | None:
    """A whole number that is not less than the magnitude of value, as exact arithmetic has it."""
    if value.elements != 1:
        return None
    known = ratios_of(value, sources)
    if known is not None:
        ((above, below),) = known.ratios
        return ceildiv(maximum(above, -above), below)
    if value in sources:
        return _magnitude(sources[value], sources, conditions)
    operands = [v for v in value.producer.inputs if v is not None] if value.producer else []
    op = value.producer.op if operands and value.producer else ""
    if op in _KEEP:
        return _magnitude(operands[0], sources, conditions)
    if op in ("Add", "Sub"):
        a, b = (_magnitude(v, sources, conditions) for v in operands)
        return None if a is None or b is None else a + b
    if op == "Div":
        return _quotient(operands[0], operands[1], sources, conditions)
    return None


def _quotient(a: Value, b: Value, sources: Mapping[Value, Value], conditions: list[Dim]) -> Dim | None:
    most, known = _magnitude(a, sources, conditions), ratios_of(b, sources)
    if most is None or known is None:
        return None
    ((above, below),) = known.ratios
    conditions += [1 - equal(above, 0), less(most, floordiv(_PRODUCT, below))]
    return ceildiv(most * below, maximum(maximum(above, -above), 1))
