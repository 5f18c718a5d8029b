"""Ops on types that kernels do not know: computed in wider ones, rounded once for each node of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ops.codes import RoundMode, code_of, decoded_to, encoded_from

if TYPE_CHECKING:
    from pyruntime.ops.builder import Builder

Attrs = Mapping[str, Any]


def unknown_type(inputs: Sequence[Value | None], attrs: Attrs) -> DType | None:
    """The first type, of the inputs or named by an attribute, that kernels do not know."""
    dtypes = [v.dtype for v in inputs if v is not None]
    dtypes += [a for a in attrs.values() if isinstance(a, DType)]
    return next((d for d in dtypes if d.code), None)


def widened(
    builder: Builder,
    op: str,
    inputs: Sequence[Value | None],
    attrs: Attrs,
    names: Sequence[str],
    dtype: DType,
) -> list[Value]:
    """The op on what the inputs stand for; floats that it gives are rounded to dtype."""
    wide = [v if v is None or not v.dtype.code else decoded(builder, v) for v in inputs]
    known = {k: decoded_to(a) if isinstance(a, DType) and a.code else a for k, a in attrs.items()}
    results = builder.emit(op, wide, known, names)
    return [encoded(builder, v, dtype) if v.dtype is decoded_to(dtype) else v for v in results]


def converted(
    builder: Builder, value: Value, dtype: DType, *, saturate: bool = False, round_mode: RoundMode = "up"
) -> Value:
    """value as a dtype, by Cast where kernels know both types."""
    if value.dtype is dtype:
        return value
    if value.dtype.code:
        value = decoded(builder, value)
    if dtype.code:
        return encoded(builder, value, dtype, saturate=saturate, round_mode=round_mode)
    return value if value.dtype is dtype else builder.one("Cast", value, to=dtype)


def decoded(builder: Builder, value: Value) -> Value:
    """What value's codes stand for; before rounding, where the same node of the model has rounded."""
    source = value.producer and value.producer.input(0).producer
    if source is not None and source.op == "Encode" and source.origin is builder.origin:
        before = source.input(0)
        if before.dtype is decoded_to(value.dtype):
            return before
    codes = builder.one("BitCast", value, to=code_of(value.dtype))
    return builder.one("Decode", codes, dtype=value.dtype)


def encoded(
    builder: Builder, value: Value, dtype: DType, *, saturate: bool = False, round_mode: RoundMode = "up"
) -> Value:
    """value as codes of dtype."""
    number = converted(builder, value, encoded_from(dtype))
    codes = builder.one("Encode", number, dtype=dtype, saturate=saturate, round_mode=round_mode)
    return builder.one("BitCast", codes, to=dtype)
