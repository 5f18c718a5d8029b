"""The SSA graph: typed values with symbolic shapes, nodes that name an op, and a verifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pyruntime.ir.dims import Dim, Expr, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.ratio import Part, Ratio
from pyruntime.ir.symbols import symbols_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[Dim, ...]


class Element(NamedTuple):
    """A symbol that an element of an input binds: its own, or one of two for the fraction that a float is.

    Attributes:
        input: number of the input.
        position: of the element, in row-major order.
        symbol: the name.
        part: what of a float; None for integers and bools.
    """

    input: int
    position: int
    symbol: str
    part: Part | None


@dataclass(eq=False)
class Value:
    """One tensor of the graph.

    `data` holds a constant's elements. `contents` is an object array of dims for a small integer or bool
    tensor whose elements are known as expressions over symbols (what Shape and its arithmetic give): it lets
    Reshape, Slice, Expand and If decide while the graph is built. The contents of an input are symbols of
    their own, which the fed elements bind. A small float input may have `ratios` instead: the fraction in
    lowest terms that each element is, of two symbols.
    """

    name: str
    dtype: DType
    shape: Shape
    data: NDArray[Any] | None = None
    contents: NDArray[np.object_] | None = None
    ratios: tuple[Ratio, ...] | None = None
    producer: Node | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        """Number of elements, as a dim."""
        return product(self.shape)


@dataclass(frozen=True)
class Origin:
    """Where a node comes from in the user's model: its operator and its name there."""

    op: str
    name: str


@dataclass(eq=False)
class Node:
    """One application of an op. An absent optional input is None.

    A Graph among the attributes is a subgraph, of a branch or a loop. It is closed: what it takes from around
    the node is an input of both, and constants are its own. Its dims may name the symbols of the graph around
    it, and an attribute `counter` names one more. An attribute `measures` names a symbol that the node binds,
    for all that follows.
    """

    op: str
    inputs: list[Value | None]
    outputs: list[Value]
    attrs: dict[str, Any]
    origin: Origin

    @property
    def subgraphs(self) -> tuple[Graph, ...]:
        """The graphs among the attributes, by attribute name."""
        return tuple(v for _, v in sorted(self.attrs.items()) if isinstance(v, Graph))

    def input(self, index: int) -> Value:
        """Input `index`, which must be present."""
        value = self.inputs[index]
        assert value is not None, f"{self.op} {self.origin.name}: input {index} is absent"
        return value

    @property
    def measures(self) -> frozenset[str]:
        """The symbol that a run learns here, if any."""
        name = self.attrs.get("measures")
        return frozenset({name} if name else ())

    def symbols(self) -> set[str]:
        """Names of the symbols in attributes, in shapes of outputs, and in subgraphs."""
        found = _symbols_in([*self.attrs.values(), *(v.shape for v in self.outputs)])
        for graph in self.subgraphs:
            for node in graph.nodes:
                found |= node.symbols()
            found |= _symbols_in([v.shape for v in (*graph.inputs, *graph.outputs)])
        return found

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value


@dataclass(frozen=True)
class Constraint:
    """What inputs must meet: value is not zero for the symbols that they bind; `reason` says why."""

    value: Dim
    reason: str


@dataclass(frozen=True, eq=False)
class State:
    """An input and an output that are one tensor, kept from one run to the next.

    Attributes:
        input, output: their positions in the graph's inputs and outputs.
        shape: the largest shape that the tensor can have.
        axis: the axis along which it grows, from no elements on; None where the shape stays.
        initial: the elements at first; zeros where there are none.
    """

    input: int
    output: int
    shape: tuple[int, ...]
    axis: int | None = None
    initial: NDArray[Any] | None = None


@dataclass(frozen=True)
class Listed:
    """A list of tensors among a graph's inputs or outputs: a sequence of the user's model.

    Attributes:
        name: what the user calls it.
        of: where its elements are.
        first: the position of the first of them; the others follow it.
        length: how many there are; None for an optional that is absent, and so is no list.
    """

    name: str
    of: Literal["inputs", "outputs"]
    first: int
    length: int | None


@dataclass(eq=False)
class Graph:
    """A program: inputs, outputs and nodes in an order in which they can run.

    `defaults` holds what every element of an input is where the input is not fed, by the input's name, and
    `ranges` the least and the largest value that an integer input takes. `encoded` holds the types that the
    integers of inputs and outputs stand for, by their names, where kernels do not know those types.
    Inputs and outputs that are a state's, or elements of `lists`, stand among the others; rewrites keep all
    positions.
    """

    name: str
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    defaults: dict[str, float | int | bool] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    encoded: dict[str, DType] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    lists: list[Listed] = field(default_factory=list)

    def uses(self) -> dict[Value, list[Node]]:
        """Nodes that read each value, once per read."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value is not None:
                    found.setdefault(value, []).append(node)
        return found

    def values(self) -> Iterator[Value]:
        """Every value once: inputs, then operands and results in program order."""
        seen: set[Value] = set()
        groups: list[Iterable[Value | None]] = [self.inputs]
        for node in self.nodes:
            groups += [node.inputs, node.outputs]
        groups.append(self.outputs)
        for group in groups:
            for value in group:
                if value is not None and value not in seen:
                    seen.add(value)
                    yield value

    def symbols(self) -> list[str]:
        """Names of the symbols in the inputs' shapes, in order of appearance, then lengths, then contents."""
        found: dict[str, None] = {}
        for value in self.inputs:
            for dim in value.shape:
                found.update(dict.fromkeys(sorted(symbols_of(dim))))
        others = dict.fromkeys([*self.lengths(), *(e.symbol for e in self.elements())])
        return [*(name for name in found if name not in others), *others]

    def lengths(self) -> dict[str, State]:
        """The symbols that sizes of states bind, each with the first state that does."""
        found: dict[str, State] = {}
        for state in self.states:
            if state.axis is not None:
                found.setdefault(str(self.inputs[state.input].shape[state.axis]), state)
        return found

    def elements(self) -> Iterator[Element]:
        """The symbols that elements of inputs bind."""
        for number, value in enumerate(self.inputs):
            for position, dim in enumerate(() if value.contents is None else value.contents.flat):
                yield Element(number, position, str(dim), None)
            for position, (above, below) in enumerate(value.ratios or ()):
                yield Element(number, position, str(above), "numerator")
                yield Element(number, position, str(below), "denominator")

    def replace(self, old: Value, new: Value) -> None:
        """Let every reader of old, and the outputs, read new."""
        for node in self.nodes:
            node.inputs = [new if v is old else v for v in node.inputs]
        self.outputs = [new if v is old else v for v in self.outputs]

    def verify(self, outer: frozenset[str] | None = None) -> None:
        """Check SSA form, order and shapes, of subgraphs too, which may use the `outer` graph's symbols.

        Raises AssertionError naming the node: a compiler bug.
        """
        symbols = frozenset(self.symbols()) if outer is None else outer
        known: set[Value] = set(self.inputs)
        names: set[str] = set()
        for node in self.nodes:
            where = f"{node.op} {node.origin.name!r}"
            for value in node.inputs:
                if value is not None and value.data is None:
                    assert value in known, f"{where} reads {value.name!r} before it is made"
            for value in node.outputs:
                assert value not in known, f"{where} makes {value.name!r} again"
                assert value.producer is node, f"{where}: {value.name!r} names another producer"
                assert value.name not in names, f"{where}: a second value is called {value.name!r}"
                names.add(value.name)
                known.add(value)
            counter = node.attrs.get("counter")
            for graph in node.subgraphs:
                graph.verify(symbols | {counter} if counter else symbols)
            symbols |= node.measures
        for value in self.outputs:
            assert value in known or value.data is not None, f"output {value.name!r} is never made"
        assert len(self.outputs) == len(self.output_names)
        for value in self.values():
            for dim in value.shape:
                assert symbols_of(dim) <= symbols, f"{value.name!r} has shape {value.shape}, unbound symbols"

    def __str__(self) -> str:
        def shape(dims: Sequence[Dim]) -> str:
            return "[" + ", ".join(str(d) for d in dims) + "]"

        def typed(value: Value) -> str:
            return f"%{value.name}: {value.dtype!r}{shape(value.shape)}"

        lines = [f"graph {self.name}({', '.join(typed(v) for v in self.inputs)}) {{"]
        for node in self.nodes:
            operands = []
            for value in node.inputs:
                if value is None:
                    operands.append("none")
                elif value.data is not None:
                    literal = f" = {value.data.tolist()}" if value.data.size <= 4 else ""
                    operands.append(f"const {value.dtype!r}{shape(value.shape)}{literal}")
                else:
                    operands.append(f"%{value.name}")
            plain = {k: v for k, v in node.attrs.items() if v is not None and not isinstance(v, Graph)}
            attrs = "".join(f", {k}={v}" for k, v in plain.items())
            results = ", ".join(typed(v) for v in node.outputs)
            lines.append(f"  {results} = {node.op}({', '.join(operands)}{attrs})")
            for graph in node.subgraphs:
                lines += [f"    {line}" for line in str(graph).splitlines()]
        lines.append("  return " + ", ".join(f"%{v.name}" for v in self.outputs))
        return "\n".join([*lines, "}"])


def _symbols_in(item: Any) -> set[str]:
    """Names of the symbols in a dim, or in dims however nested."""
    if isinstance(item, Expr):
        return set(symbols_of(item))
    if isinstance(item, Mapping):
        item = item.values()
    elif not isinstance(item, (tuple, list)):
        return set()
    return {name for each in item for name in _symbols_in(each)}
