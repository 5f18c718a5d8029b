"""From a trained network to what a page loads: compared with onnxruntime, converted, its bytes told."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

import pyruntime
from demo_site.demo import RUNTIME, DemoError
from demo_site.stages import stages

MOST_DISAGREEMENT = 1e-5
OPSET = 17

Feeds = Mapping[str, np.ndarray[Any, Any]]


def make_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A checked model of one graph."""
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="pyruntime demo")
    onnx.checker.check_model(model, full_check=True)
    return model


def pack_model(model: onnx.ModelProto, pack: Path, **options: Any) -> pyruntime.Report:
    """Convert for both devices of a page; options are those of `pyruntime.convert`.

    Raises:
        PyRuntimeError: the model could not be converted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{pack.stem}.onnx"
        onnx.save(model, file)
        return pyruntime.convert(file, pack, targets=("webgpu", "wasm"), **options)


def disagreement(model: onnx.ModelProto, feeds: Feeds, expected: Feeds) -> float | None:
    """The largest difference of onnxruntime's outputs from these, by name; None without onnxruntime."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return None
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(expected), {name: np.asarray(value) for name, value in feeds.items()})
    # a shape that differs must not broadcast
    apart = [
        np.abs(np.subtract(a, b)).max() if a.shape == b.shape else np.inf
        for a, b in zip(found, expected.values(), strict=True)
    ]
    return float(max(apart))


def tell_disagreement(error: float | None, console: Console) -> None:
    """Print how far onnxruntime is from the trained network. Raises DemoError where that is too far."""
    if error is None:
        console.print("onnxruntime is not installed: not compared with it.")
        return
    console.print(f"onnxruntime differs from the trained network by at most {error:.1e}.")
    if not error <= MOST_DISAGREEMENT:
        raise DemoError(f"onnxruntime and the trained network differ by {error:.1e}")


def runtime_bytes(runtime: Path) -> tuple[dict[str, int], int]:
    """Bytes of the JavaScript that each device needs, and of all of it as a server compresses it."""
    needed = {name: (runtime / name).read_bytes() for names in RUNTIME.values() for name in names}
    by_device = {device: sum(len(needed[name]) for name in names) for device, names in RUNTIME.items()}
    return by_device, sum(len(gzip.compress(code, 9)) for code in needed.values())


def files_table(report: pyruntime.Report, pack: str, runtime: Mapping[str, int]) -> Table:
    """Files and bytes of the pack and of the runtime."""
    table = Table("file", "bytes", title="What the page loads", title_justify="left")
    table.columns[1].justify = "right"
    for name, size in report.files.items():
        table.add_row(f"{pack}/{name}", f"{size:,}")
    for device, size in runtime.items():
        table.add_row(f"JavaScript runtime for {device}", f"{size:,}")
    return table


@dataclass(frozen=True)
class Network:
    """A trained network, exported.

    Attributes:
        options: of `convert`.
        feeds: what it is compared with onnxruntime on.
        expected: what comes of them in training's own arithmetic.
    """

    model: onnx.ModelProto
    feeds: Feeds
    expected: Feeds
    options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, site: Path, pack: Path, facts: Mapping[str, Any], told: str, console: Console) -> None:
        """Write a page's pack, and beside it the facts that it tells; print what the page loads.

        Args:
            site: where the JavaScript runtime is.
            facts: for the page's script.
            told: what the page tells of the network.

        Raises:
            DemoError: onnxruntime disagrees with the network.
            PyRuntimeError: it could not be converted.
        """
        with stages(console) as stage:
            tell = stage("convert")
            report = pack_model(self.model, pack, **self.options)
            tell(1)
        runtime, compressed = runtime_bytes(site / "js")
        code = f"The JavaScript runtime is {compressed / 1000:.1f} kB when compressed, and knows no model."
        written = {**facts, "told": f"{told} {code}"}
        (pack.parent / "facts.json").write_text(json.dumps(written, indent=1) + "\n")
        console.print(files_table(report, pack.name, runtime))
        tell_disagreement(disagreement(self.model, self.feeds, self.expected), console)
