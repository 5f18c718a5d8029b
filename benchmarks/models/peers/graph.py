"""A graph of the operators that TFLite and TensorFlow.js share; feature maps are channels-last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.models.source import Array

CHANNELS_LAST = (0, 2, 3, 1)  # ONNX's axes in the order of feature maps


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape [batch, channels, height, width] as feature maps have it here."""
    return tuple(shape[a] for a in CHANNELS_LAST)


@dataclass(eq=False)
class Tensor:
    """A value; `data` of a constant. `maps`: stored channels-last while ONNX has it channels-first."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: Array | None = None
    maps: bool = False


@dataclass(eq=False)
class Operator:
    """One operator with one output. Kinds, their inputs and attributes:

    conv2d, depthwise: x, weights [height, width, inner, outer] or [height, width, channels, 1], bias;
        strides (y, x), pads ((above, below), (left, right)), activation
    dense: x, weights [inner, outer], bias if there is one; activation
    matmul: a, b; transposed (b is [..., n, k])
    add: a, b; activation
    sub, mul, div, maximum: a, b
    relu, relu6, sigmoid, tanh, gelu, square, sqrt, rsqrt, neg, cos, sin, softmax (last axis): x
    mean, sum: x; axes, keep
    max_pool: x; size, strides, pads
    resize: x, to nearest neighbours; size (height, width)
    concat: any number; axis
    reshape, broadcast: x; the output's shape tells
    transpose: x; axes
    gather: table, indices of its rows
    slice: x; begin
    cast: x, to float32
    lstm: sums [steps * batch, 4 units] of inputs and biases, weights [units, 4 units] of the state, which
        begins as zeros; steps. Gives the state after each step, [steps * batch, units]; gates in ONNX's order

    An activation is "relu", "relu6" or None.
    """

    kind: str
    inputs: list[Tensor]
    output: Tensor
    attributes: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.attributes[name]


@dataclass
class Graph:
    """Operators in order; inputs and outputs by their ONNX names."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)

    def append(
        self,
        kind: str,
        name: str,
        inputs: Sequence[Tensor],
        shape: tuple[int, ...],
        *,
        maps: bool = False,
        dtype: Any = np.float32,
        **attributes: Any,
    ) -> Tensor:
        """Add an operator at the end; gives its output."""
        output = Tensor(name, shape, np.dtype(dtype), maps=maps)
        self.operators.append(Operator(kind, list(inputs), output, attributes))
        return output

    def producers(self) -> dict[Tensor, Operator]:
        """The operator of each value that one gives."""
        return {o.output: o for o in self.operators}

    def uses(self) -> Counter[Tensor]:
        """How often each value is read; outputs are read once more."""
        return Counter([*(i for o in self.operators for i in o.inputs), *self.outputs.values()])

    def prune(self) -> None:
        """Remove operators whose results nobody reads."""
        needed = set(self.outputs.values())
        kept = []
        for operator in reversed(self.operators):
            if operator.output in needed:
                needed.update(operator.inputs)
                kept.append(operator)
        self.operators = kept[::-1]
