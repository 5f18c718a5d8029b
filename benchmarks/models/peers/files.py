"""Writes and checks the files of a benchmark for engines that do not read ONNX, or not all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.court.engines import PEERS
from benchmarks.court.prepare import install_peers
from benchmarks.models.agree import alike, near
from benchmarks.models.peers import litert, node
from benchmarks.models.peers.graph import Graph
from benchmarks.models.peers.ports import described
from benchmarks.models.peers.static import NotTakenError, static
from benchmarks.models.peers.tfjs import tfjs
from benchmarks.models.peers.translate import translate
from benchmarks.models.source import Array, Source
from benchmarks.models.trace import Trace, run

Told = dict[str, Any]


def write(
    source: Source, trace: Trace, expected: dict[str, Array], folder: Path, say: Callable[[str], None]
) -> tuple[Told, Told]:
    """All files: what benchmark.json says of the formats, and of how feeds and outputs map to them.

    Raises:
        DisagreementError: a file gives something else than the reference.
    """
    graph = translate(trace)
    layout = described(graph)
    formats = {
        **_tflite(source, graph, expected, folder, say),
        **_tfjs(source, graph, expected, folder, say),
        **_jax(source, trace, expected, folder, say),
    }
    return formats, {"tflite": layout, "tfjs": layout}


def _tflite(
    source: Source, graph: Graph, expected: dict[str, Array], folder: Path, say: Callable[[str], None]
) -> Told:
    say("TFLite")
    data = litert.written(graph)
    path = folder / "model.tflite"
    path.write_bytes(data)
    plain = {
        "file": path.name,
        "bytes": len(data),
        "error": near(litert.run(data, graph, source.feeds), expected, path.name),
    }
    say("TFLite int8")
    path = folder / "model.int8.tflite"
    data = litert.quantised(data, graph, source)
    path.write_bytes(data)
    integer = {
        "file": path.name,
        "bytes": len(data),
        "quantisation": source.quantisation,
        "cosine": alike(litert.run(data, graph, source.feeds), expected, path.name),
    }
    return {"tflite": plain, "tflite-int8": integer}


def _tfjs(
    source: Source, graph: Graph, expected: dict[str, Array], folder: Path, say: Callable[[str], None]
) -> Told:
    say("TensorFlow.js")
    install_peers()
    model = folder / "tfjs"
    tfjs(graph, model)
    told = {
        "file": "tfjs/model.json",
        "bytes": sum(p.stat().st_size for p in model.iterdir()),
        "error": near(node.run(model, graph, source.feeds, PEERS), expected, "tfjs/model.json"),
    }
    return {
        "tfjs": told,
        "tfjs-int8": {"missing": "TensorFlow.js computes in f32: it dequantises weights as it loads them"},
    }


def _jax(
    source: Source, trace: Trace, expected: dict[str, Array], folder: Path, say: Callable[[str], None]
) -> Told:
    say("jax-js")
    told: Told = {"jax-int8": {"missing": "jax-js has no products of 8-bit integers"}}
    try:
        proto = static(trace)
    except NotTakenError as error:
        return {"jax": {"missing": str(error)}, **told}
    path = folder / "jax" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(proto.SerializeToString(deterministic=True))
    error_ = near(run(proto, source.feeds), expected, "jax/model.onnx")
    return {"jax": {"file": "jax/model.onnx", "bytes": path.stat().st_size, "error": error_}, **told}
