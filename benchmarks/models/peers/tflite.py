"""Writes a graph as a TFLite file, by the object API of the format's own schema."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.models.peers.graph import Graph, Operator, Tensor
from benchmarks.models.peers.tflite_loop import write_lstm
from benchmarks.models.peers.windows import padding
from benchmarks.models.source import Array

SIGNATURE = "serving_default"
_LOWEST = float(np.finfo(np.float32).min)
_ELEMENTWISE = {  # the operator and the type of its options
    "sub": ("SUB", "SubOptions"),
    "mul": ("MUL", "MulOptions"),
    "div": ("DIV", "DivOptions"),
    "maximum": ("MAXIMUM", "MaximumMinimumOptions"),
    "relu": ("RELU", None),
    "relu6": ("RELU6", None),
    "sigmoid": ("LOGISTIC", None),
    "tanh": ("TANH", None),
    "gelu": ("GELU", "GeluOptions"),
    "square": ("SQUARE", "SquareOptions"),
    "sqrt": ("SQRT", None),
    "rsqrt": ("RSQRT", None),
    "neg": ("NEG", "NegOptions"),
    "cos": ("COS", "CosOptions"),
    "sin": ("SIN", None),
}

_VERSIONS = {"BROADCAST_TO": 2}  # the first one that there is


class Writer:
    """Builds the model; `data` gives the file's bytes."""

    def __init__(self, graph: Graph, schema: Any) -> None:
        self.graph, self.schema = graph, schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = b"pyruntime benchmarks"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.model.subgraphs = []
        self.part = self.begun("main")
        self.indices: dict[Tensor, int] = {}
        self.buffers: dict[bytes, int] = {}
        self.codes: dict[int, int] = {}
        self.taken: set[str] = set(graph.outputs)
        self.named = {t: n for n, t in graph.outputs.items()}
        self.activated = {
            o.output for o in graph.operators if o.attributes.get("activation") or o.kind == "relu"
        }

    def data(self) -> bytes:
        """The file."""
        import flatbuffers

        self.part.inputs = [self.index(t) for t in self.graph.inputs.values()]
        for operator in self.graph.operators:
            self.write(operator)
        self.part.outputs = [self.index(t) for t in self.graph.outputs.values()]
        signature = self.schema.SignatureDefT()
        signature.signatureKey = SIGNATURE.encode()
        signature.inputs = self.ports(self.graph.inputs)
        signature.outputs = self.ports(self.graph.outputs)
        self.model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def begun(self, name: str) -> Any:
        """A new part of the model, without anything in it."""
        part = self.schema.SubGraphT()
        part.name, part.tensors, part.operators = name.encode(), [], []
        self.model.subgraphs.append(part)
        return part

    @contextmanager
    def subgraph(self, name: str) -> Iterator[int]:
        """Write to another part meanwhile; gives its number."""
        outer = self.part, self.indices
        self.part, self.indices = self.begun(name), {}
        yield len(self.model.subgraphs) - 1
        self.part, self.indices = outer

    def ports(self, tensors: dict[str, Tensor]) -> list[Any]:
        """Names of a signature, in the order of the names, as readers expect them."""
        made = []
        for name, tensor in tensors.items():
            port = self.schema.TensorMapT()
            port.name, port.tensorIndex = name.encode(), self.index(tensor)
            made.append(port)
        return made

    def index(self, tensor: Tensor) -> int:
        """A tensor's number, after adding it if need be."""
        if tensor not in self.indices:
            kind = getattr(self.schema.TensorType, str(tensor.dtype).upper())
            buffer = 0 if tensor.data is None else self.buffer(tensor.data)
            self.indices[tensor] = self.add(tensor.name, tensor.shape, kind, buffer)
            if tensor in self.named:
                self.part.tensors[-1].name = self.named[tensor].encode()
        return self.indices[tensor]

    def add(self, name: str, shape: tuple[int, ...], kind: int, buffer: int) -> int:
        """A new tensor; names are made unique, which the quantiser asks for."""
        made = self.schema.TensorT()
        name = f"{name}_{len(self.part.tensors)}" if name in self.taken else name
        self.taken.add(name)
        made.name, made.shape, made.type, made.buffer = name.encode(), list(shape), kind, buffer
        self.part.tensors.append(made)
        return len(self.part.tensors) - 1

    def buffer(self, array: Array) -> int:
        """The number of a buffer with these bytes; equal ones are one."""
        flat = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        digest = hashlib.sha256(flat.tobytes()).digest()
        if digest not in self.buffers:
            made = self.schema.BufferT()
            made.data = flat
            self.model.buffers.append(made)
            self.buffers[digest] = len(self.model.buffers) - 1
        return self.buffers[digest]

    def constant(self, array: Array, name: str) -> int:
        """A constant that the format wants beside what the graph has."""
        kind = getattr(self.schema.TensorType, str(array.dtype).upper())
        return self.add(name, array.shape, kind, self.buffer(array))

    def ints(self, values: Any, name: str) -> int:
        """Sizes, axes and the like."""
        return self.constant(np.asarray(values, np.int32), name)

    def append(self, code: str, options: str | None, inputs: list[int], *outputs: int, **fields: Any) -> None:
        """An operator."""
        number = getattr(self.schema.BuiltinOperator, code)
        if number not in self.codes:
            made = self.schema.OperatorCodeT()
            made.builtinCode, made.deprecatedBuiltinCode = number, min(number, 127)
            made.version = _VERSIONS.get(code, 1)
            self.model.operatorCodes.append(made)
            self.codes[number] = len(self.model.operatorCodes) - 1
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes[number], inputs, list(outputs)
        if options:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self.schema, options + "T")()
            for name, value in fields.items():
                if not hasattr(operator.builtinOptions, name):
                    raise AttributeError(f"{options} has no {name}")
                setattr(operator.builtinOptions, name, value)
        self.part.operators.append(operator)

    def activation(self, operator: Operator) -> dict[str, int]:
        """What an operator's options say of its activation."""
        kinds = self.schema.ActivationFunctionType
        return {"fusedActivationFunction": getattr(kinds, (operator["activation"] or "none").upper())}

    def window(self, operator: Operator, size: tuple[int, ...]) -> tuple[int, dict[str, int]]:
        """The input, padded if TensorFlow has no word for its padding; stride and padding options."""
        x, pads = operator.inputs[0], operator["pads"]
        kind = padding(x.shape[1:3], operator.output.shape[1:3], size, operator["strides"], pads)
        source = self.index(x)
        if kind == "EXPLICIT":
            source, kind = self.padded(operator, [(0, 0), *pads, (0, 0)]), "VALID"
        height, width = operator["strides"]
        return source, {"strideH": height, "strideW": width, "padding": getattr(self.schema.Padding, kind)}

    def padded(self, operator: Operator, pads: list[tuple[int, int]]) -> int:
        """The input with zeros around it, or with what no maximum takes."""
        x, name = operator.inputs[0], f"{operator.output.name}_padded"
        shape = tuple(n + sum(p) for n, p in zip(x.shape, pads, strict=True))
        output = self.add(name, shape, self.schema.TensorType.FLOAT32, 0)
        inputs = [self.index(x), self.ints(pads, name + "_pads")]
        # after a rectifier zeros are as good, and known to more kernels
        if operator.kind == "max_pool" and x not in self.activated:
            lowest = self.constant(np.float32(_LOWEST).reshape(1), name + "_lowest")
            self.append("PADV2", "PadV2Options", [*inputs, lowest], output)
        else:
            self.append("PAD", "PadOptions", inputs, output)
        return output

    def weights(self, operator: Operator, axes: tuple[int, ...]) -> list[int]:
        """Weights in the format's order, and the bias."""
        weights, *bias = operator.inputs[1:]
        if weights.data is None:
            raise ValueError(f"{operator.output.name}: weights are computed")
        return [self.constant(weights.data.transpose(axes), weights.name), *(self.index(b) for b in bias)]

    def embed(self, operator: Operator, output: int) -> None:
        """Rows of a table for a vector of indices, with reshapes around it for other ranks."""
        table, indices = operator.inputs
        name = operator.output.name
        count, width = math.prod(indices.shape), table.shape[1]
        kinds = self.schema.TensorType
        flat = self.add(name + "_flat", (count,), kinds.INT32, 0)
        self.reshape(self.index(indices), flat, (count,), name + "_flat_shape")
        rows = self.add(name + "_rows", (count, width), kinds.FLOAT32, 0)
        self.append("EMBEDDING_LOOKUP", None, [flat, self.index(table)], rows)
        self.reshape(rows, output, operator.output.shape, name + "_shape")

    def reshape(self, source: int, output: int, shape: tuple[int, ...], name: str) -> None:
        """A reshape, which has its shape twice."""
        self.append(
            "RESHAPE", "ReshapeOptions", [source, self.ints(shape, name)], output, newShape=list(shape)
        )

    def write(self, operator: Operator) -> None:
        """Append what computes one operator of the graph."""
        output, name = self.index(operator.output), operator.output.name
        inputs = operator.inputs
        match operator.kind:
            case "conv2d":
                source, fields = self.window(operator, inputs[1].shape[:2])
                operands = [source, *self.weights(operator, (3, 0, 1, 2))]
                self.append(
                    "CONV_2D", "Conv2DOptions", operands, output, **fields, **self.activation(operator)
                )
            case "depthwise":
                source, fields = self.window(operator, inputs[1].shape[:2])
                operands = [source, *self.weights(operator, (3, 0, 1, 2))]
                fields |= {"depthMultiplier": 1, **self.activation(operator)}
                self.append("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", operands, output, **fields)
            case "dense":
                operands = [self.index(inputs[0]), *self.weights(operator, (1, 0))]
                operands += [-1] * (3 - len(operands))
                fields = {"keepNumDims": True, **self.activation(operator)}
                self.append("FULLY_CONNECTED", "FullyConnectedOptions", operands, output, **fields)
            case "matmul":
                operands = [self.index(i) for i in inputs]
                turned = operator["transposed"]
                self.append("BATCH_MATMUL", "BatchMatMulOptions", operands, output, adjX=False, adjY=turned)
            case "add":
                operands = [self.index(i) for i in inputs]
                self.append("ADD", "AddOptions", operands, output, **self.activation(operator))
            case "softmax":
                self.append("SOFTMAX", "SoftmaxOptions", [self.index(inputs[0])], output, beta=1.0)
            case "mean" | "sum":
                operands = [self.index(inputs[0]), self.ints(operator["axes"], name + "_axes")]
                self.append(
                    operator.kind.upper(), "ReducerOptions", operands, output, keepDims=operator["keep"]
                )
            case "max_pool":
                source, fields = self.window(operator, operator["size"])
                height, width = operator["size"]
                fields |= {"filterHeight": height, "filterWidth": width}
                self.append("MAX_POOL_2D", "Pool2DOptions", [source], output, **fields)
            case "resize":
                operands = [self.index(inputs[0]), self.ints(operator["size"], name + "_size")]
                self.append("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", operands, output)
            case "gather":
                self.embed(operator, output)
            case "concat":
                operands = [self.index(i) for i in inputs]
                self.append("CONCATENATION", "ConcatenationOptions", operands, output, axis=operator["axis"])
            case "reshape":
                self.reshape(self.index(inputs[0]), output, operator.output.shape, name + "_shape")
            case "broadcast":
                operands = [self.index(inputs[0]), self.ints(operator.output.shape, name + "_shape")]
                self.append("BROADCAST_TO", "BroadcastToOptions", operands, output)
            case "transpose":
                operands = [self.index(inputs[0]), self.ints(operator["axes"], name + "_axes")]
                self.append("TRANSPOSE", "TransposeOptions", operands, output)
            case "slice":
                begin = self.ints(operator["begin"], name + "_begin")
                size = self.ints(operator.output.shape, name + "_size")
                self.append("SLICE", "SliceOptions", [self.index(inputs[0]), begin, size], output)
            case "lstm":
                write_lstm(self, operator)
            case "cast":
                kinds = self.schema.TensorType
                source = getattr(kinds, str(inputs[0].dtype).upper())
                fields = {"inDataType": source, "outDataType": kinds.FLOAT32}
                self.append("CAST", "CastOptions", [self.index(inputs[0])], output, **fields)
            case kind:
                code, options = _ELEMENTWISE[kind]
                self.append(code, options, [self.index(i) for i in inputs], output)


def tflite(graph: Graph, schema: Any) -> bytes:
    """The file of a graph.

    Args:
        graph: what to write.
        schema: the module `schema_py_generated` of the format.
    """
    return Writer(graph, schema).data()
