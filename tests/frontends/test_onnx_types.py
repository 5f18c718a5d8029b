"""Operators whose inputs are of unlike float types, or of one that ONNX's own function does not fit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, one_node, random, reference, run, same

FLOATS = (np.float16, np.float32, np.float64)
UNLIKE = [*itertools.permutations(FLOATS, 2)]


def tolerance(*dtypes: Any) -> float:
    """What the narrowest of these types leaves."""
    return {2: 3e-3, 4: 1e-5, 8: 1e-12}[min(np.dtype(d).itemsize for d in dtypes)]


def attention_feeds(dtype: Any, values: Any, mask: Any = None) -> dict[str, Array]:
    feeds = {
        "q": random(2, 3, 5, 8).astype(dtype),
        "k": random(2, 3, 7, 8, seed=1).astype(dtype),
        "v": random(2, 3, 7, 6, seed=2).astype(values),
    }
    return feeds if mask is None else {**feeds, "mask": random(5, 7, seed=3).astype(mask)}


@pytest.mark.parametrize(("dtype", "values"), [(d, v) for d in FLOATS for v in FLOATS])
@pytest.mark.parametrize("mask", [None, np.float16, np.float32, np.float64])
def test_attention(dtype: Any, values: Any, mask: Any) -> None:
    """The result has the type of the queries; what is multiplied and added, the widest."""
    feeds = attention_feeds(dtype, values, mask)
    proto = one_node("Attention", feeds, opset=23)
    same(run(proto, feeds), reference(proto, feeds), tolerance(dtype))


@pytest.mark.parametrize("device", DEVICES)
def test_attention_on_devices(device: Device, tmp_path: Path) -> None:
    feeds = attention_feeds(np.float32, np.float64, np.float16)
    proto = one_node("Attention", feeds, opset=23)
    same(on_device(proto, feeds, device, tmp_path), reference(proto, feeds))


@pytest.mark.parametrize(("dtype", "scales"), UNLIKE)
def test_rms_normalization(dtype: Any, scales: Any) -> None:
    """The result has the scale's type; the normalised input is rounded to its own before."""
    feeds = {"x": random(4, 3, 5).astype(dtype), "scale": random(3, 5, seed=1).astype(scales)}
    wide = feeds["x"].astype(np.float32)
    normal = wide / np.sqrt((wide * wide).mean((1, 2), keepdims=True) + np.float32(1e-5))
    wanted = normal.astype(dtype).astype(scales) * feeds["scale"]
    made = run(one_node("RMSNormalization", feeds, opset=23, axis=1), feeds)
    same(made, {"out": wanted}, tolerance(dtype, scales, np.float32))


def test_mean_variance_normalization_of_doubles() -> None:
    """ONNX's function has constants of float32, which take no part with doubles."""
    x = random(2, 3, 5).astype(np.float64)
    mean, deviation = x.mean((0, 2), keepdims=True), x.std((0, 2), keepdims=True)
    made = run(one_node("MeanVarianceNormalization", {"x": x}, axes=[0, -1]), {"x": x})
    same(made, {"out": (x - mean) / (deviation + 1e-9)}, 1e-12)
