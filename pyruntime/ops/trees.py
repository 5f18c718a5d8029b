"""Short spellings for building scalar trees in op definitions."""

from __future__ import annotations

from pyruntime.ir.scalar import Const, Scalar, call


def const(like: Scalar, value: float) -> Const:
    """A literal of the dtype of `like`."""
    return Const(like.dtype, float(value) if like.dtype.is_float else int(value))


def add(a: Scalar, b: Scalar | float) -> Scalar:
    """a + b."""
    return call("add", a, b if isinstance(b, Scalar) else const(a, b))


def mul(a: Scalar, b: Scalar | float) -> Scalar:
    """a * b."""
    return call("mul", a, b if isinstance(b, Scalar) else const(a, b))


def positive_part(x: Scalar) -> Scalar:
    """max(x, 0)."""
    return call("max", x, const(x, 0))


def negative_part(x: Scalar) -> Scalar:
    """min(x, 0)."""
    return call("min", x, const(x, 0))


def is_negative(x: Scalar) -> Scalar:
    """x < 0."""
    return call("lt", x, const(x, 0))


def decay(x: Scalar) -> Scalar:
    """exp(-|x|), which cannot overflow: what sigmoid and softplus are made of."""
    return call("exp", call("neg", call("abs", x)))


def sigmoid(x: Scalar) -> Scalar:
    """1 / (1 + exp(-x)) without overflow for any x."""
    e = decay(x)
    return call("div", call("select", is_negative(x), e, const(x, 1)), add(e, 1))


def require_float(x: Scalar) -> None:
    """Raises TypeError unless x is a float."""
    if not x.dtype.is_float:
        raise TypeError(f"takes floats, not {x.dtype!r}")
