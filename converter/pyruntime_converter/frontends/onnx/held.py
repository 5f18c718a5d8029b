"""What names may stand for: tensors, and sequences and optionals, which are resolved while converting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyruntime.ir.graph import Value


@dataclass(frozen=True)
class TensorSequence:
    """Tensors one after the other, of which there are as many as is known now."""

    items: tuple[Value, ...]

    def each(self, change: Callable[[Value], Value]) -> TensorSequence:
        """The same of changed tensors."""
        return TensorSequence(tuple(map(change, self.items)))


@dataclass(frozen=True)
class Empty:
    """An optional without an element; one that has an element is that element."""


Held = Value | TensorSequence | Empty


def kind_of(held: TensorSequence | Empty) -> str:
    """What messages call it."""
    return "a sequence" if isinstance(held, TensorSequence) else "an empty optional"


def flat(held: Iterable[Held]) -> list[Value]:
    """All tensors in them, in order."""
    return [
        v for h in held for v in (h.items if isinstance(h, TensorSequence) else [h]) if isinstance(v, Value)
    ]


def alike(one: Sequence[Held], other: Sequence[Held]) -> bool:
    """Whether both hold as many tensors in the same way."""
    return list(map(_form, one)) == list(map(_form, other))


def _form(held: Held) -> object:
    return len(held.items) if isinstance(held, TensorSequence) else type(held)


def refilled(held: Iterable[Held], values: Sequence[Value]) -> list[Held]:
    """The same with other tensors, in the order of `flat`."""
    rest = iter(values)
    return [
        h.each(lambda _: next(rest))
        if isinstance(h, TensorSequence)
        else next(rest)
        if isinstance(h, Value)
        else h
        for h in held
    ]
