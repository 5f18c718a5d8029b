"""Runs TensorFlow.js models on its Wasm backend in Node."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.models.peers.graph import Graph
from benchmarks.models.peers.ports import given, returned
from benchmarks.models.source import Array, Feeds

_SCRIPT = Path(__file__).with_name("tfjs_run.mjs")


def run(model: Path, graph: Graph, feeds: Feeds, packages: Path) -> dict[str, Array]:
    """The outputs of a model's folder, by ONNX names.

    Args:
        model: the folder of model.json.
        graph: what it was written from.
        feeds: by ONNX names.
        packages: the node_modules folder that has TensorFlow.js.

    Raises:
        RuntimeError: TensorFlow.js cannot run it.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        task: dict[str, object] = {"model": str(model), "inputs": (inputs := []), "outputs": (outputs := [])}
        for i, (name, array) in enumerate(given(graph, feeds).items()):
            path = scratch / f"in{i}"
            path.write_bytes(array.tobytes())
            inputs.append({"name": name, "dtype": str(array.dtype), "shape": array.shape, "path": str(path)})
        for i, name in enumerate(graph.outputs):
            outputs.append({"name": name, "path": str(scratch / f"out{i}")})
        (scratch / "task.json").write_text(json.dumps(task))
        command = ["node", str(_SCRIPT), str(packages), str(scratch / "task.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"TensorFlow.js in Node: {done.stderr.strip()[-2000:]}")
        made = {
            name: np.frombuffer((scratch / f"out{i}").read_bytes(), np.float32).reshape(tensor.shape)
            for i, (name, tensor) in enumerate(graph.outputs.items())
        }
    return returned(graph, made)
