"""The engines of the court: which form of a model each takes, and where its own files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = HERE.parent / "node_modules"
RUNTIME = ROOT / "js_bindings" / "dist"
OURS = "pyruntime"
IN_WORKER = "pyruntime-worker"  # ours by its defaults; OURS is on the page's thread, as all peers are
OWN_INT8 = "int8-dynamic"  # our own quantisation of the f32 model; `int8` is the model that comes quantised


@dataclass(frozen=True)
class Engine:
    """One engine: files by dtype, relative to the benchmark's folder."""

    name: str
    layout: str  # whose names and axis orders its models have: onnx, tflite or tfjs
    models: Mapping[str, str]  # of pyruntime: what its packs are made from
    hosts: tuple[str, ...]
    files: Path  # what it fetches by itself
    webgpu: str | None = None  # the opener for WebGPU, where it takes part there


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            OURS,
            "onnx",
            {"f32": "model.onnx", "int8": "model.int8.onnx", OWN_INT8: "model.onnx"},
            ("chromium", "node", "native"),
            RUNTIME,
            webgpu="pyruntime.js",
        ),
        Engine(IN_WORKER, "onnx", {"f32": "model.onnx"}, ("chromium",), RUNTIME),
        Engine(
            "onnxruntime-web",
            "onnx",
            {"f32": "model.onnx", "int8": "model.int8.onnx"},
            ("chromium", "node"),
            PEERS / "onnxruntime-web" / "dist",
            webgpu="onnxruntime-web.webgpu.js",
        ),
        Engine(
            "litert",
            "tflite",
            {"f32": "model.tflite", "int8": "model.int8.tflite"},
            ("chromium",),  # its loader makes <script> elements
            PEERS / "@litertjs" / "core" / "wasm",
        ),
        Engine(
            "tfjs",
            "tfjs",
            {"f32": "tfjs/model.json"},
            ("chromium", "node"),
            PEERS / "@tensorflow" / "tfjs-backend-wasm" / "wasm-out",
        ),
        Engine("jax-js", "onnx", {"f32": "jax/model.onnx"}, ("chromium", "node"), PEERS / "@jax-js" / "jax"),
    )
}


@dataclass(frozen=True)
class Contestant:
    """An engine as it takes part: the row of results.json that it makes."""

    engine: str
    dtype: str
    host: str
    threads: int = 1
    device: str = "wasm"

    @property
    def opener(self) -> str:
        """The file in js/engines that opens it."""
        engine = ENGINES[self.engine]
        return engine.webgpu if self.device == "webgpu" and engine.webgpu else f"{self.engine}.js"

    @property
    def ours(self) -> bool:
        """Whether it runs a pack."""
        return self.engine in (OURS, IN_WORKER)

    @property
    def pack(self) -> str:
        """The name of the pack that it runs, if it is ours."""
        return f"{self.dtype}.{self.device}.pack"

    def __str__(self) -> str:
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.engine} {self.dtype} on {self.device}, {self.host}{threads}"
