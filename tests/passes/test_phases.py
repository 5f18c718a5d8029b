"""Transposed convolutions are convolutions of their phases, and give what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.lower import lower

from pyruntime.ir.kernel import Conv
from pyruntime.ops.run_graph import run_graph
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, optimised, recognised

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """A ConvTranspose of x [n, c, sizes...] with w [c, outputs / group, kernel...], and a bias."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    shape: Sequence[int | str] | None = None

    def __str__(self) -> str:
        stated = "-".join(f"{k}={v}" for k, v in self.attrs.items())
        return f"{self.x}-{self.w}-{stated}-{self.shape or ''}"

    def net(self) -> tuple[Net, str]:
        """The layer alone, with the name of its output."""
        net = Net({"x": random(*self.x)}, {"x": self.shape} if self.shape else None)
        outputs = self.w[1] * self.attrs.get("group", 1)
        return net, net("ConvTranspose", "x", net.weight(*self.w), net.weight(outputs), **self.attrs)


LINES = [
    Layer((2, 3, 7), (3, 2, kernel), {"strides": [stride], "pads": pads, "output_padding": [more]})
    for kernel, stride, pads, more in (
        (4, 2, [0, 0], 0),
        (4, 2, [1, 1], 0),
        (3, 2, [1, 1], 1),
        (3, 2, [0, 2], 0),
        (5, 3, [1, 2], 1),
        (7, 3, [2, 3], 2),
        (16, 8, [4, 4], 0),
        (6, 4, [1, 0], 3),
        (1, 3, [0, 0], 2),
        (2, 5, [0, 1], 0),
        (4, 4, [5, 6], 0),
        (9, 1, [2, 3], 0),
    )
]
DILATED = [
    Layer((1, 2, 5), (2, 3, kernel), {"strides": [stride], "dilations": [dilation], "pads": [1, 0]})
    for kernel, stride, dilation in ((3, 2, 2), (3, 2, 3), (4, 4, 2), (3, 6, 4), (5, 3, 2), (2, 2, 4))
]
PLANES = [
    Layer((2, 4, 3, 5), (4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Layer((2, 4, 3, 5), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    Layer((1, 4, 3, 5), (4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 0, 0, 1]}),
    Layer((2, 4, 3, 5), (4, 3, 2, 2), {"strides": [2, 2]}),
    Layer((1, 4, 3, 5), (4, 1, 2, 3), {"strides": [1, 3], "pads": [0, 1, 1, 0]}),
    Layer((1, 4, 3, 5), (4, 2, 3, 2), {"strides": [3, 1], "output_padding": [2, 0]}),
    Layer((1, 4, 3, 5), (4, 2, 3, 2), {"strides": [2, 3], "dilations": [3, 2]}),
    Layer((1, 4, 3, 5), (4, 2, 3, 2), {"strides": [2, 2], "dilations": [2, 1], "output_padding": [1, 1]}),
    Layer((1, 4, 3, 5), (4, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    Layer((1, 4, 3, 5), (4, 2, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    Layer((1, 4, 3, 5), (4, 2, 3, 3), {"strides": [2, 2], "output_shape": [8, 9]}),
    Layer((1, 4, 3, 5), (4, 2, 19, 2), {"strides": [17, 2]}),
    Layer((1, 1, 1, 1), (1, 2, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    Layer((1, 4, 1, 1), (4, 5, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
]
GROUPED = [
    Layer((2, 6, 7), (6, 2, 5), {"strides": [2], "group": 3, "pads": [1, 1]}),
    Layer((2, 6, 3, 5), (6, 1, 4, 4), {"strides": [2, 2], "group": 6, "pads": [1, 1, 1, 1]}),
    Layer((1, 6, 3, 5), (6, 2, 3, 2), {"strides": [2, 2], "group": 2, "output_padding": [1, 0]}),
    Layer((1, 4, 3, 2), (4, 2, 6, 5), {"strides": [5, 5], "group": 2}),
]
SPACES = [
    Layer((1, 2, 3, 2, 3), (2, 3, 3, 2, 4), {"strides": [2, 1, 2], "pads": [1, 0, 1, 0, 1, 1]}),
    Layer((1, 2, 2, 2, 3), (2, 2, 2, 2, 2), {"strides": [2, 2, 2]}),
    Layer((1, 2, 2, 1, 2), (2, 2, 6, 6, 3), {"strides": [5, 5, 2]}),
]
OPEN = [
    replace(LINES[1], shape=("n", 3, "length")),
    Layer((2, 3, 7), (3, 1, 8), {"strides": [4]}, ("n", 3, "length")),
    Layer((0, 3, 7), (3, 2, 3), {"strides": [2]}, ("n", 3, 7)),
    *(replace(PLANES[i], shape=("n", 4, "h", "w")) for i in (0, 1, 3)),
    replace(PLANES[8], shape=(1, 4, "h", "w")),
    replace(GROUPED[1], shape=("n", 6, "h", "w")),
]


@pytest.mark.parametrize("layer", [*LINES, *DILATED, *PLANES, *GROUPED, *SPACES, *OPEN], ids=str)
def test_as_onnxruntime(layer: Layer) -> None:
    """Nothing is spread out, and all attributes are kept, before and after lowering."""
    net, out = layer.net()
    recognised(net.proto(out), net.feeds, {"Pad": 0})


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (Layer((1, 8, 9), (8, 1, 64), {"strides": [16]}), ["conv"]),
        (Layer((1, 8, 9), (8, 4, 16), {"strides": [8], "pads": [4, 4]}), ["conv"]),
        (Layer((1, 8, 9), (8, 4, 3), {"strides": [2]}), ["conv", "conv"]),
        (Layer((1, 8, 5, 6), (8, 4, 2, 2), {"strides": [2, 2]}), ["matmul", "matmul"]),
        (Layer((1, 8, 5, 6), (8, 4, 4, 4), {"strides": [2, 2]}), ["conv", "conv"]),
        (
            Layer((1, 8, 5, 6), (8, 4, 3, 3), {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}),
            ["matmul", "conv", "conv", "conv"],
        ),
        (Layer((1, 8, 5, 6), (8, 1, 2, 2), {"strides": [2, 2], "group": 8}), ["map", *["conv"] * 4]),
    ],
    ids=str,
)
def test_phases_lie_where_they_belong(layer: Layer, wanted: list[str]) -> None:
    """Each convolution stores to its part of the result, which the next layer reads, with what follows it.

    Those with a filter for each channel want their input channels last.
    """
    net, out = layer.net()
    channels, sizes = layer.w[1] * layer.attrs.get("group", 1), len(layer.x) - 2
    each = net(
        "BatchNormalization", out, *(net.constant(random(channels, seed=s, low=0.5)) for s in range(4))
    )
    out = net("LeakyRelu", net("Mul", each, net.weight(channels, *[1] * sizes)), alpha=0.1)
    last = net("Conv", out, net.weight(4, channels, *[3] * sizes))
    graph = recognised(net.proto(last), net.feeds, {"Pad": 0, "BatchNormalization": 0}, 1e-4)
    assert [c.template for c in lower(graph).calls] == [*wanted, "conv"]


def test_multiplications() -> None:
    """Phases multiply with nothing but elements: a sixteenth of the products of a stride of 16."""
    net, out = Layer((1, 66, 20), (66, 1, 64), {"strides": [16]}).net()
    (call,) = lower(optimised(net.proto(out))).calls
    assert isinstance(call, Conv)
    assert (call.out_size, call.out_channels, call.window.kernel) == ((1, 23), 16, (1, 4))


def test_infinities_stay_where_they_are_met() -> None:
    """What an output does not depend on is not multiplied with zeros, which would be NaN."""
    for kernel, stride in ((3, 2), (4, 2), (2, 3), (5, 4)):
        net, out = Layer((1, 2, 7), (2, 3, kernel), {"strides": [stride], "pads": [1, 0]}).net()
        net.feeds["x"][0, 0, 3], net.feeds["x"][0, 1, 5] = np.inf, np.nan
        proto = net.proto(out)
        same(run_graph(optimised(proto), net.feeds), runtime(proto, net.feeds))


@pytest.mark.parametrize("layer", [LINES[1], LINES[4], PLANES[1], GROUPED[0]], ids=str)
def test_computed_filters(layer: Layer) -> None:
    """A filter and a bias that are inputs are cut up while the model runs."""
    feeds = {
        "x": random(*layer.x),
        "w": random(*layer.w, seed=1),
        "b": random(layer.w[1] * layer.attrs.get("group", 1), seed=2),
    }
    net = Net(feeds)
    recognised(net.proto(net("ConvTranspose", "x", "w", "b", **layer.attrs)), feeds, {"Pad": 0})


def test_many_phases_of_a_computed_filter() -> None:
    feeds = {"x": random(1, 2, 5), "w": random(2, 3, 40, seed=1)}
    net = Net(feeds)
    recognised(net.proto(net("ConvTranspose", "x", "w", strides=[20])), feeds, {"Pad": 1})


def test_sizes_that_may_leave_nothing() -> None:
    """Where a part of the input might be empty, depending on its size, it stays spread out."""
    layer = Layer((1, 2, 7), (2, 3, 2), {"strides": [2], "pads": [2, 2]}, (1, 2, "length"))
    net, out = layer.net()
    graph = recognised(net.proto(out), net.feeds, {"Conv": 1})
    assert "Pad" in {n.op for n in graph.nodes}


def test_results_that_others_read() -> None:
    """What is read twice is put together for both."""
    net, out = PLANES[0].net()
    recognised(net.proto(net("Relu", out), net("Add", out, net("Sigmoid", out))), net.feeds, {"Pad": 0})


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_types(dtype: type[np.floating[Any]]) -> None:
    net, out = PLANES[1].net()
    expected = runtime(net.proto(out), net.feeds)
    net.weights = {k: v.astype(dtype) for k, v in net.weights.items()}
    net.feeds = {k: v.astype(dtype) for k, v in net.feeds.items()}
    found = run_graph(optimised(net.proto(out)), net.feeds)
    same({k: v.astype(np.float32) for k, v in found.items()}, expected, 1e-2 if dtype is np.float16 else 1e-5)


def test_inputs_that_are_spread_by_the_model() -> None:
    """Zeros that a model puts between elements by itself, before a convolution, are not multiplied."""
    net = Net({"x": random(2, 3, 7)})
    shapes = [net.constant(np.array(s, np.int64)) for s in ([2, 3, 7, 1], [0] * 7 + [1], [2, 3, 14])]
    wide = net("Pad", net("Reshape", "x", shapes[0]), shapes[1])
    out = net("Conv", net("Reshape", wide, shapes[2]), net.weight(4, 3, 5), pads=[2, 1])
    recognised(net.proto(out), net.feeds, {"Pad": 0})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "layer", [LINES[2], LINES[6], DILATED[0], PLANES[1], GROUPED[2], SPACES[0], *OPEN[3:5]], ids=str
)
def test_on_devices(layer: Layer, device: Device, tmp_path: Path) -> None:
    net, out = layer.net()
    proto = net.proto(net("LeakyRelu", out, alpha=0.2))
    same(on_device(proto, net.feeds, device, tmp_path), runtime(proto, net.feeds))
