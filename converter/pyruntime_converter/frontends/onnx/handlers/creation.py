"""Operators that make tensors from attributes and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.held import Held
from pyruntime_converter.frontends.onnx.tensors import dtype_of

# Constant's attribute forms
_FORMS: dict[str, Callable[[Any], np.ndarray[Any, Any]]] = {
    "value": np.asarray,
    "sparse_value": np.asarray,
    "value_float": lambda v: np.asarray(v, np.float32),
    "value_floats": lambda v: np.asarray(v, np.float32),
    "value_int": lambda v: np.asarray(v, np.int64),
    "value_ints": lambda v: np.asarray(v, np.int64),
    "value_string": lambda v: np.asarray(v, object),
    "value_strings": lambda v: np.asarray(v, object),
}

_FAR = 1 << 30  # a diagonal that is further away than any element


@handles("Constant")
def constant(ctx: NodeContext) -> Held:
    """The tensor that the node carries, in any of its forms."""
    stated = [form for form in _FORMS if ctx.has(form)]
    if len(stated) != 1:
        ctx.invalid(f"it has {len(stated)} values, not one")
    array = _FORMS[stated[0]](ctx.attr(stated[0]))
    return text.constant(ctx.builder, array) if array.dtype == object else ctx.builder.constant(array)


@handles("ConstantOfShape")
def constant_of_shape(ctx: NodeContext) -> Value:
    """One value everywhere; by default a float zero."""
    target, value = ctx.known_sizes(ctx.input(), "its shape"), ctx.attr("value")
    if any(isinstance(d, int) and d < 0 for d in target):
        ctx.invalid(f"shape {target}")
    element = np.zeros((), np.float32) if value is None else value
    if element.size != 1:
        ctx.invalid(f"its value has {element.size} elements, not one")
    return ctx.one("Expand", ctx.builder.constant(element.reshape(())), shape=target)


@handles("EyeLike")
def eye_like(ctx: NodeContext) -> Value:
    """Ones on a diagonal of a matrix as large as the input."""
    x, stated = ctx.input(), ctx.attr("dtype")
    if x.rank != 2:
        ctx.invalid(f"rank {x.rank}, not 2")
    rows, columns = x.shape
    dtype = x.dtype if stated is None else dtype_of(stated, ctx.name)
    offset = max(min(ctx.attr("k"), _FAR), -_FAR)
    if isinstance(rows, int) and isinstance(columns, int):
        ctx.limited(rows * columns, "the matrix")
        return ctx.builder.constant(np.eye(rows, columns, offset, dtype=dtype.value))
    diagonal = ctx.one("Range", start=offset, size=rows, dtype=DType.I32)
    place = ctx.one("Range", size=columns, dtype=DType.I32)
    return ctx.cast(ctx.one("Equal", ctx.reshape(diagonal, (rows, 1)), place), dtype)
