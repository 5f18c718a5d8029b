"""A WebGPU entry with its expressions evaluated for one set of sizes, every number checked before use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyruntime.errors import InputError, MemoryLimitError, PackError, RunError
from pyruntime.ir.dtypes import DType
from pyruntime.pack.expressions import Evaluator, Expression, ExpressionError
from pyruntime.pack.schema import Entry, Spec
from pyruntime.pack.targets import (
    ALIGNMENT,
    GPU_DTYPES,
    MAX_WORKGROUPS,
    Binding,
    Copy,
    Dispatch,
    Fill,
    GpuEntry,
    GpuTensor,
    GpuVariant,
    Host,
    HostTensor,
    Jump,
    Read,
    Region,
    Set,
    Shader,
    Transfer,
    WebGpu,
    gpu_bytes,
)

_INT32 = 2**31
MAX_COMMANDS = 1 << 20  # in a run: far more than any model with loops needs


@dataclass(frozen=True)
class Span:
    """Bytes in arena, weight or state buffer `index`."""

    kind: str
    index: int
    offset: int
    bytes: int

    @property
    def end(self) -> int:
        """One past the last byte."""
        return self.offset + self.bytes


@dataclass(frozen=True)
class BoundDispatch:
    """A dispatch ready to encode; all workgroup counts are at least one. `command` is its number."""

    step: str
    shader: int
    bindings: tuple[Span, ...]
    words: tuple[int, ...]
    workgroups: tuple[int, int, int]
    command: int


@dataclass(frozen=True)
class BoundCopy:
    """A copy between two buffers; `source` None fills with zeros. At least one byte."""

    source: Span | None
    target: Span


@dataclass(frozen=True)
class BoundTensor:
    """An input or output: its shape, and where its elements lie, on the GPU or on the host."""

    shape: tuple[int, ...]
    span: Span | None
    address: int | None = None


@dataclass(frozen=True)
class BoundRead:
    """What stands between two segments of a program: an element gives `symbol` its value, the rest go on."""

    symbol: str
    span: Span
    dtype: str
    symbols: Mapping[str, int]
    next: int  # the command to go on at


@dataclass(frozen=True)
class BoundTransfer:
    """A tensor's elements on the GPU and, as `dtype`, at an address of the host's memory."""

    span: Span
    address: int
    dtype: DType

    @property
    def bytes(self) -> int:
        """What the elements take on the host."""
        return self.span.bytes // gpu_bytes(1, GPU_DTYPES[self.dtype]) * self.dtype.bytes


@dataclass(frozen=True)
class BoundHost:
    """As `BoundRead`: steps first..last of the host, what they take and give, and the symbols they tell."""

    first: int
    last: int
    inputs: tuple[BoundTransfer, ...]
    outputs: tuple[BoundTransfer, ...]
    reads: tuple[tuple[str, int, DType], ...]  # symbol, address, dtype
    symbols: Mapping[str, int]
    next: int


@dataclass(frozen=True)
class BoundProgram:
    """What to do for one set of sizes, up to the end or a pause; `executed` counts the commands walked.

    Commands that would do nothing are left out. Up to a pause there are no outputs yet. `commits` says
    whether anything here overwrites a state, or what follows the pause may.
    """

    arenas: tuple[int, ...]
    inputs: tuple[BoundTensor, ...]
    outputs: tuple[BoundTensor, ...]
    commands: tuple[BoundDispatch | BoundCopy, ...]
    pause: BoundRead | BoundHost | None = None
    executed: int = 0
    commits: bool = False


def bound_shape(spec: Spec, values: Evaluator) -> tuple[int, ...]:
    """The shape of an input or output for these sizes. Raises InputError where there is none."""
    shape = tuple(size(d, values) for d in spec.shape)
    if min(shape, default=0) < 0:
        raise InputError(f"{spec.name!r} would have shape {shape} for {told(values.values)}")
    return shape


def size(expression: Expression, values: Evaluator) -> int:
    """The value of an expression. Raises InputError where it has none for these sizes."""
    try:
        return values(expression)
    except ExpressionError as error:
        raise InputError(f"the model does not take these sizes: {error}") from None


def told(values: Mapping[str, int]) -> str:
    """Values of symbols for a message."""
    return ", ".join(f"{k}={v}" for k, v in values.items()) or "its sizes"


class _Binder:
    def __init__(
        self, target: WebGpu, variant: GpuVariant, entry: GpuEntry, values: Evaluator, where: str
    ) -> None:
        self.values, self.where = values, where
        self.shaders = variant.shaders
        self.arenas = tuple(self.number(b, f"arenas[{i}]") for i, b in enumerate(entry.arenas))
        self.sizes: Mapping[str, Sequence[int]] = {
            "arena": self.arenas,
            "weights": target.buffers,
            "state": target.state,
        }

    def wrong(self, path: str, message: str) -> PackError:
        return PackError(f"pack.json: {self.where}.{path}: {message} for {told(self.values.values)}")

    def number(self, expression: Expression, path: str, multiple: int = 1) -> int:
        value = size(expression, self.values)
        if value < 0 or value % multiple:
            wanted = f"a multiple of {multiple}" if multiple > 1 else "at least 0"
            raise self.wrong(path, f"{value} is not {wanted}")
        return value

    def span(self, region: Region, length: int, path: str, multiple: int) -> Span:
        offset = self.number(region.offset, path, multiple)
        available = self.sizes[region.kind][region.index]
        if offset + length > available:
            buffer = f"{region.kind} {region.index} of {available} bytes"
            raise self.wrong(path, f"bytes {offset} to {offset + length} lie outside {buffer}")
        return Span(region.kind, region.index, offset, length)

    def set(self, symbol: str, value: int) -> None:
        self.values = Evaluator({**self.values.values, symbol: value})

    def tensors(
        self, label: str, specs: Sequence[Spec], places: Sequence[GpuTensor | HostTensor]
    ) -> tuple[BoundTensor, ...]:
        return tuple(self.tensor(specs[i], place, f"{label}[{i}]") for i, place in enumerate(places))

    def tensor(self, spec: Spec, place: GpuTensor | HostTensor, path: str) -> BoundTensor:
        shape = bound_shape(spec, self.values)
        address = None if place.host is None else self.number(place.host, f"{path}.host")
        if isinstance(place, HostTensor):
            return BoundTensor(shape, None, address)
        region = Region("arena", place.arena, place.offset)
        length = gpu_bytes(math.prod(shape), place.dtype)
        return BoundTensor(shape, self.span(region, length, path, ALIGNMENT), address)

    def host(self, command: Host, path: str, after: int) -> BoundHost:
        return BoundHost(
            command.first,
            command.last,
            self.transfers(command.inputs, f"{path}.from"),
            self.transfers(command.outputs, f"{path}.to"),
            tuple((k.symbol, self.number(k.address, f"{path}.reads"), k.dtype) for k in command.reads),
            self.values.values,
            after,
        )

    def transfers(self, transfers: Sequence[Transfer], path: str) -> tuple[BoundTransfer, ...]:
        found = []
        for i, each in enumerate(transfers):
            length = gpu_bytes(self.number(each.elements, f"{path}[{i}]"), GPU_DTYPES[each.dtype])
            span = self.span(each, length, f"{path}[{i}]", 4)
            found.append(BoundTransfer(span, self.number(each.address, f"{path}[{i}]"), each.dtype))
        return tuple(f for f in found if f.span.bytes)

    def copy(self, command: Copy | Fill, path: str) -> BoundCopy | None:
        length = self.number(command.bytes, f"{path}.bytes", 4)
        target = self.span(command.target, length, f"{path}.to", 4)
        source = None
        if isinstance(command, Copy):
            source = self.span(command.source, length, f"{path}.from", 4)
        return BoundCopy(source, target) if length else None

    def dispatch(self, command: Dispatch, number: int) -> BoundDispatch | None:
        path = f"commands[{number}]"
        groups = tuple(self.number(g, f"{path}.workgroups") for g in command.workgroups)
        if max(groups) > MAX_WORKGROUPS:
            raise MemoryLimitError(
                f"step {command.step!r} needs {max(groups)} workgroups in one dimension for"
                f" {told(self.values.values)}; WebGPU allows {MAX_WORKGROUPS}"
            )
        if 0 in groups:
            return None
        words = tuple(size(w, self.values) for w in command.words)
        if not all(-_INT32 <= w < _INT32 for w in words):
            raise MemoryLimitError(
                f"step {command.step!r} needs numbers past 32 bits for {told(self.values.values)}"
            )
        spans = tuple(self.binding(b, f"{path}.bindings[{i}]") for i, b in enumerate(command.bindings))
        self.no_overlap(spans, self.shaders[command.shader], path)
        counts = (groups[0], groups[1], groups[2])
        return BoundDispatch(command.step, command.shader, spans, words, counts, number)

    def binding(self, binding: Binding, path: str) -> Span:
        length = self.number(binding.bytes, path, 4)
        if not length:
            raise self.wrong(path, "a dispatch that runs binds no bytes")
        return self.span(binding, length, path, ALIGNMENT)

    def no_overlap(self, spans: Sequence[Span], shader: Shader, path: str) -> None:
        written = [s for s, access in zip(spans, shader.bindings, strict=True) if access == "read_write"]
        written.sort(key=lambda s: (s.kind, s.index, s.offset))
        for one, other in itertools.pairwise(written):
            if (one.kind, one.index) == (other.kind, other.index) and one.end > other.offset:
                raise self.wrong(f"{path}.bindings", "two read_write bindings overlap")


def bind(
    target: WebGpu, variant: int, entry: int, spec: Entry, symbols: Mapping[str, int], start: int = 0
) -> BoundProgram:
    """Entry `entry` of a validated pack's WebGPU variant, for these values of the symbols.

    Where the program reads what it computed, or steps run on the host, this ends there: the rest is bound
    from the pause's `next` on.

    Raises:
        InputError: the program has no meaning for these sizes (a negative size, a division by zero).
        MemoryLimitError: sizes past what any WebGPU device takes.
        RunError: a loop does not end.
        PackError: a region outside its buffer, misaligned, or overlapping: the pack is damaged.
    """
    program = target.variants[variant].entries[entry]
    where = f"targets.webgpu.variants[{variant}].entries[{entry}]"
    binder = _Binder(target, target.variants[variant], program, Evaluator(symbols), where)
    inputs = binder.tensors("inputs", spec.inputs, program.inputs)
    commands: list[BoundDispatch | BoundCopy] = []
    pause: BoundRead | BoundHost | None = None
    position, executed = start, 0
    while position < len(program.commands) and pause is None:
        command, path = program.commands[position], f"commands[{position}]"
        position, executed = position + 1, executed + 1
        if executed > MAX_COMMANDS:
            raise RunError(f"entry {spec.name!r}: more than {MAX_COMMANDS} commands; a loop does not end")
        match command:
            case Dispatch():
                dispatch = binder.dispatch(command, position - 1)
                commands += [] if dispatch is None else [dispatch]
            case Copy() | Fill():
                copy = binder.copy(command, path)
                commands += [] if copy is None else [copy]
            case Set():
                binder.set(command.symbol, size(command.value, binder.values))
            case Jump():
                position = position if size(command.unless, binder.values) else command.to
            case Read():
                span = binder.span(command.source, gpu_bytes(1, command.dtype), f"{path}.from", 4)
                pause = BoundRead(command.symbol, span, command.dtype, binder.values.values, position)
            case Host():
                pause = binder.host(command, path, position)
    outputs = () if pause else binder.tensors("outputs", spec.outputs, program.outputs)
    # programs with jumps overwrite states at their end
    commits = pause is None or (program.commit is not None and position > program.commit)
    return BoundProgram(binder.arenas, inputs, outputs, tuple(commands), pause, executed, commits)
