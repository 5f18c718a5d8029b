"""Tells whether a model can be converted, for which targets, and all that is missing: no pack, no C compiler.

The stages of a conversion run as far as they can: what a stage cannot do is noted, something of the same type
takes its place, and the next stage goes on. What may follow from that alone is told apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyruntime_shaders.division import divide
from pyruntime_shaders.emit import render_divided
from pyruntime_wasm.kernels import kernel_for as wasm_kernel

from pyruntime.errors import UnsupportedError, UnsupportedNodesError
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Program
from pyruntime_converter.frontends.model import ImportedModel, read_model
from pyruntime_converter.frontends.onnx.survey import SurveyedError, Unjudged
from pyruntime_converter.lowering.constants import lift_constants
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.memory import plan_coloured, plan_single, too_large
from pyruntime_converter.options import NOTHING, Told
from pyruntime_converter.passes import optimise
from pyruntime_converter.targets import webgpu
from pyruntime_converter.targets.forms import weight_forms
from pyruntime_converter.targets.host import Sides, check_states

Progress = Callable[[str, int, int, str], None]
# what a model may be converted for; on "webgpu" the CPU computes what the GPU cannot, on the last nothing
WASM, WEBGPU, STRICT = TARGETS = ("wasm", "webgpu", "webgpu-strict")
FIRST = "its reader ends at what it cannot convert: whatever comes after was not looked at"
OVERSIZED = "their kernels were not looked at, since there are tensors that no memory holds"
HOST = "Let host steps compute it on the CPU, as webgpu does, or convert for wasm alone."
EXPORT = "Export the model without it; pyruntime ops lists what there is."


@dataclass(frozen=True)
class Problem:
    """Nodes that lack the same.

    Attributes:
        op: their operator.
        nodes: their names, in the model's order.
        dtypes: of what they read, as far as that is known.
        targets: which ones cannot have them.
        reason, remedy: what is lacking, and what to do.
        follows: nodes that cannot be converted either, from which alone this may come.
    """

    op: str
    nodes: tuple[str, ...]
    dtypes: tuple[str, ...]
    targets: tuple[str, ...]
    reason: str
    remedy: str
    follows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """What came of it.

    Attributes:
        model: the path.
        format, opset: what was read; empty and 0 where nothing could be.
        nodes, kernels: how many nodes and kernel calls, as far as they are known.
        targets: whether the model can be converted for each.
        problems: what is missing.
        unjudged: nodes that were not reached, each with the reason.
        notes: what a user should know of a model that can be converted.
    """

    model: str
    format: str
    opset: int
    nodes: int
    kernels: int
    targets: Mapping[str, bool]
    problems: tuple[Problem, ...]
    unjudged: tuple[Unjudged, ...]
    notes: tuple[str, ...]


def _silent(stage: str, done: int, total: int, detail: str) -> None:
    """Progress that nobody watches."""
    del stage, done, total, detail


def check(source: str | os.PathLike[str], told: Told = NOTHING, tell: Progress = _silent) -> Checked:
    """Look for all that keeps a model from being converted.

    Args:
        source: a model, as `convert` takes it.
        told: what the user says of its inputs, as `convert` takes it.
        tell: called with (stage, done, total, detail).

    Raises:
        OptionError: `told` names what there is not.
        ModelError: the file is missing, damaged or inconsistent.
    """
    path = Path(source)
    found = _Found()
    tell("read", 0, 1, Path(source).name)
    model, graph, format_ = _read(path, told, found)
    nodes = 0 if graph is None else len(graph.nodes)
    kernels = 0
    notes: tuple[str, ...] = ()
    if graph is not None:
        notes = tuple(c.reason for c in graph.constraints)
        tell("optimise", 0, 1, f"{nodes} nodes")
        optimise(graph)
        tell("lower", 0, 1, f"{len(graph.nodes)} nodes")
        lacking: list[UnsupportedError] = []
        program = lower(graph, lacking)
        lift_constants([program])
        for error in lacking:
            found.add(error, _dtypes(graph, error), TARGETS)
        kernels = len(program.calls)
        notes = (*notes, *_targets(program, found, tell))
    problems = found.problems()
    missing = {target for p in problems for target in p.targets}
    return Checked(
        os.fspath(source),
        format_,
        model.opset if model else 0,
        nodes,
        kernels,
        {target: target not in missing for target in TARGETS},
        problems,
        tuple(found.unjudged),
        () if missing >= {WASM, WEBGPU} else notes,
    )


def _targets(program: Program, found: _Found, tell: Progress) -> tuple[str, ...]:
    """Notes on the targets; what they lack is added to `found`."""
    oversized = [*too_large(program)]
    if oversized:
        for error in oversized:
            found.add(error)
        found.unjudged.append(Unjudged("targets", program.name, OVERSIZED))
        return ()
    tell("targets", 0, 2, WASM)
    unable = dict(_wasm(program))
    for call, error in unable.items():
        found.add(error, _dtypes_of(call), (WASM,))
    tell("targets", 1, 2, WEBGPU)
    return _webgpu(program, unable, found)


class _Found:
    """Problems by what is the same about them."""

    def __init__(self) -> None:
        self.unjudged: list[Unjudged] = []
        self._nodes: dict[tuple[object, ...], dict[str, None]] = {}
        self._rows: dict[tuple[object, ...], Problem] = {}

    def add(
        self,
        error: UnsupportedError,
        dtypes: Iterable[str] = (),
        targets: Sequence[str] = TARGETS,
        follows: Sequence[str] = (),
    ) -> None:
        """Note what a node lacks."""
        kinds = tuple(dict.fromkeys(dtypes))
        key = (error.op, kinds, tuple(targets), error.reason, tuple(follows))
        self._nodes.setdefault(key, {})[error.node] = None
        remedy = error.remedy or (EXPORT if tuple(targets) == TARGETS else "")
        row = Problem(error.op, (), kinds, tuple(targets), error.reason, remedy, tuple(follows))
        self._rows.setdefault(key, row)

    def problems(self) -> tuple[Problem, ...]:
        """Each with its nodes, in order of discovery."""
        return tuple(
            Problem(r.op, tuple(self._nodes[k]), r.dtypes, r.targets, r.reason, r.remedy, r.follows)
            for k, r in self._rows.items()
        )


def _read(path: Path, told: Told, found: _Found) -> tuple[ImportedModel | None, Graph | None, str]:
    """The model, as much of its graph as can be had, and its format, where that is known."""
    try:
        model = read_model(path, None, told, survey=True)
    except SurveyedError as error:
        for finding in error.findings:
            found.add(finding.error, finding.dtypes, TARGETS, finding.follows)
        found.unjudged += error.unjudged
        return None, error.graph, "onnx"
    except UnsupportedError as error:
        for entry in error.entries if isinstance(error, UnsupportedNodesError) else (error,):
            found.add(entry)
        found.unjudged.append(Unjudged("model", path.name, FIRST))
        return None, None, ""
    return model, model.graph, model.format


def _dtypes(graph: Graph, error: UnsupportedError) -> Iterator[str]:
    """Of what the node that an error names reads."""
    graphs = [graph]
    for each in graphs:
        for node in each.nodes:
            graphs += node.subgraphs
            if (node.origin.op, node.origin.name) == (error.op, error.node):
                yield from (v.dtype.value for v in node.inputs if v is not None)


def _wasm(program: Program) -> Iterator[tuple[KernelCall | None, UnsupportedError]]:
    """What the Wasm target cannot compute: each distinct kernel is printed, and none compiled."""
    seen = set()
    for call in program.calls:
        try:
            kernel = wasm_kernel(call)
            key = (call.template, kernel.key(call))
            if key not in seen:
                kernel.render(call, "kernel")
                seen.add(key)
        except UnsupportedError as error:
            yield call, _of(call, error)
    plan = partial(
        plan_single, program, base=0, fixed={}, scratch=lambda call: wasm_kernel(call).scratch(call)
    )
    yield from ((None, error) for error in _failing(plan))


def _webgpu(
    program: Program, unable: Mapping[KernelCall | None, UnsupportedError], found: _Found
) -> tuple[str, ...]:
    """Notes on WebGPU; what it lacks is added to `found`. `unable` is what no host step can compute, too."""
    division = divide(program)
    for number in sorted(division.unable):
        call = program.steps[number]
        assert isinstance(call, KernelCall)
        found.add(_of(call, division.host[number], HOST), _dtypes_of(call), (STRICT,))
        if call in unable:
            found.add(_of(call, division.host[number]), _dtypes_of(call), (WEBGPU,))
    render_divided([program], [division])
    side = Sides(program, division.host)
    weights = [t for t in program.weights() if t in side.gpu]
    forms = weight_forms({t: t.dtype for t in weights}, program.states)
    sizes: list[int] = []
    for tensor in weights:
        try:
            sizes.append(webgpu.weight_bytes(tensor, forms))
        except UnsupportedError as large:
            found.add(large, [tensor.dtype.value], (WEBGPU, STRICT))
    for plan in (partial(check_states, [side]), partial(plan_coloured, program, held=side.gpu)):
        for error in _failing(plan):
            found.add(error, (), (WEBGPU, STRICT))
    return webgpu.notes([side], sizes)


def _failing(probe: Callable[[], object]) -> Iterator[UnsupportedError]:
    """What a part of a conversion raises, if it does."""
    try:
        probe()
    except UnsupportedError as error:
        yield error


def _of(call: KernelCall, error: UnsupportedError, remedy: str = "") -> UnsupportedError:
    """An error of a call as one of all nodes of the model that the call computes."""
    told = error.remedy or remedy
    if len(call.origins) < 2:
        return UnsupportedError(error.op, error.node, error.reason, told)
    op, node = (" + ".join(texts) for texts in zip(*((o.op, o.name) for o in call.origins), strict=True))
    return UnsupportedError(op, node, error.reason, told)


def _dtypes_of(call: KernelCall | None) -> list[str]:
    """Of what a call reads and writes."""
    return [] if call is None else [t.dtype.value for t in call.tensors()]
