"""What ai.onnx.ml does to features before a model takes them: scaling, filling, encoding, joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import slice_axis


@handles("Scaler", domain="ai.onnx.ml")
def scaler(ctx: NodeContext) -> Value:
    """(x - offset) * scale, for each feature or for all."""
    x = ctx.cast(ctx.input(), DType.F32)
    offset, scale = (ctx.builder.constant(ctx.required(n), DType.F32) for n in ("offset", "scale"))
    return ctx.one("Mul", ctx.one("Sub", x, offset), scale)


@handles("Normalizer", domain="ai.onnx.ml")
def normalizer(ctx: NodeContext) -> Value:
    """Rows over their largest element, sum of sizes or root of squares; as they are where that is 0."""
    x = ctx.cast(ctx.input(), DType.F32)
    axes = (x.rank - 1,)
    match ctx.choice("norm", "MAX", "L1", "L2"):
        case "MAX":
            norm = ctx.one("ReduceMax", x, axes=axes, keepdims=True)
        case "L1":
            norm = ctx.one("ReduceSum", ctx.one("Abs", x), axes=axes, keepdims=True)
        case _:
            squares = ctx.one("ReduceSum", ctx.one("Mul", x, x), axes=axes, keepdims=True)
            norm = ctx.one("Sqrt", squares)
    nothing = ctx.one("Equal", norm, ctx.like(0, norm))
    return ctx.one("Where", nothing, x, ctx.one("Div", x, norm))


@handles("Imputer", domain="ai.onnx.ml")
def imputer(ctx: NodeContext) -> Value:
    """One value, often NaN, replaced by another: one for each feature, or one for all."""
    x = ctx.input()
    suffix, number = ("float", "floats") if x.dtype.is_float else ("int64", "int64s")
    values, replaced = ctx.attr(f"imputed_value_{number}"), ctx.attr(f"replaced_value_{suffix}")
    for other in ("float", "int64"):
        ctx.attr(f"replaced_value_{other}")
    if not values:
        ctx.invalid(f"it has no value for {x.dtype!r}")
    if len(values) != 1 and isinstance(x.shape[-1], int) and len(values) != x.shape[-1]:
        ctx.invalid(f"{len(values)} values for {x.shape[-1]} features")
    found = ctx.one("IsNaN", x) if np.isnan(replaced) else ctx.one("Equal", x, ctx.like(replaced, x))
    return ctx.one("Where", found, ctx.builder.constant(values, x.dtype), x)


@handles("FeatureVectorizer", domain="ai.onnx.ml")
def feature_vectorizer(ctx: NodeContext) -> Value:
    """Features side by side, each cut off or filled with zeros to its stated number."""
    values, sizes = ctx.variadic(), ctx.attr("inputdimensions")
    parts = []
    for index, value in enumerate(values):
        part = ctx.cast(value, DType.F32)
        part = ctx.reshape(part, (part.shape[0], 1)) if part.rank == 1 else part
        own = part.shape[1]
        size = own if sizes is None else sizes[index]
        if size != own and not isinstance(own, int):
            ctx.fail(f"whether {own} features are cut to {size} depends on the input sizes")
        if isinstance(own, int) and isinstance(size, int) and size > own:
            pads = {"before": (0, 0), "after": (0, size - own), "mode": "constant", "value": 0}
            part = ctx.one("Pad", part, **pads)
        parts.append(slice_axis(ctx, part, 1, 0, size))
    return parts[0] if len(parts) == 1 else ctx.one("Concat", *parts, axis=1)


@handles("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(ctx: NodeContext) -> Value:
    """Elements of the last axis by index; a vector counts as one row."""
    x, indices = ctx.input(0), ctx.input(1)
    flat = ctx.reshape(indices, (product(indices.shape),))
    picked = ctx.one("Gather", x, flat, axis=x.rank - 1)
    return ctx.reshape(picked, (1, *picked.shape)) if x.rank == 1 else picked


@handles("OneHotEncoder", domain="ai.onnx.ml")
def one_hot_encoder(ctx: NodeContext) -> Value:
    """A new last axis with a one where the element is that category; all zeros for one that is unknown."""
    x, categories = ctx.input(), ctx.attr("cats_int64s")
    ctx.attr("zeros")  # 0 promises that there are no unknown ones
    if not categories:
        ctx.fail("categories that are strings are not supported")
    return ctx.cast(_among(ctx, x, np.array(categories)), DType.F32)


@handles("LabelEncoder", domain="ai.onnx.ml", since=2)
def label_encoder(ctx: NodeContext) -> Value:
    """Each key replaced by its value, and all else by a default."""
    x = ctx.input()
    keys, values = _column(ctx, "keys"), _column(ctx, "values")
    default = ctx.attr("default_tensor")
    for name in ("default_float", "default_int64", "default_string"):
        ctx.attr(name)
    if default is None:
        default = ctx.attr("default_int64" if values.dtype.kind == "i" else "default_float")
    if len(keys) != len(values) or not len(keys):
        ctx.invalid(f"{len(keys)} keys for {len(values)} values")
    matches = _among(ctx, x, keys)
    axis = x.rank
    position = ctx.one(
        "ArgMax", ctx.cast(matches, DType.I32), axis=axis, keepdims=False, select_last_index=False
    )
    found = ctx.one("Gather", ctx.builder.constant(values), position, axis=0)
    any_ = ctx.one("ReduceMax", ctx.cast(matches, DType.I32), axes=(axis,), keepdims=False)
    known = ctx.one("Greater", any_, ctx.like(0, any_))
    return ctx.one("Where", known, found, ctx.like(np.asarray(default).item(), found))


def _column(ctx: NodeContext, side: str) -> np.ndarray[Any, Any]:
    """The keys or values of a LabelEncoder, of which strings are refused."""
    if ctx.attr(f"{side}_strings"):
        ctx.fail(f"{side} that are strings are not supported", "Encode labels outside of the model.")
    tensor = ctx.attr(f"{side}_tensor")
    if tensor is not None:
        return np.asarray(tensor).ravel()
    floats, integers = ctx.attr(f"{side}_floats"), ctx.attr(f"{side}_int64s")
    return np.asarray(floats, np.float32) if floats else np.asarray(integers or (), np.int64)


def _among(ctx: NodeContext, x: Value, keys: Sequence[Any] | np.ndarray[Any, Any]) -> Value:
    """[..., keys]: whether each element equals each key, as NaN does here."""
    spread = ctx.reshape(x, (*x.shape, 1))
    equal = ctx.one("Equal", spread, ctx.builder.constant(keys, x.dtype))
    nan = np.isnan(np.asarray(keys, np.float64))
    if not nan.any():
        return equal
    both = ctx.one("And", ctx.one("IsNaN", spread), ctx.builder.constant(nan))
    return ctx.one("Or", equal, both)


@handles("ZipMap", domain="ai.onnx.ml")
def zip_map(ctx: NodeContext) -> Value:
    """Refused: maps are no tensors."""
    ctx.fail("maps from labels to scores are not supported", 'Export with options={"zipmap": False}.')
