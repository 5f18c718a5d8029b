"""GELU and SiLU, as PyTorch, TensorFlow and others spell them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.frontends.onnx_models import random
from tests.passes.net import Net, recognised

ROOT = float(np.sqrt(2))
TANH = float(np.sqrt(2 / np.pi))
FEEDS = {"x": random(3, 7, low=-4, high=4)}


def erf_gate(net: Net, x: str) -> str:
    return net("Add", net("Erf", net("Div", x, ROOT)), 1.0)


ERF: dict[str, Callable[[Net, str], str]] = {
    "torch": lambda net, x: net("Mul", net("Mul", x, erf_gate(net, x)), 0.5),
    "half-first": lambda net, x: net("Mul", net("Mul", x, 0.5), erf_gate(net, x)),
    "half-gate": lambda net, x: net("Mul", net("Mul", 0.5, erf_gate(net, x)), x),
    "multiplied": lambda net, x: net(
        "Mul", net("Mul", 0.5, x), net("Add", 1.0, net("Erf", net("Mul", x, 1 / ROOT)))
    ),
    "halved": lambda net, x: net("Mul", x, net("Div", erf_gate(net, x), 2.0)),
}


def cube(net: Net, x: str) -> str:
    return net("Add", x, net("Mul", net("Pow", x, 3.0), 0.044715))


def tanh_gate(net: Net, argument: str) -> str:
    return net("Add", net("Tanh", argument), 1.0)


TANHS: dict[str, Callable[[Net, str], str]] = {
    "torch": lambda net, x: net("Mul", net("Mul", 0.5, x), tanh_gate(net, net("Mul", TANH, cube(net, x)))),
    "products": lambda net, x: net(
        "Mul",
        x,
        net(
            "Mul",
            tanh_gate(
                net,
                net(
                    "Mul",
                    net("Add", x, net("Mul", net("Mul", net("Mul", x, x), x), 0.044715)),
                    TANH,
                ),
            ),
            0.5,
        ),
    ),
    "factored": lambda net, x: net(
        "Mul",
        net("Mul", x, 0.5),
        tanh_gate(
            net,
            net("Mul", net("Mul", x, TANH), net("Add", net("Mul", net("Mul", x, 0.044715), x), 1.0)),
        ),
    ),
}


@pytest.mark.parametrize("form", ERF)
def test_gelu_by_erf(form: str) -> None:
    net = Net(FEEDS)
    graph = recognised(net.proto(ERF[form](net, "x")), FEEDS, {"Gelu": 1, "Erf": 0, "Mul": 0})
    assert graph.nodes[0].attrs["approximate"] == "none"


@pytest.mark.parametrize("form", TANHS)
def test_gelu_by_tanh(form: str) -> None:
    net = Net(FEEDS)
    graph = recognised(net.proto(TANHS[form](net, "x")), FEEDS, {"Gelu": 1, "Tanh": 0, "Mul": 0})
    assert graph.nodes[0].attrs["approximate"] == "tanh"


def test_gelu_of_a_sum_of_products() -> None:
    net = Net(FEEDS)
    x = net("Add", net("MatMul", net("Mul", "x", 0.7), net.weight(7, 5)), net.weight(5))
    recognised(net.proto(ERF["torch"](net, x)), FEEDS, {"Gelu": 1, "Erf": 0})


@pytest.mark.parametrize("alpha", [None, 1.702, 2.0])
def test_silu(alpha: float | None) -> None:
    net = Net(FEEDS)
    argument = "x" if alpha is None else net("Mul", "x", alpha)
    graph = recognised(
        net.proto(net("Mul", net("Sigmoid", argument), "x")), FEEDS, {"Swish": 1, "Sigmoid": 0}
    )
    assert graph.nodes[0].attrs["alpha"] == pytest.approx(alpha or 1.0)


@pytest.mark.parametrize(
    "other",
    [
        lambda net, x: net("Mul", net("Mul", x, erf_gate(net, x)), 0.6),
        lambda net, x: net("Mul", net("Mul", x, 0.5), net("Add", net("Erf", net("Div", x, 1.5)), 1.0)),
        lambda net, x: net("Mul", net("Mul", x, 0.5), net("Add", net("Erf", net("Div", x, ROOT)), 2.0)),
        lambda net, x: net("Mul", net("Mul", x, 0.5), tanh_gate(net, net("Mul", TANH, x))),
        lambda net, x: net("Mul", net("Mul", net("Exp", x), 0.5), erf_gate(net, x)),
        lambda net, x: net("Mul", net("Sigmoid", net("Add", x, 1.0)), x),
    ],
)
def test_what_is_near_is_left_alone(other: Callable[[Net, str], str]) -> None:
    net = Net(FEEDS)
    recognised(net.proto(other(net, "x")), FEEDS, {"Gelu": 0, "Swish": 0})
