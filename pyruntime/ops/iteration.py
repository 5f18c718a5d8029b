"""A kernel call being executed with NumPy: what its views and trees read and write."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim
from pyruntime.ir.extremes import Extremes
from pyruntime.ir.kernel import KernelCall
from pyruntime.ir.prologue import Prologue
from pyruntime.ir.scalar import TABLE, Load, Scalar, tables_of, walk
from pyruntime.ir.symbols import evaluate as value_of
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.evaluate import evaluate

Array = NDArray[Any]
Memory = MutableMapping[Tensor, Array]
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """One call being executed: its memory and the symbols' values."""

    call: KernelCall
    memory: Memory
    symbols: Mapping[str, int]

    def dim(self, dim: Dim) -> int:
        return value_of(dim, self.symbols)

    def dims(self, dims: Sequence[Dim]) -> Sizes:
        return tuple(self.dim(d) for d in dims)

    def box(self, view: View, sizes: Sizes) -> tuple[slice, ...]:
        """The part of the iteration space where all guards of the view hold."""
        low, high = [0] * len(sizes), list(sizes)
        for guard in view.guards:
            low[guard.axis] = max(low[guard.axis], self.dim(guard.low))
            high[guard.axis] = min(high[guard.axis], self.dim(guard.high))
        return tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))

    def window(self, view: View, sizes: Sizes, box: tuple[slice, ...]) -> Array:
        """A writable array onto the memory that the view names inside the box."""
        flat, strides = self.memory[view.tensor], self.dims(view.strides)
        assert len(strides) == len(sizes), f"{self.call.name}: {len(strides)} strides over {sizes}"
        start = self.dim(view.offset) + sum(s * b.start for s, b in zip(strides, box, strict=True))
        shape = tuple(b.stop - b.start for b in box)
        if 0 in shape:
            return np.empty(shape, flat.dtype)
        reach = [s * (n - 1) for s, n in zip(strides, shape, strict=True)]
        first, last = start + sum(min(r, 0) for r in reach), start + sum(max(r, 0) for r in reach)
        assert 0 <= first <= last < len(flat), (
            f"{self.call.name}: elements {first} to {last} of {view.tensor.name}, which has {len(flat)}"
        )
        return as_strided(flat[start:], shape, [s * flat.itemsize for s in strides])

    def positions(self, view: View, sizes: Sizes) -> tuple[Array, Array]:
        """Element positions of an indirect view over the iteration space, and where they are valid."""
        axes = index_arrays(sizes)
        valid = np.ones(sizes, bool)
        for guard in view.guards:
            valid &= (axes[guard.axis] >= self.dim(guard.low)) & (axes[guard.axis] < self.dim(guard.high))
        position = np.full(sizes, self.dim(view.offset), np.int64)
        for axis, stride in zip(axes, self.dims(view.strides), strict=True):
            position += axis * stride
        for term in view.indirect:
            index = self.load(self.call.inputs[term.operand], sizes).astype(np.int64)
            size = self.dim(term.size)
            index = np.where(index < 0, index + size, index) if term.wrap else index
            valid &= (index >= 0) & (index < size)
            position += index * self.dim(term.stride)
        length = len(self.memory[view.tensor])
        outside = valid & ((position < 0) | (position >= length))
        assert not outside.any(), (
            f"{self.call.name}: {view.tensor.name} has {length} elements, reached beyond"
        )
        return position, valid

    def load(self, view: View, sizes: Sizes) -> Array:
        """The view's elements over the iteration space, shape `sizes`; fill where it is not valid."""
        dtype = self.memory[view.tensor].dtype
        if view.indirect:
            position, valid = self.positions(view, sizes)
            result = np.full(sizes, view.fill, dtype)
            result[valid] = self.memory[view.tensor][position[valid]]
            return result
        box = self.box(view, sizes)
        inside = self.window(view, sizes, box)
        if inside.shape == sizes:
            return inside
        result = np.full(sizes, view.fill, dtype)
        result[box] = inside
        return result

    def multiplied(self, view: View, prologue: Prologue | None, sizes: Sizes) -> Array:
        """What a product takes for the view's elements, over the iteration space."""
        elements = self.load(view, sizes)
        if prologue is None:
            return elements
        operands = [elements, *(self.load(v, sizes) for v in prologue.others)]
        return np.broadcast_to(evaluate(prologue.body, operands), sizes)

    def store(self, view: View, sizes: Sizes, values: Array) -> None:
        """Write values (broadcast to `sizes`) where the view is valid."""
        expected = np.dtype(view.tensor.dtype.value)
        assert values.dtype == expected, f"{self.call.name}: {values.dtype} into {expected}"
        values = np.broadcast_to(values, sizes).copy()  # the values may lie in the memory being written
        if view.indirect:
            position, valid = self.positions(view, sizes)
            self.memory[view.tensor][position[valid]] = values[valid]
        else:
            box = self.box(view, sizes)
            self.window(view, sizes, box)[...] = values[box]

    def tree(self, tree: Scalar, sizes: Sizes, acc: Sequence[Array] = ()) -> Array:
        """A tree over an iteration space; only operands that it loads are read."""
        used = {node.operand for node in walk(tree) if isinstance(node, Load)}
        tables = tables_of(tree)
        operands = [
            self._table(v) if i in tables else self.load(v, sizes) if i in used else None
            for i, v in enumerate(self.call.inputs)
        ]
        return evaluate(
            tree, operands, index=index_arrays(sizes), acc=acc, sizes=self.dims(self.call.size_values)
        )

    def _table(self, view: View) -> Array:
        first = self.dim(view.offset)
        return self.memory[view.tensor][first : first + TABLE]

    def finish(self, tree: Scalar, sizes: Sizes, acc: Sequence[Array] = ()) -> None:
        """Evaluate the body and store it over the iteration space."""
        self.store(self.call.output, sizes, self.tree(tree, sizes, acc))

    def tell(self, extremes: Extremes | None, sizes: Sizes) -> None:
        """Store the extremes, if any, of what was stored over the result's space."""
        if extremes is None:
            return
        *rows, columns = sizes
        values, runs = self.load(self.call.output, sizes), self.dim(extremes.runs(columns))
        for extreme in extremes.told:
            seen = np.abs(values) if extreme.magnitude else values
            none = identity(extreme.combine, seen.dtype)
            padded = np.full((*rows, runs * extremes.span), none, seen.dtype)
            padded[..., :columns] = seen
            combine = np.minimum if extreme.combine == "min" else np.maximum
            found = combine.reduce(padded.reshape((*rows, runs, extremes.span)), axis=-1)
            self.store(extreme.output, (*rows, runs), found)


def index_arrays(sizes: Sizes) -> list[Array]:
    """For each axis its index, shaped to broadcast over the iteration space."""
    return [
        np.arange(n).reshape([n if a == axis else 1 for a in range(len(sizes))])
        for axis, n in enumerate(sizes)
    ]


def wide(array: Array) -> Array:
    """The array in the type that sums are taken in."""
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def identity(combine: str, dtype: np.dtype[Any]) -> Any:
    """What a reduction over nothing gives."""
    if combine in ("sum", "or"):
        return dtype.type(0)
    if combine in ("prod", "and"):
        return dtype.type(1)
    if dtype.kind == "f":
        return dtype.type(np.inf if combine == "min" else -np.inf)
    if dtype.kind == "b":
        return dtype.type(combine == "min")
    limits = np.iinfo(dtype)
    return dtype.type(limits.max if combine == "min" else limits.min)


def narrow(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums of products of `dtype` as an accumulator holds them: float32 for floats up to 32 bits."""
    if dtype.kind != "f":
        return sums
    with np.errstate(over="ignore"):
        return sums.astype(np.float64 if dtype == np.float64 else np.float32)
