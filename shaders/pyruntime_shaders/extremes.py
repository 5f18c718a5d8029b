"""Extremes that a kernel tells of what it stores: threads note what they see, and those of a run compare."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from pyruntime.ir.dtypes import DType
from pyruntime.ir.extremes import Extremes
from pyruntime_shaders.accumulation import Running
from pyruntime_shaders.module import Module
from pyruntime_shaders.tiling import Lanes, Patch

QUAD = 4  # columns of a thread
MEMORY = 16384  # bytes of a workgroup, which every device has
FEW = 4  # rows of a workgroup, at most, of a product that has few
_THREADS = 128  # of such a one: four rows' sums take half of the memory


class Told(NamedTuple):
    """One extreme as templates print it.

    Attributes:
        name: of each invocation's own variable, of type f32.
        identity: what it begins as.
        update: the statement that takes in the stored `value`.
        gather: the statement that takes in what `{}` stands for.
        place: its position in the result's buffer, in terms of the result's axes, of which the last is `run`.
    """

    name: str
    identity: str
    update: str
    gather: str
    place: str


def values(module: Module, extremes: Extremes | None, across: int) -> dict[str, Hashable]:
    """The values of a template that tells extremes, if any; a workgroup has `across` threads side by side."""
    if extremes is None:
        return {}
    lanes = min(extremes.span // QUAD, across)
    assert across % lanes == 0, f"{module.call.name}: runs of {extremes.span} by {across} threads"
    return {"told": tuple(_told(module, extremes)), "told_lanes": lanes, "told_span": extremes.span}


def _told(module: Module, extremes: Extremes) -> Iterator[Told]:
    for number, extreme in enumerate(extremes.told):
        running, name = Running(extreme.combine, DType.F32, None), f"told_{number}"
        yield Told(
            name,
            running.identity,
            f"{running.update(name, 'abs(value)' if extreme.magnitude else 'value')};",
            f"{running.update(name, '{}')};",
            module.position(name, extreme.output, (*module.axes[:-1], "run")),
        )


def suits(extremes: Extremes | None, patch: Patch | Lanes) -> bool:
    """Whether workgroups of a patch have whole runs, and memory for what their threads see."""
    if extremes is None:
        return True
    seen = 4 * patch.threads * (1, 2, 4, 4)[len(extremes.told) - 1]
    return patch.width % extremes.span == 0 and _vectors(patch) * 16 + seen <= MEMORY


def _vectors(patch: Patch | Lanes) -> int:
    """vec4 of workgroup memory, at most."""
    return patch.threads * FEW if isinstance(patch, Lanes) else getattr(patch, "vectors", 0)


def few_rows(extremes: Extremes) -> Lanes:
    """For a product of few rows: as many columns as a run has."""
    quads = extremes.span // QUAD
    return Lanes(quads, _THREADS // quads)
