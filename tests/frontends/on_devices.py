"""Converts a model for one device and runs it there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from numpy.typing import NDArray
from onnx import ModelProto

import pyruntime

Array = NDArray[Any]
Device = Literal["wasm", "webgpu"]
DEVICES = [pytest.param(d, marks=getattr(pytest.mark, d)) for d in ("wasm", "webgpu")]


def on_device(
    proto: ModelProto, feeds: Mapping[str, Any], device: Device, folder: Path, **options: Any
) -> dict[str, Any]:
    """What a model gives on a device; its pack, made with these options, is left in the folder."""
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    pyruntime.convert(folder / "model.onnx", folder / "model.pack", targets=(device,), **options)
    with pyruntime.load(folder / "model.pack", device=device) as session:
        return dict(session.run(feeds))
