"""What stands in pack.json, as dataclasses; ARCHITECTURE.md tells what each field means.

Decoding checks types, ranges and spelling; `validate` checks what several fields say together. What is said
of each target is in `targets`.
"""

# ruff: noqa: RUF009 - `item` makes a dataclass field, as dataclasses.field does

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pyruntime.ir.dtypes import DType
from pyruntime.ir.ratio import Part
from pyruntime.pack import fields
from pyruntime.pack.decode import anything, array, choice, integer, item, mapping, positional, record
from pyruntime.pack.expressions import Expression
from pyruntime.pack.targets import Targets

FORMAT = 0
KNOWN_REQUIREMENTS: frozenset[str] = frozenset({"state", "sizes", "lists", "host", "strings"})
CHUNK = 4 << 20  # bytes of a file that one hash covers


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
