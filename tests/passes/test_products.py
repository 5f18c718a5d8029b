"""Products of one operand become one, where nothing is lost by it."""

from __future__ import annotations

from pyruntime_converter.lowering.lower import lower

from tests.frontends.onnx_models import random
from tests.passes.net import Net, ints, recognised

FEEDS = {"x": random(3, 5, 8)}


def transposed(net: Net, x: str) -> str:
    return net("Transpose", x, perm=[0, 2, 1])


def test_biases_of_some() -> None:
    net = Net(FEEDS, {"x": ["batch", 5, 8]})
    first = net("Add", net("MatMul", "x", net.weight(8, 6)), net.weight(6))
    second = net("MatMul", "x", net.weight(8, 3))
    third = net("Add", net.weight(4), net("MatMul", "x", net.weight(8, 4)))
    outs = [transposed(net, x) for x in (first, second, third)]
    graph = recognised(net.proto(*outs), FEEDS, {"MatMul": 1, "Add": 1, "Slice": 3})
    assert graph.nodes[0].input(1).shape == (8, 13)


def test_parts_are_read_where_they_lie() -> None:
    net = Net(FEEDS)
    q, k, v = (net("MatMul", "x", net.weight(8, 8)) for _ in range(3))
    weights = net("Softmax", net("MatMul", q, transposed(net, k)), axis=-1)
    graph = recognised(net.proto(net("MatMul", weights, v)), FEEDS, {"MatMul": 1, "Attention": 1})
    assert [c.template for c in lower(graph).calls] == ["matmul", "attention"]


def test_gates_keep_their_fusion() -> None:
    """A product whose result is multiplied at once by another's does that on its way to memory."""
    net = Net(FEEDS)
    gate, up = (net("MatMul", "x", net.weight(8, 6)) for _ in range(2))
    out = net("Mul", net("Mul", gate, net("Sigmoid", gate)), up)
    graph = recognised(net.proto(out), FEEDS, {"MatMul": 2, "Swish": 1})
    assert [c.template for c in lower(graph).calls] == ["matmul", "matmul"]


def test_different_operands_stay() -> None:
    net = Net({**FEEDS, "y": random(3, 5, 8, seed=1)})
    outs = [transposed(net, net("MatMul", x, net.weight(8, 6))) for x in ("x", "y")]
    recognised(net.proto(*outs), net.feeds, {"MatMul": 2})


def test_outputs_stay() -> None:
    net = Net(FEEDS)
    first, second = (net("MatMul", "x", net.weight(8, 6)) for _ in range(2))
    recognised(net.proto(first, net("Reshape", second, ints(-1, 6))), FEEDS, {"MatMul": 2})
