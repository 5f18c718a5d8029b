"""Embeddings whose transpose ends the model: stored once, in the panels of that product, integers as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_converter.passes.quantize import Quantization, Quantized

import pyruntime
from pyruntime.ir.graph import Graph
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import run_graph
from pyruntime.pack.reader import Pack
from tests.frontends.onnx_models import imported, random, runtime
from tests.passes.net import Net

ROWS, WIDTH = 1003, 72  # more than tied.LEAST; the last panel is not full
TABLE = random(ROWS, WIDTH)
IDS = np.array([[3, 0, ROWS - 1, 7], [-1, -ROWS, 8, 1000]])  # either end, and within panels


def tied(ids: NDArray[Any] = IDS, weight: NDArray[Any] | None = None) -> tuple[Net, str]:
    """relu(rows of the table) by the table's transpose, or a weight that is given."""
    net = Net({"ids": ids})
    rows = net("Relu", net("Gather", TABLE, "ids", axis=0))
    return net, net("MatMul", rows, net("Transpose", TABLE, perm=[1, 0]) if weight is None else weight)


def lowered(net: Net, output: str) -> Program:
    """The model's kernel calls, which interpreted give what ONNX Runtime gives."""
    proto = net.proto(output)
    graph = imported(proto)
    optimise(graph)
    program = lower(graph)
    (result,) = run_program(program, list(net.feeds.values()), {})
    (wanted,) = runtime(proto, net.feeds).values()
    np.testing.assert_allclose(result.reshape(wanted.shape), wanted, atol=1e-5 * np.abs(wanted).max())
    return program


def large(program: Program) -> set[str]:
    """Layouts of the weights that are as large as the table."""
    weights = {t for c in program.calls for t in c.tensors() if t.kind == "weight"}
    return {t.layout for t in weights if isinstance(t.elements, int) and t.elements >= TABLE.size}


@pytest.mark.parametrize("ids", [IDS, np.array(ROWS - 2), IDS.astype(np.int32)], ids=["many", "one", "int32"])
def test_rows_come_out_of_panels(ids: NDArray[Any]) -> None:
    assert large(lowered(*tied(ids))) == {"panels8"}


def test_equal_weights_of_two_names_are_one() -> None:
    assert large(lowered(*tied(weight=np.ascontiguousarray(TABLE.T)))) == {"panels8"}


def integers(form: Quantization, width: int) -> tuple[Net, str, Graph]:
    """A table in integers and its transpose: a model, and its graph, whose results are near each other."""
    net, table = Net({"ids": IDS}), random(ROWS, width)
    output = net("MatMul", net("Gather", table, "ids", axis=0), net("Transpose", table, perm=[1, 0]))
    graph, found = imported(net.proto(output)), Quantized(form)
    optimise(graph, found)
    assert not found.left
    (result,) = run_graph(graph, net.feeds).values()
    (wanted,) = runtime(net.proto(output), net.feeds).values()
    assert np.corrcoef(result.ravel(), wanted.ravel())[0, 1] > (0.99 if form == "int4" else 0.9998)
    return net, output, graph


@pytest.mark.parametrize("width", [72, 96])
@pytest.mark.parametrize(
    ("form", "layouts"),
    [
        ("int4", {"levels4x8-k{}", "panels8"}),
        ("int8-weights", {"levels8x8-k{}", "panels8"}),
        ("int8", {"quads8"}),
    ],
)
def test_integers(form: Quantization, width: int, layouts: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels and their scales are there once, whether blocks are whole or not."""
    monkeypatch.setattr("pyruntime_converter.tied.LEAST", 256)
    net, _, graph = integers(form, width)
    (wanted,) = run_graph(graph, net.feeds).values()
    program = lower(graph)
    (result,) = run_program(program, list(net.feeds.values()), {})
    np.testing.assert_allclose(result.reshape(wanted.shape), wanted, rtol=1e-6)
    stored = {t for c in program.calls for t in c.tensors() if t.kind == "weight"}
    found = [t.layout for t in stored if isinstance(t.elements, int) and t.elements > ROWS + 8]
    assert sorted(found) == sorted(each.format(width) for each in layouts)


@pytest.mark.parametrize("form", ["int4", "int8-weights", "int8"])
def test_rows_that_are_not_there(form: Quantization, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are zeros, as in tables that are stored as they are."""
    monkeypatch.setattr("pyruntime_converter.tied.LEAST", 256)
    graph = integers(form, 72)[-1]
    (result,) = run_program(lower(graph), [np.array([[ROWS, 5, -ROWS - 1, 5], [5, 5, 5, 5]])], {})
    rows = result.reshape(8, ROWS)
    assert np.abs(rows[[0, 2]]).max() < 1e-20  # int8 gives them a step, though the least one
    assert rows[[1, 3]].any(axis=1).all()


@pytest.mark.parametrize("why", ["another weight", "read whole", "columns"])
def test_tables_that_stay_as_they_are(why: str) -> None:
    net, weight = Net({"ids": IDS}), TABLE.T.copy()
    weight[3, 5] += why == "another weight"
    if why == "columns":
        net.feeds["ids"] = IDS[:, :1] % WIDTH
        rows = net("Gather", TABLE, "ids", axis=1)
        rows = net("MatMul", net("Transpose", rows, perm=[1, 2, 0]), TABLE)
    else:
        rows = net("Gather", TABLE, "ids", axis=0)
    most = net("Cast", net("ReduceMax", "ids", keepdims=0), to=1)
    if why == "read whole":
        most = net("ReduceMax", net("Mul", TABLE, most), keepdims=0)
    rows = net("Add", rows, most)
    assert "plain" in large(lowered(net, net("MatMul", rows, weight)))


@pytest.mark.parametrize(
    ("device", "weights"),
    [
        pytest.param("wasm", "f32", marks=pytest.mark.wasm),
        pytest.param("webgpu", "f16", marks=pytest.mark.webgpu),
    ],
)
def test_packs(device: Literal["wasm", "webgpu"], weights: Literal["f32", "f16"], tmp_path: Path) -> None:
    """The table is in the pack once, and read on the device."""
    net, output = tied()
    proto = net.proto(output)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "pack", targets=(device,), weights=weights)
    with Pack(tmp_path / "pack") as opened:
        stored = [t for t in opened.manifest.weights.tensors if t.elements >= TABLE.size]
    assert [(t.layout, t.shape) for t in stored] == [("panels8", (WIDTH, ROWS))]
    (wanted,) = runtime(proto, net.feeds).values()
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        (result,) = session.run(net.feeds).values()
    tolerance = 1e-5 if weights == "f32" else 2e-3
    np.testing.assert_allclose(np.asarray(result), wanted, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("form", ["int4", "int8-weights", "int8"])
@pytest.mark.parametrize(
    "device", [pytest.param("wasm", marks=pytest.mark.wasm), pytest.param("webgpu", marks=pytest.mark.webgpu)]
)
def test_packs_of_integers(
    device: Literal["wasm", "webgpu"], form: Quantization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyruntime_converter.tied.LEAST", 256)
    net, output, graph = integers(form, 72)
    (wanted,) = run_graph(graph, net.feeds).values()
    (tmp_path / "model.onnx").write_bytes(net.proto(output).SerializeToString())
    pyruntime.convert(tmp_path / "model.onnx", tmp_path / "pack", targets=(device,), quantize=form)
    with pyruntime.load(tmp_path / "pack", device=device) as session:
        (result,) = session.run(net.feeds).values()
    np.testing.assert_allclose(np.asarray(result), wanted, atol=1e-5 * np.abs(wanted).max())
