"""A model with weights of float16: tables, products, convolutions, a recurrence, long rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, NDArray[Any]]

LENGTH = 3001  # of the rows of softmax; odd
TOLERANCE = {"f32": 1e-3, "f16": 4e-3}  # relative to the largest magnitude


def feeds(rows: int) -> Arrays:
    """Inputs for so many rows."""
    random = np.random.default_rng(rows)
    image = random.standard_normal((1, 7, 9, 7)).astype(np.float16)
    return {"ids": random.integers(0, 11, rows), "image": image}


def _weights() -> Arrays:
    random = np.random.default_rng(0)
    shapes = {
        "table": (11, 33), "dense": (33, 64), "tiny": (64,), "scale": (64,), "shift": (64,),
        "last": (64, LENGTH), "filters": (12, 7, 3, 3), "depthwise": (12, 1, 3, 3),
        "w": (1, 48, 33), "r": (1, 48, 12), "b": (1, 96),
    }  # fmt: skip
    made = {name: random.standard_normal(shape) / 4 for name, shape in shapes.items()}
    made["dense"] *= 8000.0  # squares of what it gives are past float16
    made["tiny"] *= 2.0**-15  # subnormal
    mask = np.zeros(LENGTH)
    mask[::3] = -np.inf
    return {name: array.astype(np.float16) for name, array in {**made, "mask": mask}.items()}


def _model(dtype: int) -> onnx.ModelProto:
    """The model with weights of float16's values, as elements of dtype."""
    to = helper.tensor_dtype_to_np_dtype(dtype)
    weights = [numpy_helper.from_array(array.astype(to), name) for name, array in _weights().items()]
    weights.append(numpy_helper.from_array(np.array([1]), "one"))
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("MatMul", ["x", "dense"], ["large"]),
        helper.make_node("LayerNormalization", ["large", "scale", "shift"], ["normed"]),
        helper.make_node("Add", ["normed", "tiny"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "last"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["y"], axis=-1),
        helper.make_node("Conv", ["image", "filters"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "depthwise"], ["z"], group=12, strides=[2, 2]),
        helper.make_node("Unsqueeze", ["x", "one"], ["steps"]),
        helper.make_node("LSTM", ["steps", "w", "r", "b"], ["s"], hidden_size=12),
    ]
    graph = helper.make_graph(
        nodes,
        "half",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("image", dtype, [1, 7, 9, 7]),
        ],
        [helper.make_tensor_value_info(name, dtype, None) for name in ("y", "z", "s", "large")],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(path: Path, dtype: str) -> Path:
    """The model in a file, of dtype "f16", or "f32" with weights that float16 holds."""
    onnx.save(_model(TensorProto.FLOAT16 if dtype == "f16" else TensorProto.FLOAT), path)
    return path


def base_only(pack: Path, copy: Path) -> Path:
    """A copy of a pack, whose WebGPU target has the variant alone that requires nothing."""
    shutil.copytree(pack, copy)
    manifest = json.loads((copy / "pack.json").read_text())
    del manifest["targets"]["webgpu"]["variants"][:-1]
    (copy / "pack.json").write_text(json.dumps(manifest))
    return copy


def expected(given: Mapping[str, NDArray[Any]]) -> Arrays:
    """The outputs in float32, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(_model(TensorProto.FLOAT).SerializeToString())
    wide = {k: a.astype(np.float32) if a.dtype == np.float16 else a for k, a in given.items()}
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, wide), strict=True))
