"""What stands in pack.json, as dataclasses; ARCHITECTURE.md tells what each field means.

Decoding checks types, ranges and spelling; `validate` checks what several fields say together.
"""

# ruff: noqa: RUF009 - `item` makes a dataclass field, as dataclasses.field does

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pyruntime.ir.dtypes import DType
from pyruntime.ir.ratio import Part
from pyruntime.pack import fields
from pyruntime.pack.decode import anything, array, choice, integer, item, mapping, positional, record, tagged
from pyruntime.pack.expressions import Expression

FORMAT = 0
KNOWN_REQUIREMENTS: frozenset[str] = frozenset({"state", "sizes", "lists", "host", "strings"})
ABI = 1
CHUNK = 4 << 20  # bytes of a file that one hash covers
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
class Producer:
    """What wrote the pack."""

    name: str = item(fields.NAME)
    version: str = item(fields.NAME)


@dataclass(frozen=True)
class Model:
    """Where the pack comes from."""

    name: str = item(fields.NAME)
    format: str = item(fields.NAME)
    sha256: str = item(fields.SHA256)
    opset: int = item(fields.COUNT, default=0)


@dataclass(frozen=True)
class Symbol:
    """A symbol, bound by the size of input `input` along `axis`, or by element `element` of its contents.

    Or by the present size of state `state` along the axis along which it grows. A float element is a fraction
    in lowest terms, of which `part` is what binds the symbol. A size of an input is `least` or more.
    """

    name: str = item(fields.SYMBOL)
    input: int | None = item(fields.COUNT, default=None)
    axis: int | None = item(fields.COUNT, default=None)
    element: int | None = item(fields.COUNT, default=None)
    part: Part | None = item(choice("numerator", "denominator"), default=None)
    state: int | None = item(fields.COUNT, default=None)
    least: int = item(integer(0, 1), default=1)


@dataclass(frozen=True)
class Spec:
    """An input or output as the user sees it.

    An input with a `default` is filled with it when not fed; one with `within` takes integers from the first
    to the second alone. Where `dtype` holds the bits of elements of another type, `encodes` is that; strings
    are their UTF-8 along one more axis, filled up with 255, and `within` is about their bytes.
    """

    name: str = item(fields.LABEL)
    dtype: DType = item(fields.dtype)
    shape: Sequence[Expression] = item(array(fields.expression))
    default: float | int | None = item(fields.number, default=None)
    within: Sequence[int] | None = item(array(fields.INTEGER, exactly=2), default=None)
    encodes: DType | None = item(fields.encoded, default=None)

    @property
    def element(self) -> DType:
        """The type that the user deals with."""
        return self.encodes or self.dtype


@dataclass(frozen=True)
class Constraint:
    """A value over the symbols that is not zero for inputs that the model takes; `reason` says why."""

    value: Expression = item(fields.expression)
    reason: str = item(fields.NAME)


@dataclass(frozen=True)
class State:
    """A tensor kept between runs: its largest shape, the axis along which it grows from nothing, if any.

    It begins as weight `initial`, or as zeros.
    """

    name: str = item(fields.LABEL)
    dtype: DType = item(fields.dtype)
    shape: Sequence[int] = item(array(fields.COUNT))
    axis: int | None = item(fields.COUNT, default=None)
    initial: int | None = item(fields.COUNT, default=None)


@dataclass(frozen=True)
class Carried:
    """State `state` as an entry uses it: where it grows, its size along that axis before and after a run."""

    state: int = item(fields.COUNT)
    length: Expression | None = item(fields.expression, default=None)
    next: Expression | None = item(fields.expression, default=None)


@dataclass(frozen=True)
class Cost:
    """What a step computes and moves; positional in JSON. Nothing that running a pack needs.

    `operations` are the multiplications and additions of its products, `bytes` those of the elements that it
    reads and writes, each counted once.
    """

    POSITIONAL: ClassVar[bool] = True
    step: str = item(fields.NAME)
    template: str = item(fields.NAME)
    operations: Expression = item(fields.expression)
    bytes: Expression = item(fields.expression)


@dataclass(frozen=True)
class Size:
    """A symbol for a size of outputs that only a run tells; it is never more than `most`."""

    name: str = item(fields.SYMBOL)
    most: Expression = item(fields.expression)


@dataclass(frozen=True)
class Listed:
    """What users feed or get as one list: `length` inputs or outputs (`of`) from position `first` on.

    Without a length it is an optional that is absent, which stands for no tensor.
    """

    name: str = item(fields.LABEL)
    of: Literal["inputs", "outputs"] = item(choice("inputs", "outputs"))
    first: int = item(fields.COUNT)
    length: int | None = item(fields.COUNT, default=None)


@dataclass(frozen=True)
class Entry:
    """A program that can be run; `costs` tells of its steps, but for those that it cannot be told of."""

    name: str = item(fields.LABEL)
    symbols: Sequence[Symbol] = item(array(record(Symbol)))
    inputs: Sequence[Spec] = item(array(record(Spec)))
    outputs: Sequence[Spec] = item(array(record(Spec)))
    constraints: Sequence[Constraint] = item(array(record(Constraint)), default=())
    state: Sequence[Carried] = item(array(record(Carried)), default=())
    sizes: Sequence[Size] = item(array(record(Size)), default=())
    costs: Sequence[Cost] = item(array(positional(Cost)), default=())
    lists: Sequence[Listed] = item(array(record(Listed)), default=())

    def lists_of(self, of: Literal["inputs", "outputs"]) -> list[Listed]:
        """Those of its inputs, or of its outputs."""
        return [each for each in self.lists if each.of == of]


@dataclass(frozen=True)
class Shard:
    """A safetensors file; `data` is where tensor bytes begin, `chunks` hash each 4 MiB of the whole file."""

    file: str = item(fields.FILE)
    bytes: int = item(fields.COUNT)
    data: int = item(fields.COUNT)
    chunks: Sequence[str] = item(array(fields.SHA256))


@dataclass(frozen=True)
class StoredTensor:
    """A weight in a shard; `offset` counts from the shard's data, `shape` is the one before layout."""

    name: str = item(fields.LABEL)
    dtype: DType = item(fields.dtype)
    elements: int = item(fields.COUNT)
    shard: int = item(fields.COUNT)
    offset: int = item(fields.COUNT)
    bytes: int = item(fields.COUNT)
    layout: str = item(fields.NAME)
    shape: Sequence[int] = item(array(fields.COUNT))


@dataclass(frozen=True)
class Weights:
    """All weights, shared by targets and entries."""

    shards: Sequence[Shard] = item(array(record(Shard)))
    tensors: Sequence[StoredTensor] = item(array(record(StoredTensor)))


@dataclass(frozen=True)
class Asset:
    """A file that travels with the model, such as tokenizer.json; `name` is what its user calls it."""

    name: str = item(fields.LABEL)
    file: str = item(fields.FILE)
    bytes: int = item(fields.COUNT)
    sha256: str = item(fields.SHA256)


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
class WebGpu:
    """The WebGPU target: the bytes of each weight buffer (`buffers`) and of each state's buffer (`state`).

    `host` is the module with the steps that run on the CPU, if any: one variant, without states of its own.
    """

    buffers: Sequence[int] = item(array(integer(4)))
    weights: Sequence[GpuWeight] = item(array(record(GpuWeight)))
    variants: Sequence[GpuVariant] = item(array(record(GpuVariant), least=1))
    state: Sequence[int] = item(array(integer(4)), default=())
    host: Wasm | None = item(record(Wasm), default=None)


@dataclass(frozen=True)
class Targets:
    """What the pack can run on; None for a target that it lacks."""

    wasm: Wasm | None = item(record(Wasm), default=None)
    webgpu: WebGpu | None = item(record(WebGpu), default=None)


@dataclass(frozen=True)
class Manifest:
    """The whole of pack.json but for `format`, which is always FORMAT."""

    TAG: ClassVar[tuple[str, int]] = ("format", FORMAT)
    requires: Sequence[str] = item(array(fields.NAME))
    producer: Producer = item(record(Producer))
    model: Model = item(record(Model))
    entries: Sequence[Entry] = item(array(record(Entry), least=1))
    weights: Weights = item(record(Weights))
    targets: Targets = item(record(Targets))
    assets: Sequence[Asset] = item(array(record(Asset)), default=())
    state: Sequence[State] = item(array(record(State)), default=())
    report: Mapping[str, Any] | None = item(mapping(anything), default=None)
