"""Executes kernel calls with NumPy: the reference that kernels on every target are compared with.

Plain and checked rather than fast: reads and writes outside a tensor raise, memory that nothing wrote holds
poison, and sums are taken in float64 before they are rounded to the accumulator's dtype.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from pyruntime.ir.dims import Dim
from pyruntime.ir.dims import evaluate as value_of
from pyruntime.ir.kernel import (
    Attention,
    Conv,
    Cumulate,
    KernelCall,
    Map,
    MatMul,
    Phase,
    Pool,
    Recurrence,
    Row,
    Scatter,
    Sort,
    Suppression,
    Tensor,
    View,
    Window,
)
from pyruntime.ir.program import Jump, Program, Read, Set, Step
from pyruntime.ir.scalar import Load, Scalar, walk
from pyruntime.ops.detection import corners, suppress
from pyruntime.ops.evaluate import convert, evaluate
from pyruntime.ops.layouts import panel_elements, quad_elements, unpack_panels, unpack_tap_quads
from pyruntime.ops.order import argsort

Array = NDArray[Any]
Memory = MutableMapping[Tensor, Array]
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class _Run:
    """One call being executed: its memory and the symbols' values."""

    call: KernelCall
    memory: Memory
    symbols: Mapping[str, int]

    def dim(self, dim: Dim) -> int:
        return value_of(dim, self.symbols)

    def dims(self, dims: Sequence[Dim]) -> Sizes:
        return tuple(self.dim(d) for d in dims)

    def box(self, view: View, sizes: Sizes) -> tuple[slice, ...]:
        """The part of the iteration space where all guards of the view hold."""
        low, high = [0] * len(sizes), list(sizes)
        for guard in view.guards:
            low[guard.axis] = max(low[guard.axis], self.dim(guard.low))
            high[guard.axis] = min(high[guard.axis], self.dim(guard.high))
        return tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))

    def window(self, view: View, sizes: Sizes, box: tuple[slice, ...]) -> Array:
        """A writable array onto the memory that the view names inside the box."""
        flat, strides = self.memory[view.tensor], self.dims(view.strides)
        assert len(strides) == len(sizes), f"{self.call.name}: {len(strides)} strides over {sizes}"
        start = self.dim(view.offset) + sum(s * b.start for s, b in zip(strides, box, strict=True))
        shape = tuple(b.stop - b.start for b in box)
        if 0 in shape:
            return np.empty(shape, flat.dtype)
        reach = [s * (n - 1) for s, n in zip(strides, shape, strict=True)]
        first, last = start + sum(min(r, 0) for r in reach), start + sum(max(r, 0) for r in reach)
        assert 0 <= first <= last < len(flat), (
            f"{self.call.name}: elements {first} to {last} of {view.tensor.name}, which has {len(flat)}"
        )
        return as_strided(flat[start:], shape, [s * flat.itemsize for s in strides])

    def positions(self, view: View, sizes: Sizes) -> tuple[Array, Array]:
        """Element positions of an indirect view over the iteration space, and where they are valid."""
        axes = index_arrays(sizes)
        valid = np.ones(sizes, bool)
        for guard in view.guards:
            valid &= (axes[guard.axis] >= self.dim(guard.low)) & (axes[guard.axis] < self.dim(guard.high))
        position = np.full(sizes, self.dim(view.offset), np.int64)
        for axis, stride in zip(axes, self.dims(view.strides), strict=True):
            position += axis * stride
        for term in view.indirect:
            index = self.load(self.call.inputs[term.operand], sizes).astype(np.int64)
            size = self.dim(term.size)
            index = np.where(index < 0, index + size, index) if term.wrap else index
            valid &= (index >= 0) & (index < size)
            position += index * self.dim(term.stride)
        length = len(self.memory[view.tensor])
        outside = valid & ((position < 0) | (position >= length))
        assert not outside.any(), (
            f"{self.call.name}: {view.tensor.name} has {length} elements, reached beyond"
        )
        return position, valid

    def load(self, view: View, sizes: Sizes) -> Array:
        """The view's elements over the iteration space, shape `sizes`; fill where it is not valid."""
        dtype = self.memory[view.tensor].dtype
        if view.indirect:
            position, valid = self.positions(view, sizes)
            result = np.full(sizes, view.fill, dtype)
            result[valid] = self.memory[view.tensor][position[valid]]
            return result
        box = self.box(view, sizes)
        inside = self.window(view, sizes, box)
        if inside.shape == sizes:
            return inside
        result = np.full(sizes, view.fill, dtype)
        result[box] = inside
        return result

    def store(self, view: View, sizes: Sizes, values: Array) -> None:
        """Write values (broadcast to `sizes`) where the view is valid."""
        expected = np.dtype(view.tensor.dtype.value)
        assert values.dtype == expected, f"{self.call.name}: {values.dtype} into {expected}"
        values = np.broadcast_to(values, sizes).copy()  # the values may lie in the memory being written
        if view.indirect:
            position, valid = self.positions(view, sizes)
            self.memory[view.tensor][position[valid]] = values[valid]
        else:
            box = self.box(view, sizes)
            self.window(view, sizes, box)[...] = values[box]

    def tree(self, tree: Scalar, sizes: Sizes, acc: Sequence[Array] = ()) -> Array:
        """A tree over an iteration space; only operands that it loads are read."""
        used = {node.operand for node in walk(tree) if isinstance(node, Load)}
        operands = [self.load(v, sizes) if i in used else None for i, v in enumerate(self.call.inputs)]
        return evaluate(
            tree, operands, index=index_arrays(sizes), acc=acc, sizes=self.dims(self.call.size_values)
        )

    def finish(self, tree: Scalar, sizes: Sizes, acc: Sequence[Array] = ()) -> None:
        """Evaluate the body and store it over the iteration space."""
        self.store(self.call.output, sizes, self.tree(tree, sizes, acc))


def index_arrays(sizes: Sizes) -> list[Array]:
    """For each axis its index, shaped to broadcast over the iteration space."""
    return [
        np.arange(n).reshape([n if a == axis else 1 for a in range(len(sizes))])
        for axis, n in enumerate(sizes)
    ]


def _wide(array: Array) -> Array:
    """The array in the type that sums are taken in."""
    return array.astype(np.float64 if array.dtype.kind == "f" else np.int64)


def _map(run: _Run, call: Map) -> None:
    run.finish(call.body, run.dims(call.sizes))


def _scatter(run: _Run, call: Scatter) -> None:
    sizes, flat = run.dims(call.sizes), run.memory[call.output.tensor]
    position, valid = run.positions(call.output, sizes)
    for point in np.ndindex(sizes[: call.ordered]):
        reached = position[point], valid[point]
        acc = np.zeros(sizes, flat.dtype)
        acc[point] = np.where(reached[1], flat[np.where(reached[1], reached[0], 0)], 0)
        made = np.broadcast_to(run.tree(call.body, sizes, [acc]), sizes)[point]
        assert made.dtype == flat.dtype, f"{call.name}: {made.dtype} into {flat.dtype}"
        flat[reached[0][reached[1]]] = made[reached[1]]


def identity(combine: str, dtype: np.dtype[Any]) -> Any:
    """What a reduction over nothing gives."""
    if combine in ("sum", "or"):
        return dtype.type(0)
    if combine in ("prod", "and"):
        return dtype.type(1)
    if dtype.kind == "f":
        return dtype.type(np.inf if combine == "min" else -np.inf)
    if dtype.kind == "b":
        return dtype.type(combine == "min")
    limits = np.iinfo(dtype)
    return dtype.type(limits.max if combine == "min" else limits.min)


_COMBINE: Mapping[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.logical_and,
    "or": np.logical_or,
}


def _row(run: _Run, call: Row) -> None:
    sizes = run.dims(call.sizes)
    outer = len(sizes) - call.reduced
    axes = tuple(range(outer, len(sizes)))
    acc: list[Array] = []
    for reduction in call.reductions:
        values = np.broadcast_to(run.tree(reduction.body, sizes, acc), sizes)
        narrow = values.dtype if values.dtype != np.float16 else np.dtype(np.float32)
        if values.dtype.kind == "f":
            values = values.astype(np.float64)
        result = _COMBINE[reduction.combine].reduce(
            values,
            axis=axes,
            dtype=values.dtype,
            keepdims=True,
            initial=identity(reduction.combine, values.dtype),
        )
        with np.errstate(over="ignore"):
            acc.append(np.asarray(result).astype(narrow))
    run.finish(call.body, sizes if call.elementwise else (*sizes[:outer], *(1 for _ in axes)), acc)


def _cumulate(run: _Run, call: Cumulate) -> None:
    sizes = run.dims(call.sizes)
    values = np.broadcast_to(run.tree(call.value, sizes), sizes)
    start = np.full((*sizes[:-1], 1), identity(call.combine, values.dtype), _wide(values).dtype)
    terms = np.flip(_wide(values), -1) if call.reverse else _wide(values)
    with np.errstate(all="ignore"):
        ufunc = _COMBINE[call.combine]
        acc = ufunc.accumulate(np.concatenate([start, terms], axis=-1), axis=-1, dtype=start.dtype)
    acc = acc[..., :-1] if call.exclusive else acc[..., 1:]
    run.finish(call.body, sizes, [_narrow(np.flip(acc, -1) if call.reverse else acc, values.dtype)])


def _matmul(run: _Run, call: MatMul) -> None:
    batch, (m, n, k) = run.dims(call.batch), run.dims((call.m, call.n, call.k))
    a = run.load(call.a, (*batch, m, k))
    if call.panels:
        flat = run.memory[call.b.tensor][run.dim(call.b.offset) :]
        b = (
            unpack_tap_quads(flat, 1, k, n, call.panels)[0]
            if call.exact
            else unpack_panels(flat, k, n, call.panels)
        )
    else:
        b = run.load(call.b, (*batch, k, n))
    with np.errstate(all="ignore"):
        acc = _narrow(_wide(a) @ _wide(b), a.dtype)
    run.finish(call.body, (*batch, m, n), [acc])


def _attention(run: _Run, call: Attention) -> None:
    batch, (m, n) = run.dims(call.batch), run.dims((call.m, call.n))
    q = run.load(call.q, (*batch, m, call.width))
    k, v = run.load(call.k, (*batch, n, call.width)), run.load(call.v, (*batch, n, call.value_width))
    with np.errstate(all="ignore"):
        acc = _narrow(_wide(q) @ _wide(k).swapaxes(-1, -2), q.dtype)
        score = _wide(np.broadcast_to(run.tree(call.score, (*batch, m, n), [acc]), acc.shape))
        most = score.max(axis=-1, keepdims=True, initial=-np.inf)
        weights = np.exp(score - (np.where(np.isneginf(most), 0, most) if call.safe else most))
        total = weights.sum(axis=-1, keepdims=True)
        if call.safe:
            total = np.where(total == 0, 1, total)
        result = _narrow(weights / total @ _wide(v), q.dtype)
    run.store(call.output, (*batch, m, call.value_width), result)


def _narrow(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Sums of products of `dtype` as an accumulator holds them: float32 for floats up to 32 bits."""
    if dtype.kind != "f":
        return sums
    with np.errstate(over="ignore"):
        return sums.astype(np.float64 if dtype == np.float64 else np.float32)


def _taps(x: Array, window: Window, before: Sizes, out: Sizes, fill: Any) -> Callable[[int, int], Array]:
    """Gives a function of a tap (i, j): the elements [n, oh, ow, c] it meets in x [n, h, w, c], or fill."""
    needed = [
        (o - 1) * s + (k - 1) * d + 1
        for o, k, s, d in zip(out, window.kernel, window.strides, window.dilations, strict=True)
    ]
    padded = np.full((x.shape[0], *(max(n, 0) for n in needed), x.shape[3]), fill, x.dtype)
    # x's part of the padded input; negative padding crops
    spans = [(max(p, 0), min(p + size, n)) for p, size, n in zip(before, x.shape[1:3], needed, strict=True)]
    if all(a < b for a, b in spans):
        target = tuple(slice(a, b) for a, b in spans)
        source = tuple(slice(a - p, b - p) for (a, b), p in zip(spans, before, strict=True))
        padded[(slice(None), *target)] = x[(slice(None), *source)]

    def tap(i: int, j: int) -> Array:
        starts = [t * d for t, d in zip((i, j), window.dilations, strict=True)]
        cut = tuple(
            slice(a, a + (o - 1) * s + 1, s) if o else slice(0, 0)
            for a, o, s in zip(starts, out, window.strides, strict=True)
        )
        return padded[(slice(None), *cut)]

    return tap


def _conv(run: _Run, call: Conv) -> None:
    n, out, before = run.dim(call.n), run.dims(call.out_size), run.dims(call.window.pads)
    x = run.load(call.x, (n, *run.dims(call.in_size), call.in_channels))
    kh, kw = call.window.kernel
    flat = run.memory[call.weight.tensor][run.dim(call.weight.offset) :]
    tap = _taps(_wide(x), call.window, before, out, call.x.fill)
    acc = np.zeros((n, *out, call.out_channels), _wide(x).dtype)
    with np.errstate(all="ignore"):
        if call.depthwise:
            assert call.groups == call.in_channels == call.out_channels, call.name
            weight = _wide(flat[: kh * kw * call.in_channels]).reshape(kh, kw, -1)
            for i, j in np.ndindex(kh, kw):
                acc += tap(i, j) * weight[i, j]
        else:
            c, oc = call.in_channels // call.groups, call.out_channels // call.groups
            taps = kh * kw
            elements = (
                quad_elements(taps, c, oc, call.panels)
                if call.exact
                else panel_elements(taps * c, oc, call.panels)
            )
            for g in range(call.groups):
                block = (
                    unpack_tap_quads(flat[g * elements :], taps, c, oc, call.panels)
                    if call.exact
                    else unpack_panels(flat[g * elements :], taps * c, oc, call.panels)
                )
                matrices = _wide(block).reshape(kh, kw, c, oc)
                for i, j in np.ndindex(kh, kw):
                    acc[..., g * oc : (g + 1) * oc] += tap(i, j)[..., g * c : (g + 1) * c] @ matrices[i, j]
    run.finish(call.body, acc.shape, [_narrow(acc, x.dtype)])


def _pool(run: _Run, call: Pool) -> None:
    n, channels, out = run.dim(call.n), run.dim(call.channels), run.dims(call.out_size)
    in_size, before = run.dims(call.in_size), run.dims(call.window.pads)
    x = run.load(call.x, (n, *in_size, channels))
    pairs = list(np.ndindex(*call.window.kernel))
    if call.mode == "max":
        tap = _taps(x, call.window, before, out, identity("max", x.dtype))
        acc = functools.reduce(np.maximum, (tap(i, j) for i, j in pairs))
    else:
        tap = _taps(_wide(x), call.window, before, out, 0)
        total = functools.reduce(np.add, (tap(i, j) for i, j in pairs))
        limits = (
            [(-p, s - p) for p, s in zip(before, run.dims(call.padded), strict=True)]
            if call.count_include_pad
            else [(0, s) for s in in_size]
        )
        height, width = (_inside(call.window, before, axis, out[axis], limits[axis]) for axis in (0, 1))
        with np.errstate(all="ignore"):
            acc = _narrow(total / (height[:, None] * width)[None, :, :, None], x.dtype)
    run.finish(call.body, (n, *out, channels), [acc])


def _inside(window: Window, before: Sizes, axis: int, out: int, limits: tuple[int, int]) -> Array:
    """For each output position along an axis, how many of the window's taps lie inside the limits."""
    taps = np.arange(window.kernel[axis]) * window.dilations[axis]
    position = np.arange(out)[:, None] * window.strides[axis] - before[axis] + taps
    return np.asarray(((position >= limits[0]) & (position < limits[1])).sum(axis=1))


def _recurrence(run: _Run, call: Recurrence) -> None:
    sizes = (steps, directions, batch, units) = (
        run.dim(call.steps),
        len(call.reverse),
        run.dim(call.batch),
        call.units,
    )
    operands = [run.load(view, sizes) for view in call.inputs]
    lengths = np.full(batch, steps)
    if call.lengths is not None and steps:
        lengths = np.clip(operands[call.lengths][0, 0, :, 0], 0, steps)
    weights = [_phase_weight(run, call, phase) for phase in call.phases]
    row, unit = np.arange(batch)[:, None], np.arange(units)
    outputs = np.zeros(sizes, np.float32)
    finals = np.zeros((call.slots, directions, batch, units), np.float32)
    starts = [None if i is None else run.load(call.inputs[i], (1, *sizes[1:]))[0] for i in call.initial]
    for d, reverse in enumerate(call.reverse):
        slots = finals[:, d]
        for slot, start in enumerate(starts):
            slots[slot] = 0 if start is None else start[d]
        for step in range(steps):
            active = (step < lengths)[:, None]
            t = np.where(active & reverse, lengths[:, None] - 1 - step, step)
            here = [a[t[:, 0], d, row[:, 0]] for a in operands]
            for phase, weight in zip(call.phases, weights, strict=True):
                with np.errstate(all="ignore"):
                    sums = np.einsum("bk,kgu->gbu", _wide(slots[phase.source]), weight[d], optimize=True)
                acc = [*slots.copy(), *_narrow(sums, slots.dtype)]
                for slot, tree in phase.updates:
                    value = evaluate(
                        tree,
                        here,
                        index=(t, np.array(d), row, unit),
                        acc=acc,
                        sizes=run.dims(call.size_values),
                    )
                    slots[slot] = np.where(active, value, slots[slot])
            outputs[t[:, 0], d, row[:, 0]] = np.where(active, slots[0], 0)
    if call.keeps_steps:
        run.store(call.output, sizes, outputs)
    for view, final in zip(call.finals, finals, strict=False):
        if view is not None:
            run.store(view, sizes[1:], final)


def _phase_weight(run: _Run, call: Recurrence, phase: Phase) -> Array:
    """The weight of a phase over (d, k, g, u), in float64."""
    shape = (len(call.reverse), call.units, phase.sums, call.units)
    if not phase.panels:
        return _wide(run.load(phase.weight, shape))
    flat, stride = run.memory[phase.weight.tensor], run.dim(phase.weight.strides[0])
    start, rows = run.dim(phase.weight.offset), call.units * phase.sums
    matrices = [
        unpack_panels(flat[start + d * stride :], rows, call.units, phase.panels) for d in range(shape[0])
    ]
    return _wide(np.stack(matrices)).reshape(shape)


def _sort(run: _Run, call: Sort) -> None:
    rows, count, width, most = run.dims((call.rows, call.count, call.width, call.most))
    order = np.full((rows, 2 * count), -1, np.int32)
    order[:, :most] = argsort(run.load(call.x, (rows, count, width)), call.descending)[:, :most]
    run.store(call.output, order.shape, order)


def _suppression(run: _Run, call: Suppression) -> None:
    batch, classes, count, most = run.dims((call.batch, call.classes, call.count, call.most))
    boxes, scores = run.load(call.boxes, (batch, count, 4)), run.load(call.scores, (batch, classes, count))
    overlap, lowest = run.load(call.thresholds, (2,))
    selected = np.full((batch, classes, most + count), -1, np.int32)
    for b in range(batch):
        sides = corners(boxes[b], call.centred)
        for c in range(classes):
            chosen = suppress(sides, scores[b, c], most, overlap, lowest if call.bounded else None)
            selected[b, c, : len(chosen)] = chosen
    run.store(call.output, selected.shape, selected)


_EXECUTE: Mapping[type[KernelCall], Callable[[_Run, Any], None]] = {
    Map: _map,
    Row: _row,
    Scatter: _scatter,
    Cumulate: _cumulate,
    MatMul: _matmul,
    Attention: _attention,
    Conv: _conv,
    Pool: _pool,
    Recurrence: _recurrence,
    Sort: _sort,
    Suppression: _suppression,
}


def run_call(call: KernelCall, memory: Memory, symbols: Mapping[str, int]) -> None:
    """Execute one call.

    Args:
        call: what to compute.
        memory: for every tensor of the call its elements, 1-D, of its dtype; the written one changes.
        symbols: the symbols' values.

    Raises:
        AssertionError: for a read or write outside a tensor, or a body of another dtype than the output.
    """
    _EXECUTE[type(call)](_Run(call, memory, symbols), call)


def allocate(tensor: Tensor, symbols: Mapping[str, int]) -> Array:
    """Memory for a tensor: a weight's data, else poison (NaN, or 0x5a bytes) that shows a missing write."""
    elements = value_of(tensor.elements, symbols)
    dtype = np.dtype(tensor.dtype.value)
    data = tensor.array
    if data is not None:
        assert data.size == elements, f"{tensor.name}: {data.size} elements, not {elements}"
        return convert(data, tensor.dtype).ravel()
    return np.full(elements, poison(dtype))


def poison(dtype: np.dtype[Any]) -> Any:
    """What memory holds that nothing wrote: a NaN that no computation gives, a large integer, True."""
    if dtype.kind == "b":
        return np.True_
    bits = bytearray(b"\x5a" * dtype.itemsize)
    if dtype.kind == "f":
        bits[-2:] = {2: b"\x5a\x7e", 4: b"\xda\x7f", 8: b"\xfa\x7f"}[dtype.itemsize]
    return np.frombuffer(bytes(bits), dtype)[0]


def run_program(
    program: Program, inputs: Sequence[Array], symbols: Mapping[str, int], states: Memory | None = None
) -> list[Array]:
    """Execute a program.

    Args:
        program: what to compute.
        inputs: for each input its elements, of the input's dtype, in any shape with as many elements.
        symbols: the symbols' values.
        states: for each state's tensor its elements, 1-D, which change.

    Returns:
        The outputs, in the program's output shapes, or 1-D where it has none.
    """
    memory: dict[Tensor, Array] = dict(states or {})
    values: Mapping[str, int] = symbols
    for _, _, present in walk_program(program, inputs, symbols, memory):
        values = present
    results = [memory[t] if t in memory else allocate(t, values) for t in program.outputs]
    if not program.output_shapes:
        return results
    return [
        array.reshape([value_of(d, values) for d in shape])
        for array, shape in zip(results, program.output_shapes, strict=True)
    ]


def walk_program(
    program: Program, inputs: Sequence[Array], symbols: Mapping[str, int], memory: Memory
) -> Iterator[tuple[int, Step, Mapping[str, int]]]:
    """Execute a program step by step; arguments as for `run_program`.

    Args:
        memory: the states' tensors; gets all others.

    Yields:
        After each step its number, the step, and the symbols' values, its own among them.
    """
    for tensor, array in zip(program.inputs, inputs, strict=True):
        assert array.dtype == np.dtype(tensor.dtype.value), f"{tensor.name}: {array.dtype}"
        assert array.size == value_of(tensor.elements, symbols), f"{tensor.name}: {array.shape}"
        memory[tensor] = array.ravel().copy()
    values, position = dict(symbols), 0
    while position < len(program.steps):
        number, step = position, program.steps[position]
        position += 1
        if isinstance(step, Jump):
            position = position if value_of(step.unless, values) else step.to
        elif isinstance(step, Set):
            values[step.symbol] = value_of(step.value, values)
        elif isinstance(step, Read):
            values[step.symbol] = int(memory[step.tensor][value_of(step.offset, values)])
        else:
            for tensor in step.tensors():
                # one whose size hangs on a loop's counter is another in each iteration
                if tensor not in memory or len(memory[tensor]) != value_of(tensor.elements, values):
                    memory[tensor] = allocate(tensor, values)
            run_call(step, memory, values)
        yield number, step, values
