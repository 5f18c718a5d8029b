"""Running values of reductions in WGSL: their type, start, update, and what an integer one can reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType, needs_pair
from pyruntime.ir.kernel import Reduction
from pyruntime_shaders.intervals import DIM_LIMIT, Interval, limits, stored
from pyruntime_shaders.module import Module
from pyruntime_shaders.printer import apply, bare, literal, value_type

# combination -> the scalar function that combines
_FUNCTION = {"sum": "add", "prod": "mul", "min": "min", "max": "max", "and": "and", "or": "or"}

# scalar function -> the built-in function over a subgroup
_SUBGROUP = {"add": "subgroupAdd", "mul": "subgroupMul", "and": "subgroupAll", "or": "subgroupAny"}

_WHOLE = re.compile(r"[\w.]+(\([^()]*\))?")  # a name, a number or a plain call: binds as one


class Accumulator(NamedTuple):
    """A running value as `lanes.wgsl.j2` reduces it: `acc_<number>` of each thread."""

    number: int
    type: str
    identity: str
    combine: str  # takes the partial result at `other` into that at `local`
    gather: str  # takes it into this thread's own
    over_subgroup: str | None  # what the threads of a subgroup have, combined, where there is such a function


def sum_of_fours(number: int, held: DType) -> Accumulator:
    """The sums of four columns of a product, in float32 or in int32."""
    four, here, there = f"vec4<{value_type(held)}>", f"acc_{number}", f"partial_{number}[other]"
    return Accumulator(
        number,
        four,
        f"{four}()",
        f"partial_{number}[local] += {there}",
        f"{here} += {there}",
        f"subgroupAdd({here})",
    )


@dataclass(frozen=True)
class Running:
    """The running value of a reduction.

    Attributes:
        function: the scalar function that combines.
        dtype: of the value.
        interval: what an integer one lies in at all times, where known.
    """

    function: str
    dtype: DType
    interval: Interval | None

    @property
    def pair(self) -> bool:
        """Whether it is a pair of words."""
        return needs_pair(self.dtype, self.interval)

    @property
    def type(self) -> str:
        """The WGSL of its type."""
        return value_type(self.dtype, self.pair)

    @property
    def identity(self) -> str:
        """The WGSL of what a reduction over nothing gives."""
        if self.function in ("add", "mul", "and", "or"):
            return literal(self.function in ("mul", "and"), self.dtype, self.pair)
        if self.dtype.is_float:
            return literal(float("inf" if self.function == "min" else "-inf"), self.dtype)
        low, high = limits(self.dtype) if self.pair else stored(self.dtype)
        return literal(high if self.function == "min" else low, self.dtype, self.pair)

    def update(self, running: str, value: str) -> str:
        """The WGSL that takes a value into a running one."""
        operand = value if _WHOLE.fullmatch(value) else f"({value})"  # blocks give values without parentheses
        return f"{running} = {bare(apply(self.function, self.dtype, (running, operand), self.pair))}"

    def over_subgroup(self, value: str) -> str | None:
        """The WGSL that combines the values of a subgroup's threads; None for pairs, which have none."""
        if self.pair:
            return None
        if self.function in ("min", "max"):
            name = (
                f"subgroup_{self.function}_f32" if self.dtype.is_float else f"subgroup{self.function.title()}"
            )
        else:
            name = _SUBGROUP[self.function]
        return f"{name}({value})"

    def over_lanes(self, number: int) -> Accumulator:
        """The same over the threads that share a row."""
        here, there = f"acc_{number}", f"partial_{number}[other]"
        return Accumulator(
            number,
            self.type,
            self.identity,
            self.update(f"partial_{number}[local]", there),
            self.update(here, there),
            self.over_subgroup(here),
        )


def running(module: Module, number: int, reduction: Reduction, length: Dim) -> Running:
    """The running value of a reduction over so many elements, which trees know as Acc(number).

    Raises:
        UnsupportedError: for float64.
    """
    dtype = DType.F32 if reduction.body.dtype is DType.F16 else reduction.body.dtype
    with module.typed():
        value_type(dtype)
    interval = _reached(module, reduction, length) if dtype.is_integer else None
    module.accumulates(number, dtype, interval)
    return Running(_FUNCTION[reduction.combine], dtype, interval)


def _reached(module: Module, reduction: Reduction, length: Dim) -> Interval | None:
    """What the integers of a reduction lie in, at its end and on the way; None for anything."""
    low, high = module.ranges(reduction.body)
    if reduction.combine in ("min", "max"):
        return (low, high) if isinstance(length, int) and length > 0 else None
    if reduction.combine != "sum":
        return None
    count = length if isinstance(length, int) else DIM_LIMIT
    least, most = limits(reduction.body.dtype)
    total = min(low, 0) * count, max(high, 0) * count
    return total if least <= total[0] and total[1] <= most else None  # else it wraps
