"""Graph to kernel calls: values grow lazily, and a call is emitted when something needs their memory."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.hosts import ConvHost, MatMulHost, RowHost, dense, emit_map
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ, Lazy, combine, scalar_constant
from pyruntime_converter.lowering.rows import together
from pyruntime_converter.lowering.sharing import reconverging
from pyruntime_converter.lowering.space import storage_order
from pyruntime_converter.lowering.states import States
from pyruntime_converter.memory import too_large
from pyruntime_converter.tied import tied_tables

from pyruntime.errors import UnsupportedError, UnsupportedNodesError
from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Origin, Shape, Value
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.program import Boundary, Program
from pyruntime.ir.scalar import Load, Scalar, cost
from pyruntime.ir.views import Indirect, Tensor, View
from pyruntime.ops.definition import Elementwise, definition

Rule = Callable[["Lowering", Node], Lazy | Sequence[Lazy]]
_RULES: dict[str, Rule] = {}

# a tree that costs no more than this is computed again by each reader rather than stored
RECOMPUTE_COST = 2
# the same of 8-bit elements, as Dequantize takes: they are a quarter of what would be stored
DEQUANTIZE_COST = 4
# what is worth a GPU by itself
PRODUCTS = (ConvHost, MatMulHost)
# what stores blocks of sums, as well across them as along them
SCATTERING = PRODUCTS


def lowers(*ops: str) -> Callable[[Rule], Rule]:
    """Marks a function as the lowering rule of ops: it gives the output's value, or one for each output."""

    def register(rule: Rule) -> Rule:
        for op in ops:
            if op in _RULES:
                raise TypeError(f"two lowering rules for {op}")
            _RULES[op] = rule
        return rule

    return register


def rules() -> dict[str, Rule]:
    """All rules; the modules of `lowering.rules` register them when imported."""
    import pyruntime_converter.lowering.rules as package

    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"{package.__name__}.{module}")
    return _RULES


def lower(graph: Graph, problems: list[UnsupportedError] | None = None) -> Program:
    """The kernel calls that compute graph.

    Raises UnsupportedError for nodes without a kernel, and tensors of too many elements. Where `problems` is
    given, the former are added to it instead, and inputs stand for what they would give: such a program is
    only good to look at.
    """
    program = Lowering(graph, problems=problems).run()
    oversized = [*too_large(program)]
    if oversized and problems is None:
        raise oversized[0] if len(oversized) == 1 else UnsupportedNodesError(oversized)
    return program


class Lowering:
    """The state of lowering one graph; a subgraph adds to the program of the one `around` it."""

    def __init__(
        self,
        graph: Graph,
        around: Lowering | None = None,
        problems: list[UnsupportedError] | None = None,
    ) -> None:
        self.graph = graph
        self._end = Boundary.CONTROL if around else Boundary.OUTPUT  # what its outputs are stored for
        self._problems: list[UnsupportedError] | None = around._problems if around else problems
        others = len(graph.lengths()) + sum(1 for _ in graph.elements())
        program = Program(graph.name, graph.symbols(), [], [], others=others)
        self.program: Program = around.program if around else program
        self.symbols: set[str] = around.symbols if around else {*program.symbols, *_bound(graph)}
        self._values: dict[Value, Lazy] = {}
        self._constants: dict[tuple[Any, str], Tensor] = around._constants if around else {}
        self._names: dict[str, int] = around._names if around else {}
        self._origin = Origin("", "")
        self.states = States(graph)
        self.places: dict[Value, View] = {}  # of Concats, where they were decided on before
        self.uses = graph.uses()
        self.tied = tied_tables(graph)
        once = {v for v, nodes in self.uses.items() if len(set(nodes)) == 1} - set(graph.outputs)
        self._stays = once | reconverging(graph)
        self._ends = {v for v in graph.outputs if v not in self.uses}

    def run(self) -> Program:
        """Lower all nodes, then store the outputs."""
        for value in self.graph.inputs:
            view = self.states.before.get(value)
            if view is None:
                tensor = Tensor(value.name, value.dtype, value.elements, "input")
                self.program.inputs.append(tensor)
                view = views.contiguous(tensor, value.shape)
            self._values[value] = Lazy.of(view, value.shape)
        self._nodes()
        for number, value in enumerate(self.graph.outputs):
            if number not in self.states.outputs:
                self.program.outputs.append(self.contiguous(value))
                self.program.output_shapes.append(value.shape)
        self.states.store(self, self.graph)
        return self.program

    def nested(self, graph: Graph, inputs: Sequence[Lazy]) -> Lowering:
        """Lower the nodes of a subgraph here; its outputs are still to be stored."""
        inner = Lowering(graph, self)
        inner._values.update(zip(graph.inputs, inputs, strict=True))
        inner._nodes()
        return inner

    def _nodes(self) -> None:
        table = rules()
        for node in self.graph.nodes:
            self._origin = node.origin
            rule = table.get(node.op) or (
                elementwise if isinstance(definition(node.op), Elementwise) else None
            )
            try:
                if rule is None:
                    reason = f"op {node.op} has no kernel yet"
                    raise UnsupportedError(node.origin.op, node.origin.name, reason)
                results = rule(self, node)
            except UnsupportedError as error:
                if self._problems is None:
                    raise
                self._problems.append(error)
                results = [self._stand_in(v) for v in node.outputs]
            made = [results] if isinstance(results, Lazy) else results
            for output, lazy in zip(node.outputs, made, strict=True):
                self._define(output, lazy)

    def _stand_in(self, value: Value) -> Lazy:
        """An input in place of what a node would give."""
        tensor = Tensor(value.name, value.dtype, value.elements, "input")
        self.program.inputs.append(tensor)
        return Lazy.of(views.contiguous(tensor, value.shape), value.shape)

    def own_symbol(self, name: str) -> str:
        """A new symbol for steps to set."""
        made = next(n for i in itertools.count(1) if (n := f"_{name}_{i}") not in self.symbols)
        self.symbols.add(made)
        return made

    # values ------------------------------------------------------------------------------------------

    def lazy(self, value: Value) -> Lazy:
        """The value as it stands; constants become literals where all elements are equal."""
        if value.data is None:
            return self._values[value]
        data = value.data
        if data.size and (data.size == 1 or bool((data == data.flat[0]).all())):
            return scalar_constant(value.dtype, data.flat[0].item(), value.shape)
        tensor = self.weight(value, "plain", data)
        return Lazy.of(views.contiguous(tensor, value.shape), value.shape)

    def stays(self, value: Value) -> bool:
        """Whether a value may be computed where it is read, and be in memory nowhere."""
        return value in self._stays

    def waits(self, value: Value) -> bool:
        """Whether it is a pending kernel's, or not computed yet."""
        return value.data is None and (value not in self._values or self._values[value].host is not None)

    def weight(
        self,
        value: Value,
        layout: str,
        data: NDArray[Any] | Callable[[], NDArray[Any]],
        elements: int | None = None,
        dtype: DType | None = None,
    ) -> Tensor:
        """The tensor for constant `value` stored as `data` in `layout`; one per value and layout.

        `data` may be a function that makes the array, of so many `elements`, when the pack is written. Its
        `dtype` is by default the value's.
        """
        key = (value, layout)
        if key not in self._constants:
            assert value.data is not None
            if not callable(data):
                data, elements = data.reshape(-1), data.size
            assert elements is not None
            self._constants[key] = Tensor(
                value.name, dtype or value.dtype, elements, "weight", data, layout, value.data.shape
            )
        return self._constants[key]

    def view(self, value: Value, *, contiguous: bool = False, why: Boundary = Boundary.OPERAND) -> View:
        """The value in memory, by plain strides. Emits the kernel that stores it if need be, for a reason."""
        lazy = self.lazy(value)
        if lazy.view is None and value.data is not None:  # a literal, wanted in memory
            tensor = self.weight(value, "plain", value.data)
            return views.contiguous(tensor, value.shape)
        stored = self.store(lazy, why=why)
        if contiguous and (stored.view is None or not views.is_dense(stored.view, stored.shape)):
            stored = self.store(lazy, order=range(len(lazy.shape)))
        if value.data is None:
            self._values[value] = stored
        assert stored.view is not None
        return stored.view

    def tensor(self, name: str, dtype: DType, shape: Shape) -> Tensor:
        """A new temporary."""
        return Tensor(name, dtype, product(shape))

    def set(self, value: Value, lazy: Lazy) -> None:
        """Let later readers of value find it stored."""
        self._values[value] = lazy

    def index_tensor(self, indices: NDArray[Any]) -> Lazy:
        """A constant vector of indices made by lowering itself."""
        value = Value(f"{self._origin.name}.indices", DType(indices.dtype.name), indices.shape, data=indices)
        return Lazy.of(self.view(value), value.shape)

    def gathered(self, data: View, data_shape: Shape, axis: int, indices: Lazy, shape: Shape) -> Lazy:
        """data read along `axis` at indices, whose axes stand in place of it. Out of range gives 0."""
        rank = len(indices.shape)
        (index,) = indices.leaves
        before, after = data.strides[:axis], data.strides[axis + 1 :]
        at = replace(index, strides=(*(0 for _ in before), *index.strides, *(0 for _ in after)))
        moved = Indirect(1, data.strides[axis], data_shape[axis])
        read = replace(data, strides=(*before, *([0] * rank), *after), indirect=(moved,))
        return Lazy(shape, Load(data.tensor.dtype, 0), (read, at))

    def gathered_elements(self, data: View, data_shape: Shape, axis: int, indices: Lazy) -> Lazy:
        """data read along `axis` at the index that each element of indices gives."""
        moved = Indirect(1, data.strides[axis], data_shape[axis])
        strides = tuple(0 if a == axis else s for a, s in enumerate(data.strides))
        read = replace(data, strides=strides, indirect=(moved,))
        return Lazy(indices.shape, Load(data.tensor.dtype, 0), (read, *indices.leaves))

    # emission ----------------------------------------------------------------------------------------

    def store(self, lazy: Lazy, *, order: Sequence[int] | None = None, why: Boundary | None = None) -> Lazy:
        """lazy in memory of its own (unchanged if it is a view already and no order is asked).

        `why` is told as the program's `boundaries`; by default the order, or that a reader wants it there.
        """
        if lazy.view is not None and order is None:
            return lazy
        axes = lazy.host.order() if lazy.host else (order or storage_order(lazy.space, lazy.leaves))
        tensor = self.tensor(self._origin_of(lazy).name, lazy.tree.dtype, lazy.space)
        output = dense(tensor, lazy.space, axes)
        if isinstance(lazy.host, RowHost) and lazy.host.pliant:
            output = lazy.backward(views.contiguous(tensor, lazy.shape)) or output
        self.emit(lazy, output, why or (Boundary.OPERAND if order is None else Boundary.LAYOUT))
        stored = Lazy.of(output, lazy.space)
        for move in lazy.moves:
            stored = stored.transpose(move.perm) if move.perm else self.reshaped(stored, move.after)
        if order is None or not lazy.host:
            return stored
        return self.store(stored, order=order)

    def reshaped(self, stored: Lazy, shape: Shape) -> Lazy:
        """stored under another shape, through a row-major copy if need be."""
        moved = stored.reshape(shape)
        if moved is None:
            moved = self.store(stored, order=range(len(stored.shape))).reshape(shape)
        if moved is None:
            raise UnsupportedError(
                self._origin.op,
                self._origin.name,
                f"cannot see {stored.shape} as {shape} without knowing the symbols",
                "Fix these dimensions when exporting the model.",
            )
        return moved

    def store_into(self, lazy: Lazy, target: View, why: Boundary = Boundary.OUTPUT) -> None:
        """Store lazy to target, a view over its shape."""
        output = lazy.backward(target)
        if output is not None and lazy.host:
            # other kernels store well only along their last axis
            order = list(lazy.host.order())
            across = output.strides and output.strides[order[-1]] not in (0, 1) and lazy.space[order[-1]] != 1
            if across and not isinstance(lazy.host, SCATTERING):
                output = None
        if output is None:
            self.emit(self.store(lazy, why=Boundary.LAYOUT), target, why)
        else:
            self.emit(lazy, output, why)

    def emit(self, lazy: Lazy, output: View, why: Boundary) -> None:
        """The call that stores lazy to output, a view over its space."""
        origin = self._origin_of(lazy)
        template = "map" if lazy.host is None else type(lazy.host).__name__.removesuffix("Host").lower()
        name = self.call_name(template, origin)
        call: KernelCall = lazy.host.emit(name, lazy, output) if lazy.host else emit_map(name, lazy, output)
        self.program.steps.append(call)
        self.program.boundaries[name] = why

    def call_name(self, template: str, origin: Origin) -> str:
        """A name that no other call has."""
        name = f"{template} {origin.name}"
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name} ({self._names[name]})"

    def _origin_of(self, lazy: Lazy) -> Origin:
        """The structured op that names a kernel, or the last of a chain of elementwise ones."""
        return lazy.origins[0 if lazy.host else -1] if lazy.origins else self._origin

    def layout(self, lazy: Lazy) -> list[int]:
        """Axes of the value's shape from outermost to innermost, as it is or would best be stored."""
        if not lazy.host:
            return storage_order(lazy.space, lazy.leaves)
        view: View | None = dense(self.tensor("", lazy.tree.dtype, lazy.space), lazy.space, lazy.host.order())
        for move in lazy.moves:
            view = move.forward(view) if view else None
        return storage_order(lazy.shape, [view] if view else [])

    def _define(self, value: Value, lazy: Lazy) -> None:
        if not lazy.origins and lazy.view is None:
            lazy = replace(lazy, origins=(self._origin,))
        if value not in self._stays and lazy.view is None:
            narrow = {v.tensor.dtype for v in lazy.leaves} in ({DType.I8}, {DType.U8})
            most = DEQUANTIZE_COST if narrow else RECOMPUTE_COST
            cheap = not lazy.host and cost(lazy.tree) <= most and len(lazy.leaves) <= 1
            if value in self._ends and isinstance(lazy.host, SCATTERING):
                self._values[value] = lazy
                self.contiguous(value)
                return
            if not cheap or value in self.graph.outputs:
                alone = value in self.graph.outputs and value not in self.uses
                lazy = self.store(lazy, why=self._end if alone else Boundary.READERS)
        self._values[value] = lazy

    def contiguous(self, value: Value, why: Boundary = Boundary.OUTPUT) -> Tensor:
        """A temporary that holds value alone, row-major; not one that is an output already."""
        lazy = self.lazy(value)
        view = lazy.view
        if view is not None and views.is_contiguous(view, lazy.shape):
            tensor = view.tensor
            if tensor.kind == "temporary" and tensor not in self.program.outputs:
                return tensor
        tensor = self.tensor(value.name, value.dtype, value.shape)
        self.store_into(lazy, views.contiguous(tensor, value.shape), why)
        if value.data is None:
            self._values[value] = Lazy.of(views.contiguous(tensor, value.shape), value.shape)
        return tensor


def _bound(graph: Graph) -> Iterator[str]:
    """Symbols that nodes bind: those that count iterations, and those that a run learns."""
    for node in graph.nodes:
        yield from (node.attrs["counter"],) if "counter" in node.attrs else ()
        yield from node.measures
        for inner in node.subgraphs:
            yield from _bound(inner)


def elementwise(low: Lowering, node: Node) -> Lazy:
    """Any elementwise op: its tree over the operands' trees, in one kernel where that can be."""
    op = definition(node.op)
    assert isinstance(op, Elementwise)

    def build(trees: list[Scalar]) -> Scalar:
        return op.build(trees, node.attrs)

    present = [v for v in node.inputs if v is not None]
    result = fuse(low, present, node.output.shape, build)
    return replace(result, origins=(*result.origins, node.origin))


def fuse(
    low: Lowering, operands: Sequence[Value], shape: Shape, build: Callable[[list[Scalar]], Scalar]
) -> Lazy:
    """build over the operands, storing as few of them as makes one kernel possible."""
    args = [low.lazy(v) for v in operands]
    result = combine(together(args, shape), shape, build) or combine(args, shape, build)
    if result is not None and _widens(args, result):
        waiting = next(i for i, a in enumerate(args) if a.host)
        _store(low, operands, args, waiting, Boundary.WIDTH)
        result = combine(args, shape, build)
    # which to store first: pending kernels of another shape, the older of two, then the widest trees
    while result is None:
        candidates = [i for i, a in enumerate(args) if a.view is None and not _is_literal(a)]
        if not candidates:
            raise AssertionError(f"cannot combine {[a.shape for a in args]} to {shape}")
        hosted = [i for i in candidates if args[i].host]
        misfit = [i for i in hosted if args[i].shape != shape]
        if misfit:
            chosen, why = misfit[0], Boundary.SHAPE
        elif len({id(args[i].host) for i in hosted}) > 1:
            chosen, why = hosted[0], Boundary.KERNELS
        else:
            plain = [i for i in candidates if not args[i].host] or candidates
            chosen, why = max(plain, key=lambda i: len(args[i].tensors)), _refused(args, shape)
        _store(low, operands, args, chosen, why)
        result = combine(args, shape, build)
    return result


def _store(low: Lowering, operands: Sequence[Value], args: list[Lazy], chosen: int, why: Boundary) -> None:
    """Put one of the operands into memory, wherever it stands among them."""
    same = args[chosen]
    stored = low.store(same, why=why)
    for i, value in enumerate(operands):
        if args[i] is same:
            args[i] = stored
            if value.data is None:
                low.set(value, stored)


def _widens(args: Sequence[Lazy], result: Lazy) -> bool:
    """Whether float64 would join a product of shorter numbers, which a GPU can compute without it."""
    wide = DType.F64 in (result.tree.dtype, *(a.tree.dtype for a in args))
    host = result.host
    return wide and isinstance(host, PRODUCTS) and all(t.dtype is not DType.F64 for t in host.tensors)


def _refused(args: Sequence[Lazy], shape: Shape) -> Boundary:
    """Why operands that wait on one kernel at most are not one: too many tensors, or an order of elements."""
    read = {t for a in args for t in a.tensors}
    fits = all(a.host or a.expand(shape) is not None for a in args)
    return Boundary.TENSORS if fits and len(read) > MAX_TENSORS_READ else Boundary.LAYOUT


def _is_literal(lazy: Lazy) -> bool:
    return not lazy.leaves and not lazy.host and not isinstance(lazy.tree, Load)
