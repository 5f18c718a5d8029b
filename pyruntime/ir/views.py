"""Pieces of memory, and views: how a kernel call reads or writes one over its iteration space.

All offsets and strides count elements. The iteration point of a View is an index per axis of the call's
iteration space; the element it names is `offset + sum(stride[a] * index[a])`, plus what `indirect` adds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType, needs_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["input", "weight", "temporary", "state"]


@dataclass(eq=False)
class Tensor:
    """A piece of memory: a model input, a weight (with data), or something that a kernel writes.

    A model output is a temporary that is contiguous in its logical shape and lives to the end. A state
    outlives the run; its elements are those of its largest shape. A weight's data may be a function that
    makes the array, so that a large one exists only while it is used.
    """

    name: str
    dtype: DType
    elements: Dim
    kind: Kind = "temporary"
    data: NDArray[Any] | Callable[[], NDArray[Any]] | None = None
    layout: str = "plain"  # how weight data was rearranged for the kernels: "plain", "panels8", ...
    original_shape: tuple[int, ...] = ()
    interval: tuple[int, int] | None = None  # what its integers lie in, where known
    octets: tuple[int, int] | None = None  # of a weight in quads, where known: see `ops.octets`
    magnitude: int | None = None  # of a filter of integers, where known: the largest sum of |w| for an output

    @property
    def array(self) -> NDArray[Any] | None:
        """A weight's elements, flat."""
        return self.data() if callable(self.data) else self.data

    @property
    def pairs(self) -> bool:
        """Whether a GPU keeps each element in two words: 64-bit integers, which may not fit one."""
        return needs_pair(self.dtype, self.interval)

    @property
    def words(self) -> int:
        """How many 32-bit words an element takes on a GPU."""
        return 2 if self.pairs else 1


@dataclass(frozen=True)
class Guard:
    """Where a view is valid: low <= index[axis] < high; elsewhere the load gives the view's `fill`."""

    axis: int
    low: Dim
    high: Dim


@dataclass(frozen=True)
class Indirect:
    """Adds stride * (the integer that operand `operand` of the call loads at this iteration point).

    With `wrap` a negative index counts from `size`. An index outside [0, size) loads the view's fill.
    """

    operand: int
    stride: Dim
    size: Dim
    wrap: bool = True


@dataclass(frozen=True)
class View:
    """How one operand is read or written over the iteration space."""

    tensor: Tensor
    offset: Dim
    strides: tuple[Dim, ...]
    guards: tuple[Guard, ...] = ()
    indirect: tuple[Indirect, ...] = ()
    fill: float | int | bool = 0

    def inner(self) -> Literal["unit", "zero", "any"]:
        """Stride class along the innermost axis; part of a kernel's key."""
        if not self.strides or self.strides[-1] == 0:
            return "zero"
        return "unit" if self.strides[-1] == 1 else "any"
