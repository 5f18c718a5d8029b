"""Names of one graph or function body while it is read: values, weights read on first use, and gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from onnx import AttributeProto

from pyruntime.errors import ModelError
from pyruntime.ir.graph import Origin, Value
from pyruntime_converter.frontends.onnx.held import Held, Maps, OpenSequence, TensorSequence, Text


class Gap(Enum):
    """Why a name stands for no value."""

    ABSENT = "an optional input that the caller of a function leaves out"
    BLOCKED = "the node that makes it was reported as unsupported"


Entry = Held | Gap


class Scope:
    """Names of one body; `outer` is the graph around a subgraph, whose names it may use.

    What comes from there passes through `capture` where the subgraph is to be a graph of its own.
    """

    def __init__(self, outer: Scope | None = None, capture: Callable[[Value], Value] | None = None) -> None:
        self._outer, self._capture = outer, capture
        self._entries: dict[str, Entry] = {}
        self._weights: dict[str, Callable[[], Held]] = {}

    def define(self, name: str, entry: Entry) -> None:
        """Give a name its entry. Raises ModelError where this body has the name already."""
        if name in self._entries or name in self._weights:
            raise ModelError(f"{name!r} is made twice")
        self._entries[name] = entry

    def weight(self, name: str, read: Callable[[], Held]) -> None:
        """A constant that is read from the file when it is first used."""
        if not name or name in self._weights:
            raise ModelError(f"two weights are called {name!r}" if name else "a weight has no name")
        self._weights[name] = read

    def has(self, name: str) -> bool:
        """Whether a node of this body may read the name."""
        return (
            name in self._entries
            or name in self._weights
            or (self._outer is not None and self._outer.has(name))
        )

    def get(self, name: str) -> Entry:
        """What a name stands for. Raises ModelError when nothing makes it."""
        if name in self._entries:
            return self._entries[name]
        if name in self._weights:
            value = self._weights[name]()
            self._entries[name] = value
            return value
        if self._outer is None:
            raise ModelError(f"{name!r} is read, but nothing makes it")
        entry = self._outer.get(name)
        if self._capture and isinstance(entry, (TensorSequence, OpenSequence, Text, Maps)):
            return entry.each(self._capture)
        return self._capture(entry) if self._capture and isinstance(entry, Value) else entry


@dataclass(frozen=True)
class Frame:
    """Where nodes are being read: a scope, operator set versions, and what a function's caller bound.

    `user` is the node of the user's model that an ONNX-defined function stands for: nodes of the body
    carry its origin. `prefix` names the calls of the model's own functions.
    """

    scope: Scope
    opsets: Mapping[str, int]
    bound: Mapping[str, AttributeProto] = field(default_factory=dict)
    user: Origin | None = None
    prefix: str = ""
    depth: int = 0
