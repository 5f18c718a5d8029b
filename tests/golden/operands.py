"""Whole models whose products compute their left operand on WebGPU: norms, gates, rows of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto

from tests.frontends.control_models import Feeds
from tests.frontends.onnx_models import random
from tests.passes.net import Net, ints

WIDTH, PLACES = 12, 14


def _norm() -> tuple[ModelProto, Sequence[Feeds]]:
    """Two products of one norm, and one of a row that holds what is no number."""
    feeds = [{"x": random(2, rows, WIDTH, seed=rows)} for rows in (1, 7, 40)]
    feeds[1]["x"][0, 2:5, 3] = np.nan, np.inf, 0
    net = Net(feeds[0], {"x": [2, "rows", WIDTH]})
    normal = net("LayerNormalization", "x", net.weight(WIDTH), net.weight(WIDTH), axis=-1)
    gate = net("Relu", net("MatMul", normal, net.weight(WIDTH, 9)))
    return net.proto(net("Mul", gate, net("MatMul", normal, net.weight(WIDTH, 9)))), feeds


def _gate() -> tuple[ModelProto, Sequence[Feeds]]:
    feeds = [{"x": random(b, 9, WIDTH, seed=b), "gate": random(b, 1, WIDTH, seed=5)} for b in (1, 3)]
    net = Net(feeds[0], {"x": ["batch", 9, WIDTH], "gate": ["batch", 1, WIDTH]})
    return net.proto(net("MatMul", net("Mul", "x", net("Relu", "gate")), net.weight(WIDTH, 33))), feeds


def _table() -> tuple[ModelProto, Sequence[Feeds]]:
    """Rows of a table, two at a time, normalised along the sequence."""
    feeds = [{"ids": np.arange(b * PLACES).reshape(b, PLACES) % 7 % 5} for b in (1, 3)]
    net = Net(feeds[0], {"ids": ["batch", PLACES]})
    rows = net("Reshape", net("Gather", net.weight(7, WIDTH), "ids"), ints(0, -1, 2 * WIDTH))
    centred = net("Sub", rows, net("ReduceMean", rows, ints(1), keepdims=1))
    variance = net("ReduceMean", net("Mul", centred, centred), ints(1), keepdims=1)
    normal = net("Div", centred, net("Sqrt", net("Add", variance, 1e-3)))
    return net.proto(net("MatMul", normal, net.weight(2 * WIDTH, 5))), feeds


OPERANDS: Mapping[str, tuple[ModelProto, Sequence[Feeds]]] = {
    "operand-norm": _norm(),
    "operand-gate": _gate(),
    "operand-table": _table(),
}
