"""Iteration spaces of kernel calls: axes in storage order, without size-1 axes, adjacent ones merged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pyruntime_converter.lowering import views

from pyruntime.ir.dims import Dim, at_least
from pyruntime.ir.scalar import Const, Index, Scalar, transform
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import View


@dataclass
class Space:
    """Sizes with the views and trees that run over them."""

    sizes: list[Dim]
    views: list[View]
    trees: list[Scalar]

    def permute(self, order: Sequence[int]) -> None:
        """Put the axes in another order."""
        position = {axis: i for i, axis in enumerate(order)}
        self.sizes = [self.sizes[a] for a in order]
        self.views = [views.transpose(v, order) for v in self.views]
        self._index(lambda n: replace(n, axis=position[n.axis]))

    def merge(self, first: int, last: int) -> None:
        """Drop axes of size 1 in [first, last) and merge neighbours that all views walk as one."""
        indexed = self.indexed()
        axis = first
        while axis < last:
            if self.sizes[axis] == 1 and axis not in {g.axis for v in self.views for g in v.guards}:
                self._drop(axis)
                last -= 1
                indexed = self.indexed()
            elif axis + 1 < last and not indexed & {axis, axis + 1} and self._mergeable(axis):
                self.sizes[axis + 1] = self.sizes[axis] * self.sizes[axis + 1]
                self._remove(axis)
                last -= 1
                indexed = self.indexed()
            else:
                axis += 1
                continue
            axis = max(first, axis - 1)

    def indexed(self) -> set[int]:
        """Axes whose index a tree or a guard needs."""
        found: set[int] = {g.axis for v in self.views for g in v.guards}

        def note(node: Scalar) -> Scalar:
            if isinstance(node, Index):
                found.add(node.axis)
            return node

        for tree in self.trees:
            transform(tree, note)
        return found

    def _mergeable(self, axis: int) -> bool:
        return all(views.mergeable(v.strides, self.sizes, (axis, axis + 1)) for v in self.views)

    def _drop(self, axis: int) -> None:
        self.trees = [
            transform(t, lambda n: Const(n.dtype, 0) if isinstance(n, Index) and n.axis == axis else n)
            for t in self.trees
        ]
        self._remove(axis)

    def _remove(self, axis: int) -> None:
        del self.sizes[axis]

        def without(view: View) -> View:
            strides = (*view.strides[:axis], *view.strides[axis + 1 :])
            guards = tuple(replace(g, axis=g.axis - (g.axis > axis)) for g in view.guards)
            return replace(view, strides=strides, guards=guards)

        self.views = [without(v) for v in self.views]
        self._index(lambda n: replace(n, axis=n.axis - (n.axis > axis)))

    def _index(self, change: Callable[[Index], Index]) -> None:
        self.trees = [transform(t, lambda n: change(n) if isinstance(n, Index) else n) for t in self.trees]


def storage_order(shape: Sequence[Dim], leaves: Sequence[View]) -> list[int]:
    """Axes from largest to smallest stride of the view that covers most of shape; row-major if in doubt."""
    return told_order(shape, leaves) or list(range(len(shape)))


def grouped_order(shape: Sequence[Dim], target: Sequence[Dim], leaves: Sequence[View]) -> list[int]:
    """Axes in which to store what is to be seen as target: as the leaves lie, as far as strides can say it.

    Axes that target has as one stay together. Row-major if in doubt.
    """
    plain = list(range(len(shape)))
    groups = views.factor(shape, target)
    best = max(leaves, key=lambda v: sum(s != 0 for s in v.strides), default=None)
    if groups is None or best is None:
        return plain
    walked = [1 if stride == 0 else size for size, stride in zip(shape, best.strides, strict=True)]
    order = told_order(walked, [best])
    if order is None:
        return plain
    place = {axis: i for i, axis in enumerate(order) if walked[axis] != 1}
    runs = sorted((run for run, _ in groups), key=lambda run: max(place.get(a, -1) for a in run))
    grouped = [axis for run in runs for axis in run]
    return [a for a in plain if a not in grouped] + grouped


def told_order(shape: Sequence[Dim], leaves: Sequence[View]) -> list[int] | None:
    """As `storage_order`; None where no view covers all of shape in an order."""
    plain = list(range(len(shape)))
    wide = [a for a in plain if shape[a] != 1]

    def coverage(view: View) -> int:
        return sum(view.strides[a] != 0 for a in wide)

    best = max((v for v in leaves if not v.indirect), key=coverage, default=None)
    if best is None or coverage(best) < len(wide) or any(isinstance(s, int) and s < 0 for s in best.strides):
        return None
    order: list[int] = []
    strides = [occupied(s) for s in best.strides]
    for axis in wide:
        # insertion sort: strides with symbols have no total order
        place = next((i for i, o in enumerate(order) if not at_least(strides[o], strides[axis])), len(order))
        order.insert(place, axis)
    if any(not at_least(strides[a], strides[b]) for a, b in itertools.pairwise(order)):
        return None
    return [a for a in plain if a not in wide] + order
