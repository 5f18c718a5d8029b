"""Dims as their text says them, such as "2*batch + 1": their symbols, and their values."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

_OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, Callable[[int, int], int]] = {"min": min, "max": max}


def symbols_of(dim: int | str) -> set[str]:
    """Names of the symbols in a dim."""
    names = {node.id for node in ast.walk(_parsed(dim)) if isinstance(node, ast.Name)}
    return names - _FUNCTIONS.keys()


def value_of(dim: int | str, symbols: Mapping[str, int]) -> int:
    """What a dim stands for, given its symbols' sizes.

    Raises ValueError for text that no dim has, KeyError for an unbound symbol.
    """

    def value(node: ast.expr) -> int:
        match node:
            case ast.Constant(value=int(constant)):
                return constant
            case ast.Name(id=name):
                return symbols[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id=name), args=[a, b]) if name in _FUNCTIONS:
                return _FUNCTIONS[name](value(a), value(b))
        raise ValueError(f"{dim!r} is no dim")

    return value(_parsed(dim))


def _parsed(dim: int | str) -> ast.expr:
    try:
        return ast.parse(str(dim), mode="eval").body
    except SyntaxError:
        raise ValueError(f"{dim!r} is no dim") from None
