"""A model with a step of two forms, for few rows and for many, which symbolic sizes choose."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, helper

from tests.frontends.onnx_models import Array, model

WEIGHT = np.random.default_rng(5).standard_normal((16, 8)).astype(np.float32)


def two_forms() -> ModelProto:
    """y = sin(x) W, total = the sum of |x|: x [rows, 16]."""
    nodes = [
        helper.make_node("Sin", ["x"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
        helper.make_node("ReduceL1", ["x"], ["total"], keepdims=0),
    ]
    feeds = {"x": np.zeros((1, 16), np.float32)}
    return model(nodes, feeds, ["y", "total"], weights={"w": WEIGHT}, shapes={"x": ["rows", 16]})


def expected(x: Array) -> dict[str, Array]:
    """By NumPy."""
    return {"y": np.sin(x) @ WEIGHT, "total": np.abs(x).sum(dtype=np.float32)}


def rows(count: int) -> Array:
    """An input."""
    return np.random.default_rng(count).uniform(-3, 3, (count, 16)).astype(np.float32)
