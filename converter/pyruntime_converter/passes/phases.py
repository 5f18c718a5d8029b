"""Convolutions of an input spread out by zeros, as transposed ones are, become one for each of their phases.

With a stride of s along an axis, outputs q * s + p of one phase p meet every s-th tap of the kernel and none
of the zeros: they are a convolution of the input as it is, at stride 1, with these taps. Phases that read the
same places become channels of one convolution (sub-pixel convolution), whose result, channels last, has them
in their order along the last axis already. Those that do not are apart: taps of zeros would cost as much as
others, and make NaN of infinities that an output does not depend on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyruntime.ir.graph import Graph, Node, Value
from pyruntime.ops.builder import Builder
from pyruntime.ops.definition import Elementwise, definition
from pyruntime_converter.passes.dilation import MOST_PARTS, Block, Plan, choose, dilated_source
from pyruntime_converter.passes.rewriter import constant_of, rewrite


def split_phases(graph: Graph) -> None:
    """Convolutions of spread inputs become sums over taps that meet elements, for each phase of the output.

    Elementwise ops with constants that follow are applied to each phase, so that its kernel does that, too.
    """
    uses, outputs = graph.uses(), set(graph.outputs)
    made: dict[Value, _Parts] = {}

    def rule(node: Node, builder: Builder) -> Value | None:
        parts = _convolved(node, builder) if node.op == "Conv" else _mapped(node, made, builder)
        if parts is None:
            return None
        whole = _assembled(builder, parts)
        if len(uses.get(node.output, ())) == 1 and node.output not in outputs:
            made[whole] = parts
        return whole

    rewrite(graph, rule)


@dataclass(frozen=True)
class _Parts:
    """A result [n, group * outputs, sizes...] by phases.

    Each of `values`, in the order of the product of the plan's blocks, is of shape
    [n, group * phases * outputs, rows...].
    """

    plan: Plan
    group: int
    outputs: int
    values: tuple[Value, ...]

    def tiled(self, builder: Builder, value: Value, count: int) -> Value:
        """Something for each channel, [group * outputs], as a part of `count` phases has its channels."""
        if count == 1:
            return value
        apart = builder.one("Reshape", value, shape=(self.group, 1, self.outputs))
        wide = builder.one("Expand", apart, shape=(self.group, count, self.outputs))
        return builder.one("Reshape", wide, shape=(self.group * count * self.outputs,))


def _convolved(node: Node, builder: Builder) -> _Parts | None:
    """The phases of a convolution whose input is spread out; None for another, or where it stays one."""
    attrs, weight = node.attrs, node.input(1)
    if not node.output.dtype.is_float or any(s != 1 for s in attrs["strides"]):
        return None
    found = dilated_source(builder, node)
    if found is None:
        return None
    source, axes = found
    plan = choose(axes, attrs["group"])
    # a filter that a run computes is cut up by an op for each phase
    if plan is None or (not constant_of(weight) and math.prod(a.stride for a in axes) > MOST_PARTS):
        return None
    oc, group = weight.shape[0], attrs["group"]
    assert isinstance(oc, int)
    parts = _Parts(plan, group, oc // group, ())
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    values = (
        _part(builder, parts, source, weight, bias, blocks) for blocks in itertools.product(*plan.blocks)
    )
    return replace(parts, values=tuple(values))


def _part(
    builder: Builder, parts: _Parts, x: Value, weight: Value, bias: Value | None, blocks: Sequence[Block]
) -> Value:
    """What one block of phases gives."""
    axes, count = parts.plan.axes, _count(blocks)
    if bias is not None:
        bias = parts.tiled(builder, bias, count)
    if any(not b.taps for b in blocks):  # phases that meet nothing
        channels = parts.group * count * parts.outputs
        nothing = builder.constant(np.zeros(1), x.dtype) if bias is None else bias
        one = builder.one("Reshape", nothing, shape=(1, nothing.shape[0], *(1 for _ in axes)))
        return builder.one("Expand", one, shape=(x.shape[0], channels, *(a.rows for a in axes)))
    pads = [a.pads(b) for a, b in zip(axes, blocks, strict=True)]
    if any(amount < 0 for pair in pads for amount in pair):
        starts, ends = ([max(0, -amount) for amount in side] for side in zip(*pads, strict=True))
        sizes = (d - s - e for d, s, e in zip(x.shape[2:], starts, ends, strict=True))
        x = builder.one("Slice", x, starts=(0, 0, *starts), sizes=(*x.shape[:2], *sizes), steps=(1,) * x.rank)
    before, after = ([max(0, amount) for amount in side] for side in zip(*pads, strict=True))
    return builder.one(
        "Conv",
        x,
        _filter(builder, parts, weight, blocks),
        bias,
        strides=(1,) * len(axes),
        dilations=tuple(a.spacing for a in axes),
        pads=(*before, *after),
        group=parts.group,
    )


def _count(blocks: Sequence[Block]) -> int:
    """How many phases of the output a part has as channels."""
    return math.prod(b.phases for b in blocks)


def _filter(builder: Builder, parts: _Parts, weight: Value, blocks: Sequence[Block]) -> Value:
    """The taps of weight [oc, c, kernel...] that each phase meets: [group * phases * outputs, c, taps...]."""
    oc, c, taps = weight.shape[0], weight.shape[1], tuple(b.taps for b in blocks)
    steps = (1, 1, *(a.step for a in parts.plan.axes))
    filters = []
    for first in itertools.product(*(b.first for b in blocks)):
        met = builder.one("Slice", weight, starts=(0, 0, *first), sizes=(oc, c, *taps), steps=steps)
        filters.append(builder.one("Reshape", met, shape=(parts.group, 1, parts.outputs, c, *taps)))
    joined = filters[0] if len(filters) == 1 else builder.one("Concat", *filters, axis=1)
    return builder.one("Reshape", joined, shape=(parts.group * len(filters) * parts.outputs, c, *taps))


def _mapped(node: Node, made: dict[Value, _Parts], builder: Builder) -> _Parts | None:
    """An elementwise op with constants on what was put together of phases: the same op on each of them."""
    if not isinstance(definition(node.op), Elementwise):
        return None
    places = [i for i, v in enumerate(node.inputs) if v in made]
    if len(places) != 1 or not all(constant_of(v) for v in node.inputs if v is not None and v not in made):
        return None
    x = node.input(places[0])
    parts = made[x]
    if node.output.shape != x.shape or not all(
        v is None or v is x or v.elements == 1 or _each_channel(v, x) for v in node.inputs
    ):
        return None

    def applied(part: Value, blocks: Sequence[Block]) -> Value:
        count = _count(blocks)
        operands: list[Value | None] = []
        for value in node.inputs:
            if value is None or value is x:
                operands.append(None if value is None else part)
            elif value.elements == 1:
                operands.append(builder.one("Reshape", value, shape=()))
            else:
                flat = parts.tiled(builder, builder.one("Reshape", value, shape=(value.elements,)), count)
                operands.append(builder.one("Reshape", flat, shape=(flat.elements, *(1 for _ in blocks))))
        return builder.one(node.op, *operands, **node.attrs)

    blocks = itertools.product(*parts.plan.blocks)
    return replace(parts, values=tuple(map(applied, parts.values, blocks)))


def _each_channel(value: Value, x: Value) -> bool:
    """Whether value, which is broadcast to x [n, c, sizes...], has an element for each channel."""
    shape = (*(1 for _ in range(x.rank - value.rank)), *value.shape)
    return shape == tuple(d if a == 1 else 1 for a, d in enumerate(x.shape))


def _assembled(builder: Builder, parts: _Parts) -> Value:
    """[n, group * outputs, sizes...] of the phases, which take turns along each axis."""
    plan, rank = parts.plan, len(parts.plan.axes)
    n, channels = parts.values[0].shape[0], parts.group * parts.outputs
    rows = [axis.rows for axis in plan.axes]
    apart: list[Value] = []
    for value, blocks in zip(parts.values, itertools.product(*plan.blocks), strict=True):
        counts = [b.phases for b in blocks]
        split = builder.one("Reshape", value, shape=(n, parts.group, *counts, parts.outputs, *rows))
        last = rank + 3
        perm = (0, 1, rank + 2, *(a for i in range(rank) for a in (last + i, 2 + i)))
        moved = builder.one("Transpose", split, perm=perm)
        turns = (size for pair in zip(rows, counts, strict=True) for size in pair)
        apart.append(builder.one("Reshape", moved, shape=(n, channels, *turns)))
    for axis in reversed(range(rank)):
        runs = _runs(apart, len(plan.blocks[axis]))
        apart = [run[0] if len(run) == 1 else builder.one("Concat", *run, axis=2 * axis + 3) for run in runs]
    (whole,) = apart
    joined = builder.one("Reshape", whole, shape=(n, channels, *(a.rows * a.stride for a in plan.axes)))
    sizes = (n, channels, *(a.output for a in plan.axes))
    if joined.shape == sizes:
        return joined
    starts = (0, 0, *(a.skipped for a in plan.axes))
    return builder.one("Slice", joined, starts=starts, sizes=sizes, steps=(1,) * joined.rank)


def _runs(values: Sequence[Value], length: int) -> Iterator[Sequence[Value]]:
    """values in runs of equal length."""
    return (values[i : i + length] for i in range(0, len(values), length))
