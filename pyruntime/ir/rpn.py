"""The form in which packs store dims: reverse Polish lists of integers, symbols and operators."""

from __future__ import annotations

import re

from pyruntime.ir.dims import OPERATORS, Dim, apply, symbol

Rpn = int | str | list[int | str]


def to_rpn(dim: Dim) -> Rpn:
    """The form that packs store: an int, a symbol's name, or a reverse Polish list."""
    if isinstance(dim, int):
        return int(dim)
    tokens: list[int | str] = []
    for i, (monomial, coefficient) in enumerate(dim.terms):
        count = 0
        if coefficient != 1 or not monomial:
            tokens.append(coefficient)
            count += 1
        for atom in monomial:
            if atom.op:
                for arg in atom.args:
                    inner = to_rpn(arg)
                    tokens.extend(inner if isinstance(inner, list) else [inner])
                tokens.append(atom.op)
            else:
                tokens.append(atom.name)
            if count:
                tokens.append("*")
            count += 1
        if i:
            tokens.append("+")
    return tokens[0] if len(tokens) == 1 else tokens


def from_rpn(rpn: Rpn) -> Dim:
    """The dim of its stored form. Raises ValueError for anything that `to_rpn` cannot have written."""
    stack: list[Dim] = []
    for token in rpn if isinstance(rpn, list) else [rpn]:
        if isinstance(token, int) and not isinstance(token, bool):
            stack.append(token)
        elif isinstance(token, str) and token in OPERATORS:
            if len(stack) < 2:
                raise ValueError(f"operator {token!r} lacks operands in {rpn!r}")
            b, a = stack.pop(), stack.pop()
            stack.append(apply(token, a, b))
        elif isinstance(token, str) and re.fullmatch(r"[A-Za-z_]\w*", token, flags=re.ASCII):
            stack.append(symbol(token))
        else:
            raise ValueError(f"token {token!r} in {rpn!r} is neither an integer, a symbol nor an operator")
    if len(stack) != 1:
        raise ValueError(f"{rpn!r} leaves {len(stack)} values")
    return stack[0]
