"""How a graph's inputs and outputs map to those of the ONNX model: names, order of axes, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models.peers.graph import CHANNELS_LAST, Graph, Tensor
from benchmarks.models.source import Array, Feeds

_CHANNELS_FIRST = tuple(np.argsort(CHANNELS_LAST))


def described(graph: Graph) -> dict[str, list[dict[str, Any]]]:
    """What benchmark.json says in `layouts`."""
    return {
        "inputs": [_port(n, t) for n, t in graph.inputs.items()],
        "outputs": [_port(n, t) for n, t in graph.outputs.items()],
    }


def _port(name: str, tensor: Tensor) -> dict[str, Any]:
    axes = {"axes": list(CHANNELS_LAST)} if tensor.maps else {}
    return {"name": name, "of": name, "dtype": str(tensor.dtype), **axes}


def given(graph: Graph, feeds: Feeds) -> Feeds:
    """ONNX feeds as the graph takes them."""
    made = {}
    for name, tensor in graph.inputs.items():
        array = feeds[name].transpose(CHANNELS_LAST) if tensor.maps else feeds[name]
        made[name] = np.ascontiguousarray(array.astype(tensor.dtype))
    return made


def returned(graph: Graph, outputs: dict[str, Array]) -> dict[str, Array]:
    """What the graph gave as ONNX outputs."""
    return {
        n: outputs[n].transpose(_CHANNELS_FIRST) if t.maps else outputs[n] for n, t in graph.outputs.items()
    }
