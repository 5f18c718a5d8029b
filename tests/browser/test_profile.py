"""What each step takes, in pages: as many rows as steps, on both devices, and states left as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import pyruntime
from tests.browser.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PROFILE = """async ([url, options, profile]) => {
  const session = await harness.load(url, options);
  const x = { data: new Float32Array(24).fill(1), shape: [3, 8] };
  const first = (await session.run({ x })).twice.data[0];
  let made;
  const error = await harness.caught(async () => { made = await session.profile({ x }, profile); });
  const { steps, dispatches } = session.report;
  const second = (await session.run({ x })).twice.data[0];
  session.dispose();
  return { error, made, steps, dispatches, twice: [first, second] };
}"""
NO_TIMES = """() => {
  const has = GPUSupportedFeatures.prototype.has;
  GPUSupportedFeatures.prototype.has = function (name) {
    return name !== "timestamp-query" && has.call(this, name);
  };
}"""


@pytest.fixture(scope="module")
def pack(server: Server) -> str:
    """The URL of a pack with a reduction, and a state that counts its runs."""
    folder = server.folders["/other/"]
    weights = {"one": np.ones(1, np.float32)}
    node = helper.make_node
    nodes = [
        node("Softmax", ["x"], ["y"]),
        node("Add", ["runs", "one"], ["sum"]),
        node("Add", ["sum", "sum"], ["twice"]),
    ]
    value = helper.make_tensor_value_info
    inputs = [value("x", TensorProto.FLOAT, ["n", 8]), value("runs", TensorProto.FLOAT, [1])]
    outputs = [value("y", TensorProto.FLOAT, ["n", 8]), value("sum", TensorProto.FLOAT, [1])]
    outputs.append(value("twice", TensorProto.FLOAT, [1]))
    constants = [helper.make_tensor(n, TensorProto.FLOAT, w.shape, w.ravel()) for n, w in weights.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "net", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (folder / "profile.onnx").write_bytes(model.SerializeToString())
    pyruntime.convert(folder / "profile.onnx", folder / "profile", state={"runs": "sum"})
    return "/other/profile/"


def profiled(page: Page, pack: str, device: str, **options: Any) -> dict[str, Any]:
    told = [pack, {"device": device, **options}, {"seconds": 0.05}]
    found: dict[str, Any] = page.evaluate(PROFILE, told)
    return found


@pytest.mark.parametrize("device", ["webgpu", "wasm"])
def test_a_row_for_each_step(page: Page, pack: str, device: str) -> None:
    found = profiled(page, pack, device)
    assert found["error"] is None
    rows = found["made"]["steps"]
    assert [r["step"] for r in rows] == found["steps"]
    assert {r["op"] for r in rows} >= {"map", "row"}
    assert all(r["calls"] == 1 and np.isfinite(r["milliseconds"]) and r["milliseconds"] >= 0 for r in rows)
    assert found["made"]["runs"] >= 3
    assert found["made"]["clock"] == {"webgpu": "timestamp-query", "wasm": "performance.now"}[device]


def test_the_session_keeps_its_state(page: Page, pack: str) -> None:
    assert profiled(page, pack, "wasm")["twice"] == [2.0, 4.0]


def test_a_gpu_without_times(page: Page, pack: str) -> None:
    page.evaluate(NO_TIMES)
    error = profiled(page, pack, "webgpu")["error"]
    assert error["code"] == "device"
    assert "timestamp-query" in error["message"]
