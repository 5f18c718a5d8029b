"""ONNX models that are told at run time what to do: axes, amounts and sizes are fed, each in several ways."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from tests.frontends.onnx_models import model, one_node, random, value_info

Array = NDArray[Any]
Feeds = dict[str, Array]
Model = tuple[ModelProto, list[Feeds]]
SHAPE = (2, 3, 5)


def ints(*values: int) -> Array:
    """A vector of int64."""
    return np.array(values, np.int64)


def fed(op: str, every: Sequence[Feeds], *, opset: int = 18, **attrs: Any) -> Model:
    """A model of one node that reads all feeds; sizes of x are symbols where feeds differ in them."""
    shapes: dict[str, Sequence[int | str | None]] = {}
    for name, first in every[0].items():
        sizes = zip(*(feeds[name].shape for feeds in every), strict=True)
        shapes[name] = [
            size if len(set(each)) == 1 else f"{name}{axis}"
            for axis, (size, each) in enumerate(zip(first.shape, sizes, strict=True))
        ]
    return one_node(op, every[0], opset=opset, shapes=shapes, **attrs), list(every)


def _over(op: str, axes: Sequence[Array], name: str = "axes", **attrs: Any) -> Model:
    opset = attrs.pop("opset", 18)
    return fed(op, [{"x": random(*SHAPE), name: a} for a in axes], opset=opset, **attrs)


def _reductions() -> Iterator[tuple[str, Model]]:
    single = [ints(a) for a in range(-3, 3)]
    pairs = [ints(*p) for p in itertools.permutations((0, 1, -1), 2)]
    for op in ("ReduceSum", "ReduceMax", "ReduceLogSumExp"):
        for keep in (0, 1):
            yield f"{op}-{keep}", _over(op, single, keepdims=keep)
    yield "ReduceMean-two", _over("ReduceMean", pairs, keepdims=0)
    yield "ReduceL2-two", _over("ReduceL2", pairs)
    yield (
        "ReduceMin-all",
        _over("ReduceMin", [ints(*p) for p in itertools.permutations((0, 1, -1))], keepdims=0),
    )
    yield "ReduceProd-none", _over("ReduceProd", [ints()], noop_with_empty_axes=1)
    yield "ReduceSumSquare-empty", _over("ReduceSumSquare", [ints()], keepdims=0)
    sized = [
        {"x": random(batch, 3, 4, seed=batch), "axes": ints(a)}
        for batch, a in ((2, 0), (5, 1), (1, 2), (3, -3))
    ]
    yield "ReduceL1-sizes", fed("ReduceL1", sized)
    for op, opset in (("CumSum", 14), ("CumProd", 26)):
        for how in ({}, {"exclusive": 1, "reverse": 1}):
            name = f"{op}-{len(how)}"
            axes = [np.array(a, np.int32 if how else np.int64) for a in range(-3, 3)]
            yield name, _over(op, axes, "axis", opset=opset, **how)


def _shapes() -> Iterator[tuple[str, Model]]:
    x = random(1, 3, 1, 5)
    yield "Squeeze", fed("Squeeze", [{"x": x, "axes": ints(a)} for a in (0, 2, -2, -4)])
    yield "Squeeze-two", fed("Squeeze", [{"x": x, "axes": ints(*a)} for a in ((0, 2), (-2, 0))])
    wide = [{"x": random(n, 1, m), "axes": ints(a)} for n, m, a in ((2, 3, 1), (1, 4, 0), (5, 1, -1))]
    yield "Squeeze-sizes", fed("Squeeze", wide)
    yield "Unsqueeze", _over("Unsqueeze", [ints(a) for a in range(-4, 4)])
    yield "Unsqueeze-two", _over("Unsqueeze", [ints(*a) for a in ((0, 4), (3, 1), (-1, -2), (0, 1), (-5, 2))])


def _eyes() -> Iterator[tuple[str, Model]]:
    sizes = [{"x": random(*size)} for size in ((3, 4), (5, 2), (1, 1), (4, 4))]
    for k in (0, 2, -1, 1 << 40, -9):
        yield f"EyeLike-{k}", fed("EyeLike", sizes, k=k)
    rows = [{"x": random(n, 3)} for n in (1, 2, 5)]
    yield "EyeLike-rows", fed("EyeLike", rows, k=1, dtype=TensorProto.INT64)


def _slices() -> Iterator[tuple[str, Model]]:
    def sliced(
        *parts: Sequence[Sequence[int]], shape: Sequence[int] = SHAPE, names: str = "seak"
    ) -> list[Feeds]:
        """Feeds with starts, ends, axes and steps for each of the parts."""
        return [{"x": random(*shape)} | {n: ints(*v) for n, v in zip(names, p, strict=True)} for p in parts]

    far = 2**31 - 2
    axes = [((1,), (-1,), (a,)) for a in range(-3, 3)]
    yield "Slice-axes", fed("Slice", sliced(*axes, names="sea"))
    two = [((0, 1), (2, 9), (1, 2)), ((-1, -2), (far, -1), (-1, 0)), ((2, 0), (1, 5), (1, -1))]
    yield "Slice-axes-two", fed("Slice", sliced(*two, names="sea"))
    bounds = [(0, far), (-1, -far), (2, 5), (5, 2), (-2, -4), (far, -far), (-far, far)]
    steps = [
        ((s,), (e,), (2,), (k,)) for (s, e), k in itertools.product(bounds, (1, 2, 7, -1, -3, far, -far))
    ]
    yield "Slice-steps", fed("Slice", sliced(*steps))
    yield (
        "Slice-all",
        fed("Slice", sliced(((3, 1), (0, 9), (-1, 0), (-2, 1)), ((0, 1), (2, 0), (1, 2), (2, -1)))),
    )
    short = [
        {n: v.astype(np.int32) if n != "x" else v for n, v in f.items()}
        for f in sliced(((1,), (9,), (0,), (1,)))
    ]
    sized = [
        {"x": random(n, 4), "s": ints(-1), "e": ints(-far), "a": ints(a), "k": ints(k)}
        for n, a, k in ((3, 0, -1), (7, 0, -2), (1, 1, -3), (5, -2, 2))
    ]
    yield "Slice-short", fed("Slice", short)
    yield "Slice-sizes", fed("Slice", sized)


def _pads() -> Iterator[tuple[str, Model]]:
    x = random(4, 5)
    amounts = [ints(*a) for a in ((1, 0, 0, 2), (-1, 2, 1, -2), (0, 0, 0, 0), (-2, -1, 2, 1), (3, 3, 3, 3))]
    for mode in ("constant", "reflect", "edge", "wrap"):
        fits = amounts[:3] if mode == "reflect" else amounts
        yield f"Pad-{mode}", fed("Pad", [{"x": x, "p": a} for a in fits], opset=19, mode=mode)
    fills = [np.array(v, np.float32) for v in (2, np.nan, 0, np.inf, -1)]
    values = [{"x": x, "p": a, "v": v} for a, v in zip(amounts, fills, strict=True)]
    yield "Pad-value", fed("Pad", values, opset=19)
    counts = [
        {"x": (x * 9).astype(np.int32), "p": a, "v": np.full((), i, np.int32)} for i, a in enumerate(amounts)
    ]
    yield "Pad-value-i32", fed("Pad", counts, opset=19)
    axes = [
        values[i] | {"p": ints(1, b), "a": ints(a)}
        for i, (a, b) in enumerate([(0, 2), (1, -1), (-1, 0), (-2, 3)])
    ]
    yield "Pad-axes", fed("Pad", axes, opset=19)
    sized = [
        {"x": random(n, 2), "p": ints(a, b), "v": values[0]["v"], "a": ints(1)}
        for n, a, b in ((3, 1, 2), (1, 0, -1))
    ]
    yield "Pad-sizes", fed("Pad", sized, opset=19)


def _triangles() -> Iterator[tuple[str, Model]]:
    every = [np.array(k, np.int64) for k in (0, 1, -1, 2, -3, 9, -9)]
    for upper in (0, 1):
        yield f"Trilu-{upper}", _over("Trilu", every, "k", upper=upper)
    sized = [{"x": random(n, 2 * n), "k": ints(k)} for n, k in ((3, 1), (1, -1), (5, 2))]
    yield "Trilu-sizes", fed("Trilu", sized)


def _resized(name: str, sizes: Sequence[tuple[int, int]], **attrs: Any) -> tuple[str, Model]:
    """x resized to each of the sizes; x's own are symbols, since they differ too."""
    every = [{"x": random(1, 2, 4 + i, 7), "s": ints(*s)} for i, s in enumerate(sizes)]
    proto, _ = fed("Resize", every, inputs=("x", "", "", "s"), axes=[2, 3], **attrs)
    return f"Resize-{name}", (proto, every)


def _resizes() -> Iterator[tuple[str, Model]]:
    sizes = [(8, 3), (4, 7), (1, 1), (11, 14), (2, 5)]
    for coordinates in (
        "half_pixel",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "half_pixel_symmetric",
    ):
        yield _resized(
            f"linear-{coordinates}", sizes, mode="linear", coordinate_transformation_mode=coordinates
        )
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        # ONNX Runtime's coordinate of 7 pixels in 1 is just below 3
        yield _resized(f"nearest-{rounding}", [s for s in sizes if s != (1, 1)], nearest_mode=rounding)
    yield _resized("nearest-corners", sizes, coordinate_transformation_mode="align_corners")
    yield _resized("cubic", sizes, mode="cubic")
    yield _resized("antialias", sizes, mode="linear", antialias=1)
    yield _resized("cubic-inside", sizes, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
    for policy in ("not_larger", "not_smaller"):
        yield _resized(policy, [(7, 8), (20, 3), (3, 3)], keep_aspect_ratio_policy=policy)
    boxes = [(0.4, 0.6, 0.6, 0.8), (0, 0, 1, 1), (-0.2, 0.5, 1.3, 0.9), (0.9, 0.8, 0.1, 0.2)]
    for mode in ("nearest", "linear"):
        how: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize"}
        how |= {"inputs": ("x", "roi", "", "s"), "axes": [2, 3], "extrapolation_value": 7.0}
        every = [
            {"x": random(1, 2, 4 + i, 7), "roi": np.array(box, np.float32), "s": ints(*s)}
            for i, (box, s) in enumerate(zip(boxes, [(8, 3), (4, 7), (3, 1), (11, 14)], strict=True))
        ]
        yield f"Resize-crop-{mode}", fed("Resize", every, **how)
    # whole sizes: of others ONNX Runtime forgets the fraction, and what keeps its size it does not crop
    even = [
        {"x": random(1, 2, *size), "roi": np.array(boxes[0], np.float32)} for size in ((4, 6), (7, 8), (1, 2))
    ]
    how = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "axes": [2, 3]}
    how |= {"inputs": ("x", "roi", "s"), "weights": {"s": np.array([2, 0.5], np.float32)}}
    yield "Resize-crop-scales", fed("Resize", even, **how)
    scaled = [{"x": random(1, 1, n, 6, seed=n)} for n in (5, 8, 1, 13)]
    weights = {"s": np.array([1, 1, 0.6, 2.5], np.float32)}
    for mode in ("nearest", "linear", "cubic"):
        how = {"inputs": ("x", "", "s"), "weights": weights, "mode": mode}
        yield f"Resize-scales-{mode}", fed("Resize", scaled, **how)


def _scaled(name: str, scales: Sequence[tuple[float, float]], **attrs: Any) -> tuple[str, Model]:
    """x resized by each pair of scales; its height is a symbol."""
    every = [{"x": random(1, 2, 4 + i, 7), "s": np.array(s, np.float32)} for i, s in enumerate(scales)]
    return f"Resize-fed-scales-{name}", fed("Resize", every, inputs=("x", "", "s"), axes=[2, 3], **attrs)


def _scales() -> Iterator[tuple[str, Model]]:
    scales = [(2.3, 0.7), (1, 1), (0.5, 2), (3.25, 0.29), (1.7, 5.1), (0.9, 37)]
    for coordinates in ("half_pixel", "pytorch_half_pixel", "asymmetric", "half_pixel_symmetric"):
        yield _scaled(
            f"linear-{coordinates}", scales, mode="linear", coordinate_transformation_mode=coordinates
        )
    # ONNX Runtime stretches to whole sizes, ONNX to what a scale gives before it is rounded
    whole = [(2, 3), (1, 1), (1.5, 2), (13, 1)]
    for mode in ("nearest", "linear"):
        how = {"mode": mode, "coordinate_transformation_mode": "align_corners"}
        yield _scaled(f"{mode}-align_corners", whole, **how)
    # its coordinates are float32: scales for which none is nearly where it is rounded the other way
    apart = [(2.3, 0.71), (1, 1), (0.5, 2), (3.25, 0.29), (1.71, 5.13), (0.91, 36)]
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        yield _scaled(f"nearest-{rounding}", apart, nearest_mode=rounding)
    yield _scaled("cubic", scales, mode="cubic")
    yield _scaled("cubic-inside", scales, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1)
    for mode in ("linear", "cubic"):
        yield _scaled(f"antialias-{mode}", scales, mode=mode, antialias=1)
    every = [{"x": random(2, 3), "s": np.array(s, np.float32)} for s in ((1, 2), (2.5, 1.3), (3, 1))]
    yield "Upsample-fed-scales", fed("Upsample", every, opset=9)
    yield "Resize-10-fed-scales", fed("Resize", every, opset=10)


def _depths() -> Iterator[tuple[str, Model]]:
    indices = np.array([[0, 2, -1], [5, -9, 1]], np.int64)
    for axis in (0, -1):
        every = [{"i": indices, "d": ints(d), "v": random(2)} for d in (3, 1, 7, 10)]
        yield f"OneHot-{axis}", fed("OneHot", every, axis=axis)
    every = [
        {"i": indices.astype(np.float32), "d": np.array([d], np.float32), "v": random(2)}
        for d in (3, 1.5, 7.9, 1)
    ]
    yield "OneHot-float", fed("OneHot", every)


def _ranges() -> Iterator[tuple[str, Model]]:
    bounds = [(0, 7, 2), (5, -4, -3), (3, 3, 1), (4, 1, 1), (-9, -1, 4)]
    for kind in (np.int64, np.int32, np.int16):
        every: list[Feeds] = [
            {n: np.array(v, kind) for n, v in zip("abc", each, strict=True)} for each in bounds
        ]
        yield f"Range-{kind.__name__}", fed("Range", every)
    fractions = [(0, 1, 0.1), (0.3, -2, -0.7), (1, 1, 5), (2, 1, 0.02), (-1e3, 1e3, 99.9), (5, 5.001, 1)]
    coarse = [(0, 1, 0.125), (0.25, -2, -0.75), (1, 1, 5), (-1e3, 1e3, 99.9375)]
    for name, numbers in ("float32", fractions), ("float64", coarse):
        every = [{n: np.array(v, name) for n, v in zip("abc", each, strict=True)} for each in numbers]
        yield f"Range-{name}", fed("Range", every)


def _loops() -> Iterator[tuple[str, Model]]:
    """Range as the function that ONNX defines it by: a loop as often as floats that it computes tell."""
    whole = [(10, 6, -3), (0, 7, 2), (3, 3, 1), (4, 1, 1), (-100, 100, 7)]
    fractions = [(0, 1, 0.11), (0.3, -2, -0.7), (1, 1, 5), (2, 1, 0.02), (-1e2, 1e2, 9.9)]
    for name, numbers in ("int32", whole), ("float32", fractions), ("float16", fractions):
        every: list[Feeds] = [
            {n: np.array(v, name) for n, v in zip("abc", each, strict=True)} for each in numbers
        ]
        number, flag = every[0]["a"], np.array(True)
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["cond"], ["on"]),
                helper.make_node("Add", ["prev", "c"], ["next"]),
                helper.make_node("Identity", ["prev"], ["item"]),
            ],
            "body",
            [value_info("i", np.array(0)), value_info("cond", flag), value_info("prev", number)],
            [value_info("on", flag), value_info("next", number), value_info("item", number)],
        )
        nodes = [
            helper.make_node("Sub", ["b", "a"], ["span"]),
            helper.make_node("Cast", ["span"], ["span_f"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["c"], ["c_f"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["span_f", "c_f"], ["steps"]),
            helper.make_node("Ceil", ["steps"], ["whole"]),
            helper.make_node("Relu", ["whole"], ["count"]),
            helper.make_node("Cast", ["count"], ["trip"], to=TensorProto.INT64),
            helper.make_node("Cast", ["count"], ["begin"], to=TensorProto.BOOL),
            helper.make_node("Loop", ["trip", "begin", "a"], ["last", "out"], "node", body=body),
        ]
        yield f"Loop-fed-{name}", (model(nodes, every[0], ["last", "out"]), every)


MODELS: Mapping[str, Model] = dict(
    [
        *_reductions(),
        *_shapes(),
        *_eyes(),
        *_slices(),
        *_pads(),
        *_triangles(),
        *_resizes(),
        *_scales(),
        *_ranges(),
        *_depths(),
        *_loops(),
    ]
)
