"""Writes one benchmark's folder: each format, feeds, outputs, and benchmark.json, which tells about them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from benchmarks.models.agree import alike
from benchmarks.models.integer import quantised
from benchmarks.models.peers import files as peers
from benchmarks.models.source import Array, Source
from benchmarks.models.trace import run, trace
from tests.garden.folders import safetensors

TOLD = "benchmark.json"
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
# files outside of this folder that the models hang on
_SOURCES = (
    "benchmarks/package-lock.json",
    "benchmarks/requirements.lock",
    "demo_site/search/model.py",
    "tests/passes/bert.py",
    "tests/passes/net.py",
)
_DTYPES = {"float32": "F32", "int64": "I64"}

Say = Callable[[str], None]


def fingerprint() -> str:
    """A hash of everything that the models are made from."""
    digest = hashlib.sha256()
    files = sorted(p for p in _HERE.rglob("*") if p.suffix in {".py", ".mjs"})
    for file in [*files, *(_ROOT / s for s in _SOURCES)]:
        digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    for package in ("onnx", "onnxruntime", "numpy"):
        digest.update(f"{package}=={importlib.metadata.version(package)}".encode())
    return digest.hexdigest()


def current(folder: Path, sources: str) -> bool:
    """Whether a benchmark's folder was made from these sources."""
    try:
        told = json.loads((folder / TOLD).read_text())
    except (OSError, ValueError):
        return False
    return bool(told.get("sources") == sources)


def write(name: str, source: Source, folder: Path, sources: str, say: Say = lambda _: None) -> dict[str, Any]:
    """Make all files of a benchmark; gives what benchmark.json says. A folder that is there is replaced."""
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    say("reference")
    traced = trace(source.proto, source.feeds)
    expected = run(source.proto, source.feeds)
    _save(scratch / "feeds.safetensors", source.feeds)
    _save(scratch / "outputs.safetensors", expected)
    told: dict[str, Any] = {
        "name": name,
        "sources": sources,
        "operations": traced.operations,
        "weight_bytes": sum(len(i.raw_data) for i in source.proto.graph.initializer),
        "inputs": [_described(v, source.feeds[v.name]) for v in source.proto.graph.input],
        "outputs": [_described(v, expected[v.name]) for v in source.proto.graph.output],
        "formats": {},
    }
    formats = told["formats"]
    say("ONNX")
    formats["onnx"] = _onnx(scratch / "model.onnx", source.proto)
    say("ONNX int8")
    integer = quantised(source)
    formats["onnx-int8"] = {
        **_onnx(scratch / "model.int8.onnx", integer),
        "quantisation": source.quantisation,
        "cosine": alike(run(integer, source.feeds), expected, "model.int8.onnx"),
    }
    formats["huggingface"] = (
        {"folder": source.folder} if source.folder else {"missing": "the weights are random"}
    )
    say("for other engines")
    made, layouts = peers.write(source, traced, expected, scratch, say)
    formats |= made
    told["layouts"] = layouts
    (scratch / TOLD).write_text(json.dumps(told, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    return told


def _onnx(path: Path, proto: ModelProto) -> dict[str, Any]:
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return {"file": path.name, "bytes": path.stat().st_size}


def _described(value: Any, array: Array) -> dict[str, Any]:
    """Name, dtype and shape, and names of sizes that are symbols in the model."""
    dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    symbols = {d: n for d, n in zip(dims, array.shape, strict=True) if isinstance(d, str)}
    told = {"name": value.name, "dtype": str(array.dtype), "shape": list(array.shape)}
    return told | ({"symbols": symbols} if symbols else {})


def _save(path: Path, arrays: dict[str, Array]) -> None:
    rows = {n: (_DTYPES[str(a.dtype)], a.shape, np.ascontiguousarray(a).tobytes()) for n, a in arrays.items()}
    path.write_bytes(safetensors(rows))
