"""Types that kernels know as codes: every code, and floats at every boundary, on both devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import pyruntime
from pyruntime.ir.dtypes import DType
from pyruntime.ops.run_graph import run_graph
from tests.frontends.onnx_models import imported, model

Array = NDArray[Any]
Device = Literal["wasm", "webgpu"]
OPSET = 25
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of NaN and overflow
FLOATS = [d for d in DType if d.code and d.is_float]
INTEGERS = [d for d in DType if d.code and d.is_integer]
EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 1e-40, 2.0**-126, 2.0**-127, 3.4028235e38, 1.7e38, -3e38],
    np.float32,
)


def every_code(dtype: DType) -> Array:
    assert dtype.code is not None
    return np.arange(1 << dtype.width, dtype=f"uint{dtype.bits}").view(dtype.value)


def boundaries(dtype: DType) -> Array:
    """All numbers of a float type, those halfway between neighbours, and the floats beside those."""
    numbers = every_code(dtype).astype(np.float64)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    halfway = ((numbers[1:] + numbers[:-1]) / 2).astype(np.float32)
    beside = [np.nextafter(halfway, np.float32(to)) for to in (-np.inf, np.inf)]
    beyond = np.float32(numbers[-1]) * np.array([1.01, 1.06, 1.07, 1.12, 1.13, 1.5, 2], np.float32)
    return np.concatenate([numbers.astype(np.float32), halfway, *beside, beyond, -beyond, EDGES])


def casts() -> tuple[ModelProto, dict[str, Array]]:
    """Casts of all types in both directions."""
    nodes: list[NodeProto] = []
    feeds: dict[str, Array] = {}

    def cast(source: str, dtype: Any, result: str, **attrs: Any) -> None:
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        nodes.append(helper.make_node("Cast", [source], [result], to=to, **attrs))

    for dtype in FLOATS:
        name = dtype.value
        feeds[name] = every_code(dtype)
        feeds[f"x_{name}"] = boundaries(dtype)
        if dtype is DType.F4E2M1:  # what NaN gives is not defined
            feeds[f"x_{name}"] = feeds[f"x_{name}"][~np.isnan(feeds[f"x_{name}"])]
        cast(name, np.float32, f"{name}_float32")
        modes = ("up", "down", "nearest") if dtype is DType.F8E8M0 else ("up",)
        for mode in modes:
            for saturate in (0, 1):
                cast(f"x_{name}", name, f"to_{name}_{mode}_{saturate}", saturate=saturate, round_mode=mode)
    feeds["integers"] = np.arange(-300, 300, dtype=np.int32)
    for dtype in INTEGERS:
        feeds[dtype.value] = every_code(dtype)
        cast(dtype.value, np.int32, f"{dtype.value}_int32")
        cast(dtype.value, np.float32, f"{dtype.value}_float32")
        cast("integers", dtype.value, f"to_{dtype.value}")
    return model(nodes, feeds, [o for n in nodes for o in n.output], opset=OPSET, ir_version=11), feeds


def assert_same(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
    """Equal dtypes, numbers and signs; NaN where NaN is wanted."""
    for name, expected in wanted.items():
        actual = found[name]
        assert actual.dtype == expected.dtype, name
        a, b = (v.astype(np.float64) for v in (actual, expected))
        different = ~((a == b) & (np.signbit(a) == np.signbit(b)) | np.isnan(a) & np.isnan(b))
        assert not different.any(), (name, a[different][:5], b[different][:5])


def referred(proto: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What ONNX's reference evaluator gives."""
    evaluator = ReferenceEvaluator(proto)
    return dict(zip(evaluator.output_names, evaluator.run(None, dict(feeds)), strict=True))


def check(proto: ModelProto, feeds: Mapping[str, Array], device: Device, folder: Path) -> None:
    """The reference of our own ops, and a session on a device, against ONNX's."""
    wanted = referred(proto, feeds)
    assert_same(run_graph(imported(proto), feeds), wanted)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    pyruntime.convert(path, folder / "pack", targets=(device,))
    with pyruntime.load(folder / "pack", device=device) as session:
        assert_same(session.run(feeds), wanted)


DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]


@pytest.mark.parametrize("device", DEVICES)
def test_casts(device: Device, tmp_path: Path) -> None:
    check(*casts(), device, tmp_path)


def moves() -> Iterator[tuple[str, ModelProto, dict[str, Array]]]:
    """Operators that move elements, and ones that compute, of each type."""
    for dtype in (DType.BF16, DType.F8E5M2, DType.I4, DType.U2):
        x = every_code(dtype)[: 1 << min(dtype.width, 8)].reshape(-1, 2)
        if dtype is DType.BF16:
            x = np.arange(-8, 8).reshape(-1, 2).astype(dtype.value)
        weights = {"perm": np.array([1, 0]), "shape": np.array([2, -1]), "at": np.array([1, -1, 0])}
        nodes = [
            helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0]),
            helper.make_node("Concat", ["t", "t"], ["c"], axis=0),
            helper.make_node("Gather", ["c", "at"], ["g"], axis=1),
            helper.make_node("Reshape", ["c", "shape"], ["r"]),
            helper.make_node("Identity", ["k"], ["i"]),
        ]
        outputs = ["t", "c", "g", "r", "i"]
        weights["k"] = x
        yield (
            repr(dtype),
            model(nodes, {"x": x}, outputs, weights=weights, opset=OPSET, ir_version=11),
            {"x": x},
        )


MOVES = [pytest.param(*given[1:], id=given[0]) for given in moves()]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("proto", "feeds"), MOVES)
def test_moves(proto: ModelProto, feeds: dict[str, Array], device: Device, tmp_path: Path) -> None:
    check(proto, feeds, device, tmp_path)


def quantized(dtype: DType, block: int) -> tuple[ModelProto, dict[str, Array]]:
    """Quantising and dequantising x by scales per block along axis 1, the last of which may be shorter."""
    random = np.random.default_rng(6)
    x = random.uniform(-20, 20, (3, 10, 2)).astype(np.float32)
    scale = random.uniform(0.5, 2, (3, -(-10 // block), 2)).astype(np.float32)
    zero = np.zeros(scale.shape, dtype.value)
    if dtype.is_integer:
        zero = (np.arange(scale.size).reshape(scale.shape) % 4 - (not dtype.is_unsigned) * 2).astype(
            dtype.value
        )
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], axis=1, block_size=block),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"], axis=1, block_size=block),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["v"], axis=1, block_size=block),
    ]
    weights = {"scale": scale, "zero": zero, "w": np.arange(60).reshape(x.shape).astype(dtype.value)}
    return model(nodes, {"x": x}, ["q", "d", "v"], weights=weights, opset=OPSET, ir_version=11), {"x": x}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("block", [5, 4])
@pytest.mark.parametrize(
    "dtype", [DType.I8, DType.U4, DType.I4, DType.I2, DType.F8E4M3FN, DType.F4E2M1], ids=repr
)
def test_scales_per_block(dtype: DType, block: int, device: Device, tmp_path: Path) -> None:
    check(*quantized(dtype, block), device, tmp_path)


def computing() -> tuple[ModelProto, dict[str, Array]]:
    """A layer in bfloat16: each node's result is rounded once."""
    random = np.random.default_rng(5)

    def some(*shape: int) -> Array:
        return random.uniform(-2, 2, shape).astype(ml_dtypes.bfloat16)

    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("ReduceSum", ["r", "axes"], ["s"]),
        helper.make_node("Less", ["r", "b"], ["l"]),
        helper.make_node("Where", ["l", "r", "b"], ["out"]),
    ]
    weights = {"w": some(5, 7), "b": some(7), "axes": np.array([1])}
    feeds = {"x": some(3, 5)}
    return model(
        nodes, feeds, ["m", "a", "s", "l", "out"], weights=weights, opset=OPSET, ir_version=11
    ), feeds


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_is_rounded_once_a_node(device: Device, tmp_path: Path) -> None:
    proto, feeds = computing()
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    pyruntime.convert(path, tmp_path / "pack", targets=(device,))
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        found = session.run(feeds)
    x, w, b = (v.astype(np.float32) for v in (feeds["x"], weights["w"], weights["b"]))
    bfloat16 = ml_dtypes.bfloat16
    product = (x @ w).astype(bfloat16)
    np.testing.assert_allclose(found["m"].astype(np.float32), product.astype(np.float32), rtol=2**-7)
    added = (found["m"].astype(np.float32) + b).astype(bfloat16)
    np.testing.assert_array_equal(found["a"].view(np.uint16), added.view(np.uint16))
    rectified = np.maximum(added, bfloat16(0))
    np.testing.assert_array_equal(found["l"], rectified < b.astype(bfloat16))
    np.testing.assert_array_equal(found["out"], np.where(found["l"], rectified, b.astype(bfloat16)))
    sums = rectified.astype(np.float32).sum(1, keepdims=True)
    np.testing.assert_allclose(found["s"].astype(np.float32), sums, rtol=2**-7)


def test_sessions_take_bits_and_tell_the_type(tmp_path: Path) -> None:
    """An array of the type, its bits, and a tensor of bytes are the same feed."""
    x = every_code(DType.F8E5M2)[:8]
    path = tmp_path / "model.onnx"
    path.write_bytes(
        model(
            [helper.make_node("Neg", ["x"], ["y"])], {"x": x.astype(ml_dtypes.bfloat16)}, ["y"], opset=OPSET
        ).SerializeToString()
    )
    pyruntime.convert(path, tmp_path / "pack", targets=("wasm",))
    fed = x.astype(ml_dtypes.bfloat16)
    with pyruntime.load(tmp_path / "pack", device="wasm") as session:
        assert [s.dtype for s in (*session.inputs, *session.outputs)] == ["bfloat16", "bfloat16"]
        for feed in (fed, fed.view(np.uint16), pyruntime.Tensor(memoryview(fed.tobytes()), (8,), "bfloat16")):
            np.testing.assert_array_equal(session.run({"x": feed})["y"], -fed)
        with pytest.raises(pyruntime.InputError, match=r"bfloat16.*astype\('bfloat16'\)"):
            session.run({"x": np.zeros(8, np.float32)})
