"""Movement ops as arithmetic on views: what can be said by offset and strides costs nothing at run time.

Each function takes a view with its shape and gives the moved view, or None where strides cannot say it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from pyruntime.ir.dims import Dim, divides, product
from pyruntime.ir.views import Guard, Tensor, View

Groups = list[tuple[list[int], list[int]]]


def contiguous_strides(shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """Row-major strides of shape."""
    strides: list[Dim] = []
    step: Dim = 1
    for dim in reversed(shape):
        strides.append(step)
        step = step * dim
    return tuple(reversed(strides))


def ordered_strides(shape: Sequence[Dim], order: Sequence[int]) -> tuple[Dim, ...]:
    """Dense strides for axes stored in `order`, outermost first."""
    strides: list[Dim] = [0] * len(shape)
    step: Dim = 1
    for axis in reversed(order):
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def contiguous(tensor: Tensor, shape: Sequence[Dim]) -> View:
    """The whole tensor, row-major."""
    return View(tensor, 0, contiguous_strides(shape))


def is_contiguous(view: View, shape: Sequence[Dim]) -> bool:
    """Whether view covers its tensor from the start, row-major (strides of size-1 axes do not matter)."""
    if view.guards or view.indirect or view.offset != 0 or view.tensor.elements != product(shape):
        return False
    return is_dense(view, shape)


def is_dense(view: View, shape: Sequence[Dim]) -> bool:
    """Whether the elements lie row-major without gaps, at any offset."""
    steps = contiguous_strides(shape)
    return all(dim == 1 or s == d for dim, s, d in zip(shape, view.strides, steps, strict=True))


def transpose(view: View, perm: Sequence[int]) -> View:
    """Axis i of the result is axis perm[i] of the view."""
    position = {axis: i for i, axis in enumerate(perm)}
    return replace(
        view,
        strides=tuple(view.strides[axis] for axis in perm),
        guards=tuple(replace(g, axis=position[g.axis]) for g in view.guards),
    )


def slice_(view: View, starts: Sequence[Dim], steps: Sequence[Dim]) -> View | None:
    """Every steps[a]-th index from starts[a] on."""
    if any(steps[g.axis] != 1 for g in view.guards):
        return None
    offset = view.offset
    for start, stride in zip(starts, view.strides, strict=True):
        offset = offset + start * stride
    return replace(
        view,
        offset=offset,
        strides=tuple(s * step for s, step in zip(view.strides, steps, strict=True)),
        guards=tuple(
            replace(g, low=g.low - starts[g.axis], high=g.high - starts[g.axis]) for g in view.guards
        ),
    )


def expand(view: View, shape: Sequence[Dim], target: Sequence[Dim]) -> View | None:
    """NumPy broadcast of a view of `shape` to `target`."""
    lead = len(target) - len(shape)
    strides: list[Dim] = [0] * lead
    for old, new, stride in zip(shape, target[lead:], view.strides, strict=True):
        strides.append(stride if old == new else 0)
    if any(shape[g.axis] != target[lead + g.axis] for g in view.guards):
        return None
    guards = tuple(replace(g, axis=g.axis + lead) for g in view.guards)
    return replace(view, strides=tuple(strides), guards=guards)


def factor(old: Sequence[Dim], new: Sequence[Dim]) -> Groups | None:
    """Pairs of runs of axes, old and new, with equal products; None where symbols leave it open.

    Axes of size 1 are in no group unless alone against another 1.
    """
    groups: Groups = []
    a = [i for i, d in enumerate(old) if d != 1]
    b = [i for i, d in enumerate(new) if d != 1]
    while a or b:
        left, right = a[:1], b[:1]
        a, b = a[1:], b[1:]
        while (p := product([old[i] for i in left])) != (q := product([new[i] for i in right])):
            smaller_left = p < q if isinstance(p, int) and isinstance(q, int) else divides(p, q)
            if smaller_left and a:
                left, a = [*left, a[0]], a[1:]
            elif not smaller_left and b:
                right, b = [*right, b[0]], b[1:]
            else:
                return None
        groups.append((left, right))
    return groups


def mergeable(strides: Sequence[Dim], sizes: Sequence[Dim], axes: Sequence[int]) -> bool:
    """Whether adjacent axes can be walked as one."""
    return all(strides[i] == strides[j] * sizes[j] for i, j in itertools.pairwise(axes))


def reshape(view: View, shape: Sequence[Dim], target: Sequence[Dim]) -> View | None:
    """The same elements in the same order under another shape."""
    if 0 in shape:  # nothing to read
        return replace(view, strides=contiguous_strides(target), guards=(), indirect=())
    groups = factor(shape, target)
    if groups is None:  # the products are equal, or there would be no such reshape
        whole = is_dense(view, shape) and not view.guards and not view.indirect
        return replace(view, strides=contiguous_strides(target)) if whole else None
    strides: list[Dim] = [0] * len(target)
    moved: dict[int, int] = {}
    for left, right in groups:
        if not mergeable(view.strides, shape, left):
            return None
        step: Dim = view.strides[left[-1]] if left else 0
        for axis in reversed(right):
            strides[axis] = step
            step = step * target[axis]
        if len(left) == len(right) == 1:
            moved[left[0]] = right[0]
    guards: list[Guard] = []
    for guard in view.guards:
        if guard.axis not in moved:
            return None
        guards.append(replace(guard, axis=moved[guard.axis]))
    return replace(view, strides=tuple(strides), guards=tuple(guards))


def pad(
    view: View, shape: Sequence[Dim], before: Sequence[Dim], after: Sequence[Dim], fill: float | int | bool
) -> View | None:
    """The view with `fill` around it; negative amounts crop."""
    padded = [a for a, (b, e) in enumerate(zip(before, after, strict=True)) if b != 0 or e != 0]
    if (view.guards or view.indirect) and view.fill != fill:
        return None
    if any(g.axis in padded for g in view.guards):
        return None
    offset = view.offset
    guards = [replace(g) for g in view.guards]
    for axis in padded:
        offset = offset - before[axis] * view.strides[axis]
        guards.append(Guard(axis, before[axis], before[axis] + shape[axis]))
    return replace(view, offset=offset, guards=tuple(guards), fill=fill)
