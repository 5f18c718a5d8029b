"""BERT encoders with mean pooling as ONNX, with random or given weights, in forms that exporters write.

`python -m tests.passes.bert OUT.onnx [torchscript|dynamo]` writes one of all-MiniLM-L6-v2's shape.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from onnx import ModelProto

from tests.passes.net import Array, Net, Shapes, ints

Form = Literal["torchscript", "dynamo"]
Weights = Callable[
    [str, tuple[int, ...]], Array
]  # a checkpoint's array by its name and shape, as PyTorch has it


@dataclass(frozen=True)
class Size:
    """The hyperparameters of an encoder."""

    layers: int = 6
    width: int = 384
    heads: int = 12
    inner: int = 1536
    vocabulary: int = 30522
    positions: int = 512


@dataclass
class Encoder:
    """Writes one encoder.

    torchscript: every norm and activation spelled out, the mask added after a division (opset 14).
    dynamo: LayerNormalization and Gelu, queries and keys scaled by the fourth root, a chosen mask (opset 20).
    """

    size: Size
    form: Form
    net: Net
    given: Weights | None = None

    def weight(self, name: str, *shape: int) -> str:
        """A checkpoint's weight, or random numbers whose products keep their size."""
        if self.given:
            return self.net.constant(self.given(name, shape))
        scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        generator = np.random.default_rng(len(self.net.weights))
        around = 1.1 if name.endswith("LayerNorm.weight") else 0.0
        return self.net.constant(generator.normal(around, scale, shape).astype(np.float32))

    def linear(self, x: str, name: str, inner: int, outer: int) -> str:
        """x w + bias, written with the bias first; PyTorch has w transposed, exporters fold that."""
        weight, bias = self.weight(f"{name}.weight", outer, inner), self.weight(f"{name}.bias", outer)
        self.net.weights[weight] = np.ascontiguousarray(self.net.weights[weight].T)
        return self.net("Add", bias, self.net("MatMul", x, weight))

    def norm(self, x: str, name: str) -> str:
        """Layer norm over the features."""
        net, width = self.net, self.size.width
        gain, bias = (self.weight(f"{name}.LayerNorm.{part}", width) for part in ("weight", "bias"))
        if self.form == "dynamo":
            return net("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-12)
        centred = net("Sub", x, net("ReduceMean", x, axes=[-1]))
        variance = net("ReduceMean", net("Pow", centred, 2.0), axes=[-1])
        normal = net("Div", centred, net("Sqrt", net("Add", variance, 1e-12)))
        return net("Add", net("Mul", normal, gain), bias)

    def gelu(self, x: str) -> str:
        """By erf."""
        net = self.net
        if self.form == "dynamo":
            return net("Gelu", x)
        gate = net("Add", net("Erf", net("Div", x, float(np.sqrt(2)))), 1.0)
        return net("Mul", net("Mul", x, gate), 0.5)

    def heads(self, x: str) -> str:
        """[batch, heads, length, width of a head]."""
        size = self.size
        apart = self.net("Reshape", x, ints(0, 0, size.heads, size.width // size.heads))
        return self.net("Transpose", apart, perm=[0, 2, 1, 3])

    def attention(self, x: str, mask: str, name: str) -> str:
        """Scaled dot products between heads."""
        net, width = self.net, self.size.width
        q, k, v = (
            self.heads(self.linear(x, f"{name}.self.{part}", width, width))
            for part in ("query", "key", "value")
        )
        k = net("Transpose", k, perm=[0, 1, 3, 2])
        head = width // self.size.heads
        if self.form == "dynamo":
            fourth = head**-0.25
            product = net("MatMul", net("Mul", q, fourth), net("Mul", k, fourth))
            score = net("Add", product, net("Where", mask, 0.0, float("-inf")))
        else:
            score = net("Add", net("Div", net("MatMul", q, k), float(np.sqrt(head))), mask)
        context = net("Transpose", net("MatMul", net("Softmax", score, axis=-1), v), perm=[0, 2, 1, 3])
        return self.linear(net("Reshape", context, ints(0, 0, width)), f"{name}.output.dense", width, width)

    def mask(self) -> str:
        """[batch, 1, 1, length], from ones at tokens and zeros at padding."""
        net = self.net
        wide = net("Unsqueeze", "attention_mask", ints(1, 2))
        if self.form == "dynamo":
            return net("Cast", wide, to=9)
        return net("Mul", net("Sub", 1.0, net("Cast", wide, to=1)), -1e4)

    def encoder(self) -> str:
        """The last hidden state."""
        net, size = self.net, self.size
        tables = (("word", size.vocabulary), ("token_type", 2), ("position", size.positions))
        words, kinds, places = (
            self.weight(f"embeddings.{table}_embeddings.weight", rows, size.width) for table, rows in tables
        )
        words, kinds = net("Gather", words, "input_ids"), net("Gather", kinds, "token_type_ids")
        end = net("Slice", net("Shape", "input_ids"), ints(1), ints(2))
        numbers = net.constant(np.arange(size.positions)[None])
        places = net("Gather", places, net("Slice", numbers, ints(0), end, ints(1)))
        x = self.norm(net("Add", net("Add", words, kinds), places), "embeddings")
        mask = self.mask()
        for layer in range(size.layers):
            name = f"encoder.layer.{layer}"
            attended = self.attention(x, mask, f"{name}.attention")
            x = self.norm(net("Add", attended, x), f"{name}.attention.output")
            inner = self.gelu(self.linear(x, f"{name}.intermediate.dense", size.width, size.inner))
            outer = self.linear(inner, f"{name}.output.dense", size.inner, size.width)
            x = self.norm(net("Add", outer, x), f"{name}.output")
        return x

    def pooled(self, x: str) -> str:
        """The mean over the tokens that are no padding, of length 1."""
        net = self.net
        weights = net("Cast", net("Unsqueeze", "attention_mask", ints(-1)), to=1)
        shape = net("Shape", x)
        weights = net("Expand", weights, shape)
        total = net("ReduceSum", net("Mul", x, weights), ints(1), keepdims=0)
        count = net("Clip", net("ReduceSum", weights, ints(1), keepdims=0), 1e-9)
        mean = net("Div", total, count)
        norm = net("Clip", net("Sqrt", net("ReduceSum", net("Mul", mean, mean), ints(1), keepdims=1)), 1e-12)
        return net("Div", mean, net("Expand", norm, net("Shape", mean)))


def feeds(size: Size, batch: int, length: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """Random tokens, of which the last row has padding."""
    generator = np.random.default_rng(batch * 1000 + length)
    mask = np.ones((batch, length), np.int64)
    mask[-1, (length + 1) // 2 :] = 0
    return {
        "input_ids": generator.integers(0, size.vocabulary, (batch, length)),
        "attention_mask": mask,
        "token_type_ids": generator.integers(0, 2, (batch, length)),
    }


def written(size: Size, form: Form, given: Weights | None = None) -> tuple[Net, dict[str, str], int]:
    """The nodes, with symbolic batch and length; the value of each output; the opset."""
    shapes: Shapes = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ("batch", "length"))
    encoder = Encoder(size, form, Net(feeds(size, 1, 1), shapes), given)
    hidden = encoder.encoder()
    outputs = {"last_hidden_state": hidden, "sentence_embedding": encoder.pooled(hidden)}
    return encoder.net, outputs, 14 if form == "torchscript" else 20


def bert(size: Size, form: Form) -> ModelProto:
    """The model with random weights."""
    net, outputs, opset = written(size, form)
    return net.proto(*outputs.values(), opset=opset)


if __name__ == "__main__":
    made = bert(Size(), "dynamo" if sys.argv[2:] == ["dynamo"] else "torchscript")
    Path(sys.argv[1]).write_bytes(made.SerializeToString())
