"""What the manifest tells of graphs: entries with the user's own names, and the states that they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyruntime.errors import OptionError
from pyruntime.ir import dims
from pyruntime.ir.graph import Graph, Value
from pyruntime.ir.graph import Listed as GraphList
from pyruntime.ir.program import Program
from pyruntime.ir.rpn import to_rpn
from pyruntime.ir.symbols import symbols_of
from pyruntime.ir.views import Tensor
from pyruntime.pack.schema import Carried, Constraint, Entry, Listed, Size, Spec, State, Symbol
from pyruntime_converter.account import costs
from pyruntime_converter.state import PackStates


def entry(graph: Graph, program: Program, states: PackStates, name: str) -> Entry:
    """The program's interface: inputs and outputs that are no state's, symbols in the program's order."""
    fed = [s.input for s in graph.states], [s.output for s in graph.states]
    inputs = [v for i, v in enumerate(graph.inputs) if i not in fed[0]]
    named = enumerate(zip(graph.output_names, graph.outputs, strict=True))
    outputs = [_spec(n, v, graph) for i, (n, v) in named if i not in fed[1]]
    numbers = {c.tensor.name: states.number[c.tensor] for c in program.states}
    symbols: dict[str, Symbol] = {}
    for length, state in graph.lengths().items():
        symbols[length] = Symbol(length, state=numbers[graph.inputs[state.input].name])
    for number, value in enumerate(inputs):
        for axis, dim in enumerate(value.shape):
            if not isinstance(dim, int) and to_rpn(dim) == str(dim):  # a symbol alone
                least, _ = dims.bounds(dim)
                least = min(least or 0, 1)  # a larger one is a constraint, which says why
                symbols.setdefault(str(dim), Symbol(str(dim), number, axis, least=least))
    for element in graph.elements():
        place = inputs.index(graph.inputs[element.input])
        symbols[element.symbol] = Symbol(element.symbol, place, element=element.position, part=element.part)
    carried = [
        Carried(numbers[c.tensor.name])
        if c.axis is None
        else Carried(numbers[c.tensor.name], to_rpn(c.length), to_rpn(c.next))
        for c in program.states
    ]
    return Entry(
        name,
        [symbols[s] for s in program.symbols],
        [_spec(v.name, v, graph, graph.defaults.get(v.name), graph.ranges.get(v.name)) for v in inputs],
        outputs,
        tuple(Constraint(to_rpn(c.value), c.reason) for c in graph.constraints),
        tuple(carried),
        _sizes(program),
        costs(program),
        tuple(_listed(each, fed[0] if each.of == "inputs" else fed[1]) for each in graph.lists),
    )


def _listed(made: GraphList, states: Sequence[int]) -> Listed:
    """A list at its place among what is no state's. Raises OptionError where an element of it is a state."""
    if not set(states).isdisjoint(range(made.first, made.first + (made.length or 0))):
        raise OptionError(
            f"state: the elements of {made.name!r} are fed and given as a list; none can be a state"
        )
    before = sum(position < made.first for position in states)
    return Listed(made.name, made.of, made.first - before, made.length)


def _sizes(program: Program) -> tuple[Size, ...]:
    """Symbols in the outputs' shapes that only a run binds."""
    named = [n for shape in program.output_shapes for d in shape for n in sorted(symbols_of(d))]
    own = dict.fromkeys(n for n in named if n not in program.symbols)
    return tuple(Size(n, to_rpn(program.bytes_for(dims.symbol(n)))) for n in own)


def kept(states: PackStates, numbers: Mapping[Tensor, int]) -> tuple[State, ...]:
    """The states of the pack; `numbers` are those of its weights."""
    return tuple(
        State(
            s.tensor.name,
            s.tensor.dtype,
            s.shape,
            s.axis,
            None if s.initial is None else numbers[s.initial],
        )
        for s in states.states
    )


def _spec(
    name: str,
    value: Value,
    graph: Graph,
    default: float | int | None = None,
    within: tuple[int, int] | None = None,
) -> Spec:
    shape = [to_rpn(d) for d in value.shape]
    return Spec(name, value.dtype, shape, default, within, graph.encoded.get(name))
