"""Reductions: lanes share a row and combine their partial results in workgroup memory, then the body.

With subgroups, these combine what their threads have first. WGSL does not say which threads a subgroup has,
nor that it is full: a thread counts those of its own, and its place among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyruntime.ir.dims import Dim, ceildiv, product
from pyruntime.ir.kernel import Reduction, Row
from pyruntime.ir.scalar import Acc, walk
from pyruntime_shaders.accumulation import Accumulator, Running, running
from pyruntime_shaders.module import Kernel, Module, fold
from pyruntime_shaders.tiling import fills

_SHORT = 32  # rows up to this many elements are one thread's work


class Shape(NamedTuple):
    """How a workgroup is laid over rows: `rows` of them, `lanes` threads on each.

    `across`: neighbouring threads take neighbouring rows, which suits rows that lie interleaved in memory.
    """

    rows: int
    lanes: int
    across: bool


class Pass(NamedTuple):
    """Reductions that one loop over the rows computes."""

    accumulators: tuple[Accumulator, ...]
    body: tuple[str, ...]  # statements for one element


# what else may be best on some GPU: one row, or a few, side by side or interleaved
_SHAPES = (
    *(Shape(1, lanes, False) for lanes in (64, 128, 256)),
    *(Shape(rows, 64, False) for rows in (2, 4)),
    *(Shape(rows, 32, False) for rows in (2, 8)),
    *(Shape(64, lanes, True) for lanes in (1, 4)),
    *(Shape(32, lanes, True) for lanes in (4, 8)),
    Shape(16, 16, True),
)


def patches(call: Row) -> list[Shape]:
    """What may be chosen for a call, best or not, so far as its rows fill half of it."""
    outer = len(call.sizes) - call.reduced
    rows, length = product(call.sizes[:outer]), product(call.sizes[outer:])
    return [s for s in _SHAPES if fills(s.rows, rows) and fills(s.lanes, length)]


def prepare(call: Row, shape: Shape | None = None) -> list[Kernel]:
    """The dispatch of a call. Raises UnsupportedError for what WGSL cannot compute.

    `shape` is a workgroup's, by default the one that is chosen.
    """
    outer = len(call.sizes) - call.reduced
    axes = (*(f"i{a}" for a in range(outer)), *(f"r{a}" for a in range(call.reduced)))
    module = Module(call, axes, call.sizes)
    rows, length = product(call.sizes[:outer]), product(call.sizes[outer:])
    shape = shape or _shape(call, rows, length)
    values = [running(module, number, reduction, length) for number, reduction in enumerate(call.reductions)]
    extents = tuple(
        module.word(f"extent_{a}", s, "u32") if a not in (0, outer) else "" for a, s in enumerate(call.sizes)
    )
    return [
        module.finish(
            "row",
            (*fold(ceildiv(rows, shape.rows)), 1),
            passes=(passes := tuple(_passes(module, call.reductions, values))),
            subgroups=shape.lanes > 1
            and not shape.across
            and all(acc.over_subgroup for each in passes for acc in each.accumulators),
            body=module.block([call.body]),
            asides=module.block([a.body for a in call.asides]),
            places=tuple(module.position(f"aside_{i}", a.output, axes) for i, a in enumerate(call.asides)),
            elementwise=call.elementwise,
            shape=shape,
            rows=module.word("rows", rows, "u32"),
            length=module.word("length", length, "u32"),
            outer=outer,
            extents=extents,
        )
    ]


def _shape(call: Row, rows: Dim, length: Dim) -> Shape:
    """The workgroup's shape, from what is known: short rows, interleaved rows, others."""
    if isinstance(length, int) and length <= _SHORT:
        return Shape(64, 1, True)
    outer = len(call.sizes) - call.reduced
    many = not isinstance(rows, int) or rows >= 64
    apart = [v for v in call.inputs if v.indirect or v.strides[-1] not in (0, 1)]
    if many and outer and any(v.strides[outer - 1] == 1 for v in apart):
        return Shape(32, 8, True)
    if isinstance(length, int) and length <= 256:
        return Shape(4, 64, False)
    return Shape(1, 256, False)


def _passes(module: Module, reductions: Sequence[Reduction], values: Sequence[Running]) -> Iterator[Pass]:
    """The reductions in as few loops as their use of each other's results allows."""
    level: list[int] = []
    for reduction in reductions:
        used = [n.index for n in walk(reduction.body) if isinstance(n, Acc)]
        level.append(1 + max((level[i] for i in used), default=-1))
    for number in range(max(level, default=-1) + 1):
        members = [i for i in range(len(reductions)) if level[i] == number]
        block = module.block([reductions[i].body for i in members], [values[i].pair for i in members])
        accumulators = tuple(values[i].over_lanes(i) for i in members)
        updates = [values[i].update(f"acc_{i}", v) for i, v in zip(members, block.values, strict=True)]
        yield Pass(accumulators, (*block.statements, *(f"{u};" for u in updates)))
