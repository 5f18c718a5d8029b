"""Ranges of what products and attention make: these tell extremes of runs, and few are left to reduce.

For WebGPU alone. The range of a tensor, by which it becomes levels of 8 bits, would read all of it once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

from pyruntime_shaders.division import kernels_for

from pyruntime.errors import UnsupportedError
from pyruntime.ir.dims import Dim, align, divides, floordiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.extremes import Extreme, Extremes
from pyruntime.ir.kernel import Attention, Conv, KernelCall, MatMul, Row
from pyruntime.ir.program import Program
from pyruntime.ir.scalar import Call, Load
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.targets.edits import with_views, written_once
from pyruntime_converter.targets.partials import of_partials, read_by_rows
from pyruntime_converter.targets.splitting import pays

SPAN = 16  # values of a run: workgroups of products have whole runs, whatever their form
HEADS = (64, 32, SPAN)  # and those of attention whole heads
F32 = DType.F32

Kind = tuple[Literal["min", "max"], bool]  # of an extreme: `combine` and `magnitude`
Maker = MatMul | Conv | Attention
Axes = Sequence[tuple[Dim, Dim]]  # their sizes, and how far it is from point to point


def tell_extremes(program: Program) -> Program:
    """The program where ranges are reductions of what those tell that make the values.

    `program` stays as it is; a tensor that extremes lie behind is new. Programs with other steps than calls,
    and those that commit to states, are left alone.
    """
    if len(program.calls) != len(program.steps) or program.commit is not None:
        return program
    calls: Sequence[KernelCall] = program.calls
    for number, call in enumerate(program.calls):
        if isinstance(call, (MatMul, Conv, Attention)) and _makes(program, call):
            calls = _told(calls, number)
    return replace(program, steps=[*calls])


def _makes(program: Program, call: Maker) -> bool:
    """Whether a call may tell extremes: it makes all of a temporary of floats, whose rows are runs."""
    output, space = call.output, _result(call)
    columns = space[-1]
    if output.tensor.dtype is not F32 or not written_once(program, program.calls, output.tensor):
        return False
    if isinstance(call, Attention):
        if pays(call) != 0:
            return False
    elif not call.exact or (isinstance(call, Conv) and call.groups > 1):
        return False
    return (
        isinstance(columns, int)
        and columns >= SPAN
        and output.offset == 0
        and not output.guards
        and not output.indirect
        and output.tensor.elements == product(space)
        and output.strides[-1] == 1
        and all(n == 1 or divides(columns, s) for n, s in zip(space[:-1], output.strides, strict=False))
    )


def _by_gpu(call: Maker) -> bool:
    """Whether the GPU computes the call: what it leaves to the CPU, Wasm does, which tells no extremes."""
    try:
        return bool(kernels_for(call))
    except UnsupportedError:
        return False


def _result(call: Maker) -> tuple[Dim, ...]:
    """The space of what a call stores."""
    match call:
        case MatMul():
            return (*call.batch, call.m, call.n)
        case Conv():
            return (call.n, *call.out_size, call.out_channels)
    return call.result


def _span(call: Maker, columns: int) -> int:
    return next((s for s in HEADS if columns % s == 0), SPAN) if isinstance(call, Attention) else SPAN


def _told(calls: Sequence[KernelCall], number: int) -> Sequence[KernelCall]:
    """The calls, where one tells what reductions of its values need; as they are where there are none."""
    maker = cast(Maker, calls[number])
    *rows, columns = _result(maker)
    tensor, spaces = maker.output.tensor, dict[int, _Space]()
    assert isinstance(columns, int)
    runs = _Runs(columns, _span(maker, columns))
    for n, call in enumerate(calls):
        space = _space(call, tensor, runs) if isinstance(call, Row) else None
        if space is not None:
            spaces[n] = space
    if not spaces or not _by_gpu(maker):
        return calls
    kinds = list(dict.fromkeys(k for space in spaces.values() for k in space.kinds))
    each = product(rows) * runs.count
    behind = {kind: tensor.elements + each * i for i, kind in enumerate(kinds)}
    # whole fours: who reads the values so reads the last ones out of a four, too
    whole = Tensor(tensor.name, F32, align(tensor.elements + each * len(kinds), 4))
    strides = [0 if n == 1 else runs.over(s) for n, s in zip(rows, maker.output.strides[:-1], strict=True)]
    told = tuple(Extreme(*kind, View(whole, at, (*strides, 1))) for kind, at in behind.items())

    def moved(view: View) -> View:
        return replace(view, tensor=whole) if view.tensor is tensor else view

    made: list[KernelCall] = [*calls]
    made[number] = replace(maker, extremes=Extremes(runs.span, told))
    for n, space in spaces.items():
        made[n] = _reduced(cast(Row, calls[n]), space, whole, behind)
    return [with_views(call, moved) if tensor in call.tensors() else call for call in made]


# reductions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Runs:
    """How many values a row has, and a run of them."""

    columns: int
    span: int

    @property
    def count(self) -> int:
        """Of a row."""
        return -(-self.columns // self.span)

    def whole(self, step: Dim) -> bool:
        """Whether a step over values is one over whole rows."""
        return divides(self.columns, step)

    def over(self, step: Dim) -> Dim:
        """A step over whole rows of values as one over their extremes."""
        return floordiv(step, self.columns) * self.count


class _Space(NamedTuple):
    """Of which extremes, over which space, a reduction of values is one of extremes.

    Attributes:
        kinds: one for each reduction.
        first: how far from the first of all extremes of a kind these lie.
        outer, reduced: sizes and strides of the axes.
    """

    kinds: tuple[Kind, ...]
    first: Dim
    outer: Axes
    reduced: Axes


def _space(row: Row, tensor: Tensor, runs: _Runs) -> _Space | None:
    """What `row` is a reduction of, if that is whole rows of values of `tensor`, and nothing else."""
    outer, kinds = len(row.sizes) - row.reduced, list[Kind]()
    operands = set[int]()
    for reduction in row.reductions:
        body = reduction.body
        magnitude = isinstance(body, Call) and body.function == "abs"
        load = body.args[0] if isinstance(body, Call) and magnitude else body
        if not isinstance(load, Load) or reduction.combine not in ("min", "max"):
            return None
        operands.add(load.operand)
        kinds.append((reduction.combine, magnitude))
    views = {row.inputs[i] for i in operands}
    if row.elementwise or len(views) != 1 or any(row.inputs[i].tensor is tensor for i in read_by_rows(row)):
        return None
    (view,) = views
    if view.tensor is not tensor or view.guards or view.indirect or not runs.whole(view.offset):
        return None
    axes, across = list[tuple[Dim, Dim]](), None
    for axis, (size, stride) in enumerate(zip(row.sizes, view.strides, strict=True)):
        if size == 1 or runs.whole(stride):
            axes.append((size, 0 if size == 1 else runs.over(stride)))
        elif stride == 1 and axis >= outer and across is None and runs.whole(size):
            across = axis
            axes.append((runs.over(size), 1))
        else:
            return None
    if across is None:
        return None
    reduced = [*axes[outer:across], *axes[across + 1 :], axes[across]]
    return _Space(tuple(kinds), runs.over(view.offset), axes[:outer], _merged(reduced))


def _merged(axes: Axes) -> Axes:
    """The axes where those that go on without a gap are one."""
    found = [axes[-1]]
    for size, stride in reversed(axes[:-1]):
        inner, step = found[0]
        if stride == inner * step:
            found[0] = (size * inner, step)
        else:
            found.insert(0, (size, stride))
    return found


def _reduced(row: Row, space: _Space, tensor: Tensor, behind: Mapping[Kind, Dim]) -> Row:
    """The reduction as one of extremes; behind: where those of a kind begin."""
    strides = tuple(stride for _, stride in (*space.outer, *space.reduced))
    partial = [View(tensor, behind[kind] + space.first, strides) for kind in space.kinds]
    return of_partials(row, partial, [size for size, _ in space.reduced])
