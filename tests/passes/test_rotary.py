"""Rotary embeddings, as PyTorch and ONNX's own function spell them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frontends.onnx_models import random
from tests.passes.net import Net, Shapes, ints, recognised

WIDTH = 8
FEEDS = {"x": random(2, 3, 5, WIDTH)}
SHAPES: Shapes = {"x": ["batch", 3, "length", WIDTH]}
ANGLES = np.linspace(0, 3, 5 * WIDTH // 2, dtype=np.float32).reshape(5, WIDTH // 2)
HALVES = {"cos": np.cos(ANGLES), "sin": np.sin(ANGLES)}


def part(net: Net, x: str, start: int, end: int, step: int = 1) -> str:
    return net("Slice", x, ints(start), ints(end), ints(-1), ints(step))


def net_of(whole: bool = True) -> Net:
    angles = {k: np.concatenate([v, v], axis=-1) if whole else v for k, v in HALVES.items()}
    shapes: Shapes = {key: ["length", WIDTH if whole else WIDTH // 2] for key in HALVES}
    return Net({**FEEDS, **angles}, {**SHAPES, **shapes})


@pytest.mark.parametrize("swapped", [False, True])
def test_rotate_half(swapped: bool) -> None:
    net = net_of()
    turned = net(
        "Concat", net("Neg", part(net, "x", WIDTH // 2, 2**62)), part(net, "x", 0, WIDTH // 2), axis=-1
    )
    products = [net("Mul", "x", "cos"), net("Mul", "sin", turned) if swapped else net("Mul", turned, "sin")]
    out = net("Add", *(reversed(products) if swapped else products))
    recognised(net.proto(out), net.feeds, {"RotaryEmbedding": 1, "Concat": 0, "Slice": 0})


def test_halves() -> None:
    net = net_of(whole=False)
    a, b = part(net, "x", 0, WIDTH // 2), part(net, "x", WIDTH // 2, WIDTH)
    real = net("Sub", net("Mul", "cos", a), net("Mul", "sin", b))
    imaginary = net("Add", net("Mul", "sin", a), net("Mul", "cos", b))
    out = net("Concat", real, imaginary, axis=-1)
    recognised(net.proto(out), net.feeds, {"RotaryEmbedding": 1, "Concat": 0, "Slice": 0})


def interleaved(net: Net, a: str, b: str, shape: str) -> str:
    both = net("Concat", net("Unsqueeze", a, ints(-1)), net("Unsqueeze", b, ints(-1)), axis=-1)
    return net("Reshape", both, shape)


def test_every_other() -> None:
    net = net_of(whole=False)
    shape = net("Shape", "x")
    a, b = part(net, "x", 0, WIDTH, 2), part(net, "x", 1, WIDTH, 2)
    real = net("Sub", net("Mul", a, "cos"), net("Mul", b, "sin"))
    imaginary = net("Add", net("Mul", b, "cos"), net("Mul", a, "sin"))
    graph = recognised(
        net.proto(interleaved(net, real, imaginary, shape)), net.feeds, {"RotaryEmbedding": 1, "Concat": 0}
    )
    assert graph.nodes[0].attrs["interleaved"]


def test_rotate_every_two() -> None:
    net = net_of()
    shape = net("Shape", "x")
    turned = interleaved(net, net("Neg", part(net, "x", 1, WIDTH, 2)), part(net, "x", 0, WIDTH, 2), shape)
    out = net("Add", net("Mul", "x", "cos"), net("Mul", turned, "sin"))
    recognised(net.proto(out), net.feeds, {"RotaryEmbedding": 1, "Concat": 0})


def test_other_signs_are_left_alone() -> None:
    net = net_of()
    turned = net(
        "Concat", part(net, "x", WIDTH // 2, WIDTH), net("Neg", part(net, "x", 0, WIDTH // 2)), axis=-1
    )
    out = net("Add", net("Mul", "x", "cos"), net("Mul", turned, "sin"))
    recognised(net.proto(out), net.feeds, {"RotaryEmbedding": 0})


def test_a_joined_vector_is_left_alone() -> None:
    """MatMul makes a matrix of it, by a Reshape as pairs that are put in turn have one."""
    net = Net({"a": random(3), "b": random(3)}, {})
    out = net("MatMul", net("Concat", "a", "b", axis=0), net.constant(random(6, 2)))
    recognised(net.proto(out), net.feeds, {"RotaryEmbedding": 0})


def test_onnx_function() -> None:
    net = net_of(whole=False)
    position = net.constant(np.tile(np.arange(5), (2, 1)))
    out = net("RotaryEmbedding", "x", "cos", "sin", position)
    net.shapes = None
    recognised(net.proto(out, opset=23), net.feeds, {"RotaryEmbedding": 1})
