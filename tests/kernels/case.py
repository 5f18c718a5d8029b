"""A kernel call with its inputs: what the case lists hold and every target's tests run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import KernelCall, MatMul
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor, View

Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class Case:
    """One call, the elements of the tensors that nothing writes, and the symbols' values."""

    name: str
    call: KernelCall
    inputs: Mapping[Tensor, Array]
    symbols: Mapping[str, int] = field(default_factory=dict)
    wasm_only: str = ""  # why WebGPU cannot be held to the reference here

    @property
    def webgpu_only(self) -> bool:
        """Whether the call is of a kind that no program for Wasm has."""
        return isinstance(self.call, MatMul) and self.call.left is not None

    def __repr__(self) -> str:
        """Its name: the text of a tree with shared subtrees can be without end."""
        return self.name


def row_major(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Strides of a contiguous array."""
    return tuple(product(tuple(shape[i + 1 :])) for i in range(len(shape)))


@dataclass
class Maker:
    """Makes the tensors of a case and remembers the elements of those that are read."""

    symbols: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    inputs: dict[Tensor, Array] = field(default_factory=dict)

    def values(self, count: int, dtype: DType) -> Array:
        """Elements of both signs, small integers for integer types."""
        random = np.random.default_rng([self.seed, len(self.inputs)])
        if dtype.is_float:
            return random.uniform(-1, 1, count).astype(dtype.value)
        low = 0 if dtype is DType.BOOL or dtype.is_unsigned else -9
        return random.integers(low, 2 if dtype is DType.BOOL else 10, count).astype(dtype.value)

    def tensor(self, elements: Dim, dtype: DType = DType.F32) -> Tensor:
        """An input tensor of this many elements."""
        tensor = Tensor(f"t{len(self.inputs)}", dtype, elements, "input")
        self.inputs[tensor] = self.values(value_of(elements, self.symbols), dtype)
        return tensor

    def weight(self, data: Array, layout: str = "plain") -> Tensor:
        """A weight with data, as it lies in memory."""
        return Tensor(f"w{self.seed}", DType(data.dtype.name), data.size, "weight", data.ravel(), layout)

    def dense(self, shape: Sequence[Dim], dtype: DType = DType.F32) -> View:
        """A contiguous input of this shape."""
        return View(self.tensor(product(tuple(shape)), dtype), 0, row_major(shape))

    def permuted(self, shape: Sequence[Dim], order: Sequence[int], dtype: DType = DType.F32) -> View:
        """An input of this shape whose axes are stored in `order`, outermost first."""
        stored = row_major([shape[a] for a in order])
        strides = tuple(stored[order.index(a)] for a in range(len(shape)))
        return View(self.tensor(product(tuple(shape)), dtype), 0, strides)

    def output(self, shape: Sequence[Dim], dtype: DType = DType.F32, order: Sequence[int] = ()) -> View:
        """A contiguous output; with `order`, its axes are stored so, outermost first."""
        order = order or range(len(shape))
        stored = row_major([shape[a] for a in order])
        strides = tuple(stored[list(order).index(a)] for a in range(len(shape)))
        return View(Tensor("out", dtype, product(tuple(shape))), 0, strides)

    def part(self, shape: Sequence[Dim], before: int, after: int, dtype: DType = DType.F32) -> View:
        """An output within the last axis of a larger contiguous tensor: what a concatenation writes."""
        whole = (*shape[:-1], before + shape[-1] + after)
        tensor = Tensor("out", dtype, product(whole))
        self.inputs[tensor] = self.values(value_of(product(whole), self.symbols), dtype)
        return View(tensor, before, row_major(whole))
