"""Networks on sequences and plain products: a stacked LSTM, one step of a Llama-shaped decoder, matmul."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import numpy as np

from benchmarks.models.source import Feeds, Source, finish, normal
from tests.passes.net import Net, ints


def matmul(rows: int, size: int) -> Source:
    """x [rows, size] times a constant weight [size, size]."""
    net = Net({"x": normal((rows, size), 0)})
    product = net("MatMul", "x", normal((size, size), 1, size**-0.5))
    return Source(finish(net, {"y": product}, 17), net.feeds, "dynamic")


def lstm(layers: int = 2, units: int = 256, steps: int = 64) -> Source:
    """Layers of LSTMs over x [steps, 1, units], batch 1, as PyTorch exports them."""
    net = Net({"x": normal((steps, 1, units), 0)})
    x, seeds, scale = "x", count(1), 1.5 * units**-0.5
    for _ in range(layers):
        shapes = ((1, 4 * units, units), (1, 4 * units, units), (1, 8 * units))
        weights = [normal(s, next(seeds), scale) for s in shapes]
        every = net.many("LSTM", x, *weights, outputs=3, hidden_size=units)[0]
        x = net("Squeeze", every, ints(1))
    return Source(finish(net, {"y": x}, 17), net.feeds, "dynamic")


@dataclass(frozen=True)
class Decoder:
    """The sizes of a Llama-shaped decoder; stories15M's by default."""

    layers: int = 6
    width: int = 288
    heads: int = 6
    inner: int = 768
    vocabulary: int = 32000
    past: int = 160


@dataclass
class _Step:
    """Writes one decode step: token and position [1, 1], keys and values [1, heads, past, width / heads]."""

    size: Decoder
    net: Net
    outputs: dict[str, str] = field(default_factory=dict)
    seeds: count[int] = field(default_factory=lambda: count(1))

    def linear(self, x: str, inner: int, outer: int) -> str:
        return self.net("MatMul", x, normal((inner, outer), next(self.seeds), inner**-0.5))

    def norm(self, x: str) -> str:
        """Root-mean-square norm, spelled out as exporters do."""
        net = self.net
        mean = net("ReduceMean", net("Pow", x, 2.0), ints(-1), keepdims=1)
        normal_ = net("Mul", x, net("Reciprocal", net("Sqrt", net("Add", mean, 1e-5))))
        return net("Mul", 1 + normal((self.size.width,), next(self.seeds), 0.1), normal_)

    def angles(self) -> tuple[str, str]:
        """Cosines and sines [1, 1, 1, width of a head] of rotary embeddings."""
        net, head = self.net, self.size.width // self.size.heads
        frequencies = (10000.0 ** (-np.arange(0, head, 2, dtype=np.float64) / head)).astype(np.float32)
        position = net("Unsqueeze", net("Cast", "position_ids", to=1), ints(1, 3))
        half = net("Mul", position, frequencies)
        whole = net("Concat", half, half, axis=-1)
        return net("Cos", whole), net("Sin", whole)

    def rotated(self, x: str, cosine: str, sine: str) -> str:
        net, head = self.net, self.size.width // self.size.heads
        low = net("Slice", x, ints(0), ints(head // 2), ints(3), ints(1))
        high = net("Slice", x, ints(head // 2), ints(head), ints(3), ints(1))
        turned = net("Concat", net("Neg", high), low, axis=-1)
        return net("Add", net("Mul", x, cosine), net("Mul", turned, sine))

    def attention(self, x: str, layer: int, cosine: str, sine: str) -> str:
        net, width, heads = self.net, self.size.width, self.size.heads
        q, k, v = (
            net(
                "Transpose",
                net("Reshape", self.linear(x, width, width), ints(1, 1, heads, width // heads)),
                perm=[0, 2, 1, 3],
            )
            for _ in range(3)
        )
        q, k = self.rotated(q, cosine, sine), self.rotated(k, cosine, sine)
        k = net("Concat", f"past_key_values.{layer}.key", k, axis=2)
        v = net("Concat", f"past_key_values.{layer}.value", v, axis=2)
        self.outputs |= {f"present.{layer}.key": k, f"present.{layer}.value": v}
        score = net("MatMul", q, net("Transpose", k, perm=[0, 1, 3, 2]))
        score = net("Softmax", net("Mul", score, (width // heads) ** -0.5), axis=-1)
        context = net("Transpose", net("MatMul", score, v), perm=[0, 2, 1, 3])
        return self.linear(net("Reshape", context, ints(1, 1, width)), width, width)

    def write(self) -> None:
        net, size = self.net, self.size
        table = net.constant(normal((size.vocabulary, size.width), next(self.seeds), 0.05))
        x = net("Gather", table, "input_ids")
        cosine, sine = self.angles()
        for layer in range(size.layers):
            x = net("Add", x, self.attention(self.norm(x), layer, cosine, sine))
            y = self.norm(x)
            gate = self.linear(y, size.width, size.inner)
            gate = net("Mul", gate, net("Sigmoid", gate))
            y = net("Mul", gate, self.linear(y, size.width, size.inner))
            x = net("Add", x, self.linear(y, size.inner, size.width))
        # the table once more, transposed: weights are tied
        logits = net("Gemm", net("Reshape", self.norm(x), ints(1, size.width)), table, transB=1)
        self.outputs = {"logits": logits, **self.outputs}


def llama(size: Decoder = Decoder()) -> Source:
    """One step behind `past` tokens: logits [1, vocabulary], and the longer keys and values."""
    feeds: Feeds = {
        "input_ids": np.array([[17 % size.vocabulary]], np.int64),
        "position_ids": np.array([[size.past]], np.int64),
    }
    shape = (1, size.heads, size.past, size.width // size.heads)
    names = [f"past_key_values.{i}.{kind}" for i in range(size.layers) for kind in ("key", "value")]
    feeds |= {name: normal(shape, 1000 + i) for i, name in enumerate(names)}
    shapes = dict.fromkeys(names, (1, size.heads, "past", shape[-1]))
    step = _Step(size, Net(feeds, shapes))
    step.write()
    return Source(finish(step.net, step.outputs, 18), feeds, "dynamic")
