"""Layer norm, RMS norm and softmax, as PyTorch, TensorFlow and others spell them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes.spread import refined

from tests.frontends.onnx_models import random
from tests.passes.net import Net, Shapes, ints, recognised

FEEDS = {"x": random(2, 5, 12)}
SHAPES: Shapes = {"x": ["batch", 5, 12]}


def mean(net: Net, x: str, *axes: int) -> str:
    return net("ReduceMean", x, ints(*(axes or (-1,))), keepdims=1)


def centred(net: Net, x: str) -> str:
    return net("Sub", x, mean(net, x))


def deviation(net: Net, squares: str) -> str:
    return net("Sqrt", net("Add", mean(net, squares), 1e-5))


def torch_core(net: Net, x: str) -> str:
    d = centred(net, x)
    return net("Div", d, deviation(net, net("Pow", d, 2.0)))


def twice_core(net: Net, x: str) -> str:
    """Computes the difference once for each use."""
    a, b = centred(net, x), centred(net, x)
    return net("Mul", a, net("Reciprocal", deviation(net, net("Mul", b, b))))


def power_core(net: Net, x: str) -> str:
    d = centred(net, x)
    return net("Mul", net("Pow", net("Add", 1e-5, mean(net, net("Mul", d, d))), -0.5), d)


def quotient_core(net: Net, x: str) -> str:
    d = centred(net, x)
    return net("Mul", d, net("Div", 1.0, deviation(net, net("Mul", d, d))))


CORES = [torch_core, twice_core, power_core, quotient_core]


@pytest.mark.parametrize("core", CORES)
def test_layer_norm(core: Callable[[Net, str], str]) -> None:
    net = Net(FEEDS, SHAPES)
    scaled = net("Mul", core(net, "x"), net.weight(12))
    graph = recognised(
        net.proto(net("Add", net.weight(1, 1, 12), scaled)),
        FEEDS,
        {"LayerNormalization": 1, "Mul": 0, "Add": 0},
    )
    (norm,) = (n for n in graph.nodes if n.op == "LayerNormalization")
    assert norm.attrs["epsilon"] == pytest.approx(1e-5)
    assert norm.attrs["axis"] == 2


def test_layer_norm_without_scale_or_bias() -> None:
    net = Net(FEEDS, SHAPES)
    recognised(net.proto(torch_core(net, "x")), FEEDS, {"LayerNormalization": 1})
    net = Net(FEEDS, SHAPES)
    recognised(
        net.proto(net("Add", torch_core(net, "x"), net.weight(12))),
        FEEDS,
        {"LayerNormalization": 1, "Add": 0},
    )


def tensorflow_norm(net: Net, x: str, axis: int, *parameters: int) -> str:
    """As TensorFlow writes it: x times a gain, plus what takes the mean away."""
    middle = mean(net, x, axis)
    d = net("Sub", x, middle)
    root = net("Sqrt", net("Add", mean(net, net("Mul", d, d), axis), 1e-5))
    gain = net("Mul", net("Reciprocal", root), net.weight(*parameters))
    shift = net("Sub", net.weight(*parameters), net("Mul", middle, gain))
    return net("Add", net("Mul", x, gain), shift)


def test_layer_norm_as_tensorflow_writes_it() -> None:
    net = Net(FEEDS, SHAPES)
    recognised(
        net.proto(tensorflow_norm(net, "x", -1, 12)), FEEDS, {"LayerNormalization": 1, "Mul": 0, "Add": 0}
    )


def test_norm_of_channels_that_come_first() -> None:
    net = Net(FEEDS, SHAPES)
    d = net("Sub", "x", mean(net, "x", 1))
    root = net("Sqrt", net("Add", mean(net, net("Mul", d, d), 1), 1e-5))
    graph = recognised(
        net.proto(net("Add", net("Mul", net("Div", d, root), net.weight(5, 1)), net.weight(5, 1))),
        FEEDS,
        {"LayerNormalization": 1, "Transpose": 2},
    )
    assert [c.template for c in lower(graph).calls] == ["row"]


def test_norm_of_channels_that_come_first_as_tensorflow_writes_it() -> None:
    net = Net(FEEDS, SHAPES)
    graph = recognised(
        net.proto(tensorflow_norm(net, "x", 1, 1, 5, 1)), FEEDS, {"LayerNormalization": 1, "ReduceMean": 0}
    )
    assert [c.template for c in lower(graph).calls] == ["row"]


def test_norm_of_what_was_looked_up_and_regrouped() -> None:
    """One kernel looks up, normalises and stores in the order that the product reads."""
    ids = np.random.default_rng(0).integers(0, 7, (2, 12))
    net = Net({"ids": ids}, {"ids": ["batch", 12]})
    rows = net("Gather", net.weight(7, 4), "ids")
    grouped = net("Reshape", rows, ints(-1, 6, 8))
    normal = tensorflow_norm(net, grouped, 1, 1, 6, 1)
    graph = recognised(
        net.proto(net("MatMul", normal, net.weight(8, 3))), {"ids": ids}, {"LayerNormalization": 1}
    )
    assert [c.template for c in lower(graph).calls] == ["row", "matmul"]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ((5, 12, 8), (5, 6, 16), [(5,), (6,), (2, 8)]),
        ((2, 3, 4), (6, 4), [(2, 3), (4,)]),
        ((24,), (4, 6), [(4,), (6,)]),
        ((4, 6), (24,), [(4, 6)]),
        ((2, 1, 3), (1, 6), [(1,), (2, 3)]),
        ((4, 6), (6, 4), None),  # 6 elements along the last axis, and 4
    ],
)
def test_axes_that_reshape_merges(
    before: tuple[int, ...], after: tuple[int, ...], wanted: list[tuple[int, ...]] | None
) -> None:
    assert refined(before, after) == wanted


def test_layer_norm_over_two_axes() -> None:
    net = Net(FEEDS, SHAPES)
    d = net("Sub", "x", mean(net, "x", 1, 2))
    root = net("Sqrt", net("Add", mean(net, net("Mul", d, d), 1, 2), 1e-3))
    graph = recognised(
        net.proto(net("Mul", net("Div", d, root), net.weight(5, 12))), FEEDS, {"LayerNormalization": 1}
    )
    (norm,) = (n for n in graph.nodes if n.op == "LayerNormalization")
    assert norm.attrs["axis"] == 1


def test_residual_after_layer_norm_stays() -> None:
    net = Net(FEEDS, SHAPES)
    normal = net("Mul", torch_core(net, "x"), net.weight(12))
    recognised(net.proto(net("Add", normal, "x")), FEEDS, {"LayerNormalization": 1, "Add": 1})


def test_shared_norm_keeps_its_own_value() -> None:
    net = Net(FEEDS, SHAPES)
    normal = torch_core(net, "x")
    both = [net("Mul", normal, net.weight(12)) for _ in range(2)]
    recognised(net.proto(*both), FEEDS, {"LayerNormalization": 1, "Mul": 2})


def rms_llama(net: Net, x: str) -> str:
    return net("Mul", x, net("Reciprocal", deviation(net, net("Pow", x, 2.0))))


def rms_quotient(net: Net, x: str) -> str:
    return net("Div", x, deviation(net, net("Mul", x, x)))


def rms_power(net: Net, x: str) -> str:
    return net("Mul", x, net("Pow", net("Add", mean(net, net("Mul", x, x)), 1e-5), -0.5))


@pytest.mark.parametrize("core", [rms_llama, rms_quotient, rms_power])
def test_rms_norm(core: Callable[[Net, str], str]) -> None:
    net = Net(FEEDS, SHAPES)
    recognised(
        net.proto(net("Mul", net.weight(12), core(net, "x"))), FEEDS, {"RMSNormalization": 1, "Mul": 0}
    )


def test_rms_norm_with_a_bias_keeps_the_addition() -> None:
    net = Net(FEEDS, SHAPES)
    scaled = net("Mul", net.weight(12), rms_llama(net, "x"))
    recognised(net.proto(net("Add", scaled, net.weight(12))), FEEDS, {"RMSNormalization": 1, "Add": 1})


def test_mean_and_variance_of_different_axes_are_left_alone() -> None:
    net = Net(FEEDS, SHAPES)
    d = net("Sub", "x", mean(net, "x", 1))
    recognised(net.proto(net("Div", d, deviation(net, net("Mul", d, d)))), FEEDS, {"LayerNormalization": 0})


def test_softmax() -> None:
    net = Net(FEEDS, SHAPES)
    e = net("Exp", net("Sub", "x", net("ReduceMax", "x", ints(1), keepdims=1)))
    recognised(
        net.proto(net("Div", e, net("ReduceSum", e, ints(1), keepdims=1))), FEEDS, {"Softmax": 1, "Exp": 0}
    )


def test_exponentials_over_another_sum_are_left_alone() -> None:
    net = Net(FEEDS, SHAPES)
    e = net("Exp", net("Sub", "x", net("ReduceMax", "x", ints(1), keepdims=1)))
    recognised(net.proto(net("Div", e, net("ReduceSum", e, ints(2), keepdims=1))), FEEDS, {"Softmax": 0})
