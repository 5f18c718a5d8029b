"""ONNX's LSTM, GRU and RNN in all their forms: imported and lowered, they give what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise

from pyruntime import convert, load
from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.program import Program
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import bind_symbols
from tests.frontends.on_devices import DEVICES, Device
from tests.frontends.onnx_models import imported, model, random, reference, run, runtime, same
from tests.fuzz.mended import evaluator

Array = NDArray[Any]
Shapes = dict[str, list[int | str | None]]

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OPS = tuple(GATES)
STEPS, BATCH, WIDTH, UNITS = 5, 3, 4, 7
OUTPUTS = ("y", "y_h", "y_c")


@dataclass(frozen=True)
class Layer:
    """A node with all inputs: x and states are fed, all others are weights unless `fed` names them."""

    op: str
    direction: str = "forward"
    opset: int = 14
    bias: bool = True
    lengths: bool = False
    states: bool = True
    peepholes: bool = False
    batch_first: bool = False
    fed: Sequence[str] = ()
    outputs: Sequence[str] = ()
    dtype: type[np.floating[Any]] = np.float32

    @property
    def directions(self) -> int:
        """1 or 2."""
        return 2 if self.direction == "bidirectional" else 1

    def tensors(self) -> dict[str, Array]:
        """The node's inputs in order."""
        d, rows, lstm = self.directions, GATES[self.op] * UNITS, self.op == "LSTM"
        given: dict[str, Array | None] = {
            "x": random(STEPS, BATCH, WIDTH, seed=1),
            "w": random(d, rows, WIDTH, seed=2, low=-1, high=1),
            "r": random(d, rows, UNITS, seed=3, low=-0.5, high=0.5),
            "b": random(d, 2 * rows, seed=4) if self.bias else None,
            "lengths": np.array([5, 2, 4], np.int32) if self.lengths else None,
            "h": random(d, BATCH, UNITS, seed=5) if self.states else None,
            "c": random(d, BATCH, UNITS, seed=6) if self.states and lstm else None,
            "p": random(d, 3 * UNITS, seed=7) if self.peepholes else None,
        }
        return {
            k: v if v.dtype == np.int32 else v.astype(self.dtype) for k, v in given.items() if v is not None
        }

    def build(self, **attrs: Any) -> tuple[ModelProto, dict[str, Array]]:
        """The model with dynamic steps and batch, and what to feed."""
        tensors = self.tensors()
        order = ("x", "w", "r", "b", "lengths", "h", *(("c", "p") if self.op == "LSTM" else ()))
        names = [n if n in tensors else "" for n in order]
        outputs = self.outputs or OUTPUTS[: 3 if self.op == "LSTM" else 2]
        if self.batch_first:
            attrs["layout"] = 1
            for name in {"x", "h", "c"} & tensors.keys():
                tensors[name] = np.ascontiguousarray(tensors[name].swapaxes(0, 1))
        if self.direction != "forward":
            attrs["direction"] = self.direction
        node = helper.make_node(self.op, names, outputs, name="layer", hidden_size=UNITS, **attrs)
        fed = {"x", "h", "c", "lengths", *self.fed} & tensors.keys()
        axis = 0 if self.batch_first else 1
        shapes: Shapes = {n: list(tensors[n].shape) for n in fed}
        for name in fed & {"x", "h", "c"}:
            shapes[name][axis] = "batch"
        shapes["x"][1 - axis] = "steps"
        if "lengths" in fed:
            shapes["lengths"] = ["batch"]
        feeds = {n: a for n, a in tensors.items() if n in fed}
        weights = {n: a for n, a in tensors.items() if n not in fed}
        proto = model(
            [node], feeds, [o for o in outputs if o], opset=self.opset, weights=weights, shapes=shapes
        )
        return proto, feeds


def lowered(proto: ModelProto) -> Program:
    graph = imported(proto)
    optimise(graph)
    return lower(graph)


def interpreted(proto: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The lowered program on the reference executor."""
    graph = imported(proto)
    symbols = bind_symbols(graph, feeds)
    optimise(graph)
    outputs = run_program(lower(graph), [feeds[v.name] for v in graph.inputs], symbols)
    return dict(zip(graph.output_names, outputs, strict=True))


def agrees(
    proto: ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array] | None = None
) -> None:
    wanted = runtime(proto, feeds) if expected is None else expected
    same(run(proto, feeds), wanted)
    same(interpreted(proto, feeds), wanted)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_directions(op: str, direction: str, lengths: bool, bare: bool) -> None:
    proto, feeds = Layer(op, direction, lengths=lengths, bias=not bare, states=not bare).build()
    agrees(proto, feeds)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("opset", [7, 14, 22])
def test_opsets(op: str, opset: int) -> None:
    agrees(*Layer(op, "bidirectional", opset=opset).build())


@pytest.mark.parametrize("op", OPS)
def test_first_opset(op: str) -> None:
    """onnxruntime knows them from opset 7 on; then `output_sequence` went."""
    proto, feeds = Layer(op, "reverse", opset=1).build(output_sequence=1)
    agrees(proto, feeds, runtime(*Layer(op, "reverse", opset=7).build()))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_batch_first(op: str, direction: str) -> None:
    """onnxruntime has no layout 1: compared with layout 0, transposed."""
    expected = runtime(*Layer(op, direction).build())
    moved = {n: a.transpose(2, 0, 1, 3) if n == "y" else a.swapaxes(0, 1) for n, a in expected.items()}
    agrees(*Layer(op, direction, batch_first=True).build(), expected=moved)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("outputs", [("y",), ("", "y_h"), ("y", "y_h")])
def test_some_outputs(op: str, outputs: Sequence[str]) -> None:
    agrees(*Layer(op, outputs=outputs).build())


@pytest.mark.parametrize("op", OPS)
def test_unread_steps_are_not_stored(op: str) -> None:
    program = lowered(Layer(op, outputs=("", "y_h")).build()[0])
    (kept,) = (c.keeps_steps for c in program.calls if c.template == "recurrence")  # type: ignore[attr-defined]
    assert not kept


@pytest.mark.parametrize("op", OPS)
def test_weights_as_inputs(op: str) -> None:
    agrees(*Layer(op, "bidirectional", fed=("w", "r", "b")).build())


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_reset_before_or_after(before: int, bias: bool, direction: str) -> None:
    agrees(*Layer("GRU", direction, bias=bias).build(linear_before_reset=before))


@pytest.mark.parametrize("attrs", [{}, {"clip": 0.5}, {"input_forget": 1}])
def test_peepholes(attrs: Mapping[str, Any]) -> None:
    agrees(*Layer("LSTM", "bidirectional", peepholes=True).build(**attrs))


@pytest.mark.parametrize("op", OPS)
def test_clip(op: str) -> None:
    agrees(*Layer(op).build(clip=0.3))


def test_activations_with_parameters_in_order() -> None:
    """Only functions that have a parameter take one."""
    attrs = {
        "activations": ["HardSigmoid", "tanh", "Affine", "Sigmoid", "LeakyRelu", "ScaledTanh"],
        "activation_alpha": [0.3, 0.7, 0.1, 0.9],
        "activation_beta": [0.4, 0.2, 1.1],
    }
    agrees(*Layer("LSTM", "bidirectional").build(**attrs))


@pytest.mark.parametrize("op", OPS)
def test_half_precision_is_computed_in_single(op: str) -> None:
    proto, feeds = Layer(op, dtype=np.float16).build()
    single, wide = Layer(op).build()
    rounded = {n: a.astype(np.float16) for n, a in runtime(single, wide).items()}
    same(interpreted(proto, feeds), rounded, 5e-3)


def test_lengths_of_all_steps_cost_nothing() -> None:
    layer = Layer("LSTM")
    proto, feeds = layer.build()
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["steps"]),
        helper.make_node("Slice", ["shape", "one", "two"], ["rows"]),
        helper.make_node("Expand", ["steps", "rows"], ["long"]),
        helper.make_node("Cast", ["long"], ["lengths"], to=6),
        proto.graph.node[0],
    ]
    nodes[-1].input[4] = "lengths"
    weights = {n: a for n, a in layer.tensors().items() if n not in feeds}
    weights |= {n: np.array([i], np.int64) for i, n in enumerate(("zero", "one", "two"))}
    shapes: Shapes = {"x": ["steps", "batch", WIDTH], **{n: [1, "batch", UNITS] for n in "hc"}}
    made = model(nodes, feeds, OUTPUTS, weights=weights, shapes=shapes)
    agrees(made, feeds)
    assert [c.template for c in lowered(made).calls][:2] == ["matmul", "recurrence"]
    assert [c.lengths for c in lowered(made).calls if c.template == "recurrence"] == [None]  # type: ignore[attr-defined]


def test_zero_states_and_joined_directions_take_no_kernel() -> None:
    """What PyTorch exports: states of zeros by the batch size, outputs of both directions side by side."""
    layer = Layer("LSTM", "bidirectional", states=False, outputs=("y",))
    proto, feeds = layer.build()
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "one", "two"], ["rows"]),
        helper.make_node("Concat", ["two", "rows", "units"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        proto.graph.node[0],
        helper.make_node("Transpose", ["y"], ["moved"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["moved", "joined"], ["out"]),
    ]
    nodes[4].input.extend([""] * (5 - len(nodes[4].input)))
    del nodes[4].input[5:]
    nodes[4].input.extend(["zeros", "zeros"])
    weights = {n: a for n, a in layer.tensors().items() if n not in feeds}
    weights |= {"one": np.array([1]), "two": np.array([2]), "units": np.array([UNITS])}
    weights["joined"] = np.array([0, 0, -1])
    made = model(nodes, feeds, ["out"], weights=weights, shapes={"x": ["steps", "batch", WIDTH]})
    agrees(made, feeds)
    assert [c.template for c in lowered(made).calls] == ["matmul", "recurrence"]


def test_what_is_refused() -> None:
    proto, _ = Layer("RNN").build(activations=["Gelu"])
    with pytest.raises(UnsupportedError, match="'Gelu' is not one of"):
        imported(proto)
    proto, _ = Layer("RNN").build(activation_alpha=[0.5])
    with pytest.raises(UnsupportedError, match="belong to no activation"):
        imported(proto)
    proto, _ = Layer("GRU").build(activations=["Tanh"])
    with pytest.raises(ModelError, match="1 activations"):
        imported(proto)


PLAIN = [
    ("LSTM", {}),
    ("LSTM", {"clip": 0.7, "input_forget": 1}),
    ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Elu"] * 2, "activation_alpha": [0.3] * 4}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1, "clip": 0.5}),
    ("GRU", {"activations": ["Sigmoid", "Affine"] * 2, "activation_alpha": [0.4] * 2}),
    ("RNN", {"activations": ["ScaledTanh"] * 2, "activation_alpha": [0.9] * 2, "activation_beta": [0.8] * 2}),
]


@pytest.mark.parametrize(("op", "attrs"), PLAIN, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_double(op: str, attrs: dict[str, Any], dtype: type[np.floating[Any]]) -> None:
    """ONNX Runtime takes no float64: what judges that is held to it in float32."""
    given = Layer(op, "bidirectional", lengths=True, peepholes=op == "LSTM", dtype=dtype)
    proto, feeds = given.build(**attrs)
    expected = reference(*replace(given, dtype=np.float64).build(**attrs), evaluator)
    if dtype is np.float32:
        narrowed = {n: a.astype(np.float32) for n, a in expected.items()}
        for name, array in runtime(proto, feeds).items():
            np.testing.assert_allclose(array, narrowed[name], rtol=0, atol=1e-6)
        return
    for found in (run(proto, feeds), interpreted(proto, feeds)):
        assert found.keys() == expected.keys()
        for name, array in found.items():
            assert array.dtype == np.float64
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-14)


@pytest.mark.parametrize("op", OPS)
def test_double_with_batch_first(op: str) -> None:
    plain = Layer(op, dtype=np.float64)
    proto, feeds = replace(plain, batch_first=True).build()
    expected = reference(*plain.build(), evaluator)
    found = run(proto, feeds)
    np.testing.assert_allclose(found["y"], expected["y"].transpose(2, 0, 1, 3), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found["y_h"], expected["y_h"].swapaxes(0, 1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("op", OPS)
def test_double_on_devices(op: str, device: Device, tmp_path: Path) -> None:
    """Of a batch of none, too."""
    layer = Layer(op, "bidirectional", dtype=np.float64)
    proto, feeds = layer.build()
    expected = reference(proto, feeds, evaluator)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    convert(tmp_path / "model.onnx", tmp_path / "pack", targets=(device,))
    with load(tmp_path / "pack", device=device) as session:
        for name, array in session.run(feeds).items():
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-14)
        none = session.run({n: a[:, :0] for n, a in feeds.items()})
    assert none["y"].shape == (STEPS, 2, 0, UNITS)
    assert none["y"].dtype == np.float64
