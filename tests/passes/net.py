"""Writes ONNX models node by node, and checks what passes make of them against ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper
from pyruntime_converter.lowering.lower import lower
from pyruntime_converter.passes import optimise
from pyruntime_converter.targets.inlining import inline_masks
from pyruntime_converter.targets.prologues import quantize_on_load
from pyruntime_converter.targets.rewriting import rewritten
from pyruntime_converter.targets.statistics import combine_rows

from pyruntime.ir.graph import Graph
from pyruntime.ir.symbols import symbols_of
from pyruntime.ops.interpret import run_program
from pyruntime.ops.run_graph import run_graph
from tests.frontends.onnx_models import imported, model, random, runtime, same

Array = NDArray[Any]
Shapes = Mapping[str, Sequence[int | str | None]]


class Net:
    """A model under way: `net("Add", a, b)` appends a node and names its output. Numbers are weights."""

    def __init__(self, feeds: Mapping[str, Array], shapes: Shapes | None = None) -> None:
        self.feeds, self.shapes = dict(feeds), shapes
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}

    def __call__(self, op: str, *inputs: str | float | Array | np.generic, **attrs: Any) -> str:
        """Append a node with one output."""
        return self.many(op, *inputs, outputs=1, **attrs)[0]

    def many(
        self, op: str, *inputs: str | float | Array | np.generic, outputs: int, **attrs: Any
    ) -> list[str]:
        """Append a node with several outputs."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        made = [f"{op}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, names, made, name=f"n{len(self.nodes)}", **attrs))
        return made

    def constant(self, value: float | Array | np.generic) -> str:
        """A weight; a Python number is a float32 scalar."""
        name = f"w{len(self.weights)}"
        typed = isinstance(value, (np.ndarray, np.generic))
        self.weights[name] = np.asarray(value) if typed else np.asarray(value, np.float32)
        return name

    def weight(self, *shape: int) -> str:
        """A weight of random numbers that differ from every other."""
        return self.constant(random(*shape, seed=len(self.weights) + 1, low=-0.7, high=0.7))

    def proto(self, *outputs: str, opset: int = 18) -> ModelProto:
        """The model."""
        return model(
            self.nodes,
            self.feeds,
            outputs,
            opset=opset,
            weights=self.weights,
            shapes=self.shapes,
            ir_version=9,
        )


def ints(*values: int) -> Array:
    """A vector of int64."""
    return np.array(values, np.int64)


def optimised(proto: ModelProto) -> Graph:
    """The graph of a model after all passes."""
    graph = imported(proto)
    optimise(graph)
    return graph


def recognised(
    proto: ModelProto, feeds: Mapping[str, Array], wanted: Mapping[str, int], tolerance: float = 1e-5
) -> Graph:
    """The optimised graph, which must have these ops so many times.

    The plain graph, the optimised one, and its kernel calls must all give what ONNX Runtime gives, as those
    for WebGPU must; but for operands of products that these compute, they give the same bits as for Wasm.
    """
    expected = runtime(proto, feeds)
    same(run_graph(imported(proto), feeds), expected, tolerance)
    graph = optimised(proto)
    counts = Counter(n.op for n in graph.nodes)
    assert {op: counts[op] for op in wanted} == dict(wanted), str(graph)
    same(run_graph(graph, feeds), expected, tolerance)
    symbols = {
        s: feeds[v.name].shape[a] for v in graph.inputs for a, d in enumerate(v.shape) for s in symbols_of(d)
    }
    program, fed = lower(graph), [feeds[v.name] for v in graph.inputs]
    results = run_program(program, fed, symbols)
    gpu = combine_rows(quantize_on_load(inline_masks(program)))
    for one, other in zip(results, run_program(gpu, fed, symbols), strict=True):
        np.testing.assert_array_equal(one, other)
    for made in (results, run_program(rewritten(program), fed, symbols)):
        shaped = {n: r.reshape(expected[n].shape) for n, r in zip(graph.output_names, made, strict=True)}
        same(shaped, expected, max(tolerance, 1e-5))
    return graph
