"""What names may stand for: tensors, and sequences and optionals, which are resolved while converting."""

from __future__ import annotations

from collections.abc import Callable
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
