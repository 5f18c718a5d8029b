"""Embeddings whose transpose ends the model: stored once, in the panels of that product."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

import pyruntime
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
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
