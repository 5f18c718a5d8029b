"""Inputs of convolutions that are spread out by zeros, and the taps that phases of the output meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.graph import Node, Value
from pyruntime.ops.builder import Builder
from pyruntime_converter.passes.patterns import made_by

# convolutions that one may become: each reads the input again, and is a dispatch of its own on a GPU
MOST_PARTS = 16


@dataclass(frozen=True)
class Block:
    """Phases of an axis that follow each other and read the same places of the input.

    Attributes:
        first: for each phase the first tap that it meets.
        taps: how many each of them meets.
        offset: where in the input the first of these lies for the first output of a phase.
    """

    first: tuple[int, ...]
    taps: int
    offset: int

    @property
    def phases(self) -> int:
        """How many there are."""
        return len(self.first)


@dataclass(frozen=True)
class Axis:
    """An axis of a convolution at stride 1 of an input with stride - 1 zeros between its elements.

    Outputs that are `stride` apart are a phase.

    Attributes:
        stride: how far from one element of the input to the next.
        kernel, dilation: of the convolution.
        before: zeros before the first element; negative where elements are cut off.
        size: of the input, without zeros.
        beyond: how many outputs there are beyond stride for each element.
        skipped: how many outputs before the first one that is wanted the phases begin.
    """

    stride: int
    kernel: int
    dilation: int
    before: int
    size: Dim
    beyond: int
    skipped: int = 0

    @property
    def output(self) -> Dim:
        """The outputs that are wanted."""
        return self.size * self.stride + self.beyond

    @property
    def rows(self) -> Dim:
        """The outputs of each phase."""
        return self.size + self._growth

    @property
    def _growth(self) -> int:
        return -(-(self.beyond + self.skipped) // self.stride)

    @property
    def step(self) -> int:
        """How far from one tap that a phase meets to the next."""
        return self.stride // math.gcd(self.stride, self.dilation)

    @property
    def spacing(self) -> int:
        """How far apart these taps lie in the input: the dilation of a phase's convolution."""
        return self.dilation // math.gcd(self.stride, self.dilation)

    @property
    def exact(self) -> bool:
        """Whether the phases give what is wanted and no more."""
        return self.rows * self.stride == self.output

    def pads(self, block: Block) -> tuple[int, int]:
        """Zeros before and after the input of a block's convolution; negative where elements are cut off."""
        return -block.offset, self._growth + block.offset + self.spacing * (block.taps - 1)

    def blocks(self, *, together: bool) -> tuple[Block, ...]:
        """All phases in order, each alone or, `together`, with those beside it that read the same places."""
        found: list[Block] = []
        for phase in range(self.stride):
            block = self._phase(phase)
            if together and found and (found[-1].taps, found[-1].offset) == (block.taps, block.offset):
                found[-1] = replace(block, first=(*found[-1].first, *block.first))
            else:
                found.append(block)
        return tuple(found)

    def _phase(self, phase: int) -> Block:
        """Tap k meets an element where it lies a multiple of the stride from the first one."""
        place, common = phase - self.skipped - self.before, math.gcd(self.stride, self.dilation)
        if place % common:
            return Block((0,), 0, 0)
        first = -(place // common) * pow(self.spacing, -1, self.step) % self.step
        taps = -(-(self.kernel - first) // self.step)
        if taps <= 0:
            return Block((0,), 0, 0)
        return Block((first,), taps, (place + first * self.dilation) // self.stride)


@dataclass(frozen=True)
class Plan:
    """What a convolution becomes: one for each of the product of the axes' blocks."""

    axes: tuple[Axis, ...]
    blocks: tuple[tuple[Block, ...], ...]

    @property
    def parts(self) -> int:
        """How many convolutions there are."""
        return math.prod(map(len, self.blocks))

    @property
    def fits(self) -> bool:
        """Whether something of the input is left for each of them, whatever its size."""
        for axis, blocks in zip(self.axes, self.blocks, strict=True):
            for block in blocks:
                cut = sum(max(0, -amount) for amount in axis.pads(block)) if block.taps else 0
                if cut and not at_least(axis.size - cut, 1):
                    return False
        return True


def choose(axes: Sequence[Axis], group: int) -> Plan | None:
    """How to split a convolution into phases; None where it takes too many.

    Phases take no more multiplications than what they replace, and no memory that is mostly zeros; what
    counts is how often the input is read. Phases of the last axis are channels beside each other, since they
    lie so in memory. Each phase of the others has a convolution of its own, which stores to its rows; so has
    each phase in groups, whose channels would lie between phases, and a filter for each channel stays such.
    Where these are too many, phases of all axes are channels, and a copy brings them to their places.
    """
    *lead, last = axes
    rows = [(a, a.blocks(together=False)) for a in lead]
    columns = _together(last) if group == 1 else (last, last.blocks(together=False))
    for ways in ((*rows, columns), tuple(map(_together, axes))):
        plan = Plan(tuple(a for a, _ in ways), tuple(b for _, b in ways))
        if plan.parts <= MOST_PARTS and plan.fits:
            return plan
    return None


def _together(axis: Axis) -> tuple[Axis, tuple[Block, ...]]:
    """The axis with as few blocks as can be: its phases begin where they are wanted or, for fewer, before."""
    earlier = replace(axis, skipped=(-axis.before - 1) % axis.stride)
    ways = [(a, a.blocks(together=True)) for a in (axis, earlier)]
    return min(ways, key=lambda way: (len(way[1]), not way[0].exact))


def dilated_source(builder: Builder, conv: Node) -> tuple[Value, tuple[Axis, ...]] | None:
    """What a convolution at stride 1 reads without zeros between its elements; None where there are none.

    Zeros are what a Pad adds behind each element, on an axis that a Reshape then merges. Around them, slices
    may cut off elements, or zeros, and pads add zeros.
    """
    x, weight, rank = conv.input(0), conv.input(1), conv.input(0).rank - 2
    edges = kept = _Edges([*conv.attrs["pads"]], [0] * (2 * rank))
    strides, source = [1] * rank, x
    while True:
        spread, outer = _spread(builder, source), edges.around(source, strides)
        if spread is not None and strides[spread[0]] == 1:
            axis, stride, x = spread
            strides[axis], source, kept = stride, x, edges
        elif outer is not None:
            edges, source = outer
        else:
            break
    if all(stride == 1 for stride in strides):
        return None
    axes = []
    for a in range(rank):
        before, beyond = kept.before(a, strides[a]), conv.output.shape[a + 2] - x.shape[a + 2] * strides[a]
        kernel = weight.shape[a + 2]
        if before is None or not isinstance(beyond, int) or not isinstance(kernel, int):
            return None
        axes.append(Axis(strides[a], kernel, conv.attrs["dilations"][a], before, x.shape[a + 2], beyond))
    return x, tuple(axes)


@dataclass(frozen=True)
class _Edges:
    """Zeros added at the begins and ends of the spatial axes, and elements cut off inside of these."""

    added: Sequence[Dim]
    cut: Sequence[int]

    def around(self, x: Value, strides: Sequence[int]) -> tuple[_Edges, Value] | None:
        """The same around what x is a constant Pad or a Slice of, along axes where no zeros were found."""
        rank = len(strides)
        pad, part = _zeros(x), made_by(x, "Slice")
        if pad is not None:
            before, after, source = pad.attrs["before"], pad.attrs["after"], pad.input(0)
        elif part is not None and all(s == 1 for s in part.attrs["steps"]):
            source, before = part.input(0), part.attrs["starts"]
            after = [d - s - n for d, s, n in zip(source.shape, before, x.shape, strict=True)]
        else:
            return None
        amounts = (*before[2:], *after[2:])
        known = [d for d in amounts if isinstance(d, int) and d >= 0]
        if any(d != 0 for d in (*before[:2], *after[:2])) or len(known) != len(amounts):
            return None
        moved = [a for a, amount in enumerate(known) if amount]
        if any(strides[a % rank] != 1 for a in moved) or (
            pad is not None and any(self.cut[a] for a in moved)
        ):
            return None
        if pad is not None:
            return replace(self, added=[d + k for d, k in zip(self.added, known, strict=True)]), source
        return replace(self, cut=[c + k for c, k in zip(self.cut, known, strict=True)]), source

    def before(self, axis: int, stride: int) -> int | None:
        """Zeros before an axis, less what is cut off; None where zeros stand in place of elements."""
        end = axis + len(self.added) // 2
        added, after = self.added[axis], self.added[end]
        if not isinstance(added, int) or not isinstance(after, int) or min(added, after) < 0:
            return None
        if (added and self.cut[axis]) or (after and self.cut[end] >= stride):
            return None
        return added - self.cut[axis]


def _zeros(value: Value) -> Node | None:
    """The Pad with zeros that makes a value, if one does."""
    pad = made_by(value, "Pad")
    zeros = pad is not None and pad.attrs["mode"] == "constant" and pad.attrs["value"] == 0
    return pad if zeros else None


def _spread(builder: Builder, x: Value) -> tuple[int, int, Value] | None:
    """The spatial axis along which zeros follow each element of a value, how far these are apart, and it."""
    reshape = made_by(x, "Reshape")
    pad = None if reshape is None else _zeros(reshape.input(0))
    if pad is None:
        return None
    apart, after = pad.input(0), pad.attrs["after"]
    grown = [a for a, amount in enumerate(after) if amount != 0]
    if len(grown) != 1 or any(amount != 0 for amount in pad.attrs["before"]):
        return None
    inner = grown[0]
    zeros = after[inner]
    if inner < 3 or apart.shape[inner] != 1 or not isinstance(zeros, int) or zeros < 0:
        return None
    shape = (*apart.shape[:inner], *apart.shape[inner + 1 :])
    if x.shape != tuple(d * (zeros + 1) if a == inner - 1 else d for a, d in enumerate(shape)):
        return None
    split = made_by(apart, "Reshape")
    same = split is not None and split.input(0).shape == shape
    source = split.input(0) if split is not None and same else builder.one("Reshape", apart, shape=shape)
    return inner - 3, zeros + 1, source
