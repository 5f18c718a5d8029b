"""Random operators: statistics of what they draw, and the same numbers on all devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from pyruntime.errors import ModelError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, imported, model, one_node, random, run

SHAPE = (
    211,
    499,
)  # odd sizes; means of 100,000 draws are within 1 % of their deviation, most of the time 0.3 %


def drawn(op: str, seed: float | None = None, **attrs: Any) -> Array:
    given = attrs | ({} if seed is None else {"seed": seed})
    return run(one_node(op, {}, shape=SHAPE, **given), {})["out"]


def like_uniform(x: Array) -> None:
    """Moments, a histogram, and no correlation with neighbours along either axis."""
    assert x.min() >= 0
    assert x.max() < 1
    assert abs(x.mean() - 0.5) < 4 * np.sqrt(1 / 12 / x.size)
    assert abs(x.var() - 1 / 12) < 0.001
    counts, _ = np.histogram(x, 100, (0, 1))
    expected = x.size / 100
    assert 50 < ((counts - expected) ** 2 / expected).sum() < 165  # chi-squared of 99: 1 in 10,000 each way
    for a, b in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1]), (x[:, 2:], x[:, :-2])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(x.size)


@pytest.mark.parametrize("seed", [None, 0.0, 1.0, -3.5, 1e9])
def test_uniform(seed: float | None) -> None:
    x = drawn("RandomUniform", seed)
    assert (x.dtype.name, x.shape) == ("float32", SHAPE)
    like_uniform(x)
    np.testing.assert_array_equal(x, drawn("RandomUniform", seed))
    scaled = drawn("RandomUniform", seed, low=-2.0, high=5.0)
    np.testing.assert_allclose(scaled, x * 7 - 2, atol=1e-6)


def test_seeds_are_unlike() -> None:
    drawings = [drawn("RandomUniform", seed).ravel() for seed in (None, 0.0, 1.0, 2.0)]
    for i, a in enumerate(drawings):
        for b in drawings[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)
            assert np.mean(np.isin(a[:1000], b[:1000])) < 0.01


def test_nodes_without_a_seed_are_unlike() -> None:
    nodes = [helper.make_node("RandomUniformLike", ["x"], [name]) for name in ("a", "b")]
    feeds = {"x": random(100, 100)}
    got = run(model(nodes, feeds, ["a", "b"]), feeds)
    assert abs(np.corrcoef(got["a"].ravel(), got["b"].ravel())[0, 1]) < 0.04


def test_normal() -> None:
    x = drawn("RandomNormal", 1.0, mean=3.0, scale=2.0).astype(np.float64)
    z = (x - 3) / 2
    assert abs(z.mean()) < 0.0125
    assert abs(z.var() - 1) < 0.02
    assert abs((z**3).mean()) < 0.04
    assert abs((z**4).mean() - 3) < 0.1
    assert 3.8 < np.abs(z).max() < 6.5
    assert abs(np.mean(np.abs(z) < 1) - 0.6827) < 0.006


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_dtypes(kind: int) -> None:
    x = drawn("RandomUniform", 1.0, dtype=kind)
    assert x.dtype == helper.tensor_dtype_to_np_dtype(kind)
    assert abs(x.astype(np.float32).mean() - 0.5) < 0.005
    feeds = {"x": np.zeros((3, 5), x.dtype)}
    like = run(one_node("RandomNormalLike", feeds), feeds)["out"]
    assert (like.dtype, like.shape) == (x.dtype, (3, 5))


def test_what_has_no_random_elements() -> None:
    feeds = {"x": np.zeros((3, 5), np.int32)}
    with pytest.raises(ModelError, match="random elements of type int32"):
        imported(one_node("RandomUniformLike", feeds))


def test_bernoulli() -> None:
    likely = np.broadcast_to(np.array([0, 0.1, 0.5, 0.9, 1, np.nan], np.float32), (20011, 6)).copy()
    feeds = {"x": likely}
    got = run(one_node("Bernoulli", feeds, dtype=TensorProto.INT32, seed=2.0), feeds)["out"]
    assert got.dtype == np.int32
    np.testing.assert_allclose(got.mean(0), [0, 0.1, 0.5, 0.9, 1, 0], atol=0.015)
    assert (got[:, 0].max(), got[:, 4].min()) == (0, 1)
    assert run(one_node("Bernoulli", feeds), feeds)["out"].dtype == np.float32


def test_multinomial() -> None:
    chances = np.array([[0.2, 0.5, 0, 0.3], [0.01, 0.01, 0.97, 0.01]])
    with np.errstate(divide="ignore"):
        feeds = {"x": (np.log(chances) + 3).astype(np.float32)}
    got = run(one_node("Multinomial", feeds, sample_size=20011, dtype=TensorProto.INT64), feeds)["out"]
    assert (got.dtype.name, got.shape) == ("int64", (2, 20011))
    for row, wanted in zip(got, chances, strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=4) / row.size, wanted, atol=0.015)


def test_dropout() -> None:
    feeds = {"x": random(*SHAPE, low=1.0)}
    for ratio in (None, 0.25, 1.0):
        given = {} if ratio is None else {"r": np.array(ratio, np.float32)}
        names = ["x", *(given or [""]), "t"]
        weights = given | {"t": np.array(True)}
        proto = one_node("Dropout", feeds, weights=weights, inputs=names, outputs=("out", "mask"), seed=3)
        got = run(proto, feeds)
        wanted = 0.5 if ratio is None else ratio
        assert got["mask"].dtype == np.bool_
        assert abs(got["mask"].mean() - (1 - wanted)) < 0.007
        np.testing.assert_array_equal(got["out"] != 0, got["mask"])
        if wanted < 1:
            np.testing.assert_allclose(got["out"], feeds["x"] * got["mask"] / (1 - wanted), rtol=1e-6)


def test_dropout_whose_mode_and_ratio_are_fed() -> None:
    feeds = {"x": random(*SHAPE, low=1.0), "r": np.array(0.25, np.float32), "t": np.array(True)}
    proto = one_node("Dropout", feeds, outputs=("out", "mask"))
    assert abs(run(proto, feeds)["mask"].mean() - 0.75) < 0.007
    got = run(proto, feeds | {"t": np.array(False)})
    assert got["mask"].all()
    np.testing.assert_array_equal(got["out"], feeds["x"])


@pytest.mark.parametrize("device", DEVICES)
def test_devices_draw_the_same(device: Device, tmp_path: Path) -> None:
    """Also where sizes are symbols."""
    nodes = [
        helper.make_node("RandomUniformLike", ["x"], ["uniform"]),
        helper.make_node("RandomNormalLike", ["x"], ["normal"], seed=5.0),
        helper.make_node("Bernoulli", ["x"], ["ones"], dtype=TensorProto.BOOL),
        helper.make_node("Multinomial", ["x"], ["classes"], sample_size=13),
        helper.make_node("Dropout", ["x", "", "yes"], ["dropped", "mask"]),
        helper.make_node("RandomUniform", [], ["whole"], shape=[3, 7], low=-1.0),
    ]
    names = ["uniform", "normal", "ones", "classes", "dropped", "mask", "whole"]
    feeds = {"x": random(37, 11, low=0.0, high=1.0)}
    proto = model(nodes, feeds, names, weights={"yes": np.array(True)}, shapes={"x": ["n", 11]})
    wanted, got = run(proto, feeds), on_device(proto, feeds, device, tmp_path)
    for name in names:
        assert got[name].dtype == wanted[name].dtype
        if name == "classes":  # logarithms differ in the last bit, and two scores may be near
            assert np.mean(got[name] != wanted[name]) < 0.01
        elif name in ("normal", "dropped", "whole"):
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(got[name], wanted[name])
