"""Views through what a call stores: where a reader of its result finds what the elements were made of.

A call stores its points to a tensor by an offset and a stride for each of its axes, and a reader walks
through it by strides along axes of its own. Where each of these, or each of a few parts of it, steps along
one axis of the call, the call's operands are views over the reader's axes, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from pyruntime.ir.dims import Dim, at_least, divides, floordiv
from pyruntime.ir.kernel import Map, Row
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import Guard, View


class Part(NamedTuple):
    """`size` indices of a reader's axis, each `step` further along an axis of the call, or along none."""

    size: Dim
    axis: int | None = None
    step: Dim = 0


class _Axis(NamedTuple):
    """An axis of the call that is longer than one point, and how it is stored."""

    number: int
    size: Dim
    stride: Dim


@dataclass(frozen=True)
class Composition:
    """How a reader walks through the points of a call.

    Attributes:
        parts: what each of the reader's axes is made of, outermost first; of one part at least.
        start: the first point that it reads.
    """

    parts: tuple[tuple[Part, ...], ...]
    start: tuple[Dim, ...]

    @staticmethod
    def of(view: View, sizes: Sequence[Dim], call: Map | Row) -> Composition | None:
        """For a `view` over `sizes` of the tensor to which `call` stores all its points, each to one element.

        All that is read must have been stored. None where steps along axes cannot say it.
        """
        output = call.output
        if any(v.guards or v.indirect for v in (view, output)):
            return None
        stored = zip(call.sizes, output.strides, strict=True)
        axes = [_Axis(a, size, stride) for a, (size, stride) in enumerate(stored) if size != 1]
        # the offset as one more axis, of which the second index alone is read
        walked = [(2, view.offset - output.offset), *zip(sizes, view.strides, strict=True)]
        parts = [_parts(size, stride, axes) for size, stride in walked]
        known = [found for found in parts if found is not None]
        if len(known) < len(parts) or not all(_within([*chain(*known)], a, axes) for a in axes):
            return None
        first, *others = known
        steps = {p.axis: p.step for p in first}
        return Composition(tuple(others), tuple(steps.get(a, 0) for a in range(len(call.sizes))))

    @property
    def sizes(self) -> list[Dim]:
        """The sizes of all parts."""
        return [p.size for p in chain(*self.parts)]

    def over(self, operands: Sequence[View]) -> list[View] | None:
        """The call's operands over all parts; None where guards do not hold for some indices of one part."""
        made = [self._over(v) for v in operands]
        found = [v for v in made if v is not None]
        return found if len(found) == len(made) else None

    def _over(self, view: View) -> View | None:
        parts = [*chain(*self.parts)]
        guards: list[Guard] = []
        for guard in view.guards:
            places = [n for n, p in enumerate(parts) if p.axis == guard.axis]
            if len(places) != 1 or parts[places[0]].step != 1:
                return None
            first = self.start[guard.axis]
            guards.append(Guard(places[0], guard.low - first, guard.high - first))
        offset = view.offset
        for stride, index in zip(view.strides, self.start, strict=True):
            offset = offset + stride * index
        strides = tuple(0 if p.axis is None else view.strides[p.axis] * p.step for p in parts)
        return replace(view, offset=offset, strides=strides, guards=tuple(guards))


def composed(view: View, sizes: Sequence[Dim], call: Map | Row) -> list[View] | None:
    """The operands of `call` over `sizes`, where `view` reads what it stores; None where strides cannot."""
    found = Composition.of(view, sizes, call)
    return found.over(call.inputs) if found and all(len(p) == 1 for p in found.parts) else None


def _parts(size: Dim, stride: Dim, axes: Sequence[_Axis]) -> tuple[Part, ...] | None:
    """What an axis of a reader is made of; None where steps along the call's axes cannot say it."""
    if size == 1 or stride == 0:
        return (Part(size),)
    found: list[Part] = []
    while not found or found[0].size != size:
        if found:
            size, stride = floordiv(size, found[0].size), stride * found[0].size
        part = next(_candidates(size, stride, axes), None)
        if part is None:
            return None
        found.insert(0, part)
    return tuple(found)


def _candidates(size: Dim, stride: Dim, axes: Sequence[_Axis]) -> Iterator[Part]:
    """The innermost part of an axis: all of it, or else what reaches to the end of an axis of the call.

    Each element is that of one point, so that there are no two ways.
    """
    steps = [(a, floordiv(stride, a.stride)) for a in axes if divides(a.stride, stride)]
    steps = [(a, step) for a, step in steps if len(axes) == 1 or at_least(step, 0)]
    for axis, step in steps:
        part = Part(size, axis.number, step)
        if _within([part], axis, axes):
            yield part
    for axis, step in steps:
        count = floordiv(axis.size, step) if divides(step, axis.size) else 1
        if count != 1 and divides(count, size):
            yield Part(count, axis.number, step)


def _within(parts: Sequence[Part], axis: _Axis, axes: Sequence[_Axis]) -> bool:
    """Whether parts along an axis stay within it together, so that none carries over to another one."""
    along = [p for p in parts if p.axis == axis.number]
    if len(axes) == 1 or not along:  # there is nothing but a single axis to read from
        return True
    last = sum(((p.size - 1) * p.step for p in along), start=0)
    return at_least(occupied(axis.size - 1), occupied(last)) or (
        len(along) == 1 and divides(along[0].size * along[0].step, axis.size)
    )
