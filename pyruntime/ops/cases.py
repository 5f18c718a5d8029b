"""Turns the cases of op definitions into arrays, graphs and expected results, for every test and bench."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import Case, bind, complete, definition, definitions

Array = NDArray[Any]


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case with its op's name, in a fixed order."""
    for name, op in definitions().items():
        for case in op.cases:
            yield name, case


def case_id(op: str, case: Case) -> str:
    """A name for the case, unique among all: the op and the case's number and label."""
    number = definition(op).cases.index(case)
    return f"{op}-{number}" + (f"-{case.label}" if case.label else "")


def _random(generator: np.random.Generator, dtype: DType, shape: Sequence[int], case: Case) -> Array:
    if dtype is DType.BOOL:
        return np.asarray(generator.random(shape) < 0.5)
    if dtype.is_float:
        return np.asarray(generator.uniform(case.low, case.high, shape), dtype.value)
    low = max(int(case.low), 0) if dtype.is_unsigned else int(case.low)
    return np.asarray(generator.integers(low, int(case.high), shape, endpoint=True), dtype.value)


def inputs_of(op: str, case: Case, sizes: Mapping[str, int] | None = None) -> list[Array | None]:
    """The case's inputs: the same elements on every run.

    Args:
        op: the op's name.
        case: one of its cases.
        sizes: other sizes for the symbols than the case's own; inputs given by their elements keep those.
    """
    generator = np.random.default_rng(zlib.crc32(case_id(op, case).encode()))
    arrays: list[Array | None] = []
    for position, given in enumerate(case.inputs):
        if given is None or isinstance(given, np.ndarray):
            arrays.append(given)
            continue
        dtype, shape = given
        names = [case.symbols.get((position, axis)) for axis in range(len(shape))]
        resized = [n if s is None else (sizes or {}).get(s, n) for n, s in zip(shape, names, strict=True)]
        arrays.append(_random(generator, DType(dtype), resized, case))
    return arrays


def symbol_values(case: Case, inputs: Sequence[Array | None]) -> dict[str, int]:
    """The symbols' values for these inputs."""
    values: dict[str, int] = {}
    for (position, axis), name in case.symbols.items():
        array = inputs[position]
        assert array is not None, f"symbol {name} of an absent input"
        size = array.shape[axis]
        assert values.setdefault(name, size) == size, f"symbol {name} has two values"
    return values


def graph_of(op: str, case: Case, constants: Sequence[int] = ()) -> Graph:
    """A graph of the one op, with inputs named x0, x1, ... and outputs y0, ...

    Args:
        op: the op's name.
        case: one of its cases.
        constants: positions of inputs to make constants, as weights are.
    """
    graph = Graph(case_id(op, case))
    builder = Builder(graph)
    values: list[Value | None] = []
    for position, array in enumerate(inputs_of(op, case)):
        if array is None:
            values.append(None)
        elif position in constants:
            values.append(builder.constant(array, name=f"x{position}"))
        else:
            names = [case.symbols.get((position, axis)) for axis in range(array.ndim)]
            shape = tuple(n if s is None else symbol(s) for n, s in zip(array.shape, names, strict=True))
            values.append(builder.input(f"x{position}", DType(array.dtype.name), shape))
    graph.outputs = builder.emit(op, values, case.attrs)
    graph.output_names = [f"y{i}" for i in range(len(graph.outputs))]
    return graph


def expected_of(op: str, case: Case, inputs: Sequence[Array | None]) -> list[Array]:
    """What the op's reference gives for these inputs."""
    attrs = bind(complete(op, case.attrs), symbol_values(case, inputs))
    with np.errstate(all="ignore"):
        return definition(op).reference(inputs, attrs)
