"""Simplifications that need no more than a node and its operands."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from pyruntime_converter.passes import optimise

from pyruntime.ops.run_graph import run_graph
from tests.frontends.onnx_models import Array, imported, model


@pytest.mark.parametrize(
    ("x", "left"),
    [
        (np.array([[3, -(2**63)]]), ["Expand", "Add"]),
        (np.array([[7, 0, 255]], np.uint8), ["Expand", "Add"]),
        (np.array([[1.5, np.inf, np.nan]], np.float32), ["Sub", "Add"]),
    ],
)
def test_what_is_left_of_a_value_without_itself(x: Array, left: list[str]) -> None:
    nodes = [helper.make_node("Sub", ["x", "x"], ["d"]), helper.make_node("Add", ["d", "y"], ["out"])]
    feeds = {"x": x, "y": np.arange(2).reshape(2, 1).astype(x.dtype)}
    graph = imported(model(nodes, feeds, ["out"], shapes={"x": [1, "n"]}))
    optimise(graph)
    assert [n.op for n in graph.nodes] == left
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(run_graph(graph, feeds)["out"], (x - x) + feeds["y"])
