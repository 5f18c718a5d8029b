"""The Hugging Face front end: folders with config.json and safetensors, built by the model garden."""

from __future__ import annotations

from pyruntime_converter.frontends.huggingface.folder import import_folder

__all__ = ["import_folder"]
