"""ONNX Runtime's own operators, and ONNX's attention, give what ONNX Runtime gives, and become few ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from pyruntime.errors import UnsupportedError
from tests.frontends.onnx_models import agrees, imported, model, random

Array = NDArray[Any]
B, S, N, H, D = 2, 5, 7, 3, 4
X = random(B, S, H * D)


def contrib(
    op: str,
    inputs: Mapping[str, Array | None],
    outputs: int = 1,
    *,
    domain: str = "com.microsoft",
    **attrs: Any,
) -> tuple[ModelProto, dict[str, Array]]:
    """A model of one node, and its feeds; what is None is left out."""
    feeds = {k: v for k, v in inputs.items() if v is not None}
    names = [k if v is not None else "" for k, v in inputs.items()]
    results = [f"out{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, name="node", domain=domain, **attrs)
    proto = model([node], feeds, results, opset=17 if domain else 23, domains={"com.microsoft": 1})
    return proto, feeds


def check(op: str, inputs: Mapping[str, Array | None], outputs: int = 1, **attrs: Any) -> list[str]:
    """The canonical ops of a node that gives what ONNX Runtime gives."""
    proto, feeds = contrib(op, inputs, outputs, **attrs)
    agrees(proto, feeds, 2e-5)
    return [n.op for n in imported(proto).nodes]


def test_activations() -> None:
    assert check("Gelu", {"x": X}) == ["Gelu"]
    assert check("BiasGelu", {"x": X, "b": random(H * D, seed=1)}) == ["Add", "Gelu"]
    assert check("FastGelu", {"x": X}) == ["Gelu"]
    assert check("FastGelu", {"x": X, "b": random(H * D, seed=1)}) == ["Add", "Gelu"]
    assert check("QuickGelu", {"x": X}, alpha=1.5) == ["Swish"]


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_distances(metric: str) -> None:
    assert "ReduceSum" in check("CDist", {"a": random(5, 7), "b": random(3, 7, seed=1)}, metric=metric)


def test_skip_layer_normalization() -> None:
    skip, gamma, beta, bias = random(B, S, H * D, seed=1), *(random(H * D, seed=i) for i in (2, 3, 4))
    inputs = {"x": X, "skip": skip, "gamma": gamma, "beta": beta, "bias": bias}
    assert check("SkipLayerNormalization", inputs, epsilon=1e-6) == ["Add", "Add", "LayerNormalization"]
    assert "Add" in check("SkipLayerNormalization", {**inputs, "bias": None})
    node = helper.make_node(
        "SkipLayerNormalization", list(inputs), ["y", "", "", "total"], domain="com.microsoft", epsilon=1e-6
    )
    agrees(model([node], inputs, ["y", "total"], domains={"com.microsoft": 1}), inputs)


def test_rms_normalization() -> None:
    skip, gamma = random(B, S, H * D, seed=1), random(H * D, seed=2)
    inputs = {"x": X, "skip": skip, "gamma": gamma}
    assert check("SkipSimplifiedLayerNormalization", inputs, epsilon=1e-6) == ["Add", "RMSNormalization"]
    simplified = {"x": X, "gamma": gamma}
    assert check("SimplifiedLayerNormalization", simplified, domain="", axis=-1) == ["RMSNormalization"]
    assert check("RMSNormalization", simplified, domain="", axis=-1) == ["RMSNormalization"]


def test_embed_layer_normalization() -> None:
    ids = np.random.default_rng(0).integers(0, 9, (B, S)).astype(np.int32)
    tables = {"words": random(9, 8), "places": random(6, 8, seed=1), "kinds": random(2, 8, seed=2)}
    norm = {"gamma": random(8, seed=3), "beta": random(8, seed=4)}
    inputs = {"ids": ids, "segments": ids % 2, **tables, **norm}
    made = ["out", "index"]
    node = helper.make_node(
        "EmbedLayerNormalization", list(inputs), made, domain="com.microsoft", epsilon=1e-6
    )
    proto = model([node], inputs, ["out"], domains={"com.microsoft": 1})
    agrees(proto, inputs)
    assert [n.op for n in imported(proto).nodes].count("LayerNormalization") == 1


@pytest.mark.parametrize("masked", [False, True])
def test_embed_layer_normalization_with_the_number_of_keys(masked: bool) -> None:
    """As ONNX Runtime's optimiser gives it to each attention, and the sum of the embeddings."""
    ids = np.random.default_rng(0).integers(0, 9, (B, S)).astype(np.int32)
    mask = np.array([[1] * S, [1, 1] + [0] * (S - 2)], np.int32) if masked else None
    tables = {"words": random(9, 8), "places": random(6, 8, seed=1)}
    norm = {"gamma": random(8, seed=3), "beta": random(8, seed=4), "mask": mask}
    inputs = {"ids": ids, "segments": None, "words": tables["words"], "places": tables["places"]}
    check("EmbedLayerNormalization", {**inputs, "kinds": None, **norm}, outputs=3, epsilon=1e-6)


MASKS: dict[str, Array] = {
    "keys": np.array([[1] * N, [1] * 4 + [0] * (N - 4)], np.int32),
    "lengths": np.array([N, 3], np.int32),
}


@pytest.mark.parametrize("mask", [None, "keys", "lengths"])
@pytest.mark.parametrize("biased", [False, True])
def test_multi_head_attention(mask: str | None, biased: bool) -> None:
    inputs = {
        "q": X,
        "k": random(B, N, H * D, seed=1),
        "v": random(B, N, H * D, seed=2),
        "bias": random(3 * H * D, seed=3) if biased else None,
        "mask": None if mask is None else MASKS[mask],
        "added": random(1, H, S, N, seed=4) if biased else None,
    }
    assert check("MultiHeadAttention", inputs, num_heads=H).count("Attention") == 1


def test_multi_head_attention_with_a_cache() -> None:
    past = {name: random(B, H, 4, D, seed=i) for i, name in enumerate(("past_k", "past_v"), 5)}
    inputs = {"q": X, "k": X + 1, "v": X * 2, "bias": None, "mask": None, "added": None, **past}
    check("MultiHeadAttention", inputs, 3, num_heads=H)
    check("MultiHeadAttention", inputs, 3, num_heads=H, unidirectional=1)


@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("mask", [None, "keys", "lengths"])
def test_attention(mask: str | None, unidirectional: int) -> None:
    seen = None if mask is None else MASKS[mask][..., :S] if mask == "keys" else np.array([S, 3], np.int32)
    inputs = {"x": X, "w": random(H * D, 3 * H * D, seed=1), "b": random(3 * H * D, seed=2), "mask": seen}
    ops = check("Attention", inputs, num_heads=H, unidirectional=unidirectional)
    assert ops.count("Attention") == 1


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("shape", [(B, S, H * D), (B, H, S, D)])
def test_rotary_embedding(shape: tuple[int, ...], interleaved: int) -> None:
    angles = random(11, D // 2, seed=3)
    tables = {"cos": np.cos(angles), "sin": np.sin(angles)}
    for positions in (np.array([2]), np.arange(S)[None].repeat(B, 0) + 1):
        inputs = {"x": random(*shape), "positions": positions, **tables}
        attrs = {"interleaved": interleaved, **({"num_heads": H} if len(shape) == 3 else {})}
        assert "RotaryEmbedding" in check("RotaryEmbedding", inputs, **attrs)


def test_rotary_embedding_of_a_part() -> None:
    angles = random(11, 2, seed=3)
    tables = {"cos": np.cos(angles), "sin": np.sin(angles)}
    inputs = {"x": random(B, S, H * 8), "positions": np.arange(S)[None].repeat(B, 0), **tables}
    check("RotaryEmbedding", inputs, num_heads=H, rotary_embedding_dim=4)


def test_what_is_not_supported_is_told() -> None:
    proto, _ = contrib("MultiHeadAttention", {"qkv": random(B, S, H, 3, D)}, num_heads=H)
    with pytest.raises(UnsupportedError, match="packed"):
        imported(proto)
    inputs = {"x": X, "w": random(H * D, 3 * H * D), "b": random(3 * H * D)}
    proto, _ = contrib("Attention", inputs, num_heads=H, do_rotary=1)
    with pytest.raises(UnsupportedError, match="rotary"):
        imported(proto)


@pytest.mark.parametrize("attrs", [{}, {"is_causal": 1}, {"softcap": 2.0, "scale": 0.2}])
def test_onnx_attention(attrs: dict[str, Any]) -> None:
    """Three dimensions, grouped queries."""
    inputs = {"q": random(B, S, 4 * D), "k": random(B, N, 2 * D, seed=1), "v": random(B, N, 2 * D, seed=2)}
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    assert check("Attention", inputs, domain="", **heads, **attrs).count("Attention") == 1


def test_onnx_attention_with_a_cache_and_a_mask() -> None:
    new = {name: random(B, H, S, D, seed=i) for i, name in enumerate("qkv")}
    past = {name: random(B, H, 2, D, seed=i) for i, name in enumerate(("past_k", "past_v"), 5)}
    mask = random(S, S + 2, seed=9)
    ops = check("Attention", {**new, "mask": mask, **past}, 3, domain="", is_causal=1)
    assert ops.count("Attention") == 1
    assert ops.count("Concat") == 2
