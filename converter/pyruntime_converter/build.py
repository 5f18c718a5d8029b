"""convert(): a model file to a pack on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyruntime import __version__
from pyruntime.errors import PyRuntimeError
from pyruntime.ir.dims import Dim, symbols_of, to_rpn
from pyruntime.ir.graph import Graph, Value
from pyruntime.ir.kernel import KernelCall, Tensor
from pyruntime.pack.report import KernelStep, Report
from pyruntime.pack.schema import Entry, Manifest, Model, Producer, Spec, Symbol, Targets
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.frontends import read_model
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_converter.targets import wasm, webgpu

Progress = Callable[[str, int, int, str], None]
Storage = Literal["f32", "f16"]
TARGETS = ("webgpu", "wasm")


class OptionError(PyRuntimeError, ValueError):
    """An option of `convert` has a value that it cannot have."""

    code = "option"


@dataclass(frozen=True)
class Stored:
    """A weight of the program and its index in the pack."""

    tensor: Tensor
    index: int


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    targets: Sequence[str] = TARGETS,
    weights: Storage = "f32",
    name: str | None = None,
    compiler: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compile a model to a pack.

    Args:
        source: an ONNX file.
        out: the pack's folder, or a path ending in .zip for one stored archive. It appears whole or not at
            all; an older pack there is replaced.
        targets: "webgpu", "wasm", or both.
        weights: how floats are stored: "f32" as they are, "f16" to halve the download (they are expanded
            while loading; values past the range of float16 stay float32).
        name: the model's name in the pack; by default the file's.
        compiler: path of the C compiler for Wasm; by default emcc, clang or ziglang, the first found.
        progress: called with (stage, done, total, detail).

    Raises:
        ModelError: the file is missing, damaged or inconsistent.
        UnsupportedError: a node cannot be compiled for an asked target; names node, op, reason, remedy.
        CompilerError: there is no C compiler for Wasm, or it failed.
        PackError: the pack cannot be written.
    """
    start = time.perf_counter()
    _check_options(targets, weights)
    tell = progress or (lambda stage, done, total, detail: None)
    tell("read", 0, 1, os.fspath(source))
    model = read_model(source, name)
    nodes = len(model.graph.nodes)
    tell("optimise", 0, 1, f"{nodes} nodes")
    optimise(model.graph)
    tell("lower", 0, 1, f"{len(model.graph.nodes)} nodes")
    program = lower(model.graph)
    with PackWriter(out) as pack:
        stored = [
            Stored(
                t,
                pack.weights.add(
                    t.name, storage(_array(t), weights), layout=t.layout, shape=t.original_shape
                ),
            )
            for t in program.weights()
        ]
        built = Targets(
            webgpu=webgpu.build(program, stored, pack) if "webgpu" in targets else None,
            wasm=wasm.build(program, stored, pack, compiler, tell) if "wasm" in targets else None,
        )
        tell("write", 0, 1, os.fspath(out))
        report = Report(
            name=model.graph.name,
            path=os.fspath(out),
            source_format=model.format,
            opset=model.opset,
            seconds=round(time.perf_counter() - start, 3),
            nodes=nodes,
            kernels=[_step(c) for c in program.calls],
            symbols=program.symbols,
            weights_bytes=sum(storage(_array(s.tensor), weights).nbytes for s in stored),
            files={},
            dispatches=webgpu.dispatches(built.webgpu),
            targets=[t for t in TARGETS if t in targets],
            notes=webgpu.notes(program) if "webgpu" in targets else (),
        )
        manifest = Manifest(
            requires=(),
            producer=Producer("pyruntime", __version__),
            model=Model(model.graph.name, model.format, model.sha256, model.opset),
            entries=(entry(model.graph),),
            weights=pack.weights.finish(),
            targets=built,
            report=published(report),
        )
        pack.finish(manifest)
    tell("write", 1, 1, os.fspath(out))
    return replace(report, files=_files(Path(out)), seconds=round(time.perf_counter() - start, 3))


def _check_options(targets: Sequence[str], weights: str) -> None:
    unknown = [t for t in targets if t not in TARGETS]
    if unknown or not targets:
        raise OptionError(f"targets {list(targets)}: give one or both of {', '.join(TARGETS)}")
    if weights not in ("f32", "f16"):
        raise OptionError(f"weights {weights!r}: give 'f32' or 'f16'")


def _array(tensor: Tensor) -> NDArray[Any]:
    assert tensor.data is not None
    return tensor.data


def storage(array: NDArray[Any], weights: str) -> NDArray[Any]:
    """array as the pack keeps it."""
    if (
        weights == "f16"
        and array.dtype == np.float32
        and bool((np.abs(array) <= np.finfo(np.float16).max).all())
    ):
        return array.astype(np.float16)
    return array


def entry(graph: Graph) -> Entry:
    """The program's interface, with the user's own names."""
    symbols: dict[str, Symbol] = {}
    for number, value in enumerate(graph.inputs):
        for axis, dim in enumerate(value.shape):
            for symbol in sorted(symbols_of(dim)):
                symbols.setdefault(symbol, Symbol(symbol, number, axis))
    outputs = [_spec(n, v) for n, v in zip(graph.output_names, graph.outputs, strict=True)]
    return Entry("main", list(symbols.values()), [_spec(v.name, v) for v in graph.inputs], outputs)


def _spec(name: str, value: Value) -> Spec:
    return Spec(name, value.dtype, [to_rpn(d) for d in value.shape])


def _step(call: KernelCall) -> KernelStep:
    operations: Dim = getattr(call, "operations", 0)
    return KernelStep(
        call.name, call.template, tuple(f"{o.op} {o.name}" for o in call.origins), str(operations)
    )


def published(report: Report) -> dict[str, Any]:
    """The part of the report that packs carry: nothing that differs between two runs or two machines."""
    return {"nodes": report.nodes, "kernels": len(report.kernels), "notes": list(report.notes)}


def _files(path: Path) -> dict[str, int]:
    found = [path] if path.is_file() else sorted(path.iterdir())
    return {p.name: p.stat().st_size for p in found}
