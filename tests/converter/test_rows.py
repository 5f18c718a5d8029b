"""Reductions that elementwise ops bring together: one kernel, where rows and memory allow it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower

from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import random, runtime, same
from tests.passes.net import Net, ints, recognised


def scaled(net: Net) -> str:
    return net("Div", "x", net("ReduceMax", net("Abs", "x"), ints(-1), keepdims=1))


def centred_on_the_first_axis(net: Net) -> str:
    return net("Sub", "x", net("ReduceMean", "x", ints(0), keepdims=0))


def centred_on_axes_apart(net: Net) -> str:
    return net("Sub", net("ReduceMean", "x", ints(0, 2), keepdims=1), "x")


def unit(net: Net) -> str:
    """As PyTorch exports `normalize`."""
    length = net("Clip", net("Sqrt", net("ReduceSum", net("Mul", "x", "x"), ints(1), keepdims=1)), 1e-12)
    return net("Div", "x", net("Expand", length, net("Shape", "x")))


def two_of_the_same_rows(net: Net) -> str:
    return net("Add", net("ReduceSum", "x", ints(1), keepdims=0), net("ReduceMax", "x", ints(1), keepdims=0))


def variance(net: Net) -> str:
    mean = net("ReduceMean", "x", ints(-1), keepdims=1)
    squares = net("ReduceMean", net("Mul", "x", "x"), ints(-1), keepdims=1)
    return net("Sub", squares, net("Mul", mean, mean))


def of_other_rows(net: Net) -> str:
    return net("Add", net("ReduceSum", "x", ints(1), keepdims=1), net("ReduceSum", "x", ints(0), keepdims=1))


def of_wide_integers(net: Net) -> str:
    """A GPU leaves their sum to the CPU, and not what stands beside it."""
    total = net("ReduceSum", net("Cast", "x", to=7), ints(1), keepdims=0)
    return net("Add", net("ReduceSum", "x", ints(1), keepdims=0), net("Cast", total, to=1))


def pooled(net: Net) -> str:
    """The masked mean that sentence embeddings are made of, and its direction."""
    mask = net("Expand", net("Unsqueeze", "mask", ints(-1)), net("Shape", "x"))
    total = net("ReduceSum", net("Mul", "x", mask), ints(1), keepdims=0)
    mean = net("Div", total, net("Clip", net("ReduceSum", mask, ints(1), keepdims=0), 1e-9))
    length = net("Sqrt", net("ReduceSum", net("Mul", mean, mean), ints(1), keepdims=1))
    return net("Div", mean, net("Expand", length, net("Shape", mean)))


@pytest.mark.parametrize(
    ("build", "kernels"),
    [
        *((build, ["row"]) for build in (scaled, centred_on_the_first_axis, centred_on_axes_apart, unit)),
        *((build, ["row"]) for build in (two_of_the_same_rows, variance)),
        *((build, ["row", "row"]) for build in (of_wide_integers, pooled)),
        (of_other_rows, ["row", "row", "map"]),
    ],
)
def test_kernels(build: Callable[[Net], str], kernels: list[str]) -> None:
    feeds = {"x": random(3, 5, 4)}
    if build is pooled:
        feeds["mask"] = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], np.float32)
    net = Net(feeds)
    graph = recognised(net.proto(build(net)), feeds, {})
    assert [c.template for c in lower(graph).calls] == kernels


def test_long_rows_are_passed_over_by_many_workgroups() -> None:
    net = Net({"x": random(2, 5000)})
    graph = recognised(net.proto(scaled(net)), net.feeds, {})
    assert [c.template for c in lower(graph).calls] == ["row", "map"]


def test_symbolic_outer_sizes() -> None:
    net = Net({"x": random(3, 5, 4)}, {"x": ["a", "b", 4]})
    graph = recognised(net.proto(scaled(net)), net.feeds, {})
    assert [c.template for c in lower(graph).calls] == ["row"]


@pytest.mark.parametrize("device", DEVICES)
def test_devices_agree(device: Device, tmp_path: Path) -> None:
    """Merged, with results per row and per element, and rows that are not innermost in memory."""
    feeds = {"x": random(3, 5, 4), "mask": np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1] * 5], np.float32)}
    net = Net(feeds)
    outputs = [pooled(net), variance(net), centred_on_axes_apart(net), unit(net)]
    proto = net.proto(*outputs)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds), 1e-5)
