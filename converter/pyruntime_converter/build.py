"""convert(): a model file to a pack on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pyruntime import __version__
from pyruntime.errors import ModelError, OptionError
from pyruntime.ir.cost import operations, traffic
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Program
from pyruntime.ir.views import Tensor
from pyruntime.pack.report import KernelStep, Report
from pyruntime.pack.schema import Entry, Manifest, Model, Producer
from pyruntime.pack.shards import Deferred
from pyruntime.pack.targets import Targets
from pyruntime.pack.writer import PackWriter
from pyruntime_converter.account import account
from pyruntime_converter.frontends import read_model
from pyruntime_converter.interface import entry, kept
from pyruntime_converter.lowering.constants import lift_constants
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.options import Elements, Told
from pyruntime_converter.passes import QUANTIZE, optimise
from pyruntime_converter.passes.quantize import Quantization, Quantized
from pyruntime_converter.state import PackStates, StateOptions, attach
from pyruntime_converter.targets import wasm, webgpu
from pyruntime_converter.targets.rewriting import rewritten
from pyruntime_converter.targets.tables import tabulate

Progress = Callable[[str, int, int, str], None]
Storage = Literal["f32", "f16"]
TARGETS = ("webgpu", "wasm")


def _silent(stage: str, done: int, total: int, detail: str) -> None:
    """Progress that nobody watches."""
    del stage, done, total, detail


@dataclass(frozen=True)
class Stored:
    """A weight of the program, its index in the pack, and the dtype that it has there."""

    tensor: Tensor
    index: int
    dtype: DType


def convert(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    targets: Sequence[str] = TARGETS,
    weights: Storage = "f32",
    name: str | None = None,
    compiler: str | None = None,
    assets: Mapping[str, str | os.PathLike[str] | bytes] | None = None,
    progress: Progress | None = None,
    state: Mapping[str, str] | Literal["auto"] | None = None,
    state_init: Mapping[str, Any] | None = None,
    capacity: Mapping[str, int] | None = None,
    symbols: Mapping[str, int] | None = None,
    elements: Mapping[str, Elements] | None = None,
    values: Mapping[str, Any] | None = None,
    quantize: Quantization | None = None,
    host_steps: bool = True,
    tunable: bool = False,
) -> Report:
    """Compile a model to a pack.

    Args:
        source: an ONNX file, or a Hugging Face folder with config.json and safetensors.
        out: the pack's folder, or a path ending in .zip for one stored archive. It appears whole or not at
            all; an older pack there is replaced.
        targets: "webgpu", "wasm", or both.
        weights: how floats are stored: "f32" as they are, "f16" to halve the download (they stay so on a
            GPU, and are expanded while loading on Wasm; values past the range of float16 stay float32).
        name: the model's name in the pack; by default the file's.
        compiler: path of the C compiler for Wasm; by default emcc, clang or ziglang, the first found.
        assets: files that travel in the pack, by the name under which `session.assets` has them: a path or
            the content. A Hugging Face folder's tokenizer.json is one without being asked for.
        progress: called with (stage, done, total, detail).
        state: an output for each input that it becomes the next value of: `{"state": "stateN"}`. The session
            keeps these tensors from run to run; they are neither fed nor given any more. "auto" goes by
            usual names (state and stateN, past_key_values.0.key and present.0.key).
        state_init: arrays that states begin as, by the input's name; the others begin as zeros.
        capacity: for each symbol along which states grow (a cache of past keys) its largest value.
        symbols: sizes for symbols of the inputs' shapes, which are fixed thereby.
        elements: for each input that is a sequence how many tensors it has, `{"x": 3}`, or the shape of each,
            which the model may not tell, `{"x": [[2, 3], ["n", 3]]}`. Sessions are fed a list of so many. For
            an optional the same, 1 for a tensor, or None where it is absent.
        values: what inputs of few integers or bools always are: `{"split": 2}`. Whatever hangs on them is
            decided now. Sessions need not be fed them where all elements are equal, and refuse other values.
        quantize: "int8" computes the large products of a float model in integers: about a quarter of the
            bytes, and less time on Wasm, for a small error (`passes/quantize.py` says how). "int4" and
            "int8-weights" make weights alone integers, in blocks that share a scale (`quantize_blocks.py`
            there): a sixth of the bytes or two sevenths, in memory too. Models that are quantised already
            stay in integers without it. `weights` is about the floats that are left.
        host_steps: whether a WebGPU pack may leave to the CPU what the GPU cannot compute, float64 above
            all. The report names such steps; False refuses them.
        tunable: whether a WebGPU pack holds, in a file that pages do not load, all shaders that
            `pyruntime tune` may try in place of those that it runs.

    Raises:
        OptionError: an option that does not fit the model.
        ModelError: the file is missing, damaged or inconsistent.
        UnsupportedError: a node cannot be compiled for an asked target; names node, op, reason, remedy.
        CompilerError: there is no C compiler for Wasm, or it failed.
        PackError: the pack cannot be written.
    """
    start = time.perf_counter()
    _check_options(targets, weights, quantize)
    _check_names(
        state=None if state == "auto" else state,
        state_init=state_init,
        capacity=capacity,
        symbols=symbols,
        elements=elements,
        values=values,
        assets=assets,
    )
    options = StateOptions(state or {}, capacity or {}, state_init or {}, symbols or {})
    tell = progress or _silent
    tell("read", 0, 1, Path(source).name)
    model = read_model(Path(source), name, Told(options.dims(), elements or {}, values or {}))
    attach(model.graph, options)
    origin = Model(model.graph.name, model.format, model.sha256, model.opset)
    files = _contents({**model.assets, **(assets or {})})
    report = build_pack(
        [model.graph],
        out,
        origin,
        targets=targets,
        weights=weights,
        compiler=compiler,
        assets=files,
        tell=tell,
        quantize=quantize,
        host_steps=host_steps,
        tunable=tunable,
    )
    return replace(report, seconds=round(time.perf_counter() - start, 3))


def build_pack(
    graphs: Sequence[Graph],
    out: str | os.PathLike[str],
    model: Model,
    *,
    targets: Sequence[str] = TARGETS,
    weights: Storage = "f32",
    compiler: str | None = None,
    assets: Mapping[str, bytes] = MappingProxyType({}),
    tell: Progress = _silent,
    quantize: Quantization | None = None,
    host_steps: bool = True,
    tunable: bool = False,
) -> Report:
    """Compile graphs to a pack with an entry for each; they share weights and kernels.

    Entries are named as the graphs; a single one is `main`. The graphs are changed. Arguments and errors as
    for `convert`; `model` says where they come from.
    """
    nodes = sum(len(g.nodes) for g in graphs)
    tell("optimise", 0, 1, f"{nodes} nodes")
    quantized = Quantized(quantize) if quantize else None
    for graph in graphs:
        optimise(graph, quantized)
    tell("lower", 0, 1, f"{sum(len(g.nodes) for g in graphs)} nodes")
    lowered = [lower(g) for g in graphs]
    tabulated = tabulate(lowered) if "wasm" in targets else []
    plain = lowered if "webgpu" in targets else []
    constants = lift_constants([*{id(p): p for p in (*tabulated, *plain)}.values()])
    gpu_programs = [rewritten(p) for p in plain]
    programs = tabulated or gpu_programs
    calls = [c for p in programs for c in p.calls]
    states = PackStates(programs)
    exact = {constants, *(s.initial for s in states.states)}
    with PackWriter(out) as pack:
        tensors = dict.fromkeys(t for p in (*programs, *gpu_programs) for t in p.weights())
        stored = []
        for done, tensor in enumerate(tensors):
            tell("weights", done, len(tensors), tensor.name)
            stored.append(_store(tensor, pack, "f32" if tensor in exact else weights))
        described = pack.weights.finish()
        gpu = (
            webgpu.build(gpu_programs, stored, states, pack, compiler, host_steps=host_steps, tunable=tunable)
            if "webgpu" in targets
            else None
        )
        built = Targets(
            webgpu=None if gpu is None else gpu.target,
            wasm=wasm.build(programs, stored, states, pack, compiler, tell) if "wasm" in targets else None,
        )
        refused = tuple(c.reason for g in graphs for c in g.constraints)
        notes = (
            *refused,
            *(() if gpu is None else webgpu.notes(gpu.sides, [*gpu.target.buffers, *gpu.target.state])),
        )
        on_host = [] if gpu is None else webgpu.left_to_host(gpu.sides)
        tell("write", 0, 1, Path(out).name)
        entries = [
            entry(g, p, states, g.name if len(graphs) > 1 else "main")
            for g, p in zip(graphs, programs, strict=True)
        ]
        needs = {
            "state": states.states,
            "sizes": any(e.sizes for e in entries),
            "lists": any(e.lists for e in entries),
            "host": gpu is not None and gpu.target.host is not None,
            "strings": any(s.encodes is DType.STRING for e in entries for s in (*e.inputs, *e.outputs)),
        }
        manifest = Manifest(
            requires=tuple(name for name, needed in needs.items() if needed),
            producer=Producer("pyruntime", __version__),
            model=model,
            entries=entries,
            weights=described,
            targets=built,
            assets=tuple(pack.add_asset(n, data) for n, data in assets.items()),
            state=kept(states, {s.tensor: s.index for s in stored}),
            # nothing that differs between two runs or two machines
            report={
                "nodes": nodes,
                "kernels": len(calls),
                "notes": list(notes),
                **_accounts(tabulated, gpu_programs, entries, {s.tensor: s.index for s in stored}),
                **({"host_steps": [asdict(h) for h in on_host]} if on_host else {}),
            },
        )
        pack.finish(manifest)
    tell("write", 1, 1, Path(out).name)
    return Report(
        name=model.name,
        path=os.fspath(out),
        source_format=model.format,
        opset=model.opset,
        seconds=0.0,
        nodes=nodes,
        kernels=[_step(c) for c in calls],
        symbols=list(dict.fromkeys(s for p in programs for s in p.symbols)),
        weights_bytes=sum(t.bytes for t in described.tensors),
        files=_files(Path(out)),
        dispatches=webgpu.dispatches(built.webgpu),
        targets=[t for t in TARGETS if t in targets],
        notes=notes,
        quantized=[] if quantized is None else list(quantized.done),
        unquantized={} if quantized is None else quantized.left,
        host_steps=on_host,
    )


def _accounts(
    wasm_programs: Sequence[Program],
    gpu_programs: Sequence[Program],
    entries: Sequence[Entry],
    weights: Mapping[Tensor, int],
) -> dict[str, Any]:
    """What the report tells of the programs (`pyruntime.pack.account`)."""
    theirs, gpus = (
        [account(p, weights).to_json(e) for p, e in zip(made, entries, strict=bool(made))]
        for made in (wasm_programs, gpu_programs)
    )
    if not theirs or not gpus:
        return {"programs": theirs or gpus}
    own = [None if gpu == other else gpu for gpu, other in zip(gpus, theirs, strict=True)]
    return {"programs": theirs, "webgpu": own}


def _check_options(targets: Sequence[str], weights: str, quantize: str | None) -> None:
    unknown = [t for t in targets if t not in TARGETS]
    if unknown or not targets:
        raise OptionError(f"targets {targets!r}: give a list with one or both of {', '.join(TARGETS)}")
    if weights not in ("f32", "f16"):
        raise OptionError(f"weights {weights!r}: give 'f32' or 'f16'")
    if quantize is not None and quantize not in QUANTIZE:
        raise OptionError(f"quantize {quantize!r}: give one of {', '.join(QUANTIZE)}, or leave it out")


def _check_names(**options: object) -> None:
    """Refuse what is no mapping among options that are mappings from names. Raises OptionError."""
    for option, given in options.items():
        if given is not None and not isinstance(given, Mapping):
            raise OptionError(f"{option} {given!r}: give a mapping from names, such as {{'name': ...}}")


def _contents(assets: Mapping[str, str | os.PathLike[str] | bytes]) -> dict[str, bytes]:
    """The assets' bytes. Raises ModelError for a file that cannot be read."""
    found = {}
    for name, source in assets.items():
        if not name:
            raise OptionError("assets: an asset needs a name")
        try:
            found[name] = source if isinstance(source, bytes) else Path(source).read_bytes()
        except OSError as error:
            raise ModelError(f"{source!s}: cannot be read: {error.strerror or error}") from None
    return found


def _store(tensor: Tensor, pack: PackWriter, weights: Storage) -> Stored:
    """Add a weight to the pack."""
    dtype = DType.F16 if weights == "f16" and _fits_half(tensor) else tensor.dtype
    elements = int(str(tensor.elements))
    later = Deferred(dtype, elements, lambda: _elements(tensor).astype(dtype.value, copy=False))
    index = pack.weights.add(tensor.name, later, layout=tensor.layout, shape=tensor.original_shape)
    return Stored(tensor, index, dtype)


def _elements(tensor: Tensor) -> NDArray[Any]:
    array = tensor.array
    assert array is not None
    return array


def _fits_half(tensor: Tensor) -> bool:
    """Whether a weight is of float32, all within float16's range; if all are positive, its normal range."""
    if tensor.dtype is not DType.F32 or not tensor.elements:
        return False
    array, half = _elements(tensor), np.finfo(np.float16)
    least, most = array.min(), array.max()
    return bool(
        -half.max <= least and most <= half.max and not 0 < least < half.smallest_normal
    )  # not so for NaN


def _step(call: KernelCall) -> KernelStep:
    return KernelStep(
        step=call.name,
        template=call.template,
        origins=tuple(f"{o.op} {o.name}" for o in call.origins),
        operations=str(operations(call)),
        bytes=str(traffic(call)),
    )


def _files(path: Path) -> dict[str, int]:
    found = [path] if path.is_file() else sorted(path.iterdir())
    return {p.name: p.stat().st_size for p in found}
