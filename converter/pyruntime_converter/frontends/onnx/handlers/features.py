"""What ai.onnx.ml does to features before a model takes them: scaling, filling, encoding, joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime_converter.frontends.onnx import text
from pyruntime_converter.frontends.onnx.context import NodeContext, handles
from pyruntime_converter.frontends.onnx.handlers.common import concatenated, slice_axis
from pyruntime_converter.frontends.onnx.held import Held, Maps


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
    for other in ("float", "int64"):  # those of the other type may stand beside them
        ctx.attr(f"replaced_value_{other}")
        ctx.attr(f"imputed_value_{other}s")
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
    return concatenated(ctx, parts, 1)


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
    strings, categories = ctx.text(), ctx.attr("cats_int64s")
    words = ctx.attr("cats_strings")
    ctx.attr("zeros")  # 0 promises that there are no unknown ones
    if strings is None:
        return ctx.cast(_among(ctx, ctx.input(), np.array(categories or ())), DType.F32)
    place = text.found_in(ctx.builder, strings, words or ())
    return ctx.cast(_among(ctx, place, np.arange(len(words or ()))), DType.F32)


@handles("CategoryMapper", domain="ai.onnx.ml")
def category_mapper(ctx: NodeContext) -> Held:
    """The integer of each string, or the string of each integer."""
    strings, words, numbers = ctx.text(), ctx.attr("cats_strings") or (), ctx.attr("cats_int64s") or ()
    if len(words) != len(numbers) or not words:
        ctx.invalid(f"{len(words)} strings for {len(numbers)} integers")
    defaults = {"s": ctx.attr("default_string"), "i": ctx.attr("default_int64")}
    if strings is None:
        return _mapped(ctx, np.array(numbers, np.int64), words, defaults["s"])
    return _mapped(ctx, words, np.array(numbers, np.int64), defaults["i"])


@handles("LabelEncoder", domain="ai.onnx.ml", until=1)
def label_encoder_of_classes(ctx: NodeContext) -> Held:
    """The number of each string in a list, or the string of each number."""
    strings, words = ctx.text(), tuple(ctx.required("classes_strings"))
    defaults = {"s": ctx.attr("default_string"), "i": ctx.attr("default_int64")}
    numbers = np.arange(len(words), dtype=np.int64)
    if strings is None:
        return _mapped(ctx, numbers, words, defaults["s"])
    return _mapped(ctx, words, numbers, defaults["i"])


@handles("LabelEncoder", domain="ai.onnx.ml", since=2)
def label_encoder(ctx: NodeContext) -> Held:
    """Each key replaced by its value, and all else by a default."""
    keys, values = _column(ctx, "keys"), _column(ctx, "values")
    given = {k: ctx.attr(f"default_{k}") for k in ("tensor", "float", "int64", "string")}
    default = given["tensor"]
    if default is None:
        kinds = {"i": "int64", "f": "float"}
        default = given["string" if isinstance(values, tuple) else kinds[values.dtype.kind]]
    elif np.size(default) != 1:
        ctx.invalid(f"{np.size(default)} defaults")
    if len(keys) != len(values) or not len(keys):
        ctx.invalid(f"{len(keys)} keys for {len(values)} values")
    return _mapped(ctx, keys, values, np.asarray(default).item())


Column = tuple[str, ...] | NDArray[Any]


def _column(ctx: NodeContext, side: str) -> Column:
    """The keys or values of a LabelEncoder."""
    tensor, strings = ctx.attr(f"{side}_tensor"), ctx.attr(f"{side}_strings")
    if tensor is not None:
        flat = np.asarray(tensor).ravel()
        return tuple(flat) if flat.dtype == object else flat
    floats, integers = ctx.attr(f"{side}_floats"), ctx.attr(f"{side}_int64s")
    if strings:
        return tuple(strings)
    return np.asarray(floats, np.float32) if floats else np.asarray(integers or (), np.int64)


def _mapped(ctx: NodeContext, keys: Column, values: Column, default: Any) -> Held:
    """For each element of the input the value of the first key that it equals, or the default."""
    if isinstance(keys, tuple):
        given = ctx.text()
        if given is None:
            ctx.invalid("its keys are strings, its input is none")
        place = text.found_in(ctx.builder, given, keys)
    else:
        place = _place(ctx, ctx.input(), keys)
    if isinstance(values, tuple):
        return text.chosen(ctx.builder, place, (*values, str(default)))
    table = np.append(values, np.asarray(default, values.dtype))
    return ctx.one("Gather", ctx.builder.constant(table), place, axis=0)


def _place(ctx: NodeContext, x: Value, keys: NDArray[Any]) -> Value:
    """Which of keys each element is, the first of equal ones; their number where it is none."""
    count = len(keys)
    numbers = ctx.builder.constant(np.arange(count), DType.I32)
    places = ctx.one("Where", _among(ctx, x, keys), numbers, ctx.like(count, numbers))
    return ctx.one("ReduceMin", places, axes=(x.rank,), keepdims=False)


def _among(ctx: NodeContext, x: Value, keys: Sequence[Any] | NDArray[Any]) -> Value:
    """[..., keys]: whether each element equals each key, as NaN does here."""
    spread = ctx.reshape(x, (*x.shape, 1))
    equal = ctx.one("Equal", spread, ctx.builder.constant(keys, x.dtype))
    nan = np.isnan(np.asarray(keys, np.float64))
    if not nan.any():
        return equal
    both = ctx.one("And", ctx.one("IsNaN", spread), ctx.builder.constant(nan))
    return ctx.one("Or", equal, both)


@handles("ZipMap", domain="ai.onnx.ml")
def zip_map(ctx: NodeContext) -> Maps:
    """Rows of scores as maps from the labels of their columns."""
    x, words, numbers = ctx.input(), ctx.attr("classlabels_strings"), ctx.attr("classlabels_int64s")
    x = ctx.reshape(x, (1, *x.shape)) if x.rank == 1 else x
    labels = np.array(words or numbers or (), object if words else np.int64)
    if bool(words) == bool(numbers) or x.rank != 2 or x.shape[1] != len(labels):
        ctx.invalid(f"{len(labels)} labels for scores of shape {x.shape}")
    keys = text.constant(ctx.builder, labels) if words else ctx.builder.constant(labels)
    return Maps(keys, x)
