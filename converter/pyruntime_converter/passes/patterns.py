"""What the recognition passes look for: constants, chains of factors, polynomials, roots, moved axes.

Everything looks upwards from a value through its producers, and takes operands that commute in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pyruntime.ir.graph import Node, Value

COMMUTATIVE = frozenset({"Add", "Mul"})
_CLOSE = 1e-4  # exporters round constants to float32, some to float16


def made_by(value: Value | None, *ops: str) -> Node | None:
    """The node that makes value, if it is one of these ops."""
    node = None if value is None else value.producer
    return node if node is not None and node.op in ops else None


def number(value: Value | None) -> float | None:
    """The element of a constant whose elements are all equal."""
    if value is None or value.data is None or not value.data.size or value.data.dtype.kind not in "fiu":
        return None
    first = value.data.flat[0]
    return float(first) if value.data.size == 1 or bool((value.data == first).all()) else None


def is_number(value: Value | None, wanted: float) -> bool:
    """Whether value is a constant that everywhere is about this number."""
    found = number(value)
    return found is not None and close(found, wanted)


def close(a: float, b: float) -> bool:
    """Whether two constants are meant to be equal."""
    return math.isclose(a, b, rel_tol=_CLOSE, abs_tol=1e-9)


def orders(node: Node) -> Iterator[tuple[Value, Value]]:
    """Both operands of a binary op: as they are and, where it is commutative, swapped."""
    a, b = node.input(0), node.input(1)
    yield a, b
    if node.op in COMMUTATIVE and a is not b:
        yield b, a


def constant_side(node: Node) -> tuple[Value, float] | None:
    """The other operand and the number, for a binary op one of whose operands is one and changes no shape."""
    for x, other in orders(node):
        found = number(other)
        if found is not None and x.shape == node.output.shape:
            return x, found
    return None


def unscaled(value: Value) -> tuple[Value, float]:
    """x and c with value = c x, through multiplications and divisions by numbers."""
    factor = 1.0
    while (node := made_by(value, "Mul", "Div", "Neg")) is not None:
        if node.op == "Neg":
            value, factor = node.input(0), -factor
            continue
        side = constant_side(node)
        if side is None or (node.op == "Div" and side[1] == 0):
            break
        value, factor = side[0], factor * (side[1] if node.op == "Mul" else 1 / side[1])
    return value, factor


def factors(value: Value, stops: frozenset[Value]) -> tuple[list[Value], float]:
    """What is multiplied to value, down to the values in `stops`, and the product of the numbers in it."""
    if value in stops:
        return [value], 1.0
    found = number(value)
    if found is not None:
        return [], found
    node = made_by(value, "Mul", "Div")
    if node is None or (node.op == "Div" and number(node.input(1)) in (None, 0)):
        return [value], 1.0
    left, a = factors(node.input(0), stops)
    right, b = factors(node.input(1), stops)
    return left + right, a * (b if node.op == "Mul" else 1 / b)


def products_of(value: Value, depth: int = 4) -> Iterator[Value]:
    """Every value that is a factor of value, at any level of its products."""
    node = made_by(value, "Mul", "Div") if depth else None
    if node is None:
        return
    for operand in node.inputs:
        if operand is not None and operand.data is None:
            yield operand
            yield from products_of(operand, depth - 1)


Polynomial = Mapping[int, float]


def polynomial(value: Value, x: Value, depth: int = 8) -> Polynomial | None:
    """value as a polynomial in x, power to coefficient; None where it is none."""
    if value is x:
        return {1: 1.0}
    found = number(value)
    if found is not None:
        return {0: found}
    node = made_by(value, "Add", "Sub", "Mul", "Div", "Neg", "Pow") if depth else None
    if node is None or (node.op != "Neg" and value.shape != x.shape):
        return None
    parts = [polynomial(v, x, depth - 1) for v in node.inputs if v is not None]
    if any(p is None for p in parts):
        return None
    a, *rest = [p for p in parts if p is not None]
    b: Polynomial = rest[0] if rest else {0: -1.0}
    match node.op:
        case "Add" | "Sub":
            sign = 1.0 if node.op == "Add" else -1.0
            return {k: a.get(k, 0.0) + sign * b.get(k, 0.0) for k in {*a, *b}}
        case "Mul" | "Neg":
            return _multiplied(a, b)
    constant = b.get(0, 0.0)
    if set(b) != {0}:
        return None
    if node.op == "Div":
        return {k: v / constant for k, v in a.items()} if constant else None
    power: Polynomial = {0: 1.0}
    if constant not in (1.0, 2.0, 3.0):
        return None
    for _ in range(int(constant)):
        power = _multiplied(power, a)
    return power


def _multiplied(a: Polynomial, b: Polynomial) -> Polynomial:
    result: dict[int, float] = {}
    for i, x in a.items():
        for j, y in b.items():
            result[i + j] = result.get(i + j, 0.0) + x * y
    return result


def is_polynomial(value: Value, x: Value, wanted: Polynomial) -> bool:
    """Whether value is this polynomial in x."""
    found = polynomial(value, x)
    if found is None:
        return False
    return all(close(found.get(k, 0.0), wanted.get(k, 0.0)) for k in {*found, *wanted})


def square(value: Value) -> Value | None:
    """x where value is x times x."""
    node = made_by(value, "Mul", "Pow")
    if node is None:
        return None
    same = node.input(0) is node.input(1) if node.op == "Mul" else is_number(node.input(1), 2.0)
    return node.input(0) if same else None


def over_root(node: Node) -> Iterator[tuple[Value, Value, float]]:
    """(x, y, epsilon) where the node is x / sqrt(y + epsilon), however the quotient is written."""
    if node.op == "Div":
        root = made_by(node.input(1), "Sqrt")
        if root is not None:
            yield from ((node.input(0), *found) for found in _with_epsilon(root.input(0)))
    elif node.op == "Mul":
        for x, other in orders(node):
            yield from ((x, *found) for found in inverse_root(other))


def inverse_root(value: Value) -> Iterator[tuple[Value, float]]:
    """(y, epsilon) where value is 1 / sqrt(y + epsilon)."""
    node = made_by(value, "Reciprocal", "Div", "Pow")
    if node is None:
        return
    if node.op == "Pow":
        if is_number(node.input(1), -0.5):
            yield from _with_epsilon(node.input(0))
        return
    if node.op == "Div" and not is_number(node.input(0), 1.0):
        return
    root = made_by(node.input(0 if node.op == "Reciprocal" else 1), "Sqrt", "Pow")
    if root is not None and (root.op == "Sqrt" or is_number(root.input(1), 0.5)):
        yield from _with_epsilon(root.input(0))


def _with_epsilon(value: Value) -> Iterator[tuple[Value, float]]:
    node = made_by(value, "Add")
    side = None if node is None else constant_side(node)
    if side is not None:
        yield side


def mean(value: Value) -> tuple[Value, tuple[int, ...]] | None:
    """The operand and the axes of a mean that keeps its axes."""
    node = made_by(value, "ReduceMean")
    if node is None or not node.attrs["keepdims"]:
        return None
    return node.input(0), tuple(node.attrs["axes"])


def swaps_last(perm: tuple[int, ...]) -> bool:
    """Whether a permutation exchanges the last two axes and nothing else."""
    rank = len(perm)
    return rank >= 2 and tuple(perm) == (*range(rank - 2), rank - 1, rank - 2)
