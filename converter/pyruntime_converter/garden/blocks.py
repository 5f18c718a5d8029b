"""Blocks that architectures share, as nodes of the IR with weights under the names of the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Origin, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.frontends.huggingface.checkpoint import Checkpoint

# names of activations in config.json -> op and attributes
ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "gelu": ("Gelu", {"approximate": "none"}),
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), ("Gelu", {"approximate": "tanh"})),
    "quick_gelu": ("Swish", {"alpha": 1.702}),
    **dict.fromkeys(("silu", "swish"), ("Swish", {})),
    "relu": ("Relu", {}),
    "tanh": ("Tanh", {}),
}
LOWEST = float(np.finfo(np.float32).min)


class Blocks:
    """Builds blocks whose weights are named `prefix` + the block's own name."""

    def __init__(self, builder: Builder, weights: Checkpoint, prefix: str = "") -> None:
        self.builder, self._weights, self._prefix = builder, weights, prefix

    def op(self, op: str, *inputs: Value, **attrs: Any) -> Value:
        """An op with one output; its origin is the last block's."""
        return self.builder.one(op, *inputs, **attrs)

    def scalar(self, number: float | int, dtype: DType = DType.F32) -> Value:
        """A constant of rank 0."""
        return self.builder.constant(number, dtype)

    def array(self, name: str, *shape: int) -> NDArray[Any]:
        """A tensor of the checkpoint, of this shape."""
        return self._weights.array(self._prefix + name, shape)

    def weight(self, name: str, *shape: int) -> Value:
        """A tensor of the checkpoint, of this shape, as a constant."""
        return self.builder.constant(self.array(name, *shape), name=self._prefix + name)

    def enter(self, kind: str, name: str) -> None:
        """Nodes from here on belong to this block of the model."""
        self.builder.origin = Origin(kind, self._prefix + name)

    def embedding(self, indices: Value, name: str, rows: int, width: int) -> Value:
        """Rows of a table at integer indices in [0, rows)."""
        self.enter("Embedding", name)
        return self.op("Gather", self.weight(f"{name}.weight", rows, width), indices, axis=0)

    def linear(self, x: Value, *names: str, width: int | Sequence[int], bias: bool = True) -> Value:
        """x [..., k] times each layer's weight [width, k], plus its bias [width], side by side: one product.

        Several layers over one x share the product; the result is as wide as all of them.
        """
        depth = x.shape[-1]
        assert isinstance(depth, int)
        self.enter("Linear", names[0])
        widths = [width] * len(names) if isinstance(width, int) else width
        sizes = list(zip(names, widths, strict=True))
        weights = [self.array(f"{n}.weight", w, depth) for n, w in sizes]
        product = self.op("MatMul", x, self._joined(f"{names[0]}.weight", weights, transposed=True))
        if not bias:
            return product
        biases = [self.array(f"{n}.bias", w) for n, w in sizes]
        return self.op("Add", product, self._joined(f"{names[0]}.bias", biases))

    def _joined(self, name: str, arrays: list[NDArray[Any]], *, transposed: bool = False) -> Value:
        """A constant of the arrays one after another; rows become columns where `transposed`."""
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return self.builder.constant(joined.T if transposed else joined, name=self._prefix + name)

    def classifier(self, x: Value, name: str) -> Value:
        """A linear layer with as many outputs as its weight has rows."""
        labels, *_ = (*self._weights.shape(f"{self._prefix}{name}.weight"), 1)  # a scalar is refused below
        return self.linear(x, name, width=labels)

    def layer_norm(self, x: Value, name: str, epsilon: float) -> Value:
        """Layer normalisation over the last axis."""
        width = x.shape[-1]
        assert isinstance(width, int)
        self.enter("LayerNorm", name)
        # checkpoints that were converted from TensorFlow have gamma and beta
        old = f"{self._prefix}{name}.gamma" in self._weights
        scale, bias = (
            self.weight(f"{name}.{n}", width) for n in (("gamma", "beta") if old else ("weight", "bias"))
        )
        return self.op("LayerNormalization", x, scale, bias, axis=x.rank - 1, epsilon=epsilon)

    def rms_norm(self, x: Value, name: str, epsilon: float) -> Value:
        """Root-mean-square normalisation over the last axis."""
        width = x.shape[-1]
        assert isinstance(width, int)
        self.enter("RMSNorm", name)
        return self.op(
            "RMSNormalization", x, self.weight(f"{name}.weight", width), axis=x.rank - 1, epsilon=epsilon
        )

    def activation(self, x: Value, name: str) -> Value:
        """One of ACTIVATIONS."""
        op, attrs = ACTIVATIONS[name]
        return self.op(op, x, **attrs)

    def seen(self, mask: Value) -> Value:
        """Which keys queries see, [batch, 1, 1, sequence]: those where mask [batch, sequence] is not 0."""
        batch, sequence = mask.shape
        self.enter("Mask", mask.name)
        return self.op("Reshape", self.op("Cast", mask, to=DType.BOOL), shape=(batch, 1, 1, sequence))

    def attention(
        self, name: str, query: Value, key: Value, value: Value, seen: Value, *, causal: bool = False
    ) -> Value:
        """Scaled dot-product attention of [batch, heads, sequence, size] to the keys that are seen.

        Where there are none, all are seen alike, as in Transformers. Keys and values may have fewer heads by
        a whole factor; `causal`, no query sees later keys. The result is [batch, sequence, heads * size].
        Vaswani et al., "Attention Is All You Need", 2017.
        """
        batch, heads, sequence, size = query.shape
        assert isinstance(size, int)
        self.enter("Attention", name)
        scale = 1 / math.sqrt(size)
        context = self.op("Attention", query, key, value, seen, scale=scale, fill=LOWEST, causal=causal)
        rows = self.op("Transpose", context, perm=(0, 2, 1, 3))
        return self.op("Reshape", rows, shape=(batch, sequence, heads * size))

    def first_token(self, x: Value) -> Value:
        """x [batch, sequence, width] at the first position, [batch, width]."""
        batch, _, width = x.shape
        first = self.op("Slice", x, starts=(0, 0, 0), sizes=(batch, 1, width), steps=(1, 1, 1))
        return self.op("Reshape", first, shape=(batch, width))

    def heads(self, x: Value, *counts: int, size: int) -> list[Value]:
        """x [batch, sequence, heads * size] as [batch, count, sequence, size] for each count of heads."""
        batch, sequence, _ = x.shape
        split = self.op("Reshape", x, shape=(batch, sequence, sum(counts), size))
        found = []
        for number, count in enumerate(counts):
            starts = (0, 0, sum(counts[:number]), 0)
            part = self.op(
                "Slice", split, starts=starts, sizes=(batch, sequence, count, size), steps=(1,) * 4
            )
            found.append(self.op("Transpose", part, perm=(0, 2, 1, 3)))
        return found
