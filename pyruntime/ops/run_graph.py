"""Runs a graph on NumPy through the ops' references: what every target must agree with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.errors import InputError, RunError
from pyruntime.ir.dims import Expr
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ir.ratio import of_bfloat16, part_of
from pyruntime.ir.strings import decode, encode
from pyruntime.ir.symbols import evaluate, symbols_of
from pyruntime.ops.control import Control
from pyruntime.ops.definition import bind, definition

Array = NDArray[Any]


def bind_symbols(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, int]:
    """The symbols' values, from the sizes of the inputs. Raises InputError where they do not fit."""
    unknown = sorted(set(inputs) - {v.name for v in graph.inputs})
    if unknown:
        raise InputError(f"{graph.name} has no input {', '.join(unknown)}")
    values: dict[str, int] = {}
    for value in graph.inputs:
        if value.name not in inputs:
            raise InputError(f"input {value.name!r} is missing")
        array = inputs[value.name]
        if array.dtype.name != value.dtype.value or array.ndim != value.rank:
            raise InputError(
                f"input {value.name!r} takes {value.dtype!r}{value.shape}, got {array.dtype}{array.shape}"
            )
        for dim, size in zip(value.shape, array.shape, strict=True):
            if (
                isinstance(dim, Expr)
                and dim.is_atom
                and len(symbols_of(dim)) == 1
                and str(dim).isidentifier()
            ):
                values.setdefault(str(dim), size)
    for element in graph.elements():
        name = graph.inputs[element.input].name
        number = inputs[name].flat[element.position].item()
        if element.part and name in graph.encoded:
            number = of_bfloat16(number)
        values[element.symbol] = part_of(number, element.part, name)
    for value in graph.inputs:
        expected = tuple(evaluate(d, values) for d in value.shape)
        if inputs[value.name].shape != expected:
            raise InputError(
                f"input {value.name!r} takes {value.shape} = {expected}, got {inputs[value.name].shape}"
            )
    for constraint in graph.constraints:
        if not evaluate(constraint.value, values):
            raise InputError(constraint.reason)
    return values


def run_graph(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run every node in order; the outputs by name. Strings are objects, as users have them.

    Raises:
        InputError: an input is missing, unknown, or has another dtype or shape.
        RunError: a node gave something else than was inferred for it.
    """
    of_text = {name for name, dtype in graph.encoded.items() if dtype is DType.STRING}
    arrays = {
        n: _rows(a) if n in of_text and a.dtype.kind in "OUT" else np.asarray(a) for n, a in inputs.items()
    }
    symbols = bind_symbols(graph, arrays)
    results = run_body(graph, [arrays[v.name] for v in graph.inputs], symbols)
    named = zip(graph.output_names, results, strict=True)
    return {name: _strings(made) if name in of_text else made for name, made in named}


def _rows(strings: Array) -> Array:
    data, width = encode(strings.ravel().tolist())
    return np.frombuffer(data, np.uint8).reshape(*strings.shape, width)


def _strings(rows: Array) -> Array:
    *shape, width = rows.shape
    made = np.empty(math.prod(shape), object)
    made[:] = decode(rows.tobytes(), width, made.size)
    return made.reshape(shape)


def run_body(graph: Graph, inputs: Sequence[Array | None], symbols: Mapping[str, int]) -> list[Array]:
    """The outputs of a graph or subgraph, for its inputs in order. Raises RunError as `run_graph`."""
    values = dict(zip(graph.inputs, inputs, strict=True))
    symbols = dict(symbols)
    for node in graph.nodes:
        operands = [None if v is None else values[v] if v.data is None else v.data for v in node.inputs]
        op = definition(node.op)
        with np.errstate(all="ignore"):
            if isinstance(op, Control):
                results = op.execute(operands, node.attrs, symbols, run_body)
            else:
                results = op.reference(operands, bind(node.attrs, symbols))
        symbols |= {name: _measured(node, results, name) for name in node.measures}
        for value, result in zip(node.outputs, results, strict=True):
            _check(node, value, result, symbols)
            values[value] = result
    outputs = [values[v] if v.data is None else v.data for v in graph.outputs]
    return [a for a in outputs if a is not None]


def _measured(node: Node, results: Sequence[Array], name: str) -> int:
    """What a symbol is after a node that binds it: a size of a result, else the result."""
    for value, result in zip(node.outputs, results, strict=True):
        for dim, size in zip(value.shape, result.shape, strict=False):
            if str(dim) == name:
                return int(size)
    return int(results[0])


def _check(node: Node, value: Value, result: Array, symbols: Mapping[str, int]) -> None:
    expected = tuple(evaluate(d, symbols) for d in value.shape)
    if result.shape != expected or result.dtype.name != value.dtype.value:
        raise RunError(
            f"{node.op} {node.origin.name!r} was inferred as {value.dtype!r}{expected}, "
            f"its reference gave {result.dtype}{result.shape}"
        )
