"""Values of rows in dispatches that suit a GPU: those of the same rows in one, and long rows in parts.

For WebGPU alone. On Wasm a call is no dispatch, and threads share long rows as well as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from pyruntime.ir.dims import Dim, align, divides, floordiv, product
from pyruntime.ir.dtypes import DType
from pyruntime.ir.kernel import Aside, KernelCall, Row
from pyruntime.ir.program import Boundary, Program
from pyruntime.ir.scalar import Acc, Call, Index, Load, Scalar, Size, cost, transform, walk
from pyruntime.ir.views import Tensor, View
from pyruntime_converter.lowering.lazy import MAX_TENSORS_READ
from pyruntime_converter.lowering.views import contiguous_strides
from pyruntime_converter.targets.edits import in_float64, with_views, written_once
from pyruntime_converter.targets.partials import of_partials

MOST_COST = 24  # of an element that is computed once more for each reduction of it
FEW = 16  # rows, which keep no GPU busy,
LONG = 1 << 13  # of so many elements
_PART = range(4096, 255, -1)  # elements of a part of a long row: as many as one workgroup should walk through


def combine_rows(program: Program) -> Program:
    """The program where reductions of the same rows that need each other are one call, and of long rows two.

    `program` stays as it is; a tensor that is now what several were is new. Programs with other steps than
    calls, and those that commit to states, are left alone.
    """
    if len(program.calls) != len(program.steps) or program.commit is not None:
        return program
    parts = [_parts(c) if isinstance(c, Row) else (c,) for c in _all_gathered(program, program.calls)]
    # parts may be the rows of what makes them
    calls = _all_gathered(program, [c for p in parts for c in p])
    added = {p[0].name: Boundary.OPERAND for p in parts if len(p) > 1}
    return replace(program, steps=[*calls], boundaries=program.boundaries | added)


def _all_gathered(program: Program, calls: list[KernelCall]) -> list[KernelCall]:
    """The calls, where each became part of an earlier one that can take it."""
    number = 0
    while number < len(calls):
        gathered = _gathered(program, calls, number)
        number += gathered is None
        calls = gathered or calls
    return calls


def _plain(program: Program, calls: Sequence[KernelCall], call: KernelCall) -> bool:
    """Whether a call of rows stores a temporary of floats that nothing else writes."""
    tensor = call.output.tensor
    return (
        isinstance(call, Row)
        and tensor.dtype is DType.F32
        and written_once(program, calls, tensor)
        and not any(v.guards or v.indirect for v in (*call.inputs, call.output))
        and not in_float64(call)
    )


def _gathered(program: Program, calls: Sequence[KernelCall], number: int) -> list[KernelCall] | None:
    """The calls, where one of them became part of an earlier one whose result it reads; None if it cannot."""
    row = calls[number]
    if not _plain(program, calls, row):
        return None
    assert isinstance(row, Row)
    if row.elementwise:
        return None
    read = {v.tensor for v in row.inputs}
    place = max((i for i, c in enumerate(calls[:number]) if c.output.tensor in read), default=None)
    # what is read is there before the earlier call, and stays what it is
    if place is None or not _plain(program, calls, calls[place]):
        return None
    host = calls[place]
    assert isinstance(host, Row)
    joined = _joined(host, row)
    if joined is None:
        return None
    tensor, behind = joined.output.tensor, host.output.tensor.elements
    places: Mapping[Tensor, Dim] = {host.output.tensor: 0, row.output.tensor: behind}

    def moved(view: View) -> View:
        offset = places.get(view.tensor)
        return view if offset is None else replace(view, tensor=tensor, offset=view.offset + offset)

    others = [*calls[:place], joined, *calls[place + 1 : number], *calls[number + 1 :]]
    return [c if c is joined else cast(KernelCall, with_views(c, moved)) for c in others]


def _joined(host: Row, row: Row) -> Row | None:
    """Both in one call, whose tensor has what `host`, then what `row` writes; None if that does not fit."""
    if (host.sizes, host.reduced) != (row.sizes, row.reduced) or cost(host.body) > MOST_COST:
        return None
    known = [(host.output, host.body), *((a.output, a.body) for a in host.asides)]
    inputs, given = [*host.inputs], dict[int, Scalar]()
    for operand, view in enumerate(row.inputs):
        if view.tensor is host.output.tensor:
            found = [tree for output, tree in known if output == view]
            if not found:
                return None
            given[operand] = found[0]
        elif view in inputs:
            given[operand] = Load(view.tensor.dtype, inputs.index(view))
        else:
            given[operand] = Load(view.tensor.dtype, len(inputs))
            inputs.append(view)
    if len({v.tensor for v in inputs}) > MAX_TENSORS_READ:
        return None

    def leaf(node: Scalar) -> Scalar:
        match node:
            case Load():
                return given[node.operand]
            case Acc():
                return replace(node, index=node.index + len(host.reductions))
            case Size():
                return replace(node, slot=node.slot + len(host.size_values))
        return node

    behind = host.output.tensor.elements
    # whole fours: who reads the first values so reads the last ones out of a four, too
    elements = align(behind + row.output.tensor.elements, 4)
    tensor = Tensor(host.output.tensor.name, DType.F32, elements)
    theirs = [(row.output, row.body), *((a.output, a.body) for a in row.asides)]
    return replace(
        host,
        origins=tuple(dict.fromkeys((*host.origins, *row.origins))),
        inputs=tuple(inputs),
        size_values=(*host.size_values, *row.size_values),
        output=replace(host.output, tensor=tensor),
        reductions=(
            *host.reductions,
            *(replace(r, body=transform(r.body, leaf)) for r in row.reductions),
        ),
        asides=(
            *(replace(a, output=replace(a.output, tensor=tensor)) for a in host.asides),
            *(
                Aside(replace(v, tensor=tensor, offset=v.offset + behind), transform(body, leaf))
                for v, body in theirs
            ),
        ),
    )


def _parts(row: Row) -> tuple[Row, ...]:
    """A call for few long rows as two: for parts of the rows, then for the rows; or as it is."""
    outer, part = len(row.sizes) - row.reduced, _part(row)
    if part is None:
        return (row,)
    rows, length = row.sizes[:outer], row.sizes[-1]
    count = floordiv(length, part)
    each = product((*rows, count))
    tensor = Tensor(f"{row.output.tensor.name}.parts", DType.F32, each * len(row.reductions))
    strides = contiguous_strides((*rows, count))
    partial = [View(tensor, each * i, strides) for i in range(len(row.reductions))]
    stored = [Aside(replace(v, strides=(*v.strides, 0)), Acc(DType.F32, i)) for i, v in enumerate(partial)]

    def over_parts(view: View) -> View:
        *before, last = view.strides
        return replace(view, strides=(*before, last * part, last))

    first = replace(
        row,
        name=f"{row.name} (parts)",
        inputs=tuple(map(over_parts, row.inputs)),
        output=stored[0].output,
        sizes=(*rows, count, part),
        body=stored[0].body,
        asides=tuple(stored[1:]),
    )
    return first, of_partials(row, partial, (count,))


def _part(row: Row) -> int | None:
    """How many elements a part of each row has; None where rows are many, or short, or cannot be divided."""
    outer, length = len(row.sizes) - row.reduced, row.sizes[-1]
    count = product(row.sizes[:outer])
    trees = [r.body for r in row.reductions]
    leaves = [n for t in trees for n in walk(t) if not isinstance(n, Call)]
    if (
        row.elementwise
        or in_float64(row)
        or row.reduced != 1
        or not trees
        or any(t.dtype is not DType.F32 for t in trees)
        or any(isinstance(n, Acc) or (isinstance(n, Index) and n.axis >= outer) for n in leaves)
        or any(v.guards or v.indirect for v in row.inputs)
        or (isinstance(count, int) and count > FEW)
        or (isinstance(length, int) and length < LONG)
    ):
        return None
    return next((p for p in _PART if divides(p, length)), None)
