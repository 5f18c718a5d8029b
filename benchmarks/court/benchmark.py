"""One benchmark as `python -m benchmarks.models` writes it: a folder of models, feeds and references."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.court import tensors
from benchmarks.court.engines import ENGINES, ROOT, Contestant
from benchmarks.court.tensors import Tensors

BUILD = ROOT / "build" / "bench"
MODELS = BUILD / "models"


@dataclass(frozen=True)
class Port:
    """An input or output of a model in some format, and the ONNX tensor that it is.

    `axes` are the ONNX tensor's axes in the format's order, or None where they are the same.
    """

    name: str
    of: str
    axes: tuple[int, ...] | None = None
    dtype: str | None = None

    def given(self, array: NDArray[Any]) -> NDArray[Any]:
        """An ONNX input as this port takes it."""
        turned = array if self.axes is None else array.transpose(self.axes)
        return np.ascontiguousarray(turned if self.dtype is None else turned.astype(self.dtype))

    def back(self, flat: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
        """What this port gave, flat, as the ONNX output of this shape."""
        if self.axes is None:
            return flat.reshape(shape)
        return flat.reshape([shape[a] for a in self.axes]).transpose(np.argsort(self.axes))


class Benchmark:
    """What there is of one benchmark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: Mapping[str, Any] = json.loads((folder / "benchmark.json").read_text())
        self.name: str = self.about["name"]
        self.operations: float = self.about["operations"]  # floating-point operations of a run
        self.weight_bytes: float = self.about["weight_bytes"]  # in f32
        int8 = self.about["formats"].get("onnx-int8", {})
        self.quantisation: str | None = int8.get(
            "quantisation"
        )  # of the int8 models: static (QDQ) or dynamic
        self.feeds = tensors.read(folder / "feeds.safetensors")
        self.reference = tensors.read(folder / "outputs.safetensors")

    @property
    def packs(self) -> Path:
        """The folder of this benchmark's packs."""
        return BUILD / "packs" / self.name

    def model(self, contestant: Contestant) -> Path:
        """The model that a contestant runs."""
        if contestant.ours:
            return self.packs / contestant.pack
        return self.folder / ENGINES[contestant.engine].models[contestant.dtype]

    def missing(self, contestant: Contestant) -> str | None:
        """Why there is no model for a contestant; None where there is one."""
        path = ENGINES[contestant.engine].models[contestant.dtype]
        if not (self.folder / path).is_file():
            return f"there is no {path}{self._why(path)}"
        failure = self.packs / f"{contestant.pack}.error"
        return failure.read_text() if contestant.ours and failure.is_file() else None

    def _why(self, path: str) -> str:
        """What benchmark.json says of a file that is not there; formats are onnx-int8, tflite, tfjs, jax."""
        name = path.partition("/")[0]
        kind = name.rpartition(".")[2] + ("-int8" if ".int8." in name else "")
        told = self.about["formats"].get(kind, {})
        return f": {told['missing']}" if "missing" in told else ""

    def ports(self, layout: str, side: str) -> list[Port]:
        """The inputs or outputs of the model in a layout, in its order."""
        told = self.about.get("layouts", {}).get(layout, {}).get(side)
        if told is None:
            held = self.feeds if side == "inputs" else self.reference
            return [Port(name, name) for name in held]
        return [
            Port(
                p["name"], p.get("of", p["name"]), tuple(p["axes"]) if p.get("axes") else None, p.get("dtype")
            )
            for p in told
        ]

    def write_feeds(self, layout: str) -> Path:
        """The feeds as the models of a layout take them."""
        path = BUILD / "feeds" / self.name / f"{layout}.safetensors"
        tensors.write(path, {p.name: p.given(self.feeds[p.of]) for p in self.ports(layout, "inputs")})
        return path

    def outputs(self, layout: str, flat: Tensors) -> Tensors:
        """What a model of a layout gave, by the names of the ONNX outputs.

        By name where a port has it, else by position.
        """
        ports = self.ports(layout, "outputs")
        names = list(flat)
        found: Tensors = {}
        for i, port in enumerate(ports):
            array = flat.get(port.name)
            if array is None and i < len(names):
                array = flat[names[i]]
            if array is not None and array.size == self.reference[port.of].size:
                found[port.of] = port.back(array, self.reference[port.of].shape)
        return found


def found(only: Sequence[str] = ()) -> list[Benchmark]:
    """All benchmarks that have been made, or those whose names match a pattern."""
    folders = sorted(p.parent for p in MODELS.glob("*/benchmark.json"))
    return [Benchmark(f) for f in folders if not only or any(fnmatch(f.name, o) for o in only)]
