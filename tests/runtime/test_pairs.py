"""64-bit integers past 32 bits on WebGPU, without host steps, against NumPy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, save

import pyruntime
from tests.frontends.onnx_models import model
from tests.frontends.pair_models import MODELS, integers
from tests.runtime.test_host_steps import packed, same

pytestmark = pytest.mark.webgpu
node = helper.make_node


@pytest.mark.parametrize("name", list(MODELS))
def test_models(tmp_path: Path, name: str) -> None:
    proto, every = MODELS[name]()
    save(proto, tmp_path / "model.onnx")
    report = pyruntime.convert(
        tmp_path / "model.onnx", tmp_path / "pack", targets=("webgpu",), host_steps=False
    )
    assert not report.host_steps
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        for feeds, wanted in (*every, *every):
            same(session.run(feeds), wanted)


def test_what_only_indexes_is_a_word(tmp_path: Path) -> None:
    """Such inputs are checked on upload; others take all that 64 bits hold."""
    nodes = [
        node("Gather", ["table", "ids"], ["rows"]),
        node("Cast", ["mask"], ["weights"], to=1),
        node("Mul", ["rows", "weights"], ["y"]),
        node("Add", ["total", "total"], ["twice"]),
    ]
    feeds = {"ids": np.array([1, 0]), "mask": np.array([[1], [0]]), "total": np.array([2**40, -5])}
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    proto = model(nodes, feeds, ["y", "twice"], weights={"table": table})
    path, report = packed(tmp_path, (proto, [feeds]), host_steps=False)
    assert report.notes == (
        "webgpu: 64-bit integers of ids, mask are 32-bit on the device; larger values are refused",
    )
    entry = json.loads((path / "pack.json").read_text())["targets"]["webgpu"]["variants"][0]["entries"][0]
    assert [i["dtype"] for i in entry["inputs"]] == ["int32", "int32", "int64"]
    with pyruntime.load(path, device="webgpu") as session:
        made = session.run(feeds)
        same(made, {"y": table[[1, 0]] * np.array([[1], [0]], np.float32), "twice": feeds["total"] * 2})
        with pytest.raises(
            pyruntime.InputError, match=r"input 'ids': 1099511627776 at element 1 does not fit"
        ):
            session.run({**feeds, "ids": np.array([0, 2**40])})


def test_states(tmp_path: Path) -> None:
    """A running sum past 32 bits, which begins as a weight, and is set, saved and reset."""
    x, first = integers(5, seed=1), np.array([2**50, -3, 0, 7, 2**33])
    nodes = [node("Add", ["s", "x"], ["next"]), node("Add", ["next", "first"], ["y"])]
    proto = model(nodes, {"x": x, "s": x}, ["next", "y"], weights={"first": first})
    path, _ = packed(tmp_path, (proto, []), host_steps=False, state={"s": "next"})
    with pyruntime.load(path, device="webgpu") as session, np.errstate(over="ignore"):
        same(session.run({"x": x}), {"y": x + first})
        same(session.run({"x": x}), {"y": x + x + first})
        np.testing.assert_array_equal(session.state.get("s"), x + x)
        session.state.set("s", first)
        same(session.run({"x": x}), {"y": x + first + first})
        session.state.reset()
        same(session.run({"x": x}), {"y": x + first})
