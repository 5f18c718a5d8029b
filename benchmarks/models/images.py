"""Convolutional networks of real architectures with random weights: MobileNetV2, ResNet50 and a detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np

from benchmarks.models.source import Source, finish, normal
from tests.passes.net import Net

Activation = Literal["linear", "relu", "relu6", "silu"]
# the standard deviation of sums that keeps the mean square of activations near 1
_GAINS = {"linear": 1.0, "relu": 2**0.5, "relu6": 2**0.5, "silu": 1.45}
OPSET = 17


@dataclass
class Layers:
    """Layers on feature maps [1, channels, height, width], batch norms folded as exporters do it."""

    net: Net
    seeds: count[int] = field(default_factory=lambda: count(1))

    def weights(self, shape: tuple[int, ...], gain: float) -> str:
        """[outer, inner, ...]: random weights that keep the size of what they are multiplied with."""
        inner = 1
        for size in shape[1:]:
            inner *= size
        return self.net.constant(normal(shape, next(self.seeds), gain * inner**-0.5))

    def conv(
        self,
        x: str,
        inner: int,
        outer: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        padding: int | None = None,
        activation: Activation = "linear",
        scale: float = 1.0,
    ) -> str:
        """A convolution with bias and activation; padded by half the kernel unless said otherwise."""
        around = kernel // 2 if padding is None else padding
        weights = self.weights((outer, inner // groups, kernel, kernel), scale * _GAINS[activation])
        bias = self.net.constant(normal((outer,), next(self.seeds), 0.1))
        y = self.net(
            "Conv",
            x,
            weights,
            bias,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[around] * 4,
            dilations=[1, 1],
            group=groups,
        )
        match activation:
            case "relu":
                return self.net("Relu", y)
            case "relu6":
                return self.net("Clip", y, 0.0, 6.0)
            case "silu":
                return self.net("Mul", y, self.net("Sigmoid", y))
            case "linear":
                return y

    def pool(self, x: str, kernel: int, stride: int) -> str:
        """The largest of each window, padded by half of it."""
        return self.net(
            "MaxPool",
            x,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def classify(self, x: str, inner: int, classes: int) -> str:
        """[1, classes] from the means of the maps."""
        flat = self.net("Flatten", self.net("GlobalAveragePool", x), axis=1)
        weights = self.weights((classes, inner), 1.0)
        return self.net(
            "Gemm", flat, weights, self.net.constant(normal((classes,), next(self.seeds), 0.1)), transB=1
        )


def _layers(size: int) -> Layers:
    return Layers(Net({"image": normal((1, 3, size, size), 0)}))


def mobilenetv2(size: int = 224, stages: int = 7) -> Source:
    """MobileNetV2 of width 1.0, as in Sandler et al. 2018, table 2; fewer stages for tests."""
    layers = _layers(size)
    x = layers.conv("image", 3, 32, 3, 2, activation="relu6")
    inner = 32
    settings = (  # expansion, channels, blocks, first stride
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
        (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip
    for expansion, outer, repeats, first in settings[:stages]:
        for stride in [first] + [1] * (repeats - 1):
            wide = inner * expansion
            y = layers.conv(x, inner, wide, activation="relu6") if expansion > 1 else x
            y = layers.conv(y, wide, wide, 3, stride, groups=wide, activation="relu6")
            y = layers.conv(y, wide, outer, scale=0.5)
            x = layers.net("Add", x, y) if stride == 1 and inner == outer else y
            inner = outer
    x = layers.conv(x, inner, 1280, activation="relu6")
    return _source(layers, {"logits": layers.classify(x, 1280, 1000)})


def resnet50(size: int = 224, repeats: tuple[int, ...] = (3, 4, 6, 3)) -> Source:
    """ResNet50 v1.5: the stride is in the 3x3 convolution."""
    layers = _layers(size)
    x = layers.pool(layers.conv("image", 3, 64, 7, 2, activation="relu"), 3, 2)
    inner = 64
    for stage, blocks in enumerate(repeats):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            y = layers.conv(x, inner, width, activation="relu")
            y = layers.conv(y, width, width, 3, stride, activation="relu")
            y = layers.conv(y, width, width * 4, scale=0.5)
            x = layers.conv(x, inner, width * 4, 1, stride) if block == 0 else x
            x = layers.net("Relu", layers.net("Add", y, x))
            inner = width * 4
    return _source(layers, {"logits": layers.classify(x, inner, 1000)})


def _partial(layers: Layers, x: str, inner: int, outer: int, blocks: int, *, residual: bool = True) -> str:
    """A cross-stage-partial block: half of the channels go through bottlenecks, half go by."""
    half = outer // 2
    y = layers.conv(x, inner, half, activation="silu")
    by = layers.conv(x, inner, half, activation="silu")
    for _ in range(blocks):
        z = layers.conv(
            layers.conv(y, half, half, activation="silu"), half, half, 3, activation="silu", scale=0.7
        )
        y = layers.net("Add", y, z) if residual else z
    return layers.conv(layers.net("Concat", y, by, axis=1), outer, outer, activation="silu")


def _pyramid(layers: Layers, x: str, width: int) -> str:
    """Spatial pyramid pooling by three 5x5 pools, one after another."""
    half = width // 2
    pools = [layers.conv(x, width, half, activation="silu")]
    for _ in range(3):
        pools.append(layers.pool(pools[-1], 5, 1))
    return layers.conv(layers.net("Concat", *pools, axis=1), half * 4, width, activation="silu")


def _doubled(layers: Layers, x: str) -> str:
    """Nearest neighbours, twice as high and wide."""
    return layers.net(
        "Resize",
        x,
        "",
        np.array([1, 1, 2, 2], np.float32),
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )


def detector(size: int = 416, width: int = 16, depth: int = 1) -> Source:
    """A detector in YOLOv5n's manner: backbone, pyramid, paths up and down, and raw maps of three heads."""
    layers = _layers(size)
    w = [width << i for i in range(5)]

    def down(x: str, inner: int, outer: int) -> str:
        return layers.conv(x, inner, outer, 3, 2, activation="silu")

    x = layers.conv("image", 3, w[0], 6, 2, padding=2, activation="silu")
    x = _partial(layers, down(x, w[0], w[1]), w[1], w[1], depth)
    small = _partial(layers, down(x, w[1], w[2]), w[2], w[2], 2 * depth)
    middle = _partial(layers, down(small, w[2], w[3]), w[3], w[3], 3 * depth)
    x = _pyramid(layers, _partial(layers, down(middle, w[3], w[4]), w[4], w[4], depth), w[4])

    top = layers.conv(x, w[4], w[3], activation="silu")
    x = layers.net("Concat", _doubled(layers, top), middle, axis=1)
    x = _partial(layers, x, w[4], w[3], depth, residual=False)
    side = layers.conv(x, w[3], w[2], activation="silu")
    x = layers.net("Concat", _doubled(layers, side), small, axis=1)
    near = _partial(layers, x, w[3], w[2], depth, residual=False)
    x = layers.net("Concat", down(near, w[2], w[2]), side, axis=1)
    mid = _partial(layers, x, w[3], w[3], depth, residual=False)
    x = layers.net("Concat", down(mid, w[3], w[3]), top, axis=1)
    far = _partial(layers, x, w[4], w[4], depth, residual=False)
    heads = 3 * 85  # anchors times box, objectness and 80 classes
    ends = ((near, w[2]), (mid, w[3]), (far, w[4]))
    return _source(layers, {f"p{i}": layers.conv(x, inner, heads) for i, (x, inner) in enumerate(ends, 3)})


def _source(layers: Layers, outputs: dict[str, str]) -> Source:
    return Source(finish(layers.net, outputs, OPSET), layers.net.feeds, "static")
