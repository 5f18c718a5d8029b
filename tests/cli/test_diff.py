"""`pyruntime diff`: right kernels do not differ; a wrong one is found, with its node and by how much."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.differ import Compared
from pyruntime_shaders import division
from pyruntime_wasm import module

from pyruntime.cli import diverging
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, MatMul
from pyruntime.ir.scalar import Call, Const
from tests.cli.conftest import Invoke

onnx = pytest.importorskip("onnx")

DEVICES = [
    pytest.param("wasm", marks=pytest.mark.wasm),
    pytest.param("webgpu", marks=pytest.mark.webgpu),
]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Of float32."""
    return _chain(tmp_path / "chain.onnx", onnx.TensorProto.FLOAT)


def _chain(path: Path, dtype: int) -> Path:
    """Steps that no pass merges: two softmaxes over different axes, and a product."""
    nodes = [
        onnx.helper.make_node("Softmax", ["x"], ["first"], name="first/Softmax"),
        onnx.helper.make_node("Mul", ["first", "first"], ["squared"], name="square"),
        onnx.helper.make_node("Softmax", ["squared"], ["second"], name="second/Softmax", axis=0),
        onnx.helper.make_node("MatMul", ["second", "w"], ["y"], name="product"),
    ]
    weight = np.arange(15, dtype=onnx.helper.tensor_dtype_to_np_dtype(dtype)).reshape(5, 3)
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [onnx.helper.make_tensor_value_info("x", dtype, ["rows", 5])],
        [onnx.helper.make_tensor_value_info("y", dtype, ["rows", 3])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


@pytest.mark.webgpu
def test_halves(invoke: Invoke, tmp_path: Path) -> None:
    """What a step writes is read from where the variant at hand keeps it."""
    model = _chain(tmp_path / "chain.onnx", onnx.TensorProto.FLOAT16)
    result = invoke("diff", model, "-d", "webgpu", "-s", "rows=3", "--tolerance", "0.002", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0, told["first"]
    assert {step["dtype"] for step in told["steps"]} == {"float16"}


@pytest.mark.parametrize("device", DEVICES)
def test_right_kernels(invoke: Invoke, chain: Path, device: str) -> None:
    result = invoke("diff", chain, "-d", device, "-s", "rows=4", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["first"] is None
    assert len(told["steps"]) >= 3
    assert all(0 <= step["worst"] < 1e-4 and step["elements"] for step in told["steps"])


@pytest.mark.parametrize("device", DEVICES)
def test_wrong_kernel(invoke: Invoke, chain: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _break_matmul(monkeypatch)
    np.savez(chain.with_suffix(".npz"), x=np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5))
    result = invoke("diff", chain, "-d", device, "--input", chain.with_suffix(".npz"))
    assert result.exit_code == 5
    assert "MatMul product" in result.stdout
    told = json.loads(invoke("diff", chain, "-d", device, "-s", "rows=4", "--json").stdout)
    assert told["first"]["nodes"] == ["MatMul product"]
    assert told["first"]["wrong"] > 0
    assert [s["diverges"] for s in told["steps"]] == [False] * (len(told["steps"]) - 1) + [True]


def _break_matmul(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every product write what it should write plus one."""

    def wrong(call: KernelCall) -> KernelCall:
        if not isinstance(call, MatMul):
            return call
        return replace(call, body=Call(DType.F32, "add", (call.body, Const(DType.F32, 1.0))))

    name_of, kernels_for = module._Kernels.name_of, division.kernels_for
    monkeypatch.setattr(module._Kernels, "name_of", lambda self, call, n: name_of(self, wrong(call), n))
    monkeypatch.setattr(division, "kernels_for", lambda call: kernels_for(wrong(call)))


def test_what_is_not_finite_is_told_as_text() -> None:
    step = Compared("map y", ("Add y",), "y", "float32", np.inf, 1, 1, 0, np.nan, 1.0)
    told = diverging._plain(step)
    assert (told["worst"], told["got"], told["expected"], told["diverges"]) == ("inf", "nan", 1.0, True)
