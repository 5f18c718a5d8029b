"""Fourier transforms and mel filters: what ONNX's reference gives, for lengths of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper
from pyruntime_converter.frontends.onnx import fourier

from pyruntime.errors import ModelError, UnsupportedError
from tests.frontends.on_devices import DEVICES, Device, on_device
from tests.frontends.onnx_models import Array, agrees, imported, model, one_node, random, reference, run, same

Shape = Sequence[int | str | None]


def transform(x: Array, length: int | None = None, axis: int | None = None, **attrs: Any) -> ModelProto:
    """A DFT of opset 20 with a constant length and axis."""
    weights = {} if length is None else {"length": np.array(length)}
    weights |= {} if axis is None else {"axis": np.array(axis)}
    names = ["x", "length" if length is not None else "", "axis" if axis is not None else ""]
    while not names[-1]:
        names.pop()
    return one_node("DFT", {"x": x}, weights=weights, inputs=names, opset=20, **attrs)


def like_reference(proto: ModelProto, feeds: dict[str, Array]) -> None:
    same(run(proto, feeds), reference(proto, feeds))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths from 7 on are split wherever they have factors."""
    monkeypatch.setattr(fourier, "DIRECT", 6)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [1, 2, 7, 12, 30, 49, 64])
@pytest.mark.parametrize("attrs", [{}, {"inverse": 1}, {"onesided": 1}])
@pytest.mark.usefixtures("short")
def test_transform(length: int, parts: int, attrs: dict[str, Any]) -> None:
    x = random(3, length, parts)
    like_reference(transform(x, **attrs), {"x": x})


@pytest.mark.parametrize("stated", [None, 6, 9, 24, 35])
@pytest.mark.usefixtures("short")
def test_real_inverse(stated: int | None) -> None:
    x = random(2, 12, 2)
    like_reference(transform(x, stated, inverse=1, onesided=1), {"x": x})


@pytest.mark.parametrize("stated", [5, 20, 36])
@pytest.mark.parametrize("axis", [0, 1, -2, -3])
@pytest.mark.usefixtures("short")
def test_stated_length_and_axis(stated: int, axis: int) -> None:
    x = random(9, 20, 3, 2)
    like_reference(transform(x, stated, axis), {"x": x})


@pytest.mark.parametrize("attrs", [{}, {"onesided": 1}, {"inverse": 1, "onesided": 1}])
def test_axis_that_is_fed(attrs: dict[str, Any]) -> None:
    for axis in (0, 1, -2):
        feeds = {"x": random(5, 4, 6, 2), "axis": np.array(axis)}
        proto = one_node("DFT", feeds, inputs=["x", "", "axis"], opset=20, **attrs)
        like_reference(proto, feeds)


def test_axis_of_opset_17() -> None:
    x = random(4, 5, 6, 1)
    chosen: list[dict[str, Any]] = [{}, {"axis": 2, "onesided": 1}, {"axis": 0}]
    for attrs in chosen:
        like_reference(one_node("DFT", {"x": x}, opset=17, **attrs), {"x": x})


@pytest.mark.parametrize("attrs", [{}, {"inverse": 1}, {"onesided": 1}, {"inverse": 1, "onesided": 1}])
@pytest.mark.parametrize("size", [2, 5, 12])
def test_length_that_inputs_decide(size: int, attrs: dict[str, Any]) -> None:
    x = random(3, size, 2)
    proto = one_node("DFT", {"x": x}, shapes={"x": ["batch", "size", 2]}, opset=20, **attrs)
    like_reference(proto, {"x": x})


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("length", "shape", "attrs"),
    [
        (None, None, {}),
        (450, None, {"onesided": 1}),
        (900, None, {"inverse": 1, "onesided": 1}),
        (None, ("batch", "size", 2), {"inverse": 1}),
    ],
    ids=["direct", "split", "real", "open"],
)
def test_devices(
    length: int | None, shape: Shape | None, attrs: dict[str, Any], device: Device, tmp_path: Path
) -> None:
    x = random(2, 37 if length is None else 451, 2)
    proto = transform(x, length, **attrs)
    if shape is not None:
        proto = one_node("DFT", {"x": x}, shapes={"x": list(shape)}, opset=20, **attrs)
    same(on_device(proto, {"x": x}, device, tmp_path), reference(proto, {"x": x}))


def test_half_precision_sums_in_single() -> None:
    x = random(2, 100, 1).astype(np.float16)
    same(run(transform(x), {"x": x}), reference(transform(x), {"x": x}), 1e-3)


def test_a_long_prime_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="10007"):
        imported(transform(random(1, 10007, 1)))


def test_parts_are_no_axis() -> None:
    with pytest.raises(ModelError, match="axis 2"):
        imported(transform(random(2, 3, 2), axis=2))


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize(("step", "length"), [(4, 16), (5, 16), (6, 16), (16, 16), (20, 16), (3, 7)])
def test_frames(step: int, length: int, onesided: int) -> None:
    x, window = random(2, 64, 1), np.hanning(length).astype(np.float32)
    proto = one_node("STFT", {"x": x}, weights={"step": np.array(step), "window": window}, onesided=onesided)
    agrees(proto, {"x": x})


def test_frames_of_a_signal_of_any_size() -> None:
    weights = {"step": np.array(6), "length": np.array(12)}
    names = ["x", "step", "", "length"]
    for size in (12, 17, 40):
        x = random(2, size, 1)
        shapes: dict[str, Shape] = {"x": ["batch", "size", 1]}
        proto = one_node("STFT", {"x": x}, weights=weights, inputs=names, shapes=shapes)
        like_reference(proto, {"x": x})


@pytest.mark.parametrize(("filters", "length", "rate"), [(8, 16, 8192), (80, 400, 16000), (23, 255, 8000)])
@pytest.mark.parametrize("fed", [False, True])
def test_mel_filters(filters: int, length: int, rate: int, fed: bool) -> None:
    values = {"n": np.array(filters), "length": np.array(length), "rate": np.array(rate)}
    edges = {"low": np.array(20, np.float32), "high": np.array(rate / 2, np.float32)}
    node = helper.make_node("MelWeightMatrix", [*values, *edges], ["out"])
    given = {**values, **edges}
    proto = model([node], given, ["out"]) if fed else model([node], {}, ["out"], weights=given)
    like_reference(proto, given if fed else {})
