"""Writes a graph as TensorFlow.js's converter does: model.json with a GraphDef, and shards of weights."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models.peers.graph import Graph, Operator, Tensor
from benchmarks.models.peers.recurrent import unrolled
from benchmarks.models.peers.windows import padding
from benchmarks.models.source import Array

SHARD = 4 << 20  # bytes, the converter's default
_LOWEST = float(np.finfo(np.float32).min)
_TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32"}
_ELEMENTWISE = {
    "sub": "Sub", "mul": "Mul", "div": "RealDiv", "maximum": "Maximum", "relu": "Relu", "relu6": "Relu6",
    "sigmoid": "Sigmoid", "tanh": "Tanh", "square": "Square", "sqrt": "Sqrt", "rsqrt": "Rsqrt", "neg": "Neg",
    "cos": "Cos", "sin": "Sin", "softmax": "Softmax",
}  # fmt: skip
_ACTIVATIONS = {"relu": "Relu", "relu6": "Relu6"}

Attributes = dict[str, dict[str, Any]]


class Writer:
    """Builds nodes and weights; `save` writes them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[dict[str, Any]] = []
        self.weights: list[tuple[dict[str, Any], bytes]] = []
        self.names: dict[Tensor, str] = {}
        self.outputs = {t: n for n, t in graph.outputs.items()}
        self.rectified = {
            o.output for o in graph.operators if o.attributes.get("activation") or o.kind == "relu"
        }
        for name, tensor in graph.inputs.items():
            self.names[tensor] = name
            dims = [{"size": str(d)} for d in tensor.shape]
            shape = {"shape": {"shape": {"dim": dims}}, "dtype": {"type": _TYPES[str(tensor.dtype)]}}
            self.nodes.append({"name": name, "op": "Placeholder", "attr": shape})
        for operator in graph.operators:
            self.write(operator)

    def save(self, folder: Path) -> None:
        """Write model.json and the shards."""
        folder.mkdir(parents=True)
        whole = b"".join(data for _, data in self.weights)
        starts = range(0, len(whole), SHARD)
        paths = [f"group1-shard{i}of{len(starts)}.bin" for i in range(1, len(starts) + 1)]
        for path, start in zip(paths, starts, strict=True):
            (folder / path).write_bytes(whole[start : start + SHARD])
        topology = {"node": self.nodes, "library": {}, "versions": {"producer": 1882}}
        told = {
            "format": "graph-model",
            "generatedBy": "pyruntime benchmarks",
            "convertedBy": None,
            "signature": {"inputs": self.ports(self.graph.inputs), "outputs": self.ports(self.graph.outputs)},
            "modelTopology": topology,
            "weightsManifest": [{"paths": paths, "weights": [row for row, _ in self.weights]}],
        }
        (folder / "model.json").write_text(json.dumps(told))

    def ports(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """The signature of inputs or outputs."""
        return {
            name: {
                "name": f"{name}:0",
                "dtype": _TYPES[str(t.dtype)],
                "tensorShape": {"dim": [{"size": str(d)} for d in t.shape]},
            }
            for name, t in tensors.items()
        }

    def name(self, tensor: Tensor) -> str:
        """A node's name; constants are added when they are first read."""
        if tensor not in self.names:
            if tensor.data is None:
                raise ValueError(f"{tensor.name} is read before it is made")
            self.names[tensor] = self.constant(tensor.data, tensor.name)
        return self.names[tensor]

    def constant(self, array: Array, name: str) -> str:
        """A constant's node."""
        unique = f"{name}/{len(self.weights)}"
        kind = {"type": _TYPES[str(array.dtype)]}
        self.nodes.append({"name": unique, "op": "Const", "attr": {"dtype": kind}})
        row = {"name": unique, "shape": list(array.shape), "dtype": str(array.dtype)}
        self.weights.append((row, np.ascontiguousarray(array).tobytes()))
        return unique

    def number(self, value: float, name: str) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32), name)

    def ints(self, values: Any, name: str) -> str:
        """Sizes, axes and the like."""
        return self.constant(np.asarray(values, np.int32), name)

    def node(self, op: str, inputs: list[str], name: str, attributes: Attributes | None = None) -> str:
        """Append a node."""
        attr = {"T": {"type": "DT_FLOAT"}, **(attributes or {})}
        self.nodes.append({"name": name, "op": op, "input": inputs, "attr": attr})
        return name

    def fused(self, operator: Operator) -> Attributes:
        """Bias and activation of a fused operator."""
        names = ["BiasAdd"] if len(operator.inputs) > 2 else []
        if operator["activation"]:
            names.append(_ACTIVATIONS[operator["activation"]])
        bias = len(operator.inputs) - 2
        return {"fused_ops": {"list": {"s": [_text(n) for n in names]}}, "num_args": {"i": str(bias)}}

    def window(self, operator: Operator, size: tuple[int, ...]) -> tuple[str, Attributes]:
        """How padding is told: VALID, SAME or EXPLICIT, with explicit pads."""
        kind = padding(
            operator.inputs[0].shape[1:3],
            operator.output.shape[1:3],
            size,
            operator["strides"],
            operator["pads"],
        )
        height, width = operator["strides"]
        attributes: Attributes = {
            "strides": _numbers(1, height, width, 1),
            "padding": {"s": _text(kind)},
            "data_format": {"s": _text("NHWC")},
        }
        return kind, attributes

    def convolve(self, op: str, operator: Operator, name: str) -> None:
        """A convolution with bias and activation."""
        kind, attributes = self.window(operator, operator.inputs[1].shape[:2])
        if kind == "EXPLICIT":
            flat = [p for pair in operator["pads"] for p in pair]
            attributes["explicit_paddings"] = _numbers(0, 0, *flat, 0, 0)
        attributes |= {"dilations": _numbers(1, 1, 1, 1), **self.fused(operator)}
        self.node(op, [self.name(i) for i in operator.inputs], name, attributes)

    def pool(self, operator: Operator, name: str) -> None:
        """The largest of windows, which have no explicit padding."""
        x = self.name(operator.inputs[0])
        kind, attributes = self.window(operator, operator["size"])
        if kind == "EXPLICIT":
            pads = self.ints([(0, 0), *operator["pads"], (0, 0)], name + "_pads")
            rectified = operator.inputs[0] in self.rectified
            value = self.number(0 if rectified else _LOWEST, name + "_value")
            x = self.node("PadV2", [x, pads, value], name + "_padded")
            attributes["padding"] = {"s": _text("VALID")}
        height, width = operator["size"]
        self.node("MaxPool", [x], name, {**attributes, "ksize": _numbers(1, height, width, 1)})

    def dense(self, operator: Operator, name: str) -> None:
        """A product of matrices, with reshapes around it for other ranks."""
        x, weights = operator.inputs[:2]
        inputs = [self.name(i) for i in operator.inputs]
        attributes = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **self.fused(operator)}
        if len(x.shape) == 2:
            self.node("_FusedMatMul", inputs, name, attributes)
            return
        flat = self.ints([-1, weights.shape[0]], name + "_flat")
        inputs[0] = self.node("Reshape", [inputs[0], flat], name + "_rows")
        product = self.node("_FusedMatMul", inputs, name + "_product", attributes)
        self.node("Reshape", [product, self.ints(operator.output.shape, name + "_shape")], name)

    def gelu(self, operator: Operator, name: str) -> None:
        """By erf, spelled out: there is no operator for it."""
        x = self.name(operator.inputs[0])
        numbers = {n: self.number(n, name + "_constant") for n in (0.5, 1.0, 0.5**0.5)}
        scaled = self.node("Mul", [x, numbers[0.5**0.5]], name + "_scaled")
        gate = self.node("AddV2", [self.node("Erf", [scaled], name + "_erf"), numbers[1.0]], name + "_gate")
        half = self.node("Mul", [x, numbers[0.5]], name + "_half")
        self.node("Mul", [half, gate], name)

    def write(self, operator: Operator) -> None:
        """Append the nodes of one operator."""
        name = self.outputs.get(operator.output, operator.output.name)
        self.names[operator.output] = name
        x = operator.inputs[0]
        match operator.kind:
            case "conv2d":
                self.convolve("_FusedConv2D", operator, name)
            case "depthwise":
                self.convolve("FusedDepthwiseConv2dNative", operator, name)
            case "dense":
                self.dense(operator, name)
            case "matmul":
                adjoint = {"adj_x": {"b": False}, "adj_y": {"b": bool(operator["transposed"])}}
                self.node("BatchMatMulV2", [self.name(i) for i in operator.inputs], name, adjoint)
            case "add":
                activation = operator["activation"]
                inputs = [self.name(i) for i in operator.inputs]
                made = self.node("AddV2", inputs, f"{name}_sum" if activation else name)
                if activation:
                    self.node(_ACTIVATIONS[activation], [made], name)
            case "gelu":
                self.gelu(operator, name)
            case "mean" | "sum":
                axes = self.ints(operator["axes"], name + "_axes")
                keep = {"keep_dims": {"b": operator["keep"]}}
                self.node(operator.kind.capitalize(), [self.name(x), axes], name, keep)
            case "max_pool":
                self.pool(operator, name)
            case "resize":
                size = self.ints(operator["size"], name + "_size")
                corners = {"align_corners": {"b": False}, "half_pixel_centers": {"b": False}}
                self.node("ResizeNearestNeighbor", [self.name(x), size], name, corners)
            case "concat":
                axis = self.ints(operator["axis"], name + "_axis")
                count = {"N": {"i": str(len(operator.inputs))}}
                self.node("ConcatV2", [*(self.name(i) for i in operator.inputs), axis], name, count)
            case "reshape":
                self.node("Reshape", [self.name(x), self.ints(operator.output.shape, name + "_shape")], name)
            case "broadcast":
                self.node(
                    "BroadcastTo", [self.name(x), self.ints(operator.output.shape, name + "_shape")], name
                )
            case "transpose":
                self.node("Transpose", [self.name(x), self.ints(operator["axes"], name + "_axes")], name)
            case "gather":
                axis = self.ints(0, name + "_axis")
                self.node("GatherV2", [*(self.name(i) for i in operator.inputs), axis], name)
            case "slice":
                begin = self.ints(operator["begin"], name + "_begin")
                size = self.ints(operator.output.shape, name + "_size")
                self.node("Slice", [self.name(x), begin, size], name)
            case "cast":
                source = {"SrcT": {"type": _TYPES[str(x.dtype)]}, "DstT": {"type": "DT_FLOAT"}}
                self.node("Cast", [self.name(x)], name, source)
            case kind:
                self.node(_ELEMENTWISE[kind], [self.name(i) for i in operator.inputs], name)


def tfjs(graph: Graph, folder: Path) -> None:
    """Write the folder of a graph; LSTMs are unrolled, since the format has none."""
    Writer(unrolled(graph)).save(folder)


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(v) for v in values]}}
