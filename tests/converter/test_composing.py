"""Views through what a call stores, against NumPy's indexing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pyruntime_converter.lowering.views import contiguous_strides
from pyruntime_converter.targets.composing import Composition, composed

from pyruntime.ir.dims import Dim, product, symbol
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Map
from pyruntime.ir.scalar import Load
from pyruntime.ir.symbols import evaluate
from pyruntime.ir.views import Guard, Tensor, View
from pyruntime.ops.iteration import Run

Integers = NDArray[np.int64]
SIZES = (1, 1, 2, 3, 4, 5, 6)
ROOM = 12  # elements of a tensor before those that are stored, and behind


def stored(pick: np.random.Generator) -> Map:
    """A call of random axes that stores them in some order, to a part of a tensor."""
    sizes = tuple(map(int, pick.choice(SIZES, pick.integers(1, 5))))
    strides, step = [0] * len(sizes), 1
    for axis in pick.permutation(len(sizes)):
        strides[axis], step = step, step * sizes[axis]
    offset = int(pick.integers(2)) * ROOM
    output = View(Tensor("made", DType.I64, step + 2 * ROOM), offset, tuple(strides))
    inputs = [operand(pick, sizes) for _ in range(2)]
    return Map(name="map", inputs=tuple(inputs), output=output, sizes=sizes, body=Load(DType.I64, 0))


def operand(pick: np.random.Generator, sizes: Sequence[int]) -> View:
    """A view of what the call reads, perhaps valid along a part of an axis alone."""
    strides = tuple(int(s) for s in pick.choice((0, 1, 2, 7), len(sizes)))
    elements = 3 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    axis = int(pick.integers(len(sizes)))
    guards = (Guard(axis, 1, sizes[axis]),) if pick.random() < 0.3 else ()
    return View(Tensor("read", DType.I64, elements), 2, strides, guards, fill=-1)


def seen(pick: np.random.Generator, view: Integers) -> Integers:
    """A view of what is stored, as a reader may have it: parts, axes in two or as one, turned, or again."""
    for _ in range(pick.integers(1, 5)):
        axis = int(pick.integers(view.ndim))
        size = view.shape[axis]
        match pick.integers(5):
            case 0:
                inner = int(pick.choice([d for d in range(1, size + 1) if size % d == 0]))
                made = view.reshape(*view.shape[:axis], size // inner, inner, *view.shape[axis + 1 :])
            case 1:
                made = view.reshape(-1, *view.shape[2:])
            case 2:
                made = view.transpose(pick.permutation(view.ndim))
            case 3:
                first, step = int(pick.integers(size)), int(pick.integers(1, 4))
                made = view.swapaxes(0, axis)[first::step].swapaxes(0, axis)
            case _:
                made = np.broadcast_to(view, (3, *view.shape))
        if np.shares_memory(made, view):  # else NumPy had to copy it
            view = made
    return view


def view_of(array: Integers, call: Map) -> View:
    """What NumPy's view reads of all that the call stores, which begins at element 0 of its memory."""
    strides = tuple(s // array.itemsize for s in array.strides)
    return View(call.output.tensor, call.output.offset + int(array.min()), strides)


def check(call: Map, view: View, sizes: Sequence[Dim], **symbols: int) -> Composition | None:
    """Whatever is found must read what the call stores, operand by operand."""
    found = Composition.of(view, sizes, call)
    views = None if found is None else found.over(call.inputs)
    if found is None or views is None:
        return None
    tensors = [call.output.tensor, *(v.tensor for v in call.inputs)]
    memory = {t: np.arange(evaluate(t.elements, symbols)) + 1000 * n for n, t in enumerate(tensors)}
    run = Run(call, memory, symbols)
    for own, each in zip(call.inputs, views, strict=True):
        run.store(call.output, run.dims(call.sizes), run.load(own, run.dims(call.sizes)))
        through = run.load(each, run.dims(found.sizes)).reshape(run.dims(sizes))
        np.testing.assert_array_equal(through, run.load(view, run.dims(sizes)))
    return found


def along_single_axes(points: Integers) -> bool:
    """Whether each axis of a reader moves along one axis of the points [..., axes], in equal steps."""
    for axis in range(points.ndim - 1):
        steps = np.diff(points, axis=axis).reshape(-1, points.shape[-1])
        if len(steps) and (np.any(steps != steps[0]) or np.count_nonzero(steps[0]) > 1):
            return False
    return True


@pytest.mark.parametrize("seed", range(5))
def test_random_views(seed: int) -> None:
    """What is found is right, and all is that steps along single axes say."""
    pick, counts = np.random.default_rng(seed), {True: 0, False: 0}
    for _ in range(80):
        call = stored(pick)
        sizes = Run(call, {}, {}).dims(call.sizes)
        elements = np.arange(np.prod(sizes))
        where = Run(call, {call.output.tensor: elements}, {}).load(replace(call.output, offset=0), sizes)
        points = np.empty((len(elements), len(sizes)), np.int64)  # of each element, which it stores
        points[where] = np.moveaxis(np.indices(sizes), 0, -1)
        array = seen(pick, elements)
        view = view_of(array, call)
        found = check(call, view, array.shape)
        first = points[array.min()]
        if along_single_axes(points[array]) and np.count_nonzero(first) < 2:
            whole = Composition.of(view, array.shape, call)
            assert whole is not None, (call, view, array.shape)
            assert all(len(p) == 1 for p in whole.parts)
            assert whole.start == tuple(first)
        counts[found is not None] += 1
    assert min(counts.values()) > 10


N, M = symbol("n"), symbol("m", (0, None))


def rows(*sizes: Dim) -> Map:
    """A call that stores what it reads, row by row."""
    return stored_as(sizes, contiguous_strides(sizes))


def stored_as(sizes: Sequence[Dim], strides: Sequence[Dim]) -> Map:
    """The same in another order."""
    elements = product(sizes)
    read = View(Tensor("read", DType.I64, elements), 0, tuple(strides))
    output = View(Tensor("made", DType.I64, elements), 0, tuple(strides))
    return Map(name="map", inputs=(read,), output=output, sizes=tuple(sizes), body=Load(DType.I64, 0))


@pytest.mark.parametrize(
    ("call", "sizes", "strides", "parts"),
    [
        pytest.param(rows(N * M, 12), [N, M, 12], [M * 12, 12, 1], [1, 1, 1], id="parts"),
        pytest.param(rows(N, M, 3, 4), [N * M, 12], [12, 1], [2, 2], id="several"),
        pytest.param(stored_as([N, M, 7], [7, N * 7, 1]), [M, N * 7], [N * 7, 1], [1, 2], id="turned"),
        pytest.param(rows(N * M), [N, 5, M], [M, 0, 1], [1, 1, 1], id="again"),
        pytest.param(rows(M, 3), [M, 1], [3, 1], [1, 1], id="first column"),
    ],
)
def test_symbols(call: Map, sizes: Sequence[Dim], strides: Sequence[Dim], parts: Sequence[int]) -> None:
    view = View(call.output.tensor, 0, tuple(strides))
    for n, m in ((1, 1), (3, 5), (2, 7), (3, 0)):
        found = check(call, view, sizes, n=n, m=m)
        assert found is not None
        assert [len(p) for p in found.parts] == parts
    assert (composed(view, sizes, call) is None) == (max(parts) > 1)


@pytest.mark.parametrize(
    ("call", "sizes", "strides"),
    [
        pytest.param(rows(4, 6), [3, 8], [8, 1], id="rows of other lengths"),
        pytest.param(rows(4, 6), [2, 5], [1, 5], id="carries over together"),
        pytest.param(rows(4, 6), [4], [7], id="diagonal"),
        pytest.param(rows(N, M), [M, N], [N, 1], id="unknown"),
        pytest.param(rows(N, 6), [M], [6], id="maybe longer"),
    ],
)
def test_what_strides_cannot_say(call: Map, sizes: Sequence[Dim], strides: Sequence[Dim]) -> None:
    assert Composition.of(View(call.output.tensor, 0, tuple(strides)), sizes, call) is None


def test_guards_hold_for_single_parts() -> None:
    """Where an axis of the call is walked in several steps, or not at all, none is the guard's."""
    call = rows(6, 5)
    guarded = replace(call.inputs[0], guards=(Guard(0, 1, 4),))

    def over(sizes: Sequence[int], *strides: int, offset: int = 0) -> list[View] | None:
        found = Composition.of(View(call.output.tensor, offset, strides), sizes, call)
        assert found is not None
        return found.over([guarded])

    assert over([2, 3, 5], 15, 5, 1) is None
    assert over([3, 5], 10, 1) is None
    assert over([5], 1) is None
    moved = replace(guarded, offset=10, strides=(1, 5), guards=(Guard(1, -1, 2),))
    assert over([5, 4], 1, 5, offset=10) == [moved]
