"""Values of types that kernels do not know become integers: their codes, which only move from here on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.rewriter import rewrite


def retype(graph: Graph) -> None:
    """Give every such value the type of its codes; the graph notes what its inputs and outputs stand for.

    All that computes reads and writes codes by Decode and Encode already.
    """
    named = [(v.name, v) for v in graph.inputs] + list(zip(graph.output_names, graph.outputs, strict=True))
    graph.encoded |= {name: value.dtype for name, value in named if value.dtype.code}
    graph.states = [
        s if s.initial is None else replace(s, initial=_codes(s.initial, graph.inputs[s.input].dtype))
        for s in graph.states
    ]
    for node in graph.nodes:
        if node.op == "Pad" and node.output.dtype.code:
            _fill_with_code(node, node.output.dtype)
    for value in list(graph.values()):
        if value.data is not None:
            value.data = _codes(value.data, value.dtype)
        value.dtype = value.dtype.code or value.dtype
    rewrite(graph, _same_bits)


def _same_bits(node: Node, builder: Builder) -> Value | None:
    del builder
    same = node.op == "BitCast" and node.input(0).dtype is node.output.dtype
    return node.input(0) if same else None


def _codes(data: NDArray[Any], dtype: DType) -> NDArray[Any]:
    return data.view(dtype.code.value) if dtype.code else data


def _fill_with_code(node: Node, dtype: DType) -> None:
    fill = np.asarray(node.attrs["value"]).astype(dtype.value)
    node.attrs["value"] = int(_codes(fill, dtype)[()])
