"""Running values of reductions in WGSL: their type, start, update, and what an integer one can reach."""

from __future__ import annotations

import re

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Reduction
from pyruntime_shaders.intervals import DIM_LIMIT, Interval, stored
from pyruntime_shaders.module import Module
from pyruntime_shaders.printer import apply, bare

# combination -> the scalar function that combines
_FUNCTION = {"sum": "add", "prod": "mul", "min": "min", "max": "max", "and": "and", "or": "or"}

_WHOLE = re.compile(r"[\w.]+(\([^()]*\))?")  # a name, a number or a plain call: binds as one


def held(reduction: Reduction) -> DType:
    """The type of the running value."""
    dtype = reduction.body.dtype
    return DType.F32 if dtype is DType.F16 else dtype


def result_range(module: Module, reduction: Reduction, length: Dim) -> Interval | None:
    """What an integer result lies in. Raises UnsupportedError where 64-bit sums may leave 32 bits."""
    dtype = held(reduction)
    if not dtype.is_integer:
        return None
    low, high = module.ranges(reduction.body)
    least, most = stored(dtype)
    if reduction.combine in ("min", "max"):
        return (low, high) if isinstance(length, int) and length > 0 else None
    count = length if isinstance(length, int) else DIM_LIMIT
    if reduction.combine == "sum" and least <= min(low, 0) * count and max(high, 0) * count <= most:
        return min(low, 0) * count, max(high, 0) * count
    if dtype.bits == 64:
        raise module.unsupported(
            f"64-bit integer arithmetic needs range analysis: a {reduction.combine} of {count} elements "
            "may leave 32 bits"
        )
    return None


def identity(module: Module, reduction: Reduction) -> str:
    """The WGSL of what a reduction over nothing gives."""
    dtype, combine = held(reduction), reduction.combine
    if combine in ("sum", "prod", "and", "or"):
        return module.literal(combine in ("prod", "and"), dtype)
    if dtype.is_float:
        return module.literal(float("inf" if combine == "min" else "-inf"), dtype)
    low, high = stored(dtype)
    return module.literal(high if combine == "min" else low, dtype)


def update(reduction: Reduction, running: str, value: str) -> str:
    """The WGSL that takes a value into a running one."""
    operand = value if _WHOLE.fullmatch(value) else f"({value})"  # blocks give values without parentheses
    return f"{running} = {bare(apply(_FUNCTION[reduction.combine], held(reduction), (running, operand)))}"
