"""A model whose memory is small only where steps read the arena that they write."""

from __future__ import annotations

from tests.frontends.onnx_models import random
from tests.passes.net import Net


def crowded() -> Net:
    """A gate beside what it gates, then a product as large as both."""
    net = Net({"x": random(9, 20)})
    normal = net("MatMul", "x", net.weight(20, 64))
    gate = net("MatMul", normal, net.weight(64, 192))
    gated = net("Mul", net("MatMul", normal, net.weight(64, 192)), gate)
    net("MatMul", net("MatMul", gated, net.weight(192, 64)), net.weight(64, 512))
    return net
