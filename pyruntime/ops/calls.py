"""What each kernel call computes, with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pyruntime.ir.kernel import (
    Attention,
    Blocks,
    Conv,
    Cumulate,
    KernelCall,
    Map,
    MatMul,
    Operand,
    Phase,
    Pool,
    Recurrence,
    Row,
    Scatter,
    Sort,
    Suppression,
)
from pyruntime.ir.numerals import Digits, Numerals
from pyruntime.ir.views import View
from pyruntime.ops.detection import corners, suppress
from pyruntime.ops.digits import rows_of
from pyruntime.ops.evaluate import evaluate
from pyruntime.ops.iteration import Array, Run, Sizes, identity, narrow, wide
from pyruntime.ops.layouts import unpack_levels, unpack_panels, unpack_tap_quads
from pyruntime.ops.numerals import parse
from pyruntime.ops.order import argsort
from pyruntime.ops.windowed import conv, pool


def _map(run: Run, call: Map) -> None:
    run.finish(call.body, run.dims(call.sizes))


def _scatter(run: Run, call: Scatter) -> None:
    sizes, flat = run.dims(call.sizes), run.memory[call.output.tensor]
    position, valid = run.positions(call.output, sizes)
    for point in np.ndindex(sizes[: call.ordered]):
        reached = position[point], valid[point]
        acc = np.zeros(sizes, flat.dtype)
        acc[point] = np.where(reached[1], flat[np.where(reached[1], reached[0], 0)], 0)
        made = np.broadcast_to(run.tree(call.body, sizes, [acc]), sizes)[point]
        assert made.dtype == flat.dtype, f"{call.name}: {made.dtype} into {flat.dtype}"
        flat[reached[0][reached[1]]] = made[reached[1]]


_COMBINE: Mapping[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.logical_and,
    "or": np.logical_or,
}


def _row(run: Run, call: Row) -> None:
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
    each = (*sizes[:outer], *(1 for _ in axes))
    run.finish(call.body, sizes if call.elementwise else each, acc)
    for aside in call.asides:
        run.store(aside.output, each, run.tree(aside.body, each, acc))


def _cumulate(run: Run, call: Cumulate) -> None:
    sizes = run.dims(call.sizes)
    values = np.broadcast_to(run.tree(call.value, sizes), sizes)
    start = np.full((*sizes[:-1], 1), identity(call.combine, values.dtype), wide(values).dtype)
    terms = np.flip(wide(values), -1) if call.reverse else wide(values)
    with np.errstate(all="ignore"):
        ufunc = _COMBINE[call.combine]
        acc = ufunc.accumulate(np.concatenate([start, terms], axis=-1), axis=-1, dtype=start.dtype)
    acc = acc[..., :-1] if call.exclusive else acc[..., 1:]
    run.finish(call.body, sizes, [narrow(np.flip(acc, -1) if call.reverse else acc, values.dtype)])


def _matmul(run: Run, call: MatMul) -> None:
    batch, (m, n, k) = run.dims(call.batch), run.dims((call.m, call.n, call.k))
    if call.left is None:
        a = run.multiplied(call.a, call.prologue, (*batch, m, k))
    else:
        a = _left(run, call.left, (*batch, m, k))
    if call.blocks is not None:
        b = _block_weight(run, call, call.blocks, k, n)
    elif call.panels:
        flat = run.memory[call.b.tensor][run.dim(call.b.offset) :]
        b = (
            unpack_tap_quads(flat, 1, k, n, call.panels)[0]
            if call.exact
            else unpack_panels(flat, k, n, call.panels)
        )
    else:
        b = run.load(call.b, (*batch, k, n))
    with np.errstate(all="ignore"):
        acc = narrow(wide(a) @ wide(b), a.dtype)
    run.finish(call.body, (*batch, m, n), [acc])
    run.tell(call.extremes, (*batch, m, n))


def _left(run: Run, left: Operand, sizes: Sizes) -> Array:
    """The left operand of a product that computes it."""
    own = run.dims(left.sizes)
    made = replace(run, call=left).tree(left.body, own)
    return np.broadcast_to(made, own).reshape(sizes)


def _block_weight(run: Run, call: MatMul, blocks: Blocks, k: int, n: int) -> Array:
    """The weight [k, n] of levels in blocks, in float32."""
    rows = -(-k // blocks.size)

    def spread(view: View) -> Array:
        flat = run.memory[view.tensor][run.dim(view.offset) :]
        return unpack_panels(flat, rows, n, call.panels).repeat(blocks.size, axis=0)[:k]

    levels = unpack_levels(
        run.memory[call.b.tensor][run.dim(call.b.offset) :], blocks.bits, k, n, call.panels
    )
    zero = np.float32(blocks.middle) if blocks.zeros is None else spread(blocks.zeros)
    return np.asarray((levels.astype(np.float32) - zero) * spread(blocks.scales))


def _attention(run: Run, call: Attention) -> None:
    batch, (m, n) = run.dims(call.batch), run.dims((call.m, call.n))
    q = run.load(call.q, (*batch, m, call.width))
    k, v = run.load(call.k, (*batch, n, call.width)), run.load(call.v, (*batch, n, call.value_width))
    with np.errstate(all="ignore"):
        acc = narrow(wide(q) @ wide(k).swapaxes(-1, -2), q.dtype)
        score = wide(np.broadcast_to(run.tree(call.score, (*batch, m, n), [acc]), acc.shape))
        if call.split is not None:
            result = _runs_of_keys(score, wide(v), run.dim(call.split.parts), run.dim(call.split.span))
            run.store(
                call.output, run.dims(call.result), narrow(result.reshape(run.dims(call.result)), q.dtype)
            )
            return
        most = score.max(axis=-1, keepdims=True, initial=-np.inf)
        weights = np.exp(score - (np.where(np.isneginf(most), 0, most) if call.safe else most))
        total = weights.sum(axis=-1, keepdims=True)
        if call.safe:
            total = np.where(total == 0, 1, total)
        result = narrow(weights / total @ wide(v), q.dtype)
    run.store(call.output, (*batch, m, call.value_width), result)
    run.tell(call.extremes, (*batch, m, call.value_width))


def _runs_of_keys(score: Array, v: Array, parts: int, span: int) -> Array:
    """What `Attention.split` tells of each run, [..., m, parts, value_width + 2]."""
    made = np.zeros((*score.shape[:-1], parts, v.shape[-1] + 2), score.dtype)
    for part in range(parts):
        keys = slice(part * span, (part + 1) * span)
        run = score[..., keys]
        seen = ~np.isneginf(run)
        # as on GPUs it need not be NaN where a score is: the weight of that will be
        most = np.fmax.reduce(
            np.where(seen, run, -np.inf), axis=-1, keepdims=True, initial=np.finfo("f4").min
        )
        weights = np.where(seen, np.exp(run - most), 0)
        sums = weights @ v[..., keys, :]
        made[..., part, :] = np.concatenate([sums, most, weights.sum(axis=-1, keepdims=True)], axis=-1)
    return made


def _recurrence(run: Run, call: Recurrence) -> None:
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
    dtype = call.output.tensor.dtype.value
    outputs = np.zeros(sizes, dtype)
    finals = np.zeros((call.slots, directions, batch, units), dtype)
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
                    sums = np.einsum("bk,kgu->gbu", wide(slots[phase.source]), weight[d], optimize=True)
                acc = [*slots.copy(), *narrow(sums, slots.dtype)]
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


def _phase_weight(run: Run, call: Recurrence, phase: Phase) -> Array:
    """The weight of a phase over (d, k, g, u), in float64."""
    shape = (len(call.reverse), call.units, phase.sums, call.units)
    if not phase.panels:
        return wide(run.load(phase.weight, shape))
    flat, stride = run.memory[phase.weight.tensor], run.dim(phase.weight.strides[0])
    start, rows = run.dim(phase.weight.offset), call.units * phase.sums
    matrices = [
        unpack_panels(flat[start + d * stride :], rows, call.units, phase.panels) for d in range(shape[0])
    ]
    return wide(np.stack(matrices)).reshape(shape)


def _sort(run: Run, call: Sort) -> None:
    rows, count, width, most = run.dims((call.rows, call.count, call.width, call.most))
    order = np.full((rows, 2 * count), -1, np.int32)
    order[:, :most] = argsort(run.load(call.x, (rows, count, width)), call.descending)[:, :most]
    run.store(call.output, order.shape, order)


def _numerals(run: Run, call: Numerals) -> None:
    words = parse(run.load(call.x, run.dims((call.rows, call.width))), call.to, odd=call.odd)
    run.store(call.output, words.shape, words)


def _digits(run: Run, call: Digits) -> None:
    rows = rows_of(run.load(call.x, run.dims((call.rows,))), call.precision, call.least)
    run.store(call.output, rows.shape, rows)


def _suppression(run: Run, call: Suppression) -> None:
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


EXECUTE: Mapping[type[KernelCall], Callable[[Run, Any], None]] = {
    Map: _map,
    Row: _row,
    Scatter: _scatter,
    Cumulate: _cumulate,
    MatMul: _matmul,
    Attention: _attention,
    Conv: conv,
    Pool: pool,
    Recurrence: _recurrence,
    Sort: _sort,
    Suppression: _suppression,
    Numerals: _numerals,
    Digits: _digits,
}
