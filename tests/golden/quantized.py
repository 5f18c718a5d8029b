"""Quantised models for the golden packs: one that comes with QuantizeLinear, float ones to be quantised."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto
from pyruntime_converter.passes.quantize import Quantization

from tests.frontends.control_models import Feeds
from tests.frontends.onnx_models import random
from tests.passes.net import Net, ints


def _through(net: Net, x: str, scale: float, zero: int) -> str:
    """x quantised to uint8 and dequantised."""
    step, place = np.asarray(scale, np.float32), np.asarray(zero, np.uint8)
    return net("DequantizeLinear", net("QuantizeLinear", x, step, place), step, place)


def _weight(net: Net, *shape: int) -> str:
    """An int8 weight with a scale for each output channel."""
    seed = len(net.weights)
    integers = np.random.default_rng(seed).integers(-63, 63, shape, np.int8, endpoint=True)
    scales = np.random.default_rng(seed).uniform(0.003, 0.005, shape[0]).astype(np.float32)
    return net("DequantizeLinear", integers, scales, axis=0)


def _residual() -> tuple[ModelProto, list[Feeds]]:
    """Convolutions, padded and depthwise, a residual sum, a pool, and a Gemm, all in 8 bits."""
    feeds: list[Feeds] = [{"image": random(batch, 3, 12, 10, seed=batch)} for batch in (1, 3)]
    net = Net(feeds[0], {"image": ["batch", 3, 12, 10]})
    x = _through(net, "image", 0.016, 125)
    x = net("Relu", net("Conv", x, _weight(net, 16, 3, 3, 3), random(16), pads=[1, 1, 1, 1], strides=[2, 2]))
    x = _through(net, x, 0.012, 0)
    y = net(
        "Clip", net("Conv", x, _weight(net, 16, 1, 3, 3), random(16), pads=[1, 1, 1, 1], group=16), 0.0, 6.0
    )
    y = net("Conv", _through(net, y, 0.012, 0), _weight(net, 16, 16, 1, 1), random(16))
    y = _through(net, net("Add", x, _through(net, y, 0.02, 117)), 0.025, 90)
    y = _through(net, net("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.025, 90)
    y = _through(net, net("Flatten", net("GlobalAveragePool", y)), 0.02, 90)
    out = net("Gemm", y, _weight(net, 10, 16), random(10), transB=1)
    return net.proto(out), feeds


def _silu(net: Net, x: str, scale: float, zero: int) -> str:
    """x * sigmoid(x) with x, the gate and the product in 8 bits."""
    x = _through(net, x, scale, zero)
    return _through(net, net("Mul", x, _through(net, net("Sigmoid", x), 1 / 255, 0)), scale / 2, 25)


def _pyramid() -> tuple[ModelProto, list[Feeds]]:
    """Gated convolutions, a maximum pool, nearest neighbours and a Concat of unlike scales, all in 8 bits."""
    feeds: list[Feeds] = [{"image": random(batch, 3, 12, 10, seed=batch)} for batch in (1, 2)]
    net = Net(feeds[0], {"image": ["batch", 3, 12, 10]})
    x = _through(net, "image", 0.016, 125)
    wide = net("Conv", x, _weight(net, 20, 3, 3, 3), random(20), pads=[1, 1, 1, 1])
    wide = _silu(net, wide, 0.013, 117)
    y = net("MaxPool", wide, kernel_shape=[2, 2], strides=[2, 2])
    y = _silu(
        net, net("Conv", _through(net, y, 0.0065, 25), _weight(net, 17, 20, 1, 1), random(17)), 0.011, 121
    )
    scales = np.array([1, 1, 2, 2], np.float32)
    nearest = {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    y = _through(net, net("Resize", y, "", scales, mode="nearest", **nearest), 0.0055, 25)
    joined = _through(net, net("Concat", y, wide, axis=1), 0.0071, 30)
    out = net("Conv", joined, _weight(net, 9, 37, 3, 3), random(9))
    return net.proto(out), feeds


def _rows() -> tuple[ModelProto, list[Feeds]]:
    """A table, a norm and two layers with GELU between."""
    ids = np.random.default_rng(0).integers(0, 200, (3, 9))
    feeds: list[Feeds] = [{"ids": ids}, {"ids": ids[:1, :4]}]
    net = Net(feeds[0], {"ids": ["batch", "length"]})
    x = net("Gather", net.weight(200, 40), "ids", axis=0)
    x = net("LayerNormalization", x, net.weight(40), net.weight(40), axis=-1)
    y = net("Add", net("MatMul", x, net.weight(40, 72)), net.weight(72))
    gelu = net("Mul", net("Mul", y, net("Add", net("Erf", net("Div", y, 2**0.5)), 1.0)), 0.5)
    return net.proto(net("Add", x, net("MatMul", gelu, net.weight(72, 40)))), feeds


def _images() -> tuple[ModelProto, list[Feeds]]:
    """Convolutions of 3x3 and 1x1 after ReLU6 and after none."""
    feeds: list[Feeds] = [{"image": random(batch, 16, 9, 7, seed=batch)} for batch in (1, 2)]
    net = Net(feeds[0], {"image": ["batch", 16, 9, 7]})
    x = net("Conv", "image", net.weight(32, 16, 3, 3), net.weight(32), pads=[1, 1, 1, 1])
    y = net("Conv", net("Clip", x, 0.0, 6.0), net.weight(40, 32, 3, 3), pads=[1, 0, 1, 0], strides=[2, 1])
    return net.proto(net("Conv", y, net.weight(48, 40, 1, 1), net.weight(48))), feeds


def _attention() -> tuple[ModelProto, list[Feeds]]:
    """Attention, whose result is quantised by the range of all of it, and so is what follows."""
    feeds: list[Feeds] = [{"x": random(batch, rows, 40, seed=rows)} for batch, rows in ((2, 9), (1, 1))]
    net = Net(feeds[0], {"x": ["batch", "rows", 40]})
    q, k, v = (
        net(
            "Transpose", net("Reshape", net("MatMul", "x", net.weight(40, 40)), ints(0, 0, 2, 20)), perm=order
        )
        for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    )
    seen = net("MatMul", net("Softmax", net("Mul", net("MatMul", q, k), 0.2), axis=-1), v)
    y = net("Reshape", net("Transpose", seen, perm=[0, 2, 1, 3]), ints(0, 0, 40))
    for depth, columns in ((40, 56), (56, 24)):
        levels, scale, zero = net.many("DynamicQuantizeLinear", y, outputs=3)
        weight = np.random.default_rng(columns).integers(-63, 63, (depth, columns), np.int8)
        sums = net("Cast", net("MatMulInteger", levels, weight, zero), to=1)
        y = net("Mul", net("Mul", sums, scale), 0.01)
    return net.proto(y), feeds


# what comes quantised; what convert is to quantise
QUANTIZED: dict[str, tuple[ModelProto, list[Feeds]]] = {
    "qdq-residual": _residual(),
    "qdq-pyramid": _pyramid(),
    "dynamic-attention": _attention(),
}
TO_QUANTIZE: dict[str, tuple[Quantization, ModelProto, list[Feeds]]] = {
    "int8-rows": ("int8", *_rows()),
    "int8-images": ("int8", *_images()),
    "int4-rows": ("int4", *_rows()),
}
