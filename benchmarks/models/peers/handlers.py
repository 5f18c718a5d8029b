"""What each ONNX operator of the benchmarks is among the operators that other engines know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto

from benchmarks.models.peers.graph import CHANNELS_LAST, Tensor, channels_last
from benchmarks.models.trace import attributes

if TYPE_CHECKING:
    from benchmarks.models.peers.translate import Translator

Handler = Callable[["Translator", NodeProto], Tensor]
HANDLERS: dict[str, Handler] = {}
HIDDEN = -1e9  # what is added to scores of padding; ONNX has minus infinity, which not every kernel takes


def on(*operators: str) -> Callable[[Handler], Handler]:
    """Marks the handler of these operators; it gives the node's first output."""

    def mark(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operators, handler))
        return handler

    return mark


@on("Add", "Sub", "Mul", "Div", "Neg", "Sqrt", "Tanh", "Sigmoid", "Relu", "Gelu", "Cos", "Sin")
def _elementwise(t: Translator, node: NodeProto) -> Tensor:
    """The same everywhere, under the same name."""
    return t.like(node.op_type.lower(), *(t.value(i) for i in node.input))


@on("Conv")
def _conv(t: Translator, node: NodeProto) -> Tensor:
    attrs = attributes(node)
    x, weights = t.value(node.input[0]), t.data(node.input[1])
    if set(attrs["dilations"]) != {1}:
        raise t.refused("dilated")
    depthwise = attrs["group"] == x.shape[3] == weights.shape[0]
    if attrs["group"] != 1 and not depthwise:
        raise t.refused("groups of several channels")
    turned = weights.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return t.emit(
        "depthwise" if depthwise else "conv2d",
        x,
        t.constant(turned, node.input[1]),
        t.value(node.input[2]),
        shape=channels_last(t.shape(node.output[0])),
        maps=True,
        strides=tuple(attrs["strides"]),
        pads=_pads(attrs["pads"]),
        activation=None,
    )


@on("Clip")
def _clip(t: Translator, node: NodeProto) -> Tensor:
    x, *bounds = (t.value(node.input[0]), *(float(t.data(i)) for i in node.input[1:]))
    if len(bounds) == 1:
        return t.like("maximum", x, t.constant(bounds[0]))
    if bounds != [0.0, 6.0]:
        raise t.refused(f"to {bounds}")
    return t.like("relu6", x)


@on("MaxPool")
def _max_pool(t: Translator, node: NodeProto) -> Tensor:
    attrs = attributes(node)
    return t.emit(
        "max_pool",
        t.value(node.input[0]),
        shape=channels_last(t.shape(node.output[0])),
        maps=True,
        size=tuple(attrs["kernel_shape"]),
        strides=tuple(attrs["strides"]),
        pads=_pads(attrs["pads"]),
    )


@on("GlobalAveragePool")
def _global_average(t: Translator, node: NodeProto) -> Tensor:
    x = t.value(node.input[0])
    return t.emit("mean", x, shape=(x.shape[0], 1, 1, x.shape[3]), maps=True, axes=(1, 2), keep=True)


@on("Resize")
def _resize(t: Translator, node: NodeProto) -> Tensor:
    attrs = attributes(node)
    if attrs["mode"] != b"nearest" or attrs["coordinate_transformation_mode"] != b"asymmetric":
        raise t.refused("other than to nearest neighbours")
    shape = channels_last(t.shape(node.output[0]))
    return t.emit("resize", t.value(node.input[0]), shape=shape, maps=True, size=shape[1:3])


@on("Concat")
def _concat(t: Translator, node: NodeProto) -> Tensor:
    inputs = [t.value(i) for i in node.input]
    maps = any(i.maps for i in inputs)
    shape = t.shape(node.output[0])
    axis = attributes(node)["axis"] % len(shape)
    if maps:
        axis, shape = CHANNELS_LAST.index(axis), channels_last(shape)
    return t.emit("concat", *inputs, shape=shape, maps=maps, axis=axis)


@on("Reshape", "Flatten", "Unsqueeze", "Squeeze")
def _reshape(t: Translator, node: NodeProto) -> Tensor:
    x = t.plain(node.input[0])
    return t.emit("reshape", x, shape=t.shape(node.output[0]), dtype=x.dtype)


@on("Transpose")
def _transpose(t: Translator, node: NodeProto) -> Tensor:
    axes = tuple(attributes(node)["perm"])
    return t.emit("transpose", t.plain(node.input[0]), shape=t.shape(node.output[0]), axes=axes)


@on("Slice")
def _slice(t: Translator, node: NodeProto) -> Tensor:
    x = t.plain(node.input[0])
    begin = [0] * len(x.shape)
    starts, axes = t.data(node.input[1]), t.data(node.input[3])
    if np.any(t.data(node.input[4]) != 1):
        raise t.refused("with steps")
    for start, axis in zip(starts, axes, strict=True):
        begin[axis] = int(start) % x.shape[axis]
    return t.emit("slice", x, shape=t.shape(node.output[0]), begin=tuple(begin))


@on("Expand")
def _expand(t: Translator, node: NodeProto) -> Tensor:
    return t.emit("broadcast", t.plain(node.input[0]), shape=t.shape(node.output[0]))


@on("Gather")
def _gather(t: Translator, node: NodeProto) -> Tensor:
    if attributes(node).get("axis", 0):
        raise t.refused("along another axis than the first one")
    return t.emit("gather", *(t.value(i) for i in node.input), shape=t.shape(node.output[0]))


@on("Gemm")
def _gemm(t: Translator, node: NodeProto) -> Tensor:
    attrs = attributes(node)
    weights = t.data(node.input[1])
    if attrs.get("alpha", 1.0) != 1 or attrs.get("transA"):
        raise t.refused("scaled or with its first operand transposed")
    turned = t.constant(weights.T if attrs.get("transB") else weights, node.input[1])
    return t.dense(t.value(node.input[0]), turned, *(t.value(i) for i in node.input[2:]))


@on("MatMul")
def _matmul(t: Translator, node: NodeProto) -> Tensor:
    a, b = (t.value(i) for i in node.input)
    if b.data is not None and b.data.ndim == 2:
        return t.dense(a, b)
    return t.emit("matmul", a, b, shape=t.shape(node.output[0]), transposed=False)


@on("Softmax")
def _softmax(t: Translator, node: NodeProto) -> Tensor:
    x = t.value(node.input[0])
    if attributes(node)["axis"] not in (-1, len(x.shape) - 1):
        raise t.refused("over another axis than the last one")
    return t.like("softmax", x)


@on("Cast")
def _cast(t: Translator, node: NodeProto) -> Tensor:
    x = t.value(node.input[0])  # masks hold zeros and ones: as bool and as float32 they mean the same
    return t.emit("cast", x, shape=x.shape)


@on("Where")
def _where(t: Translator, node: NodeProto) -> Tensor:
    """A mask of zeros and ones as what is added to scores."""
    shown, hidden = (t.data(i) for i in node.input[1:])
    if np.any(shown != 0) or np.any(hidden != -np.inf):
        raise t.refused("other than a mask")
    less = t.like("sub", t.value(node.input[0]), t.constant(1.0))
    return t.like("mul", less, t.constant(-HIDDEN))


@on("Pow")
def _pow(t: Translator, node: NodeProto) -> Tensor:
    if float(t.data(node.input[1])) != 2:
        raise t.refused("other than squares")
    return t.like("square", t.value(node.input[0]))


@on("Reciprocal")
def _reciprocal(t: Translator, node: NodeProto) -> Tensor:
    return t.like("div", t.constant(1.0), t.value(node.input[0]))


@on("ReduceMean", "ReduceSum")
def _reduce(t: Translator, node: NodeProto) -> Tensor:
    x = t.plain(node.input[0])
    axes = tuple(int(a) % len(x.shape) for a in t.data(node.input[1]))
    keep = bool(attributes(node).get("keepdims", 1))
    kind = node.op_type.removeprefix("Reduce").lower()
    return t.emit(kind, x, shape=t.shape(node.output[0]), axes=axes, keep=keep)


@on("LayerNormalization")
def _layer_norm(t: Translator, node: NodeProto) -> Tensor:
    """Spelled out, as converters do."""
    x, gain, bias = (t.value(i) for i in node.input)

    def mean(of: Tensor) -> Tensor:
        return t.emit("mean", of, shape=(*x.shape[:-1], 1), axes=(len(x.shape) - 1,), keep=True)

    centred = t.like("sub", x, mean(x))
    epsilon = t.constant(attributes(node)["epsilon"])
    inverse = t.like("rsqrt", t.like("add", mean(t.like("square", centred)), epsilon))
    return t.like("add", t.like("mul", t.like("mul", centred, inverse), gain), bias)


@on("LSTM")
def _lstm(t: Translator, node: NodeProto) -> Tensor:
    """One product for the inputs of all steps, then the recurrence."""
    x = t.value(node.input[0])
    weights, recurrent, biases = (t.data(i) for i in node.input[1:4])
    if any(node.input[4:]) or t.is_read(*node.output[1:]) or len(weights) != 1:
        raise t.refused("with lengths, two directions, given states or final ones")
    steps, batch, width = x.shape
    units = recurrent.shape[2]
    rows = t.emit("reshape", x, shape=(steps * batch, width))
    both = t.constant(biases[0, : 4 * units] + biases[0, 4 * units :])
    sums = t.dense(rows, t.constant(weights[0].T), both)
    made = t.emit("lstm", sums, t.constant(recurrent[0].T), shape=(steps * batch, units), steps=steps)
    return t.emit("reshape", made, shape=t.shape(node.output[0]))


def _pads(pads: list[int]) -> tuple[tuple[int, int], tuple[int, int]]:
    return (pads[0], pads[2]), (pads[1], pads[3])
