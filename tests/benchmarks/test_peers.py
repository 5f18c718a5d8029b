"""Models for other engines, small: written as their own converters would, and the same as ONNX.

The packages that run TFLite and TensorFlow.js are not set up for tests: NumPy evaluates graphs here, and
`python -m benchmarks.models` runs every file that it writes.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.models.agree import DisagreementError, alike, near
from benchmarks.models.images import detector, mobilenetv2, resnet50
from benchmarks.models.minilm import encoder
from benchmarks.models.peers.graph import Graph, Operator
from benchmarks.models.peers.ports import described, given, returned
from benchmarks.models.peers.recurrent import unrolled
from benchmarks.models.peers.static import NotTakenError, static
from benchmarks.models.peers.tfjs import tfjs
from benchmarks.models.peers.translate import CannotTranslateError, translate
from benchmarks.models.peers.windows import padding
from benchmarks.models.sequences import Decoder, llama
from benchmarks.models.source import Array, Source
from benchmarks.models.trace import run, trace
from tests.benchmarks.test_models import EACH, SMALL
from tests.passes.bert import Size, feeds
from tests.passes.net import Net


def graph_of(source: Source) -> Graph:
    return translate(trace(source.proto, source.feeds))


def windows(x: Array, size: tuple[int, int], operator: Operator, value: float) -> Array:
    """[batch, y, x, channels, height, width] of an operator with padding."""
    padded = np.pad(x, ((0, 0), *operator["pads"], (0, 0)), constant_values=value)
    every = np.lib.stride_tricks.sliding_window_view(padded, size, (1, 2))
    return every[:, :: operator["strides"][0], :: operator["strides"][1]]


def rectified(x: Array, kind: str | None) -> Array:
    return x if kind is None else np.clip(x, 0, 6 if kind == "relu6" else None)


def computed(o: Operator, x: list[Array]) -> Array:
    """One operator by NumPy."""
    y: Array
    match o.kind:
        case "conv2d":
            y = (
                np.einsum("byxchw,hwco->byxo", windows(x[0], x[1].shape[:2], o, 0), x[1], optimize=True)
                + x[2]
            )
            return rectified(y, o["activation"])
        case "depthwise":
            y = np.einsum("byxchw,hwc->byxc", windows(x[0], x[1].shape[:2], o, 0), x[1][..., 0]) + x[2]
            return rectified(y, o["activation"])
        case "dense":
            return rectified(x[0] @ x[1] + (x[2] if len(x) > 2 else 0), o["activation"])
        case "matmul":
            return x[0] @ (np.swapaxes(x[1], -1, -2) if o["transposed"] else x[1])
        case "max_pool":
            y = windows(x[0], o["size"], o, -np.inf).max((-2, -1))
            return y
        case "resize":
            return x[0].repeat(2, 1).repeat(2, 2)
        case "mean" | "sum":
            reduced = x[0].mean if o.kind == "mean" else x[0].sum
            return np.asarray(reduced(axis=o["axes"], keepdims=o["keep"]))
        case "slice":
            ends = zip(o["begin"], o.output.shape, strict=True)
            return x[0][tuple(slice(b, b + n) for b, n in ends)]
        case "softmax":
            e = np.exp(x[0] - x[0].max(-1, keepdims=True))
            y = e / e.sum(-1, keepdims=True)
            return y
        case "gelu":
            y = x[0] * (1 + np.vectorize(math.erf)(x[0] / 2**0.5)) / 2
            return y
    plain: dict[str, Any] = {
        "add": lambda: rectified(x[0] + x[1], o["activation"]),
        "sub": lambda: x[0] - x[1],
        "mul": lambda: x[0] * x[1],
        "div": lambda: x[0] / x[1],
        "maximum": lambda: np.maximum(*x),
        "sigmoid": lambda: 1 / (1 + np.exp(-x[0])),
        "tanh": lambda: np.tanh(x[0]),
        "square": lambda: x[0] ** 2,
        "sqrt": lambda: np.sqrt(x[0]),
        "rsqrt": lambda: x[0] ** -0.5,
        "neg": lambda: -x[0],
        "cos": lambda: np.cos(x[0]),
        "sin": lambda: np.sin(x[0]),
        "concat": lambda: np.concatenate(x, o["axis"]),
        "reshape": lambda: x[0].reshape(o.output.shape),
        "broadcast": lambda: np.broadcast_to(x[0], o.output.shape),
        "transpose": lambda: x[0].transpose(o["axes"]),
        "gather": lambda: x[0][x[1]],
        "cast": lambda: x[0].astype(np.float32),
    }
    made: Array = plain[o.kind]()
    return made


@EACH
def test_translated(name: str) -> None:
    """The graph computes what the ONNX model computes, from feeds in its own order."""
    source = SMALL[name]()
    graph = unrolled(graph_of(source))
    fed = given(graph, source.feeds)
    held = {t: fed[n] for n, t in graph.inputs.items()}
    for operator in graph.operators:
        operands = [held[i] if i.data is None else i.data for i in operator.inputs]
        held[operator.output] = computed(operator, operands)
        assert held[operator.output].shape == operator.output.shape
    made = returned(graph, {n: held[t] for n, t in graph.outputs.items()})
    assert near(made, run(source.proto, source.feeds), name) < 1e-5


def test_fused() -> None:
    """Biases and rectifiers are inside of convolutions and products, and no transpose is left."""
    assert Counter(o.kind for o in graph_of(mobilenetv2(32, 2)).operators) == {
        "conv2d": 7, "depthwise": 3, "add": 1, "mean": 1, "reshape": 1, "dense": 1,
    }  # fmt: skip
    kinds = Counter(o.kind for o in graph_of(resnet50(40, (1, 1))).operators)
    assert not {"relu", "transpose", "pad"} & set(kinds)
    kinds = Counter(o.kind for o in graph_of(detector(64, 8)).operators)
    assert (kinds["transpose"], kinds["max_pool"], kinds["resize"], kinds["sigmoid"]) == (0, 3, 2, 57)
    size = Size(layers=2, width=24, heads=3, inner=40, vocabulary=50, positions=16)
    products = [o for o in graph_of(encoder(size, None, feeds(size, 1, 9))).operators if o.kind == "dense"]
    assert len(products) == 12
    assert all(len(o.inputs) == 3 for o in products)
    step = Decoder(layers=1, width=24, heads=3, inner=20, vocabulary=50, past=7)
    kinds = Counter(o.kind for o in graph_of(llama(step)).operators)
    assert (kinds["rsqrt"], kinds["sqrt"], kinds["transpose"]) == (3, 0, 4)


def test_layouts() -> None:
    """Feature maps are channels-last at both ends; token numbers are 32 bits wide."""
    told = described(graph_of(detector(64, 8)))
    assert told["inputs"] == [{"name": "image", "of": "image", "dtype": "float32", "axes": [0, 2, 3, 1]}]
    assert [o["name"] for o in told["outputs"]] == ["p3", "p4", "p5"]
    source = SMALL["minilm"]()
    told = described(graph_of(source))
    assert {p["dtype"] for p in told["inputs"]} == {"int32"}
    assert not any("axes" in p for side in told.values() for p in side)


@pytest.mark.parametrize(
    ("op", "attrs", "reason"),
    [
        ("Softmax", {"axis": 0}, "node 'n0' (Softmax): over another axis than the last one"),
        ("Erf", {}, "node 'n0' (Erf): has no handler"),
    ],
)
def test_refused(op: str, attrs: dict[str, int], reason: str) -> None:
    net = Net({"x": np.zeros((2, 3), np.float32)})
    proto = net.proto(net(op, "x", **attrs))
    with pytest.raises(CannotTranslateError) as caught:
        translate(trace(proto, net.feeds))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("inner", "outer", "size", "stride", "pads", "kind"),
    [
        (8, 8, 3, 1, (1, 1), "SAME"),
        (8, 4, 3, 2, (1, 1), "EXPLICIT"),  # TensorFlow would put none above
        (8, 4, 3, 2, (0, 1), "SAME"),
        (7, 4, 3, 2, (1, 1), "SAME"),
        (8, 6, 3, 1, (0, 0), "VALID"),
        (8, 8, 1, 1, (0, 0), "VALID"),
        (12, 6, 6, 2, (2, 2), "SAME"),
    ],
)
def test_padding(inner: int, outer: int, size: int, stride: int, pads: tuple[int, int], kind: str) -> None:
    assert padding((inner,) * 2, (outer,) * 2, (size,) * 2, (stride,) * 2, (pads, pads)) == kind


def test_tensorflow_js(tmp_path: Path) -> None:
    """Every node's inputs are made before it, the shards hold the weights, and outputs have their names."""
    graph = graph_of(mobilenetv2(32, 2))
    tfjs(graph, tmp_path / "tfjs")
    told = json.loads((tmp_path / "tfjs" / "model.json").read_text())
    made: set[str] = set()
    for node in told["modelTopology"]["node"]:
        assert set(node.get("input", [])) <= made
        assert node["name"] not in made
        made.add(node["name"])
    assert told["signature"]["outputs"]["logits"]["name"] == "logits:0"
    manifest = told["weightsManifest"][0]
    elements = sum(math.prod(w["shape"]) for w in manifest["weights"])
    assert sum((tmp_path / "tfjs" / p).stat().st_size for p in manifest["paths"]) == 4 * elements
    fused = [
        n["attr"]["fused_ops"]["list"]["s"]
        for n in told["modelTopology"]["node"]
        if n["op"] == "_FusedConv2D"
    ]
    assert [base64.b64decode(t).decode() for t in fused[0]] == ["BiasAdd", "Relu6"]


@EACH
def test_static(name: str) -> None:
    """What jax-js gets has sizes as numbers and computes the same."""
    source = SMALL[name]()
    traced = trace(source.proto, source.feeds)
    if name == "lstm":
        with pytest.raises(NotTakenError, match="no LSTM"):
            static(traced)
        return
    proto = static(traced)
    assert not {"Shape", "GlobalAveragePool"} & {n.op_type for n in proto.graph.node}
    near(run(proto, source.feeds), run(source.proto, source.feeds), name)


def test_disagreement() -> None:
    wanted = {"y": np.array([1.0, 2.0], np.float32)}
    assert near({"y": np.array([1.0, 2.0001], np.float32)}, wanted, "it") == pytest.approx(5e-5, rel=0.1)
    with pytest.raises(DisagreementError, match=r"output 'y' is off by 5\.0e-01"):
        near({"y": np.array([1.0, 3.0], np.float32)}, wanted, "it")
    with pytest.raises(DisagreementError, match="off by nan"):
        near({"y": np.array([np.nan, 2.0], np.float32)}, wanted, "it")
    with pytest.raises(DisagreementError, match=r"cosine 0\.80"):
        alike({"y": np.array([2.0, 1.0], np.float32)}, wanted, "it")
    with pytest.raises(DisagreementError, match="shapes"):
        near({"y": np.zeros(3, np.float32)}, wanted, "it")
