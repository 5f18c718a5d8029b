"""`pyruntime check`: all that a model lacks at once, what stays open, and the same verdict as `convert`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from pyruntime_converter.checker import check
from pyruntime_converter.lowering import lower
from pyruntime_converter.options import Told

import pyruntime
from pyruntime.errors import UnsupportedError
from pyruntime.ir.graph import Node
from tests.cli.conftest import Invoke

F32, F64, I64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
ANY = ["wasm", "webgpu", "webgpu-strict"]


def saved(path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any]) -> Path:
    """An ONNX file with a weight `w` of 4 by 2; inputs by dtype and shape."""
    weights = [numpy_helper.from_array(np.ones((4, 2), np.float32), "w")]
    fed, given = ([helper.make_tensor_value_info(n, *t) for n, t in e.items()] for e in (inputs, outputs))
    graph = helper.make_graph(nodes, "g", fed, given, weights)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.strange", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    return path


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Two operators that there are not, one behind the other; float64; what hangs on an unknown size."""
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["product"], name="product"),
        node("Frobnicate", ["product"], ["b"], name="first", domain="ai.strange"),
        node("Relu", ["b"], ["c"], name="relu"),
        node("Twiddle", ["c"], ["y"], name="second", domain="ai.strange"),
        node("Softmax", ["product"], ["soft"], name="soft"),
        node("Cast", ["soft"], ["wide"], name="wide", to=F64),
        node("Sin", ["wide"], ["z"], name="sine"),
        node("ImageDecoder", ["file"], ["image"], name="decoder"),
        node("Cast", ["image"], ["pixels"], name="pixels", to=F32),
        node("ReduceMean", ["pixels"], ["mean"], name="mean", keepdims=0),
        node("SplitToSequence", ["pixels"], ["rows"], name="split"),
        node("SequenceErase", ["rows"], ["fewer"], name="erase"),
        node("SequenceLength", ["fewer"], ["count"], name="length"),
    ]
    inputs = {"x": (F32, ["rows", 4]), "file": (TensorProto.UINT8, ["n"])}
    outputs = {
        "y": (F32, ["rows", 2]),
        "z": (F64, ["rows", 2]),
        "mean": (F32, []),
        "count": (I64, []),
    }
    return saved(tmp_path / "odd.onnx", nodes, inputs, outputs)


def told(invoke: Invoke, *arguments: object, exit_code: int) -> dict[str, Any]:
    result = invoke("check", *arguments, "--json")
    assert result.exit_code == exit_code, result.output
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def test_a_model_that_can_be_converted(invoke: Invoke, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler, and with nothing written."""
    monkeypatch.setenv("PYRUNTIME_CC", "/nowhere/clang")
    made = told(invoke, model, exit_code=0)
    assert made["targets"] == dict.fromkeys(ANY, True)
    assert (made["format"], made["opset"], made["problems"], made["unjudged"]) == ("onnx", 17, [], [])
    assert made["kernels"] == 1
    assert list(Path().iterdir()) == []
    result = invoke("check", model)
    assert "nothing is missing" in result.stdout
    assert result.stdout.startswith("✔")


def test_all_that_is_missing(invoke: Invoke, odd: Path) -> None:
    """Behind what cannot be converted, too, and beside it; what may follow from it is told apart."""
    made = told(invoke, odd, exit_code=3)
    found = {p["op"]: p for p in made["problems"]}
    assert list(found) == ["Frobnicate", "Twiddle", "ImageDecoder", "SequenceErase", "Softmax + Cast + Sin"]
    assert [(p["count"], p["nodes"]) for p in found.values()] == [
        (1, ["first"]),
        (1, ["second"]),
        (1, ["decoder"]),
        (1, ["erase"]),
        (1, ["soft + wide + sine"]),
    ]
    assert (found["Frobnicate"]["dtypes"], found["Frobnicate"]["targets"]) == (["float32"], ANY)
    assert (found["SequenceErase"]["certain"], found["SequenceErase"]["follows"]) == (False, ["decoder"])
    assert all(p["certain"] for op, p in found.items() if op != "SequenceErase")
    assert found["Softmax + Cast + Sin"]["targets"] == ["webgpu-strict"]
    assert "float64" in found["Softmax + Cast + Sin"]["reason"]
    assert all(p["remedy"] for p in found.values())
    assert [(u["op"], u["node"]) for u in made["unjudged"]] == [
        ("Relu", "relu"),
        ("SequenceLength", "length"),
    ]
    with pytest.raises(UnsupportedError, match="first"):
        pyruntime.convert(odd, "never.pack", targets=("webgpu",))


def test_the_table(invoke: Invoke, odd: Path) -> None:
    result = invoke("check", odd)
    assert result.exit_code == 3
    for part in ("Frobnicate", "any target", "webgpu-strict", "(perhaps only", "since decoder", "→", "open"):
        assert part in result.stdout, part
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_what_is_asked_for_decides(invoke: Invoke, tmp_path: Path) -> None:
    """float64 runs on Wasm, and beside WebGPU by host steps."""
    nodes = [helper.make_node("Sin", ["x"], ["y"], name="sine")]
    path = saved(tmp_path / "wide.onnx", nodes, {"x": (F64, ["n"])}, {"y": (F64, ["n"])})
    made = told(invoke, path, exit_code=0)
    assert made["targets"] == {"wasm": True, "webgpu": True, "webgpu-strict": False}
    assert any("run on the CPU" in note for note in made["notes"])
    assert told(invoke, path, "-t", "wasm", "-t", "webgpu-strict", exit_code=3)["problems"][0]["count"] == 1


def test_equal_problems_share_a_row(invoke: Invoke, tmp_path: Path) -> None:
    names = ["x", *(f"v{i}" for i in range(5))]
    nodes = [
        helper.make_node("Frobnicate", [a], [b], name=f"long/name/of/node/{b}", domain="ai.strange")
        for a, b in itertools.pairwise(names)
    ]
    path = saved(tmp_path / "five.onnx", nodes, {"x": (F32, [3])}, {"v4": (F32, [3])})
    made = told(invoke, path, exit_code=3)
    counts = [(p["op"], p["count"], p["dtypes"]) for p in made["problems"]]
    assert counts == [("Frobnicate", 1, ["float32"]), ("Frobnicate", 4, [])]
    assert "and 1 more" in invoke("check", path).stdout


def test_inside_branches_and_behind_them(invoke: Invoke, tmp_path: Path) -> None:
    def branch(name: str, op: str, domain: str) -> Any:
        node = helper.make_node(op, ["x"], [name], name=f"{name}/{op}", domain=domain)
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, F32, [3])])

    nodes = [
        helper.make_node(
            "If",
            ["test"],
            ["b"],
            name="if",
            then_branch=branch("left", "Frobnicate", "ai.strange"),
            else_branch=branch("right", "Relu", ""),
        ),
        helper.make_node("Twiddle", ["b"], ["y"], name="behind", domain="ai.strange"),
    ]
    inputs = {"x": (F32, [3]), "test": (TensorProto.BOOL, [])}
    made = told(invoke, saved(tmp_path / "if.onnx", nodes, inputs, {"y": (F32, [3])}), exit_code=3)
    assert [(p["op"], p["nodes"]) for p in made["problems"]] == [
        ("Frobnicate", ["left/Frobnicate"]),
        ("Twiddle", ["behind"]),
    ]
    assert made["problems"][1]["dtypes"] == ["float32"]


def test_inputs_that_packs_have_not(invoke: Invoke, tmp_path: Path) -> None:
    """An input that cannot be fed does not hide what comes after."""
    nodes = [
        helper.make_node("Mul", ["c", "c"], ["d"], name="square"),
        helper.make_node("Twiddle", ["x"], ["y"], name="other", domain="ai.strange"),
    ]
    inputs = {"c": (TensorProto.COMPLEX64, [3]), "x": (F32, [3])}
    outputs = {"y": (F32, [3]), "d": (TensorProto.COMPLEX64, [3])}
    made = told(invoke, saved(tmp_path / "complex.onnx", nodes, inputs, outputs), exit_code=3)
    assert [p["nodes"] for p in made["problems"]] == [["c"], ["other"]]
    assert [u["node"] for u in made["unjudged"]] == ["square"]


def test_what_lowering_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, and what targets lack behind it."""

    def refuse(low: lower.Lowering, node: Node) -> Any:
        raise UnsupportedError(node.origin.op, node.origin.name, "no kernel today")

    nodes = [
        helper.make_node("Softmax", ["x"], ["a"], name="one"),
        helper.make_node("Softmax", ["a"], ["b"], name="two", axis=0),
        helper.make_node("Cast", ["b"], ["c"], name="wide", to=F64),
        helper.make_node("ReduceSum", ["c"], ["y"], name="sum", keepdims=0),
    ]
    path = saved(tmp_path / "soft.onnx", nodes, {"x": (F32, [3, 4])}, {"y": (F64, [])})
    monkeypatch.setitem(lower.rules(), "Softmax", refuse)
    found = check(path)
    assert [(p.op, p.nodes, len(p.targets)) for p in found.problems] == [
        ("Softmax", ("one", "two"), 3),
        ("ReduceSum + Cast", ("sum + wide",), 1),
    ]
    assert found.targets == dict.fromkeys(ANY, False)


def test_sizes_that_are_told(tmp_path: Path) -> None:
    """Which tensors a sequence keeps is not known, until the size that it hangs on is told."""
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], name="split"),
        helper.make_node("SequenceErase", ["parts"], ["fewer"], name="erase"),
        helper.make_node("SequenceLength", ["fewer"], ["y"], name="length"),
    ]
    path = saved(tmp_path / "r.onnx", nodes, {"x": (F32, ["n", 3])}, {"y": (I64, [])})
    open_, fixed = check(path), check(path, Told(dims={"n": 4}))
    assert [p.follows for p in open_.problems] == [()]
    assert all(fixed.targets.values())


@pytest.mark.parametrize("name", ["m.pt2", "m.tflite", "m.keras", "m.h5", "m.mlir", "m.strange"])
def test_other_formats_have_one_row(invoke: Invoke, name: str) -> None:
    Path(name).write_bytes(b"PK")
    result = invoke("check", name, "--json")
    made = json.loads(result.stdout)
    if result.exit_code == 1:  # a front end that knows what the file is not
        assert made["error"]["code"] == "model-invalid"
        return
    assert (result.exit_code, len(made["problems"]), len(made["unjudged"])) == (3, 1, 1)


def test_sizes_that_no_memory_holds(invoke: Invoke, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="big")]
    huge = {"x": (F32, ["n", 2**62, 3])}
    made = told(invoke, saved(tmp_path / "huge.onnx", nodes, huge, {"y": (F32, None)}), exit_code=3)
    assert [p["nodes"] for p in made["problems"]] == [["x"], ["big"]]
    assert len(made["unjudged"]) == 1


def test_what_is_read_that_nothing_makes(invoke: Invoke, tmp_path: Path) -> None:
    """A weight that is damaged is the model's fault, wherever the search has got to."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")]
    path = saved(tmp_path / "cut.onnx", nodes, {"x": (F32, [3, 4])}, {"y": (F32, [3, 2])})
    path.write_bytes(path.read_bytes().replace(np.ones((4, 2), np.float32).tobytes(), b""))
    assert invoke("check", path).exit_code == 1


def test_what_is_no_model(invoke: Invoke) -> None:
    Path("m.onnx").write_bytes(b"nonsense")
    assert invoke("check", "m.onnx").exit_code == 1
    assert invoke("check", "none.onnx").exit_code == 1
