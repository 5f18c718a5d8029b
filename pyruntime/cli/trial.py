"""Converts a small model, runs it on the device named as argument, compares; prints JSON for `doctor`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import pyruntime
from pyruntime.errors import PyRuntimeError
from pyruntime.runtime.session import Device


def trial(device: Device, folder: Path) -> dict[str, Any]:
    """Seconds of converting and of the first run of y = relu(x @ w + b), or {"error": what is wrong}."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    w, b, x = (random.standard_normal(s).astype(np.float32) for s in ((8, 5), (5,), (3, 8)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "trial",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 5])],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "trial.onnx")
    started = time.perf_counter()
    pyruntime.convert(folder / "trial.onnx", folder / "trial.pack", targets=(device,))
    converted = time.perf_counter() - started
    with pyruntime.load(folder / "trial.pack", device=device) as session:
        started = time.perf_counter()
        y = session.run({"x": x})["y"]
        ran = time.perf_counter() - started
    if not np.allclose(y, np.maximum(x @ w + b, 0), rtol=1e-4, atol=1e-5):
        return {"error": "the result is wrong"}
    return {"convert": converted, "run": ran}


def main() -> None:
    """Print the outcome for the device that the command line names."""
    with tempfile.TemporaryDirectory(prefix="pyruntime-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)  # wgpu asks for it, and containers leave it unset
        try:
            device: Device = next(d for d in get_args(Device) if d == sys.argv[1])
            answer = trial(device, Path(folder))
        except PyRuntimeError as error:
            answer = {"error": str(error), "code": error.code}
        except ImportError as error:
            answer = {"error": str(error), "code": "import"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
