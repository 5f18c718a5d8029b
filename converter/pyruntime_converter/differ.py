"""Runs a model step by step on a target and with NumPy, and tells where the two part.

Steps are the kernel calls of the program that lowering made; each is followed by a comparison of what it
wrote. The reference goes on with its own values, so that what a target gets wrong once shows in all that
follows, and the first such step is the one to look at.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pyruntime_shaders.emit import divide_programs
from pyruntime_shaders.storage import FEATURE

from pyruntime.errors import RunError
from pyruntime.ir.graph import Graph
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Program
from pyruntime.ir.symbols import evaluate
from pyruntime.ops.interpret import poison, walk_program
from pyruntime.ops.iteration import Memory
from pyruntime.pack.program import BoundDispatch
from pyruntime.pack.reader import Pack
from pyruntime.pack.schema import Model
from pyruntime.runtime.bind import Bound
from pyruntime.runtime.gpu_convert import narrow
from pyruntime.runtime.gpu_plan import ComputePass
from pyruntime.runtime.tensors import TensorSpec
from pyruntime.runtime.wasm import WasmSession
from pyruntime.runtime.webgpu import WebGpuSession
from pyruntime_converter.build import build_pack
from pyruntime_converter.frontends import read_model
from pyruntime_converter.lowering.constants import lift_constants
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.state import PackStates
from pyruntime_converter.targets import wasm
from pyruntime_converter.targets.forms import gpu_bytes, gpu_dtype, half_forms
from pyruntime_converter.targets.host import Sides
from pyruntime_converter.targets.rewriting import rewritten
from pyruntime_converter.targets.tables import tabulate

Array = NDArray[Any]
Device = Literal["wasm", "webgpu"]
Feeder = Callable[[Sequence[TensorSpec]], Mapping[str, Any]]


@dataclass(frozen=True)
class Compared:
    """What a step wrote on the target beside the reference.

    Attributes:
        step: the step's name in the pack.
        nodes: the nodes of the user's model that it computes, as "Conv conv1".
        tensor, dtype: what it wrote.
        worst: the largest difference, as a share of the reference's largest magnitude; infinite where one
            of both is NaN or infinite and the other is not.
        elements: how many elements were compared.
        wrong: how many of them differ by more than is allowed.
        position: of the element that differs most, counted from the tensor's first.
        got, expected: that element.
    """

    step: str
    nodes: tuple[str, ...]
    tensor: str
    dtype: str
    worst: float
    elements: int
    wrong: int
    position: int
    got: float
    expected: float

    @property
    def diverges(self) -> bool:
        """Whether anything differs by more than is allowed."""
        return self.wrong > 0


class _Target(Protocol):
    """A device that is led from step to step."""

    def advance(self, number: int, call: KernelCall, values: Mapping[str, int]) -> Array | None:
        """Run step `number`; the elements of the tensor that it writes, None where it did nothing."""
        ...

    def skip(self, number: int) -> None:
        """Take step `number`, which computes nothing."""
        ...


def diff(
    source: str | os.PathLike[str], device: Device, feeder: Feeder, tolerance: float
) -> Iterator[Compared]:
    """Compare step by step.

    Args:
        source: a model, as `convert` takes it.
        device: where to run it.
        feeder: gives arrays for the inputs that it is told.
        tolerance: the largest difference that is allowed, as a share of the tensor's largest magnitude.

    Raises:
        PyRuntimeError: as `convert`, `load` and `Session.run` do.
    """
    with tempfile.TemporaryDirectory(prefix="pyruntime-") as folder:
        path = Path(folder) / "model.pack"
        model = read_model(Path(source))
        build_pack([model.graph], path, Model("model", "onnx", "0" * 64), targets=(device,))
        program = _program(model.graph, device)
        with Pack(path) as pack:
            session = WasmSession(pack, None, "", 1) if device == "wasm" else WebGpuSession(pack, None, "")
        with session:
            feeds = feeder(session.inputs)
            _, entry = session._find(None)
            with session.using():
                bound = session._kept.bind(entry, feeds)
                target = (
                    _Wasm(session, program, bound)
                    if isinstance(session, WasmSession)
                    else _WebGpu(session, program, bound)
                )
                yield from _compared(program, bound, target, tolerance)


def _program(graph: Graph, device: Device) -> Program:
    """What `build_pack` made of a graph, once more: the same graph, optimised, gives the same program."""
    program = lower(graph)
    if device == "wasm":
        (program,) = tabulate([program])
    lift_constants([program])
    return rewritten(program) if device == "webgpu" else program


def _compared(program: Program, bound: Bound, target: _Target, tolerance: float) -> Iterator[Compared]:
    inputs = [np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in bound.inputs]
    memory: Memory = {}
    for number, step, values in walk_program(program, inputs, bound.symbols, memory):
        if not isinstance(step, KernelCall):
            target.skip(number)
            continue
        written = target.advance(number, step, values)
        if written is not None:
            yield _comparison(step, written, memory[step.output.tensor], tolerance)


def _comparison(call: KernelCall, got: Array, expected: Array, tolerance: float) -> Compared:
    """How both differ where a step has written; elsewhere the target's memory holds anything."""
    bits = f"u{expected.itemsize}"
    unwritten = expected.view(bits) == np.asarray(poison(expected.dtype)).view(bits)
    if expected.dtype.kind == "b":
        unwritten[...] = False  # all that a bool can hold is an element, too
    ours, theirs = (np.where(unwritten, 0, a).astype(np.float64) for a in (got, expected))
    with np.errstate(invalid="ignore"):
        differences = np.abs(ours - theirs)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    differences = np.where(same, 0, np.where(np.isfinite(differences), differences, np.inf))
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = float(finite.max(initial=0)) or 1.0
    allowed = tolerance * scale if expected.dtype.kind == "f" else 0.0
    position = int(differences.argmax()) if differences.size else 0
    tensor = call.output.tensor
    return Compared(
        step=call.name,
        nodes=tuple(f"{o.op} {o.name}" for o in call.origins),
        tensor=tensor.name,
        dtype=tensor.dtype.value,
        worst=float(differences.max(initial=0)) / scale,
        elements=int((~unwritten).sum()),
        wrong=int((differences > allowed).sum()),
        position=position,
        got=float(ours[position]) if ours.size else math.nan,
        expected=float(theirs[position]) if theirs.size else math.nan,
    )


class _Wasm:
    """A module's `run` from step to step, and its memory."""

    def __init__(self, session: WasmSession, program: Program, bound: Bound) -> None:
        self._session = session
        self._number, entry = session._find(None)
        session._start(self._number, entry, bound)
        _, _, ((_, self._placement),) = wasm.placed([program], program.weights(), PackStates([program]))

    def advance(self, number: int, call: KernelCall, values: Mapping[str, int]) -> Array | None:
        """As `_Target`."""
        self.skip(number)
        tensor = call.output.tensor
        address = evaluate(self._placement.offsets[tensor], values)
        size = evaluate(tensor.elements, values) * tensor.dtype.bytes
        return np.frombuffer(bytes(self._session._span(address, size)), tensor.dtype.value)

    def skip(self, number: int) -> None:
        """As `_Target`."""
        after = self._session._call("run", self._number, number, number + 1)
        if after < 0:
            raise RunError(f"step {number} failed: code {after}")


class _WebGpu:
    """Dispatches one after another, each with the buffer that it writes."""

    def __init__(self, session: WebGpuSession, program: Program, bound: Bound) -> None:
        self._session, self._bound = session, bound
        (division,) = divide_programs([program], host_steps=True)
        halves = half_forms([Sides(program, division.host)], {})
        self._forms = halves if FEATURE in session.report.variant else {}
        self._dispatches = self._walk()
        self._next = next(self._dispatches, None)

    def _walk(self) -> Iterator[tuple[BoundDispatch, Callable[[], None]]]:
        """Each dispatch, and what runs it and all transfers before it."""
        session = self._session
        number, entry = session._find(None)
        plan = session._start(number, entry, self._bound)
        waiting: list[Callable[[Any], None]] = []

        def submit() -> None:
            encoder = session._device.create_command_encoder()
            for encode in waiting:
                encode(encoder)
            waiting.clear()
            session._device.queue.submit([encoder.finish()])

        while True:
            commands = iter([c for c in plan.program.commands if isinstance(c, BoundDispatch)])
            for encode in plan.encode:
                if isinstance(encode, ComputePass):
                    for call in encode.dispatches:
                        waiting.append(ComputePass([call]))
                        yield next(commands), submit
                else:
                    waiting.append(encode)
            if (pause := plan.program.pause) is None:
                return
            submit()
            plan = session._resumed(number, entry, pause, session._device.create_command_encoder())

    def advance(self, number: int, call: KernelCall, values: Mapping[str, int]) -> Array | None:
        """As `_Target`."""
        if self._next is None or self._next[0].step != call.name:
            return None
        dispatch, submit = self._next
        submit()
        tensor, place = call.output.tensor, dispatch.bindings[-1]
        size = evaluate(gpu_bytes(tensor, self._forms), values)
        words = self._session._device.queue.read_buffer(self._session._of(place), place.offset, size)
        self._next = next(self._dispatches, None)
        stored = narrow(words, gpu_dtype(tensor, self._forms), tensor.dtype)
        return np.frombuffer(stored, tensor.dtype.value, evaluate(tensor.elements, values))

    def skip(self, number: int) -> None:
        """As `_Target`: what else there is to do is done on the way to the next dispatch."""
