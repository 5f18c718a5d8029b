"""Float16 on the GPU, natively: weights and tensors of two bytes, results as precise as the model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pyruntime_shaders.storage import FEATURE

import pyruntime
from pyruntime.pack.reader import Pack
from pyruntime.runtime.gpu_device import device
from tests.converter.compare import assert_close
from tests.packs import half

pytestmark = pytest.mark.webgpu

VARIANTS = {"f32": ((),), "f16": ((FEATURE,), ())}  # of the model's dtype


@pytest.fixture(scope="module", params=["f32", "f16"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The model's dtype, and its pack."""
    folder, dtype = tmp_path_factory.mktemp("half"), str(request.param)
    model = half.write(folder / "model.onnx", dtype)
    pyruntime.convert(model, folder / "pack", targets=("webgpu",), weights="f16")
    return dtype, folder / "pack"


def _feeds(dtype: str, rows: int) -> half.Arrays:
    feeds = half.feeds(rows)
    return feeds if dtype == "f16" else {**feeds, "image": feeds["image"].astype(np.float32)}


def _best(pack: Path) -> tuple[str, ...]:
    """What the first variant that the device here can run needs, and uses."""
    with Pack(pack) as opened:
        target = opened.manifest.targets.webgpu
    assert target is not None
    gpu = device()
    variant = next(v for v in target.variants if gpu.meets(v.requires, v.limits))
    return (*variant.requires, *gpu.offered(variant.uses))


@pytest.mark.parametrize("rows", [1, 7])
def test_results(made: tuple[str, Path], rows: int) -> None:
    dtype, path = made
    feeds = _feeds(dtype, rows)
    with pyruntime.load(path, device="webgpu") as session:
        assert session.report.variant == _best(path)
        results = session.run(feeds)
    for name, wanted in half.expected(feeds).items():
        assert_close(np.asarray(results[name], np.float32), wanted, half.TOLERANCE[dtype])


def test_variants(made: tuple[str, Path], tmp_path: Path) -> None:
    """Tensors of float16 make a variant for shader-f16; it agrees with the base, in less memory."""
    dtype, path = made
    with Pack(path) as pack:
        target = pack.manifest.targets.webgpu
    assert target is not None
    assert tuple(tuple(v.requires) for v in target.variants) == VARIANTS[dtype]
    if FEATURE not in _best(path):
        pytest.skip("one variant, or the adapter lacks shader-f16")
    feeds, found = _feeds(dtype, 7), []
    for pack_path in (path, half.base_only(path, tmp_path / "base")):
        with pyruntime.load(pack_path, device="webgpu") as session:
            found.append((session.report.variant, session.run(feeds), session.report.memory_bytes))
    (first, halves, fewer), (second, words, more) = found
    assert FEATURE in first
    assert FEATURE not in second
    assert fewer < more
    for name, wanted in words.items():
        assert_close(np.asarray(halves[name]), np.asarray(wanted), half.TOLERANCE[dtype])


def test_weights_take_two_bytes(made: tuple[str, Path]) -> None:
    _, path = made
    with Pack(path) as pack:
        tensors, target = pack.manifest.weights.tensors, pack.manifest.targets.webgpu
    assert target is not None
    stored = {tensors[w.tensor].name: (w.dtype, tensors[w.tensor].dtype.value) for w in target.weights}
    assert all(held == kept for held, kept in stored.values() if kept.startswith("float"))
    assert {"table", "dense", "last"} <= {name for name, (held, _) in stored.items() if held == "float16"}
    held = sum(tensors[w.tensor].bytes for w in target.weights)
    assert sum(target.buffers) <= held + 256 * len(target.weights)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: half.Arrays) -> onnx.ModelProto:
    held = [numpy_helper.from_array(a, name) for name, a in weights.items()]
    graph = helper.make_graph(nodes, "m", inputs, outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_what_crosses_to_the_host(tmp_path: Path) -> None:
    """Tensors of float16 that steps in float64 read and write, between steps on the GPU."""
    half_info = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, [3, 5]) for n in ("x", "y")]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Softmax", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.DOUBLE),
        helper.make_node("CumSum", ["c", "axis"], ["d"]),
        helper.make_node("Cast", ["d"], ["e"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["e", "w"], ["y"]),
    ]
    random = np.random.default_rng(0)
    weight = random.standard_normal((5, 5)).astype(np.float16)
    model = _model(nodes, half_info[:1], half_info[1:], {"w": weight, "axis": np.array(1)})
    onnx.save(model, tmp_path / "m.onnx")
    report = pyruntime.convert(tmp_path / "m.onnx", tmp_path / "m.pack", targets=("webgpu",))
    assert report.host_steps
    x = random.standard_normal((3, 5)).astype(np.float16)
    scores = x.astype(np.float64) @ weight
    exact = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        assert session.report.variant == _best(tmp_path / "m.pack")
        result = session.run({"x": x})["y"]
    assert_close(np.asarray(result, np.float64), np.cumsum(exact, 1) @ weight, 4e-3)


def test_states_are_words(tmp_path: Path) -> None:
    """A state of float16 lies in a buffer that all variants share."""
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, [7]) for n in ("x", "h", "y", "g")]
    nodes = [helper.make_node("Add", ["x", "h"], ["g"]), helper.make_node("Mul", ["g", "w"], ["y"])]
    weight = np.linspace(0, 1, 7).astype(np.float16)
    onnx.save(_model(nodes, infos[:2], infos[2:], {"w": weight}), tmp_path / "m.onnx")
    initial = np.arange(7, dtype=np.float16)
    pyruntime.convert(
        tmp_path / "m.onnx",
        tmp_path / "m.pack",
        targets=("webgpu",),
        state={"h": "g"},
        state_init={"h": initial},
    )
    x = np.full(7, 0.5, np.float16)
    with pyruntime.load(tmp_path / "m.pack", device="webgpu") as session:
        assert session.report.variant == _best(tmp_path / "m.pack")
        for runs in (1, 2, 3):
            result = np.asarray(session.run({"x": x})["y"])
            assert_close(result, (initial + np.float16(runs) * x) * weight, 2e-3)
        assert np.array_equal(session.state.get("h"), initial + np.float16(3) * x)
