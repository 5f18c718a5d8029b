"""Packs of `quantize`: what their weights take, what the report tells, which options go together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from pyruntime_converter.build import convert
from pyruntime_converter.passes.quantize import Quantization

import pyruntime
from pyruntime.errors import OptionError
from pyruntime.pack.reader import Pack
from tests.frontends.on_devices import DEVICES, Device
from tests.frontends.onnx_models import random, runtime
from tests.passes.net import Net

ELEMENTS = 100 * 64 + 64 * 80


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A table, a product and a depthwise convolution."""
    net = Net({"ids": np.array([[3, 0, 99, 7]])})
    x = net("Gather", random(100, 64), "ids", axis=0)
    y = net("Add", net("MatMul", x, random(64, 80) * np.float32(1e-5)), random(80))
    image = net("Reshape", y, np.array([1, 20, 4, 4]))
    out = net("Conv", image, random(20, 1, 3, 3), group=20, pads=[1, 1, 1, 1])
    path = tmp_path / "model.onnx"
    path.write_bytes(net.proto(out).SerializeToString())
    return path


def stored(pack: Path) -> Counter[str]:
    """Bytes of weights by dtype."""
    with Pack(pack) as opened:
        found: Counter[str] = Counter()
        for tensor in opened.manifest.weights.tensors:
            found[tensor.dtype.value] += tensor.bytes
        return found


def test_weights_take_a_byte_each(model: Path, tmp_path: Path) -> None:
    report = convert(model, tmp_path / "pack", targets=("webgpu",), quantize="int8")
    assert ELEMENTS <= stored(tmp_path / "pack")["int8"] <= 1.1 * ELEMENTS  # with sums for the kernels
    assert [name.split()[0] for name in report.quantized] == ["Gather", "MatMul"]
    assert list(report.unquantized.values()) == ["a depthwise convolution of elements without bounds"]
    plain = convert(model, tmp_path / "plain", targets=("webgpu",))
    assert not plain.quantized
    assert not plain.unquantized
    assert "int8" not in stored(tmp_path / "plain")


@pytest.mark.parametrize(("form", "bits"), [("int4", 4), ("int8-weights", 8)])
def test_weights_alone(model: Path, tmp_path: Path, form: Quantization, bits: int) -> None:
    """So many bits each, on WebGPU too."""
    report = convert(model, tmp_path / "pack", targets=("webgpu",), quantize=form)
    assert ELEMENTS * bits // 8 <= stored(tmp_path / "pack")["uint32"] <= ELEMENTS * bits // 8 + 64  # shifts
    assert [name.split()[0] for name in report.quantized] == ["Gather", "MatMul"]
    assert list(report.unquantized.values()) == ["filters of convolutions stay floats"]


@pytest.mark.parametrize("device", DEVICES)
def test_weights_alone_in_half_precision(model: Path, tmp_path: Path, device: Device) -> None:
    """Scales lose nothing, also where they stay float16 in memory."""
    convert(model, tmp_path / "pack", targets=(device,), quantize="int4")
    convert(model, tmp_path / "half", targets=(device,), quantize="int4", weights="f16")
    assert stored(tmp_path / "half")["float16"] < stored(tmp_path / "pack")["float32"]
    feeds = {"ids": np.array([[3, 0, 99, 7]])}
    found: list[NDArray[Any]] = []
    for name in ("pack", "half"):
        with pyruntime.load(tmp_path / name, device=device) as session:
            found += session.run(feeds).values()
    assert np.abs(found[0] - found[1]).max() <= 2e-3 * np.abs(found[0]).max()  # the filters


@pytest.mark.webgpu
def test_with_half_precision(model: Path, tmp_path: Path) -> None:
    """Scales too small for float16's normal range keep float32; the result is as near as with float32."""
    convert(model, tmp_path / "pack", targets=("webgpu",), quantize="int8", weights="f16")
    found = stored(tmp_path / "pack")
    assert ELEMENTS <= found["int8"] <= 1.1 * ELEMENTS
    assert found["float16"] > 0
    assert found["float32"] == 80 * 4  # steps of about 3e-7
    feeds = {"ids": np.array([[3, 0, 99, 7]])}
    (wanted,) = runtime(onnx.load(model), feeds).values()
    with pyruntime.load(tmp_path / "pack", device="webgpu") as session:
        (result,) = session.run(feeds).values()
    assert np.abs(np.asarray(result) - wanted).max() <= 2e-3 * np.abs(wanted).max()


def test_unknown_values_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="int2"):
        convert(model, tmp_path / "pack", quantize="int2")  # type: ignore[arg-type]
