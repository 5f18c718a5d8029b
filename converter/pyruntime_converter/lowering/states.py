"""Lowering of state: where it is read, where its next value is stored, and which copies that spares.

A state that grows is appended to in place: the Concat that makes its next value stores only the new part,
behind the old one, and gives a view of both. Any other next value is copied to the state by the program's
last calls; where nothing needs the old value by then, its own kernel writes to the state instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy, inverse

from pyruntime.ir.dims import product
from pyruntime.ir.graph import Graph, Node, Origin, State, Value
from pyruntime.ir.kernel import KernelCall, Map, Phase
from pyruntime.ir.program import Boundary, Carried, Program
from pyruntime.ir.views import Tensor, View

if TYPE_CHECKING:
    from pyruntime_converter.lowering.lower import Lowering

Part = TypeVar("Part")


class States:
    """The states of a graph while it is lowered.

    Attributes:
        before: where each input that is a state is read.
        after: where the next values lie, and the values that they are made of by movement alone.
        outputs: positions of outputs that are next values.
    """

    def __init__(self, graph: Graph) -> None:
        self._states: list[tuple[State, Carried]] = [(s, _carried(graph, s)) for s in graph.states]
        self.before: dict[Value, View] = {}
        self.after: dict[Value, View] = {}
        self.outputs = {s.output for s in graph.states}
        for state, carried in self._states:
            view = views.contiguous(carried.tensor, carried.shape)
            self.before[graph.inputs[state.input]] = view
            if carried.axis is not None:
                self._trace(graph.outputs[state.output], view)

    @property
    def carried(self) -> list[Carried]:
        """What the program says of them."""
        return [carried for _, carried in self._states]

    def _trace(self, value: Value, view: View) -> None:
        """Note where value, and what it is put together from, would lie if it were made in place."""
        self.after.setdefault(value, view)
        node = value.producer
        if node is None:
            return
        match node.op:
            case "Identity":
                self._trace(node.input(0), view)
            case "Transpose":
                self._trace(node.input(0), views.transpose(view, inverse(node.attrs["perm"])))
            case "Reshape":
                source = node.input(0)
                moved = views.reshape(view, value.shape, source.shape)
                if moved is not None:
                    self._trace(source, moved)
            case "Concat":
                for operand, part in zip(node.inputs, parts(node, view), strict=True):
                    assert operand is not None
                    self._trace(operand, part)

    def appended(self, node: Node, operands: Sequence[Lazy]) -> View | None:
        """Where a Concat lies that is made in place, some of its operands being there already; else None.

        What is still to be stored lies behind the state's old elements, which others may yet read.
        """
        whole = self.after.get(node.output)
        if whole is None:
            return None
        carried = next(c for c in self.carried if c.tensor is whole.tensor)
        assert carried.axis is not None
        there = [lies(lazy, part) for lazy, part in zip(operands, parts(node, whole), strict=True)]
        axis, step = node.attrs["axis"], views.contiguous_strides(carried.shape)[carried.axis]
        grows = whole.strides[axis] == step and operands[0].shape[axis] == carried.length
        return whole if all(there) or (there[0] and grows) else None

    def store(self, low: Lowering, graph: Graph) -> None:
        """Store the next values, and let the program know its states."""
        program = low.program
        sources: list[tuple[Carried, Value, View]] = []
        for state, carried in self._states:
            value = graph.outputs[state.output]
            target = views.contiguous(carried.tensor, carried.shape)
            lazy = low.lazy(value)
            if lies(lazy, target):
                continue  # appended, or never changed
            # read now, whatever the copies below overwrite
            sources.append(
                (carried, value, views.contiguous(low.contiguous(value, Boundary.STATE), value.shape))
            )
        for carried, value, source in sources:
            origin = Origin("State", carried.tensor.name)
            target = views.contiguous(carried.tensor, carried.shape)
            low.emit(Lazy.of(source, value.shape, (origin,)), target, Boundary.STATE)
        program.states = self.carried
        overwritten = [carried.tensor for carried, *_ in sources]
        for tensor in overwritten:
            _spare(program, tensor)
        writers = [
            i
            for i, step in enumerate(program.steps)
            if isinstance(step, KernelCall) and step.output.tensor in overwritten
        ]
        program.commit = min(writers, default=None)


def parts(node: Node, whole: View) -> list[View]:
    """Where the operands of a Concat lie in its output."""
    axis, found, start = node.attrs["axis"], [], whole.offset
    for operand in node.inputs:
        assert operand is not None
        found.append(dataclasses.replace(whole, offset=start))
        start = start + operand.shape[axis] * whole.strides[axis]
    return found


def _carried(graph: Graph, state: State) -> Carried:
    value, after = graph.inputs[state.input], graph.outputs[state.output]
    tensor = Tensor(value.name, value.dtype, product(state.shape), "state")
    initial = None
    if state.initial is not None:
        data = state.initial.reshape(-1)
        name = f"{value.name} at first"
        initial = Tensor(name, value.dtype, data.size, "weight", data, "plain", state.shape)
    if state.axis is None:
        return Carried(tensor, state.shape, initial=initial)
    return Carried(tensor, state.shape, state.axis, value.shape[state.axis], after.shape[state.axis])


def lies(lazy: Lazy, there: View) -> bool:
    """Whether a value is in memory already, and there, which is a plain view over its shape."""
    view = lazy.view
    return (
        view is not None
        and view.tensor is there.tensor
        and view.offset == there.offset
        and not view.guards
        and not view.indirect
        and all(
            a == b for a, b, size in zip(view.strides, there.strides, lazy.shape, strict=True) if size != 1
        )
    )


def _spare(program: Program, state: Tensor) -> None:
    """Let the kernels that make a state's next value write to the state, where no other order is needed."""
    if len(program.calls) != len(program.steps):  # jumps: the order of the steps is not that of the run
        return
    copy = next(c for c in reversed(program.calls) if c.output.tensor is state)
    (source,) = copy.inputs
    made = source.tensor
    others = [c for c in program.calls if c is not copy]
    writers = [i for i, c in enumerate(others) if c.output.tensor is made]
    readers = [i for i, c in enumerate(others) if any(v.tensor is state for v in c.reads())]
    if made.kind != "temporary" or made in program.outputs or made.elements != state.elements or not writers:
        return
    if (source.offset, source.strides) != (copy.output.offset, copy.output.strides):
        return
    first, last = writers[0], max(readers, default=-1)
    if last > first or (last == first and not (len(writers) == 1 and _in_place(others[first], state))):
        return
    program.steps = [_moved(c, made, state) for c in others]


def _in_place(call: KernelCall, state: Tensor) -> bool:
    """Whether a call that reads a state may write its result over it: element for element."""
    output = call.output
    return isinstance(call, Map) and all(
        (v.offset, v.strides, v.guards, v.indirect) == (output.offset, output.strides, (), ())
        for v in call.reads()
        if v.tensor is state
    )


def _moved(part: Part, old: Tensor, new: Tensor) -> Part:
    """A call, or a part of one, with a tensor put in place of another."""
    if part is old:
        return new  # type: ignore[return-value]  # the same type
    if isinstance(part, tuple):
        return tuple(_moved(p, old, new) for p in part)  # type: ignore[return-value]  # the same type
    if not isinstance(part, (KernelCall, View, Phase)):
        return part
    fields = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    changed = {k: m for k, v in fields.items() if (m := _moved(v, old, new)) != v}
    return dataclasses.replace(part, **changed)
