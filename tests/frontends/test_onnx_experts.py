"""Mixtures of experts give what ONNX Runtime gives, whichever experts a router chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper
from pyruntime_converter.passes import optimise

from pyruntime.errors import UnsupportedError
from pyruntime.ops.run_graph import run_graph
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import imported, model, random, runtime, same

Array = NDArray[Any]
EXPERTS, FEATURES, HIDDEN, TOKENS = 5, 7, 12, 11
OPEN: dict[str, list[int | str | None]] = {"x": ["n", FEATURES], "r": ["n", EXPERTS]}


def mixture(
    *, biased: bool = True, wide: int = 1, inputs: str = "x r w1 b1 w2 b2", **attrs: Any
) -> tuple[ModelProto, dict[str, Array]]:
    """A model of one node whose number of tokens is open, and its feeds."""
    feeds = {"x": random(TOKENS, FEATURES), "r": random(TOKENS, EXPERTS, seed=1)}
    weights = {
        "w1": random(EXPERTS, HIDDEN * wide, FEATURES, seed=2),
        "w2": random(EXPERTS, FEATURES, HIDDEN, seed=3),
    }
    if biased:
        weights |= {"b1": random(EXPERTS, HIDDEN * wide, seed=4), "b2": random(EXPERTS, FEATURES, seed=5)}
    names = [n if n in {**feeds, **weights} else "" for n in inputs.split()]
    node = helper.make_node("MoE", names, ["out"], name="node", domain="com.microsoft", **attrs)
    proto = model(
        [node], feeds, ["out"], opset=17, weights=weights, domains={"com.microsoft": 1}, shapes=OPEN
    )
    return proto, feeds


GATED: dict[str, Any] = {
    "activation_type": "swiglu",
    "swiglu_fusion": 1,
    "activation_alpha": 1.702,
    "activation_beta": 1.0,
}


@pytest.mark.parametrize("normal", [0, 1])
@pytest.mark.parametrize("count", [1, 2, EXPERTS])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "identity", "swiglu", "limited"])
def test_mixtures(activation: str, count: int, normal: int) -> None:
    how: dict[str, Any] = {"activation_type": activation}
    if activation in ("swiglu", "limited"):
        how = {**GATED, "wide": 2, **({"swiglu_limit": 1.5} if activation == "limited" else {})}
    proto, feeds = mixture(k=count, normalize_routing_weights=normal, biased=bool(count % 2), **how)
    wanted = runtime(proto, feeds)
    graph = imported(proto)
    same(run_graph(graph, feeds), wanted)
    optimise(graph)
    same(run_graph(graph, feeds), wanted)


@pytest.mark.parametrize("device", DEVICES)
def test_mixtures_on_devices(device: Device, tmp_path: Path) -> None:
    proto, feeds = mixture(k=2, normalize_routing_weights=1, wide=2, swiglu_limit=1.5, **GATED)
    same(on_device(proto, feeds, device, tmp_path), runtime(proto, feeds))


def test_what_is_not_supported_is_told() -> None:
    refused: dict[str, dict[str, Any]] = {
        "third layer": {"inputs": "x r w1 b1 w2 b2 w2"},
        "sparse mixer": {"use_sparse_mixer": 1},
        "stand in turns": {"activation_type": "swiglu", "wide": 2},
        "do not take 7 features": {"inputs": "x r w2 b2 w1 b1"},
    }
    for message, how in refused.items():
        proto, _ = mixture(**how)
        with pytest.raises(UnsupportedError, match=message):
            imported(proto)


def test_numbers_of_tokens() -> None:
    proto, _ = mixture(k=2)
    graph = imported(proto)
    for count in (1, 2, 13):
        feeds = {"x": random(count, FEATURES), "r": random(count, EXPERTS, seed=count)}
        same(run_graph(graph, feeds), runtime(proto, feeds))
