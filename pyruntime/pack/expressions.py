"""The expressions of packs: integers, symbol names and reverse Polish lists, checked and evaluated as stored.

They are not turned into `ir.dims` polynomials: evaluation is all that a runtime needs, and a hostile list
could make a polynomial explode.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

from pyruntime.ir.dims import OPERATORS

Expression = int | str | Sequence[int | str]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_APPLY: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "min": min,
    "max": max,
}
assert set(_APPLY) == set(OPERATORS)


class ExpressionError(ValueError):
    """An expression is malformed, or has no 64-bit value for the symbols' values; the message says why."""


def tokens(expression: Expression) -> Sequence[int | str]:
    """The expression as a sequence of tokens."""
    return (expression,) if isinstance(expression, (int, str)) else expression


def symbols(expression: Expression) -> set[str]:
    """Names of the symbols in an expression."""
    return {t for t in tokens(expression) if isinstance(t, str) and t not in _APPLY}


def is_symbol(name: str) -> bool:
    """Whether this may be a symbol's name."""
    return bool(_SYMBOL.fullmatch(name)) and name not in _APPLY


def check(expression: Expression) -> None:
    """Raise ExpressionError unless the expression is well formed."""
    depth = 0
    for token in tokens(expression):
        if isinstance(token, str) and token in _APPLY:
            if depth < 2:
                raise ExpressionError(f"operator {token!r} lacks operands")
            depth -= 1
        elif _is_operand(token):
            depth += 1
        else:
            raise ExpressionError(f"{token!r} is neither a 64-bit integer, a symbol nor an operator")
    if depth != 1:
        raise ExpressionError(f"leaves {depth} values")


def _is_operand(token: object) -> bool:
    if isinstance(token, str):
        return _SYMBOL.fullmatch(token) is not None
    return isinstance(token, int) and not isinstance(token, bool) and INT64_MIN <= token <= INT64_MAX


class Evaluator:
    """Evaluates checked expressions for fixed values of the symbols, each distinct one once."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = values
        self._known: dict[tuple[int | str, ...], int] = {}

    def __call__(self, expression: Expression) -> int:
        """The value. Raises ExpressionError for a division by zero, 64-bit overflow or an unbound symbol."""
        if isinstance(expression, int):
            return expression
        key = tuple(tokens(expression))
        value = self._known.get(key)
        if value is None:
            value = self._known[key] = self._evaluate(key)
        return value

    def _evaluate(self, key: tuple[int | str, ...]) -> int:
        stack: list[int] = []
        for token in key:
            if isinstance(token, int):
                value = token
            elif token in _APPLY:
                right, left = stack.pop(), stack.pop()
                if not right and token in ("//", "%"):
                    raise ExpressionError(f"division by zero in {self._told(key)}")
                value = _APPLY[token](left, right)
            elif token in self.values:
                value = self.values[token]
            else:
                raise ExpressionError(f"symbol {token!r} is unbound in {self._told(key)}")
            if not INT64_MIN <= value <= INT64_MAX:
                raise ExpressionError(f"64-bit overflow in {self._told(key)}")
            stack.append(value)
        return stack[0]

    def _told(self, key: tuple[int | str, ...]) -> str:
        return f"{infix(key)} for {', '.join(f'{k}={v}' for k, v in self.values.items()) or 'no symbols'}"


def infix(expression: Expression) -> str:
    """A checked expression as a person would write it: "(batch * 3) + 1"."""
    stack: list[str] = []
    for token in tokens(expression):
        if isinstance(token, str) and token in _APPLY:
            right, left = stack.pop(), stack.pop()
            call = token in ("min", "max")
            stack.append(f"{token}({left}, {right})" if call else f"({left} {token} {right})")
        else:
            stack.append(str(token))
    text = stack[0]
    return text[1:-1] if text.startswith("(") else text
