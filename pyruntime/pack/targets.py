"""What pack.json says of its targets, Wasm and WebGPU, as dataclasses; see `schema` for the rest."""

# ruff: noqa: RUF009 - `item` makes a dataclass field, as dataclasses.field does

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pyruntime.ir.dtypes import DType
from pyruntime.pack import fields
from pyruntime.pack.decode import array, choice, integer, item, mapping, positional, record, tagged
from pyruntime.pack.expressions import Expression

ABI = 1
WEIGHTS_BASE = 131072
ALIGNMENT = 256  # of every offset in a WebGPU buffer that is bound
INFINITY_BITS = 0x7F800000
MAX_WORKGROUPS = 65535

# how the GPU stores each API dtype: in a 32-bit word, or in two, the lower first; float16 and
# 8-bit integers also as such
GPU_DTYPES: Mapping[DType, str] = {
    DType.BOOL: "uint32",
    **dict.fromkeys((DType.I8, DType.I16, DType.I32), "int32"),
    **dict.fromkeys((DType.U8, DType.U16, DType.U32), "uint32"),
    **dict.fromkeys((DType.F16, DType.F32), "float32"),
    DType.I64: "int64",
    DType.U64: "uint64",
}
# how it may also store inputs, outputs and weights
GPU_WORDS: Mapping[DType, str] = {DType.I64: "int32", DType.U64: "uint32"}


def gpu_bytes(elements: int, stored: str) -> int:
    """Bytes that elements take on the GPU, in whole words."""
    return -(-elements * DType(stored).bytes // 4) * 4


@dataclass(frozen=True)
class WasmWeight:
    """Tensor `tensor` lies at `address` as `dtype`."""

    tensor: int = item(fields.COUNT)
    address: int = item(integer(WEIGHTS_BASE, 2**32 - 1))
    dtype: DType = item(fields.dtype)


@dataclass(frozen=True)
class WasmEntry:
    """Memory bytes that the entry needs, its steps' names, and the bytes that each further thread needs.

    Step `commit` is the first that overwrites what a state held. `symbols` are what `dims` takes, in order,
    where that are not the entry's: of host steps.
    """

    bytes: Expression = item(fields.expression)
    steps: Sequence[str] = item(array(fields.NAME))
    thread_bytes: Expression = item(fields.expression, default=0)
    commit: int | None = item(fields.COUNT, default=None)
    symbols: Sequence[str] | None = item(array(fields.SYMBOL), default=None)


@dataclass(frozen=True)
class WasmVariant:
    """A module and the features it requires of the engine."""

    requires: Sequence[str] = item(array(fields.NAME))
    file: str = item(fields.FILE)
    bytes: int = item(fields.COUNT)
    sha256: str = item(fields.SHA256)


@dataclass(frozen=True)
class Wasm:
    """The Wasm target; `state` holds the address of each state."""

    abi: int = item(fields.COUNT)
    pointer_bits: int = item(integer(32, 64))
    initial_pages: int = item(integer(1, 65536))
    weights: Sequence[WasmWeight] = item(array(record(WasmWeight)))
    entries: Sequence[WasmEntry] = item(array(record(WasmEntry)))
    variants: Sequence[WasmVariant] = item(array(record(WasmVariant), least=1))
    state: Sequence[int] = item(array(integer(WEIGHTS_BASE, 2**32 - 1)), default=())


@dataclass(frozen=True)
class GpuWeight:
    """Tensor `tensor` lies in weight buffer `buffer` as `dtype`."""

    tensor: int = item(fields.COUNT)
    buffer: int = item(fields.COUNT)
    offset: int = item(fields.COUNT)
    dtype: str = item(fields.GPU_DTYPE)


@dataclass(frozen=True)
class Shader:
    """A WGSL module inside the variant's file, with entry point `main`."""

    name: str = item(fields.LABEL)
    offset: int = item(fields.COUNT)
    bytes: int = item(integer(1))
    bindings: Sequence[Literal["read", "read_write"]] = item(array(choice("read", "read_write"), least=1))
    words: int = item(integer(1, 16384))


@dataclass(frozen=True)
class Region:
    """A place in a buffer; positional in JSON."""

    POSITIONAL: ClassVar[bool] = True
    kind: Literal["arena", "weights", "state"] = item(choice("arena", "weights", "state"))
    index: int = item(fields.COUNT)
    offset: Expression = item(fields.expression)


@dataclass(frozen=True)
class Binding(Region):
    """A place in a buffer and its size."""

    bytes: Expression = item(fields.expression)


@dataclass(frozen=True)
class Dispatch:
    """Run a shader."""

    TAG: ClassVar[tuple[str, str]] = ("op", "dispatch")
    step: str = item(fields.NAME)
    shader: int = item(fields.COUNT)
    bindings: Sequence[Binding] = item(array(positional(Binding)))
    words: Sequence[Expression] = item(array(fields.expression, least=1))
    workgroups: Sequence[Expression] = item(array(fields.expression, exactly=3))


@dataclass(frozen=True)
class Copy:
    """Copy bytes from buffer to buffer."""

    TAG: ClassVar[tuple[str, str]] = ("op", "copy")
    source: Region = item(positional(Region), key="from")
    target: Region = item(positional(Region), key="to")
    bytes: Expression = item(fields.expression)


@dataclass(frozen=True)
class Fill:
    """Zero bytes of a buffer."""

    TAG: ClassVar[tuple[str, str]] = ("op", "fill")
    target: Region = item(positional(Region), key="to")
    bytes: Expression = item(fields.expression)


@dataclass(frozen=True)
class Set:
    """Give a symbol of the program's own a value."""

    TAG: ClassVar[tuple[str, str]] = ("op", "set")
    symbol: str = item(fields.SYMBOL)
    value: Expression = item(fields.expression)


@dataclass(frozen=True)
class Jump:
    """Go on at command `to`, unless `unless` is not zero."""

    TAG: ClassVar[tuple[str, str]] = ("op", "jump")
    to: int = item(fields.COUNT)
    unless: Expression = item(fields.expression, default=0)


@dataclass(frozen=True)
class Read:
    """Give a symbol of the program's own the value of an element in a buffer: what follows waits for it."""

    TAG: ClassVar[tuple[str, str]] = ("op", "read")
    symbol: str = item(fields.SYMBOL)
    source: Region = item(positional(Region), key="from")
    dtype: str = item(choice("int32", "uint32", "int64", "uint64"))


@dataclass(frozen=True)
class Transfer(Region):
    """A tensor in a buffer, and where its elements lie, as `dtype`, in the memory of the host steps."""

    address: Expression = item(fields.expression)
    elements: Expression = item(fields.expression)
    dtype: DType = item(fields.dtype)


@dataclass(frozen=True)
class Known:
    """A symbol of the program's own, and the integer in the memory of the host steps that is its value."""

    POSITIONAL: ClassVar[bool] = True
    symbol: str = item(fields.SYMBOL)
    address: Expression = item(fields.expression)
    dtype: DType = item(fields.dtype)


@dataclass(frozen=True)
class Host:
    """Bring `inputs` to the host, run its steps first..last (exclusive), bring `outputs` back.

    Then `reads` give symbols their values. What follows waits for it.
    """

    TAG: ClassVar[tuple[str, str]] = ("op", "host")
    first: int = item(fields.COUNT)
    last: int = item(fields.COUNT)
    inputs: Sequence[Transfer] = item(array(positional(Transfer)), key="from")
    outputs: Sequence[Transfer] = item(array(positional(Transfer)), key="to")
    reads: Sequence[Known] = item(array(positional(Known)), default=())


Command = Dispatch | Copy | Fill | Set | Jump | Read | Host
_COMMAND = tagged("op", {cls.TAG[1]: record(cls) for cls in (Dispatch, Copy, Fill, Set, Jump, Read, Host)})


@dataclass(frozen=True)
class GpuTensor:
    """Where an input or output lies; an input that host steps read, too, also at `host` in their memory."""

    arena: int = item(fields.COUNT)
    offset: Expression = item(fields.expression)
    dtype: str = item(fields.GPU_DTYPE)
    host: Expression | None = item(fields.expression, default=None)


@dataclass(frozen=True)
class HostTensor:
    """The address of an input or output that lies in the memory of the host steps alone."""

    host: Expression = item(fields.expression)


def _place(value: Any) -> GpuTensor | HostTensor:
    on_gpu = isinstance(value, dict) and "arena" in value
    return record(GpuTensor)(value) if on_gpu else record(HostTensor)(value)


@dataclass(frozen=True)
class GpuEntry:
    """Arena sizes in bytes, inputs, outputs and the commands of one entry.

    Command `commit` is the first that overwrites what a state held, where host steps may follow it.
    """

    arenas: Sequence[Expression] = item(array(fields.expression))
    inputs: Sequence[GpuTensor | HostTensor] = item(array(_place))
    outputs: Sequence[GpuTensor | HostTensor] = item(array(_place))
    commands: Sequence[Command] = item(array(_COMMAND))
    commit: int | None = item(fields.COUNT, default=None)


@dataclass(frozen=True)
class GpuVariant:
    """Shaders and programs for devices with the features and limits required.

    `uses` are features that parts of the shaders hang on (see `pack.sections`).
    """

    requires: Sequence[str] = item(array(fields.NAME))
    limits: Mapping[str, int] = item(mapping(fields.COUNT))
    file: str = item(fields.FILE)
    bytes: int = item(fields.COUNT)
    sha256: str = item(fields.SHA256)
    shaders: Sequence[Shader] = item(array(record(Shader)))
    entries: Sequence[GpuEntry] = item(array(record(GpuEntry)))
    uses: Sequence[str] = item(array(fields.NAME), default=())


@dataclass(frozen=True)
class Candidates:
    """A file with other shaders for some dispatches, to be tried (`pack.alternatives`)."""

    file: str = item(fields.FILE)
    bytes: int = item(fields.COUNT)
    sha256: str = item(fields.SHA256)


@dataclass(frozen=True)
class Tuned(Candidates):
    """A file with the shaders that are best on a GPU, which is named as WebGPU does, and by its full name.

    What is not known is empty.
    """

    vendor: str = item(fields.NAME)
    architecture: str = item(fields.NAME)
    device: str = item(fields.NAME)


@dataclass(frozen=True)
class WebGpu:
    """The WebGPU target: the bytes of each weight buffer (`buffers`) and of each state's buffer (`state`).

    `host` is the module with the steps that run on the CPU, if any: one variant, without states of its own.
    `candidates` are what may be tried on a GPU, `tuned` what was best on some.
    """

    buffers: Sequence[int] = item(array(integer(4)))
    weights: Sequence[GpuWeight] = item(array(record(GpuWeight)))
    variants: Sequence[GpuVariant] = item(array(record(GpuVariant), least=1))
    state: Sequence[int] = item(array(integer(4)), default=())
    host: Wasm | None = item(record(Wasm), default=None)
    candidates: Candidates | None = item(record(Candidates), default=None)
    tuned: Sequence[Tuned] = item(array(record(Tuned)), default=())


@dataclass(frozen=True)
class Targets:
    """What the pack can run on; None for a target that it lacks."""

    wasm: Wasm | None = item(record(Wasm), default=None)
    webgpu: WebGpu | None = item(record(WebGpu), default=None)
