"""What a handler of an ONNX operator gets to work with, and the table of handlers."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from onnx import GraphProto
from onnx.defs import OpSchema

from pyruntime.errors import ModelError, UnsupportedError
from pyruntime.ir.conditions import Facts, less, signed, sized
from pyruntime.ir.dims import Dim, bounds, maximum
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin, Shape, Value
from pyruntime.ir.ratio import Ratio
from pyruntime.ops.builder import Builder, dims_of
from pyruntime.ops.definition import Elementwise, definition
from pyruntime.ops.widen import converted
from pyruntime_converter.frontends.onnx import attributes
from pyruntime_converter.frontends.onnx.assumptions import (
    INTEGERS,
    NUMBERS,
    TRUTHS,
    Assumptions,
    Undecided,
    Unopened,
)
from pyruntime_converter.frontends.onnx.bodies import Body
from pyruntime_converter.frontends.onnx.bounds import bound_of
from pyruntime_converter.frontends.onnx.broadcasting import Broadcasting
from pyruntime_converter.frontends.onnx.elements import traced
from pyruntime_converter.frontends.onnx.held import Held, OpenSequence, TensorSequence, Text, kind_of
from pyruntime_converter.frontends.onnx.ratios import Known, ratios_of, truncated
from pyruntime_converter.frontends.onnx.refusals import Refusals
from pyruntime_converter.frontends.onnx.roundings import LARGEST

# hints of the first opsets about reuse of memory: without meaning for the result
_WITHOUT_MEANING = frozenset({"consumed_inputs"})
LARGEST_CONSTANT = 1 << 24  # elements that a handler makes up
FIX_DIMS = (
    "Export with fixed sizes, fold the shape computation (onnxsim), or tell what decides: symbols, values."
)


class Blocked(Exception):  # noqa: N818 - internal signal, never seen by users
    """A value is missing because the node that makes it was already reported as unsupported."""


class ByFunction(Exception):  # noqa: N818 - internal signal, never seen by users
    """A handler leaves this node to the function that ONNX defines its operator by."""


class NodeContext:
    """One ONNX node while it is converted.

    Attributes:
        builder: where the canonical ops go.
        op, name: the operator and the node's name (or its first output's), for messages.
        opset: version of the operator's domain that the model imports.
        outputs: names of the outputs; "" for one that nothing reads.
        stated_outputs: how many outputs the node names, read or not.
        stated_inputs: how many inputs it lists, absent ones too.
        inline: converts a subgraph that is certain to run, with these inputs, in place of the node.
        subgraph: converts one to a graph of its own, whose first inputs a function makes.
        attempt: the same for a branch without inputs, under facts; None where it has no meaning under them.
        probe: converts a subgraph to see what it gives, and leaves no trace; None where it can not be.
        counter: a new symbol for the iterations of a loop, whose number may be known.
        greatest: what a dim that grows by a loop's iterations is in the last one; any other dim as it is.
        greatest_within: the same, where there is one.
        limit_bytes: lets inputs that strings come from be refused where they have greater bytes than one.
        selected: positions of elements that are not zero, by tensor, as far as they are in the graph.
        indices: tables of what they are by axis, whose columns are unlike.
    """

    def __init__(
        self,
        *,
        builder: Builder,
        op: str,
        name: str,
        opset: int,
        schema: OpSchema | None,
        inputs: Sequence[Held | None],
        attrs: Mapping[str, Any],
        outputs: Sequence[str],
        used: Container[str],
        inline: Callable[[GraphProto, Sequence[Held]], list[Held]],
        subgraph: Callable[[GraphProto, Callable[[Builder], Sequence[Value | Text]]], Body],
        attempt: Callable[[GraphProto, Facts], Body | None],
        probe: Callable[[GraphProto, Callable[[Builder], Sequence[Value | Text]]], Body | None],
        counter: Callable[[Dim | None], Dim],
        fresh: Callable[[str, int, int], Dim],
        limit_bytes: Callable[[Text, int], None],
        selected: dict[Value, Value],
        indices: set[Value],
        refusals: Refusals,
        varies: Callable[[Dim], str],
        broadcasting: Broadcasting,
        greatest: Callable[[Dim], Dim],
        greatest_within: Callable[[Dim], Dim],
        openable: Callable[[Value, Container[DType]], frozenset[str]],
        assumptions: Assumptions,
    ) -> None:
        self.builder, self.op, self.name, self.opset = builder, op, name, opset
        self.outputs = tuple(o if o in used else "" for o in outputs)
        self.stated_outputs, self.stated_inputs = sum(map(bool, outputs)), len(inputs)
        self.inline, self.subgraph, self.attempt, self.probe = inline, subgraph, attempt, probe
        self.counter = counter
        self._fresh, self.selected, self.indices = fresh, selected, indices
        self._refusals, self._broadcasting = refusals, broadcasting
        self._varies, self.greatest, self.greatest_within = varies, greatest, greatest_within
        self.limit_bytes = limit_bytes
        self._openable, self._assumptions = openable, assumptions
        self._schema, self._inputs, self._attrs = schema, list(inputs), dict(attrs)
        self._read: set[str] = set()
        self._inputs_read = 0

    # ------------------------------------------------------------------ inputs

    def input(self, index: int = 0) -> Value:
        """Input `index`. Raises ModelError when the node lacks it."""
        value = self.optional(index)
        if value is None:
            self.invalid(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """Input `index`, or None where the node leaves it out."""
        held = self._held(index)
        return None if held is None else self.tensor(held, f"input {index}")

    def held(self, index: int = 0) -> Held:
        """Input `index`, which may be a sequence or an optional. Raises ModelError when the node lacks it."""
        held = self._held(index)
        if held is None:
            self.invalid(f"input {index} is missing")
        return held

    def text(self, index: int = 0) -> Text | None:
        """Input `index` where it has strings, else None."""
        held = self._held(index)
        return held if isinstance(held, Text) else None

    def element(self, index: int = 0) -> Value | Text:
        """Input `index` as an element of a sequence: a tensor, also of strings."""
        return self.text(index) or self.input(index)

    def has_input(self, index: int = 0) -> bool:
        """Whether the node states an input."""
        return self._held(index) is not None

    def items(self, index: int = 0) -> tuple[Value | Text, ...]:
        """The tensors of an input that is a sequence. Raises ModelError where it is none.

        Raises UnsupportedError where it is not known how many there are.
        """
        held = self.held(index)
        if isinstance(held, OpenSequence):
            self.fail("how many tensors its sequence has is not known", FIX_DIMS)
        if not isinstance(held, TensorSequence):
            self.invalid(f"input {index} is no sequence")
        return held.items

    def tensor(self, held: Held, what: str) -> Value:
        """What must be a tensor of numbers. Raises ModelError or, for strings, UnsupportedError."""
        if isinstance(held, Text):
            self.fail(f"{what} is {kind_of(held)}, which it is not converted for")
        if not isinstance(held, Value):
            self.invalid(f"{what} is {kind_of(held)}, not a tensor")
        return held

    def _held(self, index: int) -> Held | None:
        self._inputs_read = max(self._inputs_read, index + 1)
        return self._inputs[index] if index < len(self._inputs) else None

    def variadic(self) -> list[Value]:
        """All inputs of an operator that takes any number of them, at least one."""
        return [self.input(i) for i in range(max(len(self._inputs), 1))]

    def known(self, value: Value, what: str) -> tuple[Dim, ...]:
        """The elements of an integer tensor, as dims. Raises UnsupportedError where they depend on data."""
        dims = self.contents(value)
        if dims is None:
            self.fail(f"{what} depends on the model's input data", FIX_DIMS)
        return dims

    def known_sizes(self, value: Value, what: str, least: int = 0) -> tuple[Dim, ...]:
        """As `known`, for what must be sizes: inputs whose contents make them less than that are refused."""
        found = list(self.known(value, what))
        for place, dim in enumerate(found):
            if signed(dim):
                self.require(1 - less(dim, least), f"{what} must be at least {least}; it is {dim}")
                found[place] = maximum(dim, least)
        return tuple(found)

    def require(self, condition: Dim, reason: str) -> None:
        """Let inputs be refused for which a condition (0 or 1) does not hold."""
        if why := self._varies(condition):
            self.fail(f"{reason}, which {why}")
        self._refusals.require(condition, f"{self.op} {self.name!r}: {reason}")

    def expect(self, condition: Dim, reason: str) -> None:
        """As `require` where the node is certain to run and inputs tell the condition; else it is trusted."""
        if not self.varies(condition) and self._refusals.certain(self.builder):
            self.require(condition, reason)

    def require_room(self, room: Dim, reason: str) -> None:
        """Let inputs be refused for which a dim is negative; what follows knows what sizes that leaves."""
        if not self.varies(room):
            self._refusals.require_room(self.builder, room, f"{self.op} {self.name!r}: {reason}")

    def varies(self, dim: Dim) -> bool:
        """Whether only a run tells a dim, so that no input can be refused for it."""
        return bool(self._varies(dim))

    def contents(self, value: Value) -> tuple[Dim, ...] | None:
        """The elements of an integer or bool tensor as dims; None where they depend on data."""
        return self._opened(value, INTEGERS)

    def _opened(self, value: Value, dtypes: Container[DType]) -> tuple[Dim, ...] | None:
        dims = dims_of(value)
        if dims is None and (inputs := self._openable(value, dtypes)):
            raise Unopened(inputs)
        return dims

    def ratios(self, value: Value, what: str, quotients: bool = False) -> tuple[Ratio, ...]:
        """The elements of a float tensor as fractions. Raises UnsupportedError where they depend on data.

        With `quotients` also those of sizes, as they are before floats round them.
        """
        known = ratios_of(value, self.builder.sources, quotients)
        if known is None and (inputs := self._openable(value, NUMBERS)):
            raise Unopened(inputs)
        if known is None:
            self.fail(f"{what} depends on the model's input data", FIX_DIMS)
        return self._within(known)

    def truncated(self, value: Value) -> tuple[Dim, ...] | None:
        """The elements of a float tensor as integers, where sizes alone tell them; None elsewhere."""
        known = truncated(value, self.builder.sources)
        if known is None or not all(sized(r.above) for r in known.ratios):
            return None
        return tuple(r.above for r in self._within(known))

    def _within(self, known: Known) -> tuple[Ratio, ...]:
        for size in known.limited:
            self.expect(less(size, LARGEST + 1), f"floats do not hold what becomes of {size}, over {LARGEST}")
        return known.ratios

    def computed_sizes(self, value: Value, what: str, most: int) -> tuple[Dim, ...]:
        """As `known`, for sizes of at least 1, also of what is computed from others in other ways.

        A run learns these, as it does what data decide, and takes 0 for 1. Inputs for which an element of
        these may be more than `most` are refused.
        """
        if (dims := self.contents(value)) is not None:
            return dims
        found: list[Dim] = []
        for place in range(value.elements if isinstance(value.elements, int) else 0):
            source, at = traced(value, place, self.builder.sources)
            dims = dims_of(source)
            room = None if dims is not None else self.bound(source, what, at)
            if room is None:
                found.append(self.known(value, what)[place] if dims is None else dims[at])
                continue
            self.require(less(room, most + 1), f"{what} must be at most {most}")
            flat = self.reshape(source, (source.elements,))
            own = self.one("Slice", flat, starts=(at,), sizes=(1,), steps=(1,))
            own = self.one("Max", self.reshape(own, ()), self.like(1, own))  # nothing has no element
            found.append(self.measure(own, room, least=1))
        return tuple(found)

    def bound(self, value: Value, what: str, at: int = 0) -> Dim | None:
        """What a number never exceeds, of inputs that the model takes; None where data alone tell it."""
        found = bound_of(value, self.builder.sources, at)
        if found is None and (inputs := self._openable(value, NUMBERS)):
            raise Unopened(inputs)
        if found is None:
            return None
        most, holds = found
        self.require(holds, f"{what} must have a bound that fits 31 bits")
        return most

    def decided(self, condition: Dim) -> bool | None:
        """Whether a condition (0 or 1) holds, as known or assumed at present; None where that is open."""
        return bool(condition) if isinstance(condition, int) else self._assumptions.outcome(condition)

    def undecided(self, condition: Dim) -> NoReturn:
        """Let the whole model be converted under either outcome of a condition."""
        if why := self._varies(condition):
            self.fail(f"which of its branches runs {why}, and they give unlike results")
        raise Undecided(condition, Origin(self.op, self.name))

    def known_ints(self, value: Value, what: str) -> tuple[int, ...]:
        """The elements of an integer tensor, all fixed. Raises UnsupportedError where they are not."""
        dims = self.known(value, what)
        numbers = tuple(d for d in dims if isinstance(d, int))
        if len(numbers) != len(dims):
            self.fail(f"{what} depends on the input sizes", FIX_DIMS)
        return numbers

    def measure(self, value: Value, most: Dim, least: int = 0) -> Dim:
        """The only element of an integer tensor, `least` to `most`, as a dim, though only a run may tell it.

        All that is built from here on may have it in shapes and attributes.
        """
        known = self._opened(value, TRUTHS)
        if known is not None:
            return known[0]
        made = self.size(most, least)
        self.one("Measure", value, measures=str(made), most=most)
        return made

    def size(self, most: Dim = 2**31 - 1, least: int = 0) -> Dim:
        """A new symbol, from `least` to `most`, for a size that a node yet to be made binds."""
        _, high = bounds(most)
        return self._fresh(self.op.lower(), 2**31 - 1 if high is None else high, least)

    def scalar(self, value: Value, what: str) -> float | int | bool:
        """The only element of a constant. Raises UnsupportedError where it is not constant."""
        if value.data is None:
            self.fail(f"{what} is not a constant")
        if value.data.size != 1:
            self.invalid(f"{what} has {value.data.size} elements, not one")
        element: float | int | bool = value.data.reshape(()).item()
        return element

    # -------------------------------------------------------------- attributes

    def has(self, name: str) -> bool:
        """Whether the node states this attribute."""
        return name in self._attrs

    def attr(self, name: str) -> Any:
        """An attribute as stated, or its default in this opset; None where it has neither."""
        self._read.add(name)
        if name in self._attrs:
            return self._attrs[name]
        if self._schema is not None and name in self._schema.attributes:
            return attributes.default_of(self._schema.attributes[name])
        return None

    def required(self, name: str) -> Any:
        """An attribute that must be there. Raises ModelError when it is not."""
        value = self.attr(name)
        if value is None:
            self.invalid(f"attribute {name!r} is missing")
        return value

    def choice(self, name: str, *allowed: str) -> str:
        """An attribute that is one of these words, by default the first. Raises ModelError for others."""
        value = self.attr(name)
        word = allowed[0] if value is None else value
        if word not in allowed:
            self.invalid(f"attribute {name} is {word!r}, not one of {', '.join(allowed)}")
        return str(word)

    def axis(self, axis: int, rank: int) -> int:
        """axis counted from the front. Raises ModelError when it is outside the rank."""
        if not -rank <= axis < rank:
            self.invalid(f"axis {axis} is outside rank {rank}")
        return axis + rank if axis < 0 else axis

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Axes counted from the front, in the given order. Raises ModelError for repeated ones."""
        found = tuple(self.axis(a, rank) for a in axes)
        if len(set(found)) != len(found):
            self.invalid(f"axes {tuple(axes)} repeat one")
        return found

    # ---------------------------------------------------------------- building

    def one(self, op: str, *inputs: Value | None, **attrs: Any) -> Value:
        """Apply a canonical op with one output; elementwise ones broadcast, as inputs may tell."""
        if isinstance(definition(op), Elementwise):
            inputs = self.broadcast(*inputs)
        return self.builder.one(op, *inputs, **attrs)

    def broadcast(self, *operands: Value | None, kept: int = 0) -> tuple[Value | None, ...]:
        """Operands as they are, or repeated along axes of which only inputs tell that their size is 1.

        The last `kept` axes of each are left alone.
        """
        shapes = [v.shape[: v.rank - kept] for v in operands if v is not None]
        shape = self.joined(*shapes) if len(set(shapes)) > 1 else None
        return operands if shape is None else tuple(v and self.spread(v, shape, kept) for v in operands)

    def joined(self, *shapes: Shape) -> Shape | None:
        """What shapes broadcast to where inputs must be so that they do; None where that can not be asked."""
        return self._broadcasting.shape(shapes, self.require)

    def spread(self, value: Value, shape: Shape, kept: int = 0) -> Value:
        """A value repeated along axes that may have to be for a shape which it broadcasts to."""
        own, last = value.shape[: value.rank - kept], value.shape[value.rank - kept :]
        steps = self._broadcasting.steps(own, shape)
        if all(step == 1 for step in steps):
            return value
        pairs = zip(own, shape[len(shape) - len(own) :], steps, strict=True)
        sizes = (*(dim if step == 1 else size for dim, size, step in pairs), *last)
        starts, steps = (0,) * value.rank, (*steps, *(1 for _ in last))
        return self.builder.one("Slice", value, starts=starts, sizes=sizes, steps=steps)

    def like(self, value: float | int, other: Value) -> Value:
        """A scalar constant of another value's dtype."""
        return self.builder.constant(value, other.dtype)

    def cast(self, value: Value, dtype: DType) -> Value:
        """value converted to dtype; itself where it has it already."""
        return converted(self.builder, value, dtype)

    def reshape(self, value: Value, shape: Sequence[Dim]) -> Value:
        """value in another shape of as many elements; itself where it has that shape already."""
        return value if value.shape == tuple(shape) else self.one("Reshape", value, shape=tuple(shape))

    def limited(self, count: int, what: str) -> int:
        """count, unless so many elements are too many for a constant: small files can ask for any number."""
        if count > LARGEST_CONSTANT:
            self.fail(f"{what} has {count} elements, more than {LARGEST_CONSTANT}")
        return count

    def fail(self, reason: str, remedy: str = "") -> NoReturn:
        """Report that pyruntime cannot convert this node."""
        raise UnsupportedError(self.op, self.name, reason, remedy)

    def invalid(self, reason: str) -> NoReturn:
        """Report that the model breaks ONNX's rules."""
        raise ModelError(f"{self.op} {self.name!r}: {reason}")

    def finish(self, results: Sequence[Held]) -> None:
        """Raise for whatever the node states and its handler did not look at: nothing is ignored silently."""
        for name, value in self._attrs.items():
            if name in self._read or name in _WITHOUT_MEANING:
                continue
            default = None
            if self._schema is not None and name in self._schema.attributes:
                default = attributes.default_of(self._schema.attributes[name])
            if not np.array_equal(np.asarray(value, dtype=object), np.asarray(default, dtype=object)):
                self.fail(f"attribute {name} = {value!r} is not supported")
        for index in range(self._inputs_read, len(self._inputs)):
            if self._inputs[index] is not None:
                self.fail(f"input {index} is not supported")
        for index in range(len(results), len(self.outputs)):
            if self.outputs[index]:
                self.fail(f"output {index} ({self.outputs[index]!r}) is not supported")


Handler = Callable[[NodeContext], "Held | Sequence[Held]"]


@dataclass(frozen=True)
class _Row:
    since: int
    until: int
    handler: Handler


_TABLE: dict[tuple[str, str], list[_Row]] = {}


def handles(
    *ops: str, since: int = 1, until: int = 1 << 30, domain: str = ""
) -> Callable[[Handler], Handler]:
    """Make a function the handler of ONNX operators in opsets since..until (inclusive) of a domain."""

    def register(handler: Handler) -> Handler:
        for op in ops:
            rows = _TABLE.setdefault((domain, op), [])
            if any(row.since <= until and since <= row.until for row in rows):
                raise TypeError(f"two handlers of {op} in opset {since}")
            rows.append(_Row(since, until, handler))
        return handler

    return register


@functools.cache
def _discover() -> None:
    from pyruntime_converter.frontends.onnx import handlers

    for module in sorted(m.name for m in pkgutil.iter_modules(handlers.__path__)):
        importlib.import_module(f"{handlers.__name__}.{module}")


def handler_of(domain: str, op: str, opset: int) -> Handler | None:
    """The handler of an operator in an opset, or None."""
    _discover()
    rows = _TABLE.get((domain, op), [])
    return next((row.handler for row in rows if row.since <= opset <= row.until), None)


def handled() -> list[tuple[str, str]]:
    """(domain, operator) of everything that has a handler, sorted: for the support table."""
    _discover()
    return sorted(_TABLE)
