"""What names may stand for: tensors, strings, and sequences and optionals, resolved while converting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyruntime.ir.graph import Shape, Value


@dataclass(frozen=True)
class TensorSequence:
    """Tensors one after the other, of numbers or of strings: how many there are is known now."""

    items: tuple[Value | Text, ...]

    def each(self, change: Callable[[Value], Value]) -> TensorSequence:
        """The same of changed tensors."""
        return TensorSequence(tuple(v.each(change) if isinstance(v, Text) else change(v) for v in self.items))


@dataclass(frozen=True)
class OpenSequence:
    """Tensors of numbers, all of one shape, one after the other: only a run tells how many.

    Attributes:
        rows: all of them, along a first axis.
    """

    rows: Value

    def each(self, change: Callable[[Value], Value]) -> OpenSequence:
        """The same of changed tensors."""
        return OpenSequence(change(self.rows))


@dataclass(frozen=True)
class Text:
    """A tensor of strings: for each element the row of a table that has its bytes (`pyruntime.ir.strings`).

    Attributes:
        rows: int32, in the tensor's shape. What moves strings moves these.
        table: uint8 [strings, width].
        whole: the bytes themselves, uint8 [*shape, width], where they are there.
    """

    rows: Value
    table: Value
    whole: Value | None = None

    def each(self, change: Callable[[Value], Value]) -> Text:
        """The same of changed tensors."""
        return Text(change(self.rows), change(self.table))


def shape_of(element: Value | Text) -> Shape:
    """The shape of a tensor of numbers or of strings."""
    return element.rows.shape if isinstance(element, Text) else element.shape


@dataclass(frozen=True)
class Maps:
    """A sequence of maps that all have the same keys, as ZipMap makes them for a model's outputs.

    Attributes:
        keys: a vector of integers or strings.
        values: [maps, keys].
    """

    keys: Value | Text
    values: Value

    def each(self, change: Callable[[Value], Value]) -> Maps:
        """The same of changed tensors."""
        keys = self.keys.each(change) if isinstance(self.keys, Text) else change(self.keys)
        return Maps(keys, change(self.values))


@dataclass(frozen=True)
class Empty:
    """An optional without an element; one that has an element is that element."""


Held = Value | TensorSequence | OpenSequence | Text | Maps | Empty
_KINDS: dict[type, str] = {
    TensorSequence: "a sequence",
    OpenSequence: "a sequence of a number of tensors that only a run tells",
    Text: "a tensor of strings",
    Maps: "a sequence of maps",
    Empty: "an empty optional",
}


def kind_of(held: TensorSequence | OpenSequence | Text | Maps | Empty) -> str:
    """What messages call it."""
    return _KINDS[type(held)]


def flat(held: Iterable[Held]) -> list[Value]:
    """All tensors in them, in order."""
    found: list[Value] = []
    for each in held:
        match each:
            case Value():
                found.append(each)
            case TensorSequence(items):
                found += flat(items)
            case OpenSequence(rows):
                found.append(rows)
            case Text(rows, table):
                found += (rows, table)
            case Maps(keys, values):
                found += flat([keys, values])
    return found


def alike(one: Sequence[Held], other: Sequence[Held]) -> bool:
    """Whether both hold as many tensors in the same way."""
    return list(map(_form, one)) == list(map(_form, other))


def _form(held: Held) -> object:
    return tuple(map(type, held.items)) if isinstance(held, TensorSequence) else type(held)


def refilled(held: Iterable[Held], values: Sequence[Value]) -> list[Held]:
    """The same with other tensors, in the order of `flat`."""
    rest = iter(values)
    return [
        h.each(lambda _: next(rest))
        if isinstance(h, (TensorSequence, OpenSequence, Text, Maps))
        else next(rest)
        if isinstance(h, Value)
        else h
        for h in held
    ]
