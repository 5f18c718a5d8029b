"""Every way in which ONNX has written an operator over its opsets gives the same result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.frontends.onnx_models import agrees, imported, one_node, random, run, same

Array = NDArray[Any]


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def f32(value: float) -> Array:
    return np.array(value, np.float32)


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def u8(value: int) -> Array:
    return np.array(value, np.uint8)


X = random(2, 6, 5, 7)
IMAGE = {"x": X}
MATRIX = random(4, 6, seed=1)


@dataclass(frozen=True)
class Form:
    """One node in one opset; `expected` where ONNX Runtime does not know so old an opset."""

    op: str
    opset: int
    feeds: Mapping[str, Array]
    weights: Mapping[str, Array] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)
    expected: Array | None = None
    outputs: Sequence[str] = ("out",)
    inputs: Sequence[str] | None = None

    def __str__(self) -> str:
        stated = "-".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.op}-{self.opset}-{'-'.join(self.weights)}-{stated}"


def softmax(x: Array, axes: tuple[int, ...]) -> Array:
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(e / e.sum(axis=axes, keepdims=True))


FORMS = [
    # legacy broadcasting, aligned by an attribute
    Form("Add", 1, IMAGE, {"b": random(6)}, {"broadcast": 1, "axis": 1}, X + random(6)[:, None, None]),
    Form("Sub", 6, IMAGE, {"b": random(6, 5)}, {"broadcast": 1, "axis": 1}, X - random(6, 5)[:, :, None]),
    Form("Mul", 6, IMAGE, {"b": random(7)}, {"broadcast": 1}, X * random(7)),
    Form("Div", 1, IMAGE, {"b": f32(3)}, {"broadcast": 1}, X / f32(3)),
    Form("Add", 7, IMAGE, {"b": random(5, 1)}),
    Form("Pow", 13, {"x": np.abs(X)}, {"e": ints(2)}),
    Form("PRelu", 6, IMAGE, {"s": random(6)}, expected=np.where(X < 0, X * random(6)[:, None, None], X)),
    Form("PRelu", 9, IMAGE, {"s": random(6, 1, 1)}),
    Form("Sum", 13, {"a": X, "b": X[:1], "c": X[:, :, :1]}),
    Form("Mean", 13, {"a": X, "b": X[:1]}),
    Form("Max", 13, {"a": X, "b": -X, "c": X[:1]}),
    Form("Min", 8, {"a": X}),
    # limits
    Form("Clip", 6, IMAGE, attrs={"min": -0.5, "max": 0.5}, expected=X.clip(-0.5, 0.5)),
    Form("Clip", 6, IMAGE, attrs={"min": 0.0}, expected=X.clip(0)),
    Form("Clip", 13, IMAGE, {"lo": f32(-0.5), "hi": f32(0.5)}),
    Form("Clip", 13, IMAGE, {"hi": f32(0.5)}, inputs=("x", "", "hi")),
    # casts
    Form("Cast", 1, IMAGE, attrs={"to": "INT32"}, expected=X.astype(np.int32)),
    Form("Cast", 5, IMAGE, attrs={"to": "DOUBLE"}, expected=X.astype(np.float64)),
    Form("Cast", 13, IMAGE, attrs={"to": 10}),
    Form("CastLike", 15, IMAGE, {"t": ints(1)}),
    # inference needs no dropout
    Form("Dropout", 1, IMAGE, attrs={"is_test": 1, "ratio": 0.3}, expected=X),
    Form("Dropout", 7, IMAGE, attrs={"ratio": 0.3}),
    Form("Dropout", 13, IMAGE, {"r": f32(0.5), "t": np.array(False)}, outputs=("out", "mask")),
    # shapes
    Form("Reshape", 1, IMAGE, attrs={"shape": [0, -1, 7]}, expected=X.reshape(2, 30, 7)),
    Form("Reshape", 5, IMAGE, {"s": ints(0, -1, 7)}),
    Form("Reshape", 14, {"x": X[:0]}, {"s": ints(0, 3)}, {"allowzero": 1}),
    Form("Flatten", 9, IMAGE, attrs={"axis": 2}),
    Form("Flatten", 13, IMAGE, attrs={"axis": -1}),
    Form("Flatten", 13, IMAGE, attrs={"axis": 4}),
    Form("Squeeze", 11, {"x": X[:1]}, attrs={"axes": [0]}),
    Form("Squeeze", 11, {"x": X[:1]}, attrs={"axes": [-4]}),
    Form("Squeeze", 13, {"x": X[:1, :, :1]}),
    Form("Squeeze", 13, {"x": X[:1]}, {"axes": ints(0)}),
    Form("Unsqueeze", 11, IMAGE, attrs={"axes": [0, 3]}),
    Form("Unsqueeze", 13, IMAGE, {"axes": ints(-1, 1)}),
    Form("Transpose", 13, IMAGE),
    Form("Transpose", 13, IMAGE, attrs={"perm": [0, 2, 3, 1]}),
    # slices
    Form("Slice", 1, IMAGE, attrs={"starts": [1, -2], "ends": [2**31 - 1, -1]}, expected=X[1:, -2:-1]),
    Form("Slice", 9, IMAGE, attrs={"starts": [1], "ends": [-1], "axes": [3]}),
    Form("Slice", 10, IMAGE, {"s": ints(1), "e": ints(99)}),
    Form("Slice", 13, IMAGE, {"s": ints(-1), "e": ints(-(2**63)), "a": ints(2), "t": ints(-2)}),
    Form("Slice", 13, IMAGE, {"s": ints(4, 1), "e": ints(0, 6), "a": ints(-2, -1), "t": ints(-3, 2)}),
    Form("Slice", 13, IMAGE, {"s": ints(5), "e": ints(2), "a": ints(1)}),
    # parts and joins
    Form("Split", 2, IMAGE, attrs={"axis": 1}, outputs=("a", "b", "c")),
    Form("Split", 11, IMAGE, attrs={"axis": -1, "split": [3, 4]}, outputs=("a", "b")),
    Form("Split", 13, IMAGE, {"s": ints(1, 5)}, {"axis": 1}, outputs=("a", "b")),
    Form("Split", 18, IMAGE, attrs={"axis": 2, "num_outputs": 2}, outputs=("a", "b")),
    Form("Concat", 1, {"a": MATRIX, "b": MATRIX}, expected=np.concatenate([MATRIX, MATRIX], 1)),
    Form("Concat", 13, {"a": X, "b": X[:, :2]}, attrs={"axis": -3}),
    # padding
    Form(
        "Pad", 1, {"x": MATRIX}, attrs={"paddings": [0, 1, 2, 3]}, expected=np.pad(MATRIX, ((0, 2), (1, 3)))
    ),
    Form("Pad", 2, {"x": MATRIX}, attrs={"pads": [1, 0, 0, 2], "mode": "edge"}),
    Form("Pad", 10, {"x": MATRIX}, attrs={"pads": [1, -2, 1, 1], "value": 0.5}),
    Form("Pad", 13, {"x": MATRIX}, {"p": ints(0, 3, 1, 2)}, {"mode": "reflect"}),
    Form("Pad", 13, {"x": MATRIX}, {"p": ints(0, 3, 1, 2), "v": f32(7)}),
    Form("Pad", 18, {"x": MATRIX}, {"p": ints(2, 1), "a": ints(-1)}, inputs=("x", "p", "", "a")),
    Form("Pad", 19, {"x": MATRIX}, {"p": ints(1, 3, 2, 1)}, {"mode": "wrap"}),
    # repeats
    Form("Tile", 1, {"x": MATRIX}, {"t": ints(3), "a": ints(1)}, expected=np.tile(MATRIX, (1, 3))),
    Form("Tile", 13, {"x": MATRIX}, {"r": ints(2, 3)}),
    Form("Expand", 13, {"x": MATRIX}, {"s": ints(3, 1, 6)}),
    Form("Expand", 13, {"x": MATRIX}, {"s": ints(1)}),
    # reductions
    Form("ReduceSum", 11, IMAGE, attrs={"axes": [1, -1], "keepdims": 0}),
    Form("ReduceSum", 13, IMAGE, {"axes": ints(-1, 1)}),
    Form("ReduceSum", 13, IMAGE, attrs={"noop_with_empty_axes": 1}),
    Form("ReduceMean", 17, IMAGE, attrs={"axes": [2, 3]}),
    Form("ReduceMean", 18, IMAGE, {"axes": ints(2, 3)}),
    Form("ReduceMax", 13, IMAGE),
    Form("ReduceMin", 13, IMAGE, attrs={"axes": [0], "keepdims": 0}),
    Form("ReduceProd", 18, IMAGE, {"axes": ints(2)}, {"keepdims": 0}),
    *(
        Form(f"Reduce{kind}", opset, {"x": np.abs(X)}, attrs={"keepdims": 0} | attrs)
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "SumSquare")
        for opset, attrs in ((13, {"axes": [1, 2]}), (18, {}))
    ),
    Form("ArgMax", 11, IMAGE, attrs={"axis": -1}),
    Form("ArgMin", 13, IMAGE, attrs={"axis": 1, "keepdims": 0, "select_last_index": 1}),
    # softmax over one axis, and over all that follow
    Form("Softmax", 11, IMAGE, attrs={"axis": 1}),
    Form("LogSoftmax", 11, IMAGE, attrs={"axis": 2}),
    Form("Softmax", 1, IMAGE, expected=softmax(X, (1, 2, 3))),
    Form("Softmax", 13, IMAGE, attrs={"axis": 1}),
    Form("LogSoftmax", 13, IMAGE),
    Form("Hardmax", 11, IMAGE, attrs={"axis": 1}),
    Form("Hardmax", 13, IMAGE, attrs={"axis": 1}),
    Form("Hardmax", 13, {"x": np.zeros((2, 0), np.float32)}),
    # normalisations
    *(
        Form(
            "BatchNormalization",
            opset,
            IMAGE,
            {"s": random(6), "b": random(6, seed=2), "m": random(6, seed=3), "v": random(6, low=0.1)},
            attrs,
        )
        for opset, attrs in ((7, {"epsilon": 1e-3}), (9, {}), (14, {"training_mode": 0}), (15, {}))
    ),
    Form("InstanceNormalization", 6, IMAGE, {"s": random(6), "b": random(6, seed=2)}),
    Form("LayerNormalization", 17, IMAGE, {"s": random(5, 7), "b": random(5, 7, seed=2)}, {"axis": 2}),
    Form("LayerNormalization", 17, IMAGE, {"s": random(7)}, outputs=("out", "mean", "inverse")),
    Form("GroupNormalization", 18, IMAGE, {"s": random(3), "b": random(3)}, {"num_groups": 3}),
    Form("GroupNormalization", 21, IMAGE, {"s": random(6), "b": random(6)}, {"num_groups": 3}),
    Form("LRN", 13, IMAGE, attrs={"size": 3, "alpha": 0.5, "beta": 0.7, "bias": 1.5}),
    Form("LpNormalization", 1, IMAGE, attrs={"axis": 1, "p": 1}),
    Form("MeanVarianceNormalization", 13, IMAGE),
    # products
    Form("MatMul", 13, {"a": random(5, 2, 6), "b": random(6, 3)}),
    Form("MatMul", 13, {"a": random(6), "b": random(2, 6, 3)}),
    Form("MatMul", 13, {"a": random(2, 4, 6), "b": random(6)}),
    Form("MatMul", 13, {"a": random(6), "b": random(6, seed=1)}),
    Form("Gemm", 7, {"a": MATRIX}, {"b": random(6, 3), "c": random(3)}),
    Form("Gemm", 13, {"a": MATRIX.T.copy()}, {"b": random(3, 6)}, {"transA": 1, "transB": 1, "alpha": 0.5}),
    Form("Gemm", 13, {"a": MATRIX}, {"b": random(6, 3), "c": random(4, 1)}, {"beta": 2.0}),
    Form(
        "MatMulInteger",
        10,
        {"a": np.arange(24, dtype=np.uint8).reshape(4, 6)},
        {"b": np.arange(18, dtype=np.uint8).reshape(6, 3), "za": u8(3), "zb": u8(2)},
    ),
    # convolutions
    *(
        Form("Conv", opset, IMAGE, {"w": random(4, 6, 3, 2), "b": random(4)}, attrs)
        for opset, attrs in (
            (1, {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
            (11, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
            (11, {"auto_pad": "SAME_LOWER", "kernel_shape": [3, 2]}),
            (11, {"auto_pad": "VALID", "dilations": [2, 2]}),
        )
    ),
    Form("Conv", 11, IMAGE, {"w": random(6, 1, 3, 3)}, {"group": 6, "pads": [1, 1, 1, 1]}),
    Form("Conv", 11, {"x": random(1, 2, 9)}, {"w": random(4, 2, 3)}, {"pads": [1, 1]}),
    *(
        Form("ConvTranspose", 11, IMAGE, {"w": random(6, 2, 3, 2), "b": random(4)}, {"group": 2} | attrs)
        for attrs in (
            {},
            {"strides": [2, 3], "pads": [1, 0, 1, 1]},
            {"strides": [2, 2], "output_padding": [1, 1], "pads": [2, 1, 2, 1]},
            {"dilations": [2, 1], "pads": [5, 0, 0, 0]},
            {"strides": [2, 2], "output_shape": [10, 14]},
            {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        )
    ),
    # pools
    *(
        Form(op, opset, IMAGE, attrs={"kernel_shape": [3, 2]} | attrs)
        for op in ("MaxPool", "AveragePool")
        for opset, attrs in (
            (7, {"strides": [2, 2], "pads": [1, 0, 1, 1]}),
            (10, {"strides": [2, 2], "ceil_mode": 1}),
            (11, {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
        )
    ),
    Form("AveragePool", 11, IMAGE, attrs={"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
    Form("MaxPool", 12, IMAGE, attrs={"kernel_shape": [2, 2], "dilations": [2, 3]}),
    Form("LpPool", 11, IMAGE, attrs={"kernel_shape": [2, 3], "p": 2, "strides": [2, 2]}),
    Form("LpPool", 18, IMAGE, attrs={"kernel_shape": [2, 3], "p": 3}),
    Form("GlobalAveragePool", 1, IMAGE),
    Form("GlobalMaxPool", 1, IMAGE),
    Form("GlobalLpPool", 2, IMAGE, attrs={"p": 1}),
    # resizing
    Form("Upsample", 7, IMAGE, attrs={"scales": [1.0, 1.0, 2.0, 3.0]}),
    Form("Upsample", 9, IMAGE, {"s": floats(1, 1, 2, 1.5)}, {"mode": "linear"}),
    Form("Resize", 10, IMAGE, {"s": floats(1, 1, 2, 0.5)}),
    Form("Resize", 11, IMAGE, {"r": floats(), "s": floats(1, 1, 2, 2)}),
    *(
        Form("Resize", opset, IMAGE, {"z": ints(2, 6, 9, 4)}, attrs, inputs=("x", "", "", "z"))
        for opset, attrs in (
            (13, {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
            (13, {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}),
            (13, {"mode": "cubic", "cubic_coeff_a": -0.5}),
            (13, {"mode": "nearest", "nearest_mode": "ceil", "coordinate_transformation_mode": "asymmetric"}),
            (18, {"mode": "linear", "antialias": 1}),
        )
    ),
    # sums of products
    *(
        Form("Einsum", 13, {f"x{i}": random(*shape) for i, shape in enumerate(shapes)}, attrs={"equation": e})
        for e, shapes in (
            ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
            ("...ij,...jk->...ik", [(2, 3, 4), (1, 4, 5)]),
            ("bshd,hde->bse", [(2, 3, 4, 5), (4, 5, 6)]),
            ("ij,jk,kl", [(2, 3), (3, 4), (4, 5)]),
            ("i, j -> ij", [(2,), (3,)]),
            ("ijk->kj", [(2, 3, 4)]),
            ("bii->bi", [(2, 3, 3)]),
            ("iji,jk->ik", [(3, 4, 3), (4, 5)]),
        )
    ),
    # indices
    Form("Gather", 13, IMAGE, {"i": ints(-1)}, {"axis": 1}),
    Form("Gather", 13, IMAGE, {"i": np.array(2, np.int64)}, {"axis": -1}),
    Form(
        "Gather", 13, {"i": np.array([[1, 0], [2, -1]], np.int32)}, {"x": X}, {"axis": 1}, inputs=("x", "i")
    ),
    Form("GatherElements", 13, {"x": MATRIX}, {"i": np.array([[0, -1], [2, 1]], np.int64)}, {"axis": 1}),
    Form(
        "OneHot", 11, {"i": ints(1, 0, -1)}, {"d": np.array(4, np.int64), "v": np.array([2, 5], np.float32)}
    ),
    Form(
        "OneHot",
        11,
        {"i": np.array([1, 3], np.float32)},
        {"d": np.array([4], np.float32), "v": np.array([0, 1], np.float32)},
        {"axis": 0},
    ),
    Form("Where", 9, {"c": X > 0, "a": X, "b": X[:1]}),
    Form("Trilu", 14, {"x": MATRIX}),
    Form("Trilu", 14, {"x": MATRIX}, {"k": np.array(-1, np.int64)}, {"upper": 0}),
    # blocks
    Form("DepthToSpace", 11, {"x": random(1, 8, 2, 3)}, attrs={"blocksize": 2}),
    Form("DepthToSpace", 11, {"x": random(1, 8, 2, 3)}, attrs={"blocksize": 2, "mode": "CRD"}),
    Form("SpaceToDepth", 13, {"x": random(1, 2, 4, 6)}, attrs={"blocksize": 2}),
    # activations whose attributes matter
    Form("LeakyRelu", 6, IMAGE, attrs={"alpha": 0.2}),
    Form("Elu", 6, IMAGE, attrs={"alpha": 0.5}),
    Form("Selu", 6, IMAGE, attrs={"alpha": 1.5, "gamma": 2.0}),
    Form("Celu", 12, IMAGE, attrs={"alpha": 0.5}),
    Form("HardSigmoid", 6, IMAGE, attrs={"alpha": 0.3, "beta": 0.4}),
    Form("HardSwish", 14, IMAGE),
    Form("ThresholdedRelu", 10, IMAGE, attrs={"alpha": 0.7}),
    Form("Shrink", 9, IMAGE, attrs={"lambd": 0.6, "bias": 0.1}),
    Form("Gelu", 20, IMAGE, attrs={"approximate": "tanh"}),
    Form("Mish", 18, IMAGE),
    Form(
        "IsInf", 10, {"x": np.array([1, np.inf, -np.inf, np.nan], np.float32)}, attrs={"detect_negative": 0}
    ),
    Form("Mod", 10, {"a": ints(5, -5, 5, -5)}, {"b": ints(3, 3, -3, -3)}),
    Form("Mod", 10, {"a": X}, {"b": f32(0.7)}, {"fmod": 1}),
    Form(
        "BitShift",
        11,
        {"a": np.array([1, 9], np.uint8)},
        {"b": np.array([3, 1], np.uint8)},
        {"direction": "RIGHT"},
    ),
    # quantisation as arithmetic
    Form("QuantizeLinear", 10, IMAGE, {"s": f32(0.02), "z": u8(128)}),
    Form("QuantizeLinear", 13, IMAGE, {"s": random(6, low=0.01), "z": np.zeros(6, np.int8)}, {"axis": 1}),
    Form(
        "DequantizeLinear",
        13,
        {"x": np.arange(-6, 6, dtype=np.int8).reshape(2, 6)},
        {"s": random(6), "z": np.ones(6, np.int8)},
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_form(form: Form) -> None:
    proto = one_node(
        form.op,
        form.feeds,
        opset=form.opset,
        weights=form.weights,
        inputs=form.inputs,
        outputs=form.outputs,
        **form.attrs,
    )
    if form.expected is None:
        agrees(proto, form.feeds)
    else:
        same(run(proto, form.feeds), {"out": form.expected})


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ({"value_float": 1.5}, f32(1.5)),
        ({"value_floats": [1.5, 2.5]}, np.array([1.5, 2.5], np.float32)),
        ({"value_int": 3}, np.array(3, np.int64)),
        ({"value_ints": [3, 4]}, ints(3, 4)),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_constant_forms(form: dict[str, Any], value: Array) -> None:
    graph = imported(one_node("Constant", {}, opset=13, **form))
    assert graph.nodes == []
    same({"out": np.asarray(graph.outputs[0].data)}, {"out": np.asarray(value)})


def test_batch_normalization_of_rank_two_and_mixed_types() -> None:
    x = random(3, 6).astype(np.float16)
    weights = {n: random(6, low=0.1) for n in "sbmv"}
    proto = one_node("BatchNormalization", {"x": x}, weights=weights, opset=15)
    normal = (x.astype(np.float32) - weights["m"]) / np.sqrt(weights["v"] + f32(1e-5))
    same(run(proto, {"x": x}), {"out": (normal * weights["s"] + weights["b"]).astype(np.float16)}, 1e-3)


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (13, 1), (13, -1)])
def test_hardmax_along_axes_of_any_size(opset: int, axis: int) -> None:
    sizes: list[int | str] = ["n", "m", 3]
    proto = one_node("Hardmax", {"x": random(2, 4, 3)}, opset=opset, shapes={"x": sizes}, axis=axis)
    for shape in ((2, 4, 3), (1, 1, 3), (3, 5, 3)):
        agrees(proto, {"x": random(*shape)})
