"""The ONNX front end: every opset that the `onnx` package reads, normalised to the canonical ops."""

from __future__ import annotations

from pyruntime_converter.frontends.onnx.importer import import_model, read

__all__ = ["import_model", "read"]
