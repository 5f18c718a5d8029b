"""What a kernel call costs at least, as dims: its operations, and the bytes that it has to move.

Bytes count every element that the call names once, however often a kernel reads it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyruntime.ir.dims import Dim, at_least, product
from pyruntime.ir.extremes import Extremes
from pyruntime.ir.kernel import (
    Attention,
    Conv,
    Cumulate,
    KernelCall,
    Map,
    MatMul,
    Pool,
    Recurrence,
    Row,
    Scatter,
    Sort,
    Suppression,
)
from pyruntime.ir.numerals import Digits, Numerals
from pyruntime.ir.symbols import occupied
from pyruntime.ir.views import Tensor, View

Sizes = Sequence[Dim]


def kind(call: KernelCall) -> str:
    """The call's template, and whether it multiplies short integers, which have a limit of their own."""
    exact = isinstance(call, (MatMul, Conv)) and call.exact
    return f"{call.template}_integer" if exact else call.template


def is_product(template: str) -> bool:
    """Whether calls of a template, or kind, multiply and add up what they read many times from memory."""
    return template.removesuffix("_integer") in ("matmul", "conv", "attention", "recurrence")


def operations(call: KernelCall) -> Dim:
    """Multiplications and additions of the call's products; 0 for calls that have none."""
    counted: Dim = getattr(call, "operations", 0)
    return counted


def traffic(call: KernelCall) -> Dim:
    """Bytes read and written. Raises TypeError for a class of calls that has no rule here."""
    reads, writes = touched(call)
    moved = [*reads.items(), (call.output.tensor, writes)]
    return sum((n * t.dtype.bytes for t, n in moved), start=0)


def touched(call: KernelCall) -> tuple[dict[Tensor, Dim], Dim]:
    """How many elements of each tensor the call reads, and how many it writes. Errors as `traffic`."""
    read: dict[Tensor, dict[View, Dim]] = {}
    for view, elements in _touched(call):
        if view != call.output:
            read.setdefault(view.tensor, {})[view] = elements  # equal views read the same elements
    return {t: _within(sum(found.values(), start=0), t.elements) for t, found in read.items()}, _written(call)


def _space(call: KernelCall) -> Sizes:
    """The iteration space of a call: what its operands have a stride for."""
    match call:
        case Map() | Scatter() | Row() | Cumulate():
            return call.sizes
        case MatMul():
            return (*call.batch, call.m, call.n)
        case Attention():
            return (*call.batch, call.m, call.n)
        case Conv():
            return (call.n, *call.out_size, call.out_channels)
        case Pool():
            return (call.n, *call.out_size, call.channels)
        case Sort():
            return (call.rows, call.count * 2)
        case Numerals():
            return (call.rows, call.words)
        case Digits():
            return (call.rows, call.width)
        case Suppression():
            return (call.batch, call.classes, call.most + call.count)
        case Recurrence():
            return (call.steps, len(call.reverse), call.batch, call.units)
    raise TypeError(f"{type(call).__name__} has no rule for what it reads")


def _written(call: KernelCall) -> Dim:
    """How many elements the call writes."""
    if isinstance(call, Recurrence):  # the states of all steps and the final ones
        return call.output.tensor.elements
    space = call.result if isinstance(call, Attention) else _space(call)
    views = (call.output, *(a.output for a in call.asides)) if isinstance(call, Row) else (call.output,)
    told = getattr(call, "extremes", None)
    return sum((_extent(call, v, space) for v in views), start=_told(space, told) if told else 0)


def _told(space: Sizes, extremes: Extremes) -> Dim:
    """How many extremes a call tells, of a result of this space."""
    *rows, columns = space
    return product(rows) * extremes.runs(columns) * len(extremes.told)


def _touched(call: KernelCall) -> Iterator[tuple[View, Dim]]:
    """Each view that the call reads, and how many elements it reads through it."""
    space = _space(call)
    for view in call.inputs:
        yield view, _extent(call, view, space)
    match call:
        case MatMul():
            if call.left is not None:
                yield from _touched(call.left)
            else:
                yield call.a, _extent(call, call.a, (*call.batch, call.m, call.k))
            for other in call.prologue.others if call.prologue else ():
                yield other, _extent(call, other, (*call.batch, call.m, call.k))
            whole = (*call.batch, call.k, call.n)
            yield call.b, call.b.tensor.elements if call.panels else _extent(call, call.b, whole)
            if call.blocks is not None:
                for shared in (call.blocks.scales, call.blocks.zeros):
                    if shared is not None:
                        yield shared, shared.tensor.elements
        case Attention():
            yield call.q, _extent(call, call.q, (*call.batch, call.m, call.width))
            yield call.k, _extent(call, call.k, (*call.batch, call.n, call.width))
            yield call.v, _extent(call, call.v, (*call.batch, call.n, call.value_width))
        case Conv():
            seen = (call.n, *_seen(call), call.in_channels)
            for left in (call.x, *(call.prologue.others if call.prologue else ())):
                yield left, _extent(call, left, seen)
            yield call.weight, call.weight.tensor.elements
        case Pool():
            yield call.x, _extent(call, call.x, (call.n, *_seen(call), call.channels))
        case Sort():
            yield call.x, _extent(call, call.x, (call.rows, call.count, call.width))
        case Numerals():
            yield call.x, _extent(call, call.x, (call.rows, call.width))
        case Digits():
            yield call.x, _extent(call, call.x, (call.rows,))
        case Suppression():
            yield call.boxes, _extent(call, call.boxes, (call.batch, call.count, 4))
            yield call.scores, _extent(call, call.scores, (call.batch, call.classes, call.count))
            yield call.thresholds, 2
        case Recurrence():
            for phase in call.phases:
                yield phase.weight, phase.weight.tensor.elements


def _seen(call: Conv | Pool) -> list[Dim]:
    """Rows and columns of the input that windows touch: with large strides not all."""
    taps = zip(call.in_size, call.out_size, call.window.kernel, strict=True)
    return [_within(size, out * kernel) for size, out, kernel in taps]


def _extent(call: KernelCall, view: View, sizes: Sizes) -> Dim:
    """Distinct elements of a view, at most: the points along axes that move it, or all of its tensor."""
    moving = _moving(call, view)
    return _within(product([n for axis, n in enumerate(sizes) if axis in moving]), view.tensor.elements)


def _moving(call: KernelCall, view: View) -> set[int]:
    """The axes along which a view goes on, by itself or by the integers that it is indexed by."""
    axes = {axis for axis, stride in enumerate(view.strides) if stride != 0}
    for index in view.indirect:
        axes |= _moving(call, call.inputs[index.operand])
    return axes


def _within(count: Dim, most: Dim) -> Dim:
    """The smaller of two dims, or `count` where the symbols decide: packs keep these expressions.

    Inputs are taken not to be empty.
    """
    return most if at_least(occupied(count), most) else count
