"""Front ends: model files of all supported formats, read into one graph."""

from __future__ import annotations

from pyruntime_converter.frontends.model import ImportedModel, read_model

__all__ = ["ImportedModel", "read_model"]
