"""LiteRT's own tools for TFLite files, its quantiser and its interpreter, kept apart from .venv."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.models.integer import calibration
from benchmarks.models.peers.graph import Graph
from benchmarks.models.peers.ports import given, returned
from benchmarks.models.peers.tflite import SIGNATURE, tflite
from benchmarks.models.source import Array, Feeds, Source

_ROOT = Path(__file__).parents[3]
LOCK = _ROOT / "benchmarks" / "requirements.lock"
PACKAGES = _ROOT / "build" / "bench" / "python"


def install() -> None:
    """Put LiteRT's packages at the end of Python's path; fetch them if the lock file has changed."""
    stamp = PACKAGES / LOCK.name
    if not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
        shutil.rmtree(PACKAGES, ignore_errors=True)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
        subprocess.run([*pip, "--target", str(PACKAGES), "-r", str(LOCK)], check=True)
        stamp.write_bytes(LOCK.read_bytes())
    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))


def written(graph: Graph) -> bytes:
    """The f32 file of a graph."""
    install()
    from ai_edge_litert import schema_py_generated

    return tflite(graph, schema_py_generated)


def run(data: bytes, graph: Graph, feeds: Feeds) -> dict[str, Array]:
    """A file of this graph in LiteRT on one thread: ONNX feeds to ONNX outputs."""
    install()
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data, num_threads=1).get_signature_runner(SIGNATURE)
    return returned(graph, {n: a.copy() for n, a in runner(**given(graph, feeds)).items()})


def quantised(data: bytes, graph: Graph, source: Source) -> bytes:
    """The integer file: weights int8 per channel, activations as the source's ONNX form has them."""
    install()
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        from ai_edge_quantizer import quantizer, recipe

        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        made = quantizer.Quantizer(str(path))
        if source.quantisation == "dynamic":
            made.load_quantization_recipe(recipe.dynamic_wi8_afp32())
            return bytes(made.quantize().quantized_model)
        made.load_quantization_recipe(recipe.static_wi8_ai8())
        # inputs and outputs stay float32, as those of the ONNX form
        for end in ("INPUT", "OUTPUT"):
            made.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
        runs = [given(graph, f) for f in (*calibration(source.feeds), source.feeds)]
        return bytes(made.quantize(made.calibrate({SIGNATURE: runs})).quantized_model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the tools' progress bars and advice."""
    out: Any = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
