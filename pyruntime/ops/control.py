"""Control flow: If and Loop, whose subgraphs are attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.conditions import assume, choose, pins
from pyruntime.ir.dims import Dim, maximum, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ir.symbols import evaluate, symbols_of
from pyruntime.ops.definition import REQUIRED, OpDef, OpError, TensorType, require

Array = NDArray[Any]
Attrs = Mapping[str, Any]
Inputs = Sequence[Value | None]
Arrays = Sequence[Array | None]
Symbols = Mapping[str, int]
COUNTS = (0, 2**31 - 1)  # what numbers of iterations stay in
Run = Callable[[Graph, Arrays, Symbols], list[Array]]


class Control(OpDef):
    """An op with subgraphs: what it computes hangs on how those run."""

    def of_nothing(self, attrs: Attrs) -> bool:
        """What the nodes of its subgraphs make of it."""
        return True

    def execute(self, inputs: Arrays, attrs: Attrs, symbols: Symbols, run: Run) -> list[Array]:
        """The op on NumPy arrays, as `reference`; `run` gives a subgraph's outputs."""
        raise NotImplementedError


class If(Control):
    """One of two subgraphs, for the same inputs.

    Inputs: the condition (one element of bool; absent where the attribute tells), then the inputs of both.

    Attributes:
        then_branch, else_branch: the subgraphs; outputs agree in number, dtype and rank.
        condition: a dim, not zero where the first is to run; None where the input tells. Sizes of an output
            may differ between the branches only where it is given, and hang on nothing measured in one.
    """

    name = "If"
    any_type = True
    attrs: ClassVar = {"then_branch": REQUIRED, "else_branch": REQUIRED, "condition": None}

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        branches: list[Graph] = [attrs["then_branch"], attrs["else_branch"]]
        condition, captured = attrs["condition"], inputs[1:]
        require((condition is None) == (inputs[0] is not None), "its condition is an input or an attribute")
        if inputs[0] is not None:
            _scalar(inputs[0], DType.BOOL, "condition")
        for graph in branches:
            _same_types(captured, graph.inputs, graph.name)
        pairs = [graph.outputs for graph in branches]
        for graph in branches:
            _told_outside(graph, graph.outputs)
        require(len(pairs[0]) == len(pairs[1]), "its branches give unlike numbers of results")
        return [_either(a, b, condition) for a, b in zip(*pairs, strict=True)]

    def execute(self, inputs: Arrays, attrs: Attrs, symbols: Symbols, run: Run) -> list[Array]:
        holds = evaluate(attrs["condition"], symbols) if inputs[0] is None else inputs[0].item()
        return run(attrs["then_branch" if holds else "else_branch"], inputs[1:], symbols)


class Loop(Control):
    """A subgraph run again and again over carried values, whose further results are stacked.

    Inputs: the number of iterations (one integer; absent where the attribute tells, or nothing bounds it),
    whether to begin (one element of bool; absent where the attribute tells), the carried values, then what
    the body takes from outside. The body's inputs are the carried values and the latter; its outputs whether
    to go on (only with `tested`), the carried values, and one element of each stack.

    Attributes:
        body: the subgraph.
        carried: how many values are carried; dtype and shape do not change.
        counter: name of the symbol that counts the iterations from 0, for the body's dims.
        trip: the number of iterations, as a dim (below 0 counts as 0); None where the input tells.
        condition: whether to begin, as a dim; None where the input tells.
        goes_on: whether to go on after an iteration, as a dim over the counter; not used with `tested`.
        tested: whether the body's first output tells whether to go on.
        reverse: for each stack whether the last iteration's element is first.
        measures: name of the symbol that becomes the number of iterations, where that depends on data; stacks
            have room for `trip` elements then.
    """

    name = "Loop"
    any_type = True
    attrs: ClassVar = {
        "body": REQUIRED,
        "carried": REQUIRED,
        "counter": REQUIRED,
        "trip": None,
        "condition": 1,
        "goes_on": 1,
        "tested": False,
        "reverse": (),
        "measures": "",
    }

    def infer(self, inputs: Inputs, attrs: Attrs) -> list[TensorType]:
        body, carried, first = attrs["body"], attrs["carried"], int(attrs["tested"])
        trip, condition, *given = inputs
        require(trip is None or attrs["trip"] is None, "its trip count is an input or an attribute")
        require((condition is None) == (attrs["condition"] is not None), "its condition is told once")
        if trip is not None:
            require(trip.dtype.is_integer, f"its trip count is {trip.dtype!r}")
            _scalar(trip, trip.dtype, "trip count")
        if condition is not None:
            _scalar(condition, DType.BOOL, "condition")
        if first:
            _scalar(body.outputs[0], DType.BOOL, "condition of the next iteration")
        _same_types(given, body.inputs, "the body")
        for value, made in zip(body.inputs[:carried], body.outputs[first : first + carried], strict=True):
            require(
                (value.dtype, value.shape) == (made.dtype, made.shape),
                f"a carried value changes from {value.dtype!r}{value.shape} to {made.dtype!r}{made.shape}",
            )
        stacked = body.outputs[first + carried :]
        require(len(stacked) == len(attrs["reverse"]), f"{len(stacked)} stacks, not {len(attrs['reverse'])}")
        types = [TensorType(v.dtype, v.shape) for v in body.inputs[:carried]]
        return types + [self._stack(v, attrs) for v in stacked]

    def _stack(self, element: Value, attrs: Attrs) -> TensorType:
        """The type of a stack of elements, whose length must be bounded before the loop runs."""
        trip, condition = attrs["trip"], attrs["condition"]
        if trip is None:
            raise OpError("how many results it collects depends on data, without a bound")
        moves = [d for d in element.shape if attrs["counter"] in symbols_of(d)]
        require(not moves, f"the results that it collects have sizes {element.shape}, which change")
        _told_outside(attrs["body"], [element])
        if attrs["measures"]:
            length = symbol(attrs["measures"], COUNTS)
        else:
            known = condition is not None and not attrs["tested"] and attrs["goes_on"] == 1
            require(known, "how many results it collects depends on data")
            length = maximum(choose(condition, trip, 0), 0)
        return TensorType(element.dtype, (length, *element.shape))

    def execute(self, inputs: Arrays, attrs: Attrs, symbols: Symbols, run: Run) -> list[Array]:
        trip, condition, *values = inputs
        body, count, first = attrs["body"], attrs["carried"], int(attrs["tested"])
        carried, captured = values[:count], values[count:]
        bound = None if attrs["trip"] is None else evaluate(attrs["trip"], symbols)
        most = bound if trip is None else trip.item()
        going = evaluate(attrs["condition"], symbols) if condition is None else condition.item()
        stacks: list[list[Array]] = [[] for _ in attrs["reverse"]]
        step = 0
        while going and (most is None or step < most):
            inside = {**symbols, attrs["counter"]: step}
            results = run(body, [*carried, *captured], inside)
            going = results[0].item() if first else evaluate(attrs["goes_on"], inside)
            carried = [*results[first : first + count]]
            for stack, result in zip(stacks, results[first + count :], strict=True):
                stack.append(result)
            step += 1
        made = [c for c in carried if c is not None]
        for stack, reverse, value in zip(
            stacks, attrs["reverse"], body.outputs[first + count :], strict=True
        ):
            empty = np.empty((0, *(evaluate(d, symbols) for d in value.shape)), value.dtype.value)
            made.append(np.stack(stack[::-1] if reverse else stack) if stack else empty)
        return made


def _told_outside(graph: Graph, values: Sequence[Value]) -> None:
    """Raises OpError where sizes of values are learnt by a run of the graph itself."""
    own = {name for node in _all_nodes(graph) for name in node.measures}
    for value in values:
        inner = own.intersection(n for d in value.shape for n in symbols_of(d))
        require(not inner, f"{value.name} has sizes {value.shape}, which data decide each time")


def _all_nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for inner in node.subgraphs:
            yield from _all_nodes(inner)


def _scalar(value: Value, dtype: DType, what: str) -> None:
    require(value.elements == 1 and value.dtype is dtype, f"its {what} is {value.dtype!r}{value.shape}")


def _same_types(given: Inputs, taken: Sequence[Value], what: str) -> None:
    require(len(given) == len(taken), f"{what} takes {len(taken)} inputs, not {len(given)}")
    for value, own in zip(given, taken, strict=True):
        require(
            value is not None and value.dtype is own.dtype and value.rank == own.rank, f"{what}: {own.name}"
        )


def _either(a: Value, b: Value, condition: Dim | None) -> TensorType:
    """The type of what is one value or the other."""
    told = f"its branches give {a.dtype!r}{a.shape} and {b.dtype!r}{b.shape}"
    require((a.dtype, a.rank) == (b.dtype, b.rank), told)
    return TensorType(
        a.dtype, tuple(_size(p, q, condition, told) for p, q in zip(a.shape, b.shape, strict=True))
    )


def _size(then: Dim, otherwise: Dim, condition: Dim | None, told: str) -> Dim:
    if then == otherwise:
        return then
    if condition is None:
        raise OpError(told)
    # where the condition itself says what one of them is, the other holds for both
    if assume(otherwise, pins(condition, 1) or {}) == then:
        return otherwise
    if assume(then, pins(condition, 0) or {}) == otherwise:
        return then
    return choose(condition, then, otherwise)
