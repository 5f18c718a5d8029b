"""Lowering of scatters: a copy of the data, then updates at offsets that another tensor's elements give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.views import contiguous

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Map, Scatter
from pyruntime.ir.program import Boundary
from pyruntime.ir.scalar import Acc, Load, Scalar, call, cast
from pyruntime.ir.views import Indirect, View


@lowers("ScatterElements")
def scatter_elements(low: Lowering, node: Node) -> Lazy:
    """Updates meet along the axis alone."""
    data, axis = node.input(0), node.attrs["axis"]
    target = _copied(low, node)
    at, updates = low.view(node.input(1)), low.view(node.input(2))
    moved = Indirect(0, target.strides[axis], data.shape[axis])
    output = replace(
        target,
        strides=tuple(0 if a == axis else s for a, s in enumerate(target.strides)),
        indirect=(moved,),
    )
    order = [axis, *(a for a in range(data.rank) if a != axis)]
    views = [replace(v, strides=tuple(v.strides[a] for a in order)) for v in (at, updates, output)]
    indices = node.input(1).data
    distinct = indices is not None and _apart(indices % _fixed(data.shape[axis]), axis)
    _emit(low, node, views, [node.input(1).shape[a] for a in order], 0 if distinct else 1)
    return Lazy.of(target, data.shape)


@lowers("ScatterND")
def scatter_nd(low: Lowering, node: Node) -> Lazy:
    """Tuples may meet anywhere; elements of a slice do not."""
    data, indices = node.input(0), node.input(1)
    target, at, updates = _copied(low, node), low.view(indices), low.view(node.input(2))
    count, places = int(str(indices.shape[-1])), indices.rank - 1
    tail = target.strides[count:]
    coordinates = [
        replace(
            at,
            offset=at.offset + j * at.strides[-1],
            strides=(*at.strides[:-1], *(0 for _ in tail)),
        )
        for j in range(count)
    ]
    output = replace(
        target,
        strides=(*(0 for _ in range(places)), *tail),
        indirect=tuple(Indirect(j, target.strides[j], data.shape[j]) for j in range(count)),
    )
    distinct = False
    if indices.data is not None:
        tuples = indices.data.reshape(-1, count) % [_fixed(d) for d in data.shape[:count]]
        distinct = len(np.unique(tuples, axis=0)) == len(tuples)
    _emit(low, node, [*coordinates, updates, output], node.input(2).shape, 0 if distinct else places)
    return Lazy.of(target, data.shape)


def _fixed(size: Dim) -> int:
    """A size that negative indices count from; where it is not known, more than any index."""
    return size if isinstance(size, int) and size else 2**31


def _apart(indices: NDArray[Any], axis: int) -> bool:
    """Whether no index is twice along an axis."""
    ordered = np.sort(indices, axis=axis)
    return not bool((np.diff(ordered, axis=axis) == 0).any())


def _copied(low: Lowering, node: Node) -> View:
    """The data in memory that nothing else reads."""
    value = node.output
    view = contiguous(low.tensor(value.name, value.dtype, value.shape), value.shape)
    low.store_into(low.lazy(node.input(0)), view, Boundary.OPERAND)
    return view


def _emit(low: Lowering, node: Node, views: Sequence[View], sizes: Sequence[Dim], ordered: int) -> None:
    """The call that stores the updates, the last but one of the views, to the last."""
    *inputs, output = views
    dtype, reduction = output.tensor.dtype, node.attrs["reduction"]
    update: Scalar = Load(dtype, len(inputs) - 1)
    if node.attrs["distinct"]:
        ordered = 0
    if reduction == "none" and not ordered:
        name = low.call_name("map", node.origin)
        call_: Map | Scatter = Map(
            name=name, inputs=tuple(inputs), output=output, sizes=tuple(sizes), body=update
        )
    else:
        if reduction != "none":
            held = DType.F32 if dtype is DType.F16 else dtype
            update = cast(call(reduction, cast(Acc(dtype, 0), held), cast(update, held)), dtype)
        call_ = Scatter(
            name=low.call_name("scatter", node.origin),
            inputs=tuple(inputs),
            output=output,
            sizes=tuple(sizes),
            ordered=ordered,
            body=update,
        )
    low.program.steps.append(replace(call_, origins=(node.origin,)))
