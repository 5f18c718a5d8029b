"""Inputs and outputs that become state: `convert`'s options for it, and the states of a whole pack."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.errors import OptionError
from pyruntime.ir.dims import Dim, Expr, symbol
from pyruntime.ir.graph import Graph, State, Value
from pyruntime.ir.program import Carried, Program
from pyruntime.ir.views import Tensor
from pyruntime_converter.state_names import guess


@dataclass(frozen=True)
class StateOptions:
    """What the user says of state.

    Attributes:
        pairs: an output for each input that it becomes the next value of; "auto": by their names.
        capacity: the largest value of each symbol along which states grow.
        initial: what states are at first, by their input's name; zeros for others.
        symbols: sizes for other symbols of the inputs' shapes.
    """

    pairs: Mapping[str, str] | str = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    symbols: Mapping[str, int] = field(default_factory=dict)

    def dims(self) -> dict[str, Dim]:
        """What is known of symbols before the model is read. Raises OptionError."""
        for option, sizes in (("symbols", self.symbols), ("capacity", self.capacity)):
            _check_sizes(option, sizes)
        both = sorted(self.symbols.keys() & self.capacity.keys())
        if both:
            raise OptionError(f"{both[0]!r} has a size and a capacity; give one of them")
        fixed: dict[str, Dim] = {_clean(name): size for name, size in self.symbols.items()}
        return fixed | {_clean(name): symbol(name, (0, size)) for name, size in self.capacity.items()}


def _check_sizes(option: str, sizes: Mapping[str, object]) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise OptionError(f"{option}: {name!r} is {size!r}; give a positive integer")


def attach(graph: Graph, options: StateOptions) -> None:
    """Make inputs and outputs of graph its state.

    Raises:
        OptionError: a name that does not exist, a dtype or shape that disagrees, a size that is not known.
    """
    capacity = {_clean(name): size for name, size in options.capacity.items()}
    pairs = _pairs(graph, options)
    outputs = list(pairs.values())
    for name, output in pairs.items():
        number = _position([v.name for v in graph.inputs], name, "input")
        if outputs.count(output) > 1:
            raise OptionError(f"state: output {output!r} is the next value of two inputs")
        target = _position(graph.output_names, output, "output")
        before, after = graph.inputs[number], graph.outputs[target]
        axis = _growing(before, after, output, capacity)
        shape = tuple(capacity[str(d)] if a == axis else int(str(d)) for a, d in enumerate(before.shape))
        initial = _initial(before, shape, axis, options.initial)
        graph.states.append(State(number, target, shape, axis, initial))
    _check_leftovers(graph, options, capacity)


def _pairs(graph: Graph, options: StateOptions) -> Mapping[str, str]:
    if isinstance(options.pairs, Mapping):
        return options.pairs
    inputs = [v.name for v in graph.inputs]
    pairs = guess(inputs, graph.output_names)
    if options.pairs != "auto" or not pairs:
        raise OptionError(
            f"state: no input and output are a state by their names; give them as {{input: output}}."
            f" The inputs are {', '.join(inputs)}, the outputs {', '.join(graph.output_names)}"
        )
    return pairs


def _clean(name: str) -> str:
    """A symbol's name as dims have it."""
    return str(symbol(name))


def _position(names: Sequence[str], name: str, kind: str) -> int:
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise OptionError(f"state: the model has no {kind} {name!r}{hint} Its {kind}s are {', '.join(names)}")
    return list(names).index(name)


def _growing(before: Value, after: Value, output: str, capacity: Mapping[str, int]) -> int | None:
    """The axis along which a state grows, if any; raises OptionError where its shapes cannot be kept."""
    what = f"state {before.name!r}"
    if before.dtype is not after.dtype:
        raise OptionError(f"{what} is {before.dtype!r}, but its next value {output!r} is {after.dtype!r}")
    if before.rank != after.rank:
        raise OptionError(
            f"{what} has shape {_told(before.shape)}, but its next value {output!r} has {_told(after.shape)}"
        )
    axes = [a for a, d in enumerate(before.shape) if isinstance(d, Expr) and d != after.shape[a]]
    differing = [a for a, d in enumerate(before.shape) if d != after.shape[a]]
    if len(axes) > 1 or axes != differing:
        raise OptionError(
            f"{what} has shape {_told(before.shape)}, but its next value {output!r} has {_told(after.shape)};"
            " they may differ along one axis, whose size is a symbol"
        )
    for axis, dim in enumerate(before.shape):
        if axis not in axes and isinstance(dim, Expr):
            raise OptionError(
                f"{what} has size {dim} along axis {axis}, which would change from run to run; fix it,"
                f" as by symbols={{{str(dim)!r}: 1}}"
            )
    if not axes:
        return None
    dim = before.shape[axes[0]]
    if str(dim) not in capacity:
        raise OptionError(
            f"{what} grows along axis {axes[0]} from {dim} to {after.shape[axes[0]]}; say how far, as by"
            f" capacity={{{str(dim)!r}: 1024}}"
        )
    return axes[0]


def _told(shape: Sequence[Dim]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _initial(
    value: Value, shape: tuple[int, ...], axis: int | None, given: Mapping[str, Any]
) -> NDArray[Any] | None:
    if value.name not in given:
        return None
    array = np.asarray(given[value.name])
    if axis is not None:
        raise OptionError(f"state_init: state {value.name!r} grows, and so begins empty")
    if array.shape != shape or array.dtype.name != value.dtype.value:
        raise OptionError(
            f"state_init: {value.name!r} is {value.dtype!r} of shape {_told(shape)},"
            f" got {array.dtype} of shape {_told(array.shape)}"
        )
    return array if array.any() else None


def _check_leftovers(graph: Graph, options: StateOptions, capacity: Mapping[str, int]) -> None:
    """Options that name what is no state, and states of one symbol that would grow apart."""
    names = [graph.inputs[s.input].name for s in graph.states]
    unknown = sorted(options.initial.keys() - set(names))
    if unknown:
        raise OptionError(f"state_init: {unknown[0]!r} is not one of the states {', '.join(names) or 'none'}")
    grown: dict[str, tuple[str, Dim]] = {}
    for state in graph.states:
        if state.axis is None:
            continue
        name, after = graph.inputs[state.input].name, graph.outputs[state.output].shape[state.axis]
        length = str(graph.inputs[state.input].shape[state.axis])
        other, size = grown.setdefault(length, (name, after))
        if size != after:
            raise OptionError(
                f"states {other!r} and {name!r} both have size {length} along their growing axis, but grow"
                f" to {size} and {after}"
            )
    unused = sorted(capacity.keys() - grown.keys())
    if unused:
        raise OptionError(f"capacity: no state grows along the symbol {unused[0]!r}")


class PackStates:
    """The states of a pack's entries, which share those of one name.

    Attributes:
        states: each once.
        number: the position in `states` of every program's tensor.

    Raises:
        OptionError: entries disagree about a state.
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        self.states: list[Carried] = []
        self.number: dict[Tensor, int] = {}
        names: dict[str, int] = {}
        for carried in (s for p in programs for s in p.states):
            name = carried.tensor.name
            number = names.setdefault(name, len(self.states))
            if number == len(self.states):
                self.states.append(carried)
            elif not _alike(carried, self.states[number]):
                raise OptionError(f"entries disagree about the state {name!r}")
            self.number[carried.tensor] = number


def _alike(one: Carried, other: Carried) -> bool:
    first, second = (None if s.initial is None else s.initial.array for s in (one, other))
    same = first is second if first is None or second is None else np.array_equal(first, second)
    return same and (one.tensor.dtype, one.shape, one.axis) == (other.tensor.dtype, other.shape, other.axis)
