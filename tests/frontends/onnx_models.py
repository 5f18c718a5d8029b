"""Builds small ONNX models for tests, and compares an imported graph on NumPy with what it should give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from pyruntime_converter.frontends.onnx import read

from pyruntime.ir.dims import Dim, symbol
from pyruntime.ir.graph import Graph
from pyruntime.ops.run_graph import run_graph

Array = NDArray[Any]


def open_size(name: str) -> Dim:
    """A size of inputs that may be 0."""
    return symbol(name, (0, None))


def value_info(name: str, array: Array, shape: Sequence[int | str | None] | None = None) -> ValueInfoProto:
    """A declaration with the array's dtype; `shape` may name dims."""
    enum = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, enum, array.shape if shape is None else shape)


def model(
    nodes: Sequence[NodeProto],
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    *,
    opset: int = 17,
    weights: Mapping[str, Array] | None = None,
    shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    domains: Mapping[str, int] | None = None,
    ir_version: int = 8,
) -> ModelProto:
    """A model with these inputs and weights; outputs are declared without type, as ONNX allows."""
    graph = GraphProto(name="test")
    graph.node.extend(nodes)
    graph.input.extend(value_info(n, a, (shapes or {}).get(n)) for n, a in feeds.items())
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in (weights or {}).items())
    graph.output.extend(ValueInfoProto(name=n) for n in outputs)
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(d, v) for d, v in (domains or {}).items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def one_node(
    op: str,
    feeds: Mapping[str, Array],
    *,
    opset: int = 17,
    weights: Mapping[str, Array] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] = ("out",),
    shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    domain: str = "",
    **attrs: Any,
) -> ModelProto:
    """A model of one node that reads the feeds and then the weights, or `inputs` in this order."""
    names = [*feeds, *(weights or {})] if inputs is None else list(inputs)
    node = helper.make_node(op, names, outputs, name="node", domain=domain, **attrs)
    return model([node], feeds, [o for o in outputs if o], opset=opset, weights=weights, shapes=shapes)


def imported(proto: ModelProto) -> Graph:
    """The graph of a model."""
    return read(proto.SerializeToString())


def run(proto: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Import a model and run it on NumPy."""
    return run_graph(imported(proto), feeds)


def runtime(proto: ModelProto, feeds: Mapping[str, Any], *, literal: bool = False) -> dict[str, Any]:
    """The same on ONNX Runtime; `literal`: without its optimisations, of which some are not exact."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if literal:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def reference(
    proto: ModelProto,
    feeds: Mapping[str, Any],
    evaluator: Callable[[ModelProto], ReferenceEvaluator] = ReferenceEvaluator,
) -> dict[str, Any]:
    """The same by ONNX's reference evaluator, or by another one of that kind."""
    judge = evaluator(proto)
    results: list[Any] = list(judge.run(None, dict(feeds)))
    return dict(zip(judge.output_names, results, strict=True))


def same(actual: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float = 1e-5) -> None:
    """Assert equal names, dtypes, shapes and elements; `tolerance` is relative to the largest magnitude."""
    assert list(actual) == list(expected)
    for name, wanted in expected.items():
        got = actual[name]
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
        if wanted.dtype.kind == "f":
            finite = np.abs(wanted[np.isfinite(wanted)])
            scale = float(finite.max(initial=0))
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=name)
        else:
            np.testing.assert_array_equal(got, wanted, err_msg=name)


def agrees(proto: ModelProto, feeds: Mapping[str, Array], tolerance: float = 1e-5) -> None:
    """Assert that the imported graph gives what ONNX Runtime gives."""
    same(run(proto, feeds), runtime(proto, feeds), tolerance)


def random(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> Array:
    """Uniform float32 elements."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
