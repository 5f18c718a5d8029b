"""Floats that are known as fractions of dims: constants, elements of small inputs, and these moved about."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

from pyruntime.ir.graph import Node, Value
from pyruntime.ir.ratio import Ratio
from pyruntime.ops.builder import dims_of
from pyruntime.ops.definition import definition, symbolic

_MOST = 64  # elements: more are data, not parameters
_MOVES = frozenset({"Concat", "Expand", "Gather", "Reshape", "Slice", "Transpose"})


def ratios_of(value: Value, sources: Mapping[Value, Value]) -> tuple[Ratio, ...] | None:
    """The elements of a number tensor as fractions; None where they depend on data, or are not finite.

    Args:
        value: what has to be known.
        sources: for inputs of subgraphs, the values around that they stand for.
    """
    if not isinstance(value.elements, int) or value.elements > _MOST:
        return None
    if value.ratios is not None:
        return value.ratios
    if value.dtype.is_float and value.data is not None:
        numbers = [float(v) for v in value.data.flat]
        return (
            tuple(Ratio(*n.as_integer_ratio()) for n in numbers) if all(map(math.isfinite, numbers)) else None
        )
    dims = dims_of(value)
    if dims is not None:
        return tuple(Ratio(d, 1) for d in dims)
    if value in sources:
        return ratios_of(sources[value], sources)
    return None if value.producer is None else _made(value.producer, sources)


def _made(node: Node, sources: Mapping[Value, Value]) -> tuple[Ratio, ...] | None:
    """The only result of a node that leaves numbers as they are."""
    values = [v for v in node.inputs if v is not None]
    if node.op == "Decode":  # of the codes of a value of a type that kernels do not know
        codes = values[0].producer
        decoded = codes.input(0) if codes is not None and codes.op == "BitCast" else None
        same = decoded is not None and decoded.dtype is node.attrs["dtype"]
        return ratios_of(decoded, sources) if decoded is not None and same else None
    if node.op == "Cast":
        (x,), to = values, node.attrs["to"]
        widens = to.is_float and (not x.dtype.is_float or x.dtype.bits <= to.bits)
        return ratios_of(x, sources) if widens else None
    if node.op not in _MOVES or symbolic(node.attrs):
        return None
    moved = values[:1] if node.op == "Gather" else values
    found = [ratios_of(v, sources) for v in moved]
    known = list(itertools.chain.from_iterable(f for f in found if f is not None))
    if any(f is None for f in found) or any(v.data is None for v in values[len(moved) :]):
        return None
    # the node moves numbers of elements, which say where each one has gone
    numbers = iter(range(len(known)))
    arrays = [np.fromiter(numbers, np.int64, math.prod(_fixed(v))).reshape(_fixed(v)) for v in moved]
    arrays += [v.data for v in values[len(moved) :] if v.data is not None]
    (places,) = definition(node.op).reference(arrays, node.attrs)
    return tuple(known[place] for place in places.flat)


def _fixed(value: Value) -> tuple[int, ...]:
    return tuple(d for d in value.shape if isinstance(d, int))
