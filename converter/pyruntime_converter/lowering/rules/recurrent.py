"""Lowering of recurrent layers: what an LSTM, GRU or RNN does in a step, as phases of one kernel call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node, Value
from pyruntime.ir.kernel import Phase, Recurrence
from pyruntime.ir.scalar import Acc, Call, Const, Index, Load, Scalar, Size, call
from pyruntime.ir.views import View
from pyruntime.ops.definition import definition
from pyruntime.ops.layouts import pack_gates, panel_elements
from pyruntime.ops.recurrent import Recurrent
from pyruntime.ops.trees import add, mul

PANELS = 8
DIRECTION = Index(DType.I32, 1)


@dataclass
class _Layer:
    """A layer while it is lowered: its op, its geometry, and the operands of the call so far."""

    low: Lowering
    node: Node

    def __post_init__(self) -> None:
        op = definition(self.node.op)
        assert isinstance(op, Recurrent)
        self.op, self.attrs = op, self.node.attrs
        self.steps, self.batch, _ = self.node.input(0).shape
        self.directions, self.rows, units = (int(str(d)) for d in self.node.input(1).shape)
        self.units, self.slots = units, op.states
        self.dtype = self.node.outputs[0].dtype
        self.operands: list[View] = []
        x = self.low.view(self.node.input(0))
        by_step, by_row, by_column = x.strides
        strides = (by_step, by_column * self.rows, by_row, by_column)
        self._x = [
            self._operand(replace(x, offset=x.offset + by_column * (g * units), strides=strides))
            for g in range(op.gates)
        ]

    def _operand(self, view: View) -> int:
        sizes = (self.steps, self.directions, self.batch, self.units)
        strides = tuple(0 if size == 1 else s for s, size in zip(view.strides, sizes, strict=True))
        self.operands.append(replace(view, strides=strides))
        return len(self.operands) - 1

    def optional(self, position: int) -> Value | None:
        """An input, unless it is absent or known to be zero."""
        value = self.node.inputs[position] if position < len(self.node.inputs) else None
        if value is None:
            return None
        lazy = self.low.lazy(value)
        zero = isinstance(lazy.tree, Const) and not lazy.host and lazy.tree.value == 0
        return None if zero else value

    def lengths(self) -> int | None:
        """The operand of the sequences' lengths."""
        value = self.node.inputs[2] if len(self.node.inputs) > 2 else None
        if value is None:
            return None
        lazy = self.low.lazy(value)
        tree = lazy.tree
        while isinstance(tree, Call) and tree.function == "cast":
            tree = tree.args[0]
        if isinstance(tree, Size) and lazy.sizes[tree.slot] == self.steps:  # all sequences are whole
            return None
        view = self.low.view(value)
        return self._operand(replace(view, strides=(0, 0, view.strides[0], 0)))

    def initial(self, state: int) -> int | None:
        """The operand of a state's initial value."""
        value = self.optional(3 + state)
        if value is None:
            return None
        view = self.low.view(value)
        return self._operand(replace(view, strides=(0, *view.strides)))

    def parameters(self, position: int, count: int) -> list[Scalar | None]:
        """The parts of a further input [directions, count * units]; None where there is none."""
        value = self.optional(3 + self.op.states + position)
        if value is None:
            return [None] * count
        view = self.low.view(value)
        by_direction, by_unit = view.strides
        strides = (0, by_direction, 0, by_unit)
        offsets = [view.offset + by_unit * (n * self.units) for n in range(count)]
        return [
            Load(self.dtype, self._operand(replace(view, offset=offset, strides=strides)))
            for offset in offsets
        ]

    def x(self, gate: int) -> Scalar:
        """The input's part of a gate."""
        return Load(self.dtype, self._x[gate])

    def acc(self, number: int) -> Scalar:
        """A slot at the present unit, or, behind all slots, a sum of the present phase."""
        return Acc(self.dtype, number)

    def less_one(self, tree: Scalar) -> Scalar:
        """1 - tree."""
        return call("sub", Const(self.dtype, 1.0), tree)

    def activate(self, number: int, tree: Scalar) -> Scalar:
        """Activation `number` of tree, clipped; where directions differ, both, of which one is taken."""
        limit = self.attrs["clip"]
        if limit is not None and number < self.op.clipped:
            tree = call("min", call("max", tree, Const(self.dtype, -limit)), Const(self.dtype, limit))
        first, *others = [functions[number] for functions in self.op.activations(self.attrs)]
        result = first.tree(tree)
        for direction, other in enumerate(others, 1):
            if other != first:
                here = call("eq", DIRECTION, Const(DType.I32, direction))
                result = call("select", here, other.tree(tree), result)
        return result

    def phase(self, source: int, first: int, count: int, updates: dict[int, Scalar]) -> Phase:
        """A phase whose sums are those of gates first to first + count."""
        value, units = self.node.input(1), self.units
        by_gate = units * units
        if value.data is None or self.dtype is DType.F64:
            view = self.low.view(value, contiguous=True)
            offset = view.offset + first * by_gate
            strides: tuple[Dim, ...] = (self.op.gates * by_gate, 1, by_gate, units)
            return Phase(source, count, View(view.tensor, offset, strides), 0, tuple(updates.items()))
        gates = value.data.reshape(self.directions, self.op.gates, units, units)[:, first : first + count]
        layout, each = f"panels{PANELS}-gates{first}", panel_elements(units * count, units, PANELS)
        packed = partial(pack_gates, gates, PANELS)
        tensor = self.low.weight(value, layout, packed, self.directions * each)
        strides = (each, 0, 0, 0)
        return Phase(source, count, View(tensor, 0, strides), PANELS, tuple(updates.items()))

    def finish(self, phases: Sequence[Phase]) -> list[Lazy]:
        """Emit the call; the node's outputs as parts of the tensor that it writes."""
        keeps = self.read(self.node.outputs[0])
        every = (self.steps, self.directions, self.batch, self.units)
        state = every[1:]
        # directions next to each other, as models join them
        order = (0, 2, 1, 3)
        end: Dim = product(every) if keeps else 0
        starts: list[Dim | None] = []
        for value in self.node.outputs[1:]:
            starts.append(end if self.read(value) else None)
            end = end + (product(state) if self.read(value) else 0)
        tensor = self.low.tensor(self.node.outputs[0].name, self.dtype, (end,))
        output = View(tensor, 0, views.ordered_strides(every, order))
        strides = views.contiguous_strides(state)
        finals = tuple(None if start is None else View(tensor, start, strides) for start in starts)
        initial = tuple(self.initial(s) for s in range(self.op.states))
        lengths = self.lengths()
        self.low.program.steps.append(
            Recurrence(
                name=self.low.call_name("recurrence", self.node.origin),
                origins=(self.node.origin,),
                inputs=tuple(self.operands),
                output=output,
                steps=self.steps,
                batch=self.batch,
                units=self.units,
                reverse=self.attrs["reverse"],
                slots=self.slots,
                initial=initial,
                lengths=lengths,
                phases=tuple(phases),
                keeps_steps=keeps,
                finals=finals,
            )
        )
        made = [(output, every), *((f or View(tensor, 0, strides), state) for f in finals)]
        return [Lazy.of(view, shape, (self.node.origin,)) for view, shape in made]

    def read(self, value: Value) -> bool:
        """Whether something reads value."""
        return value in self.low.graph.outputs or value in self.low.graph.uses()


def _sum(tree: Scalar, *others: Scalar | None) -> Scalar:
    for other in others:
        if other is not None:
            tree = add(tree, other)
    return tree


def _product(a: Scalar | None, b: Scalar) -> Scalar | None:
    return None if a is None else mul(a, b)


@lowers("LSTM")
def lstm(low: Lowering, node: Node) -> list[Lazy]:
    """One phase: four sums of the hidden state."""
    layer = _Layer(low, node)
    of_input, of_output, of_forget = layer.parameters(0, 3)
    c, sums = layer.acc(1), [_sum(layer.x(g), layer.acc(2 + g)) for g in range(4)]
    i = layer.activate(0, _sum(sums[0], _product(of_input, c)))
    if node.attrs["input_forget"]:
        forget = layer.less_one(i)
    else:
        forget = layer.activate(0, _sum(sums[2], _product(of_forget, c)))
    cell = add(mul(forget, c), mul(i, layer.activate(1, sums[3])))
    o = layer.activate(0, _sum(sums[1], _product(of_output, cell)))
    hidden = mul(o, layer.activate(2, cell))
    return layer.finish([layer.phase(0, 0, 4, {0: hidden, 1: cell})])


@lowers("GRU")
def gru(low: Lowering, node: Node) -> list[Lazy]:
    """One phase where the reset gate scales the product, two where it scales what is multiplied."""
    layer = _Layer(low, node)
    h = layer.acc(0)
    if node.attrs["linear_before_reset"]:
        (bias,) = layer.parameters(0, 1)
        z, r = (layer.activate(0, add(layer.x(g), layer.acc(1 + g))) for g in range(2))
        new = layer.activate(1, add(layer.x(2), mul(r, _sum(layer.acc(3), bias))))
        return layer.finish([layer.phase(0, 0, 3, {0: _mix(layer, z, h, new)})])
    layer.slots = 3  # the state, what the reset gate leaves of it, the update gate
    z, r = (layer.activate(0, add(layer.x(g), layer.acc(3 + g))) for g in range(2))
    new = layer.activate(1, add(layer.x(2), layer.acc(3)))
    return layer.finish(
        [
            layer.phase(0, 0, 2, {1: mul(r, h), 2: z}),
            layer.phase(1, 2, 1, {0: _mix(layer, layer.acc(2), h, new)}),
        ]
    )


def _mix(layer: _Layer, z: Scalar, h: Scalar, new: Scalar) -> Scalar:
    """(1 - z) * new + z * h."""
    return add(mul(layer.less_one(z), new), mul(z, h))


@lowers("RNN")
def rnn(low: Lowering, node: Node) -> list[Lazy]:
    """One phase of one sum."""
    layer = _Layer(low, node)
    hidden = layer.activate(0, add(layer.x(0), layer.acc(1)))
    return layer.finish([layer.phase(0, 0, 1, {0: hidden})])
