"""Filters of convolutions as the kernels read them, rearranged before or, where computed, at run time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pyruntime_converter.lowering.lazy import Lazy, combine
from pyruntime_converter.lowering.lower import Lowering
from pyruntime_converter.lowering.rules.matmul import PANELS, integer_weight
from pyruntime_converter.lowering.rules.movement import padded

from pyruntime.ir.dims import Dim
from pyruntime.ir.dtypes import DType
from pyruntime.ir.graph import Value
from pyruntime.ir.kernel import Window
from pyruntime.ir.scalar import cast
from pyruntime.ir.views import Tensor, View
from pyruntime.ops.layouts import pack_conv, pack_conv_quads, pack_depthwise
from pyruntime.ops.octets import octet_range


@dataclass(frozen=True)
class Filter:
    """The filter [oc, c / groups, kh, kw] of a convolution of images: constant, or in memory at run time."""

    shape: tuple[int, int, int, int]
    value: Value
    view: View | None = None

    def depthwise(self, groups: int) -> bool:
        """Whether each channel has a filter of its own."""
        return groups > 1 and self.shape[1] == 1 and groups == self.shape[0]


def filters(low: Lowering, weight: Value, held: DType) -> Iterator[tuple[tuple[int, ...], Filter]]:
    """The filter of weight [oc, c / groups, lead..., kh, kw] for each tap of its leading axes, as `held`."""
    oc, c, *kernel = (int(str(d)) for d in weight.shape)
    lead, (kh, kw) = kernel[:-2], (kernel[-2:] if len(kernel) > 1 else (1, *kernel))
    shape = (oc, c, kh, kw)
    if not lead:
        yield (
            (),
            Filter(shape, weight, _in_memory(low, weight, weight.dtype) if weight.data is None else None),
        )
        return
    view = _in_memory(low, weight, held) if weight.data is None else None
    for tap in np.ndindex(*lead):
        if view is None:
            assert weight.data is not None
            data = weight.data[(slice(None), slice(None), *tap)].astype(held.value)
            name = ".".join((weight.name, *map(str, tap)))
            yield tap, Filter(shape, Value(name, held, shape, data=data))
        else:
            first, second, *leading = view.strides[:-2]
            offset: Dim = view.offset
            for index, stride in zip(tap, leading, strict=True):
                offset = offset + index * stride
            strides = (first, second, *view.strides[-2:])
            yield tap, Filter(shape, weight, replace(view, offset=offset, strides=strides))


def _in_memory(low: Lowering, weight: Value, held: DType) -> View:
    """A filter computed at run time, over [oc, c, kernel...] with a height of one where it has none."""
    view = low.view(weight)
    if held is not weight.dtype:
        wide = combine([Lazy.of(view, weight.shape)], weight.shape, lambda trees: cast(trees[0], held))
        assert wide is not None
        stored = low.store(wide).view
        assert stored is not None
        view = stored
    if weight.rank == 3:
        view = replace(view, strides=(*view.strides[:2], 0, view.strides[2]))
    return view


def rearranged(low: Lowering, filter_: Filter, groups: int, window: Window, *, exact: bool) -> Tensor:
    """The filter in the layout that a Conv reads."""
    depthwise = filter_.depthwise(groups)
    if filter_.view is not None:
        return _moved(low, filter_, filter_.view, groups, depthwise=depthwise)
    weight = filter_.value
    assert weight.data is not None
    data = weight.data.reshape(filter_.shape)
    if depthwise:
        layout, rearranged = "depthwise", pack_depthwise(data)
    elif exact:
        layout, rearranged = f"convquads{PANELS}", pack_conv_quads(data, groups, PANELS)
    else:
        layout, rearranged = f"conv{PANELS}", pack_conv(data, groups, PANELS)
    if not exact:
        return low.weight(weight, layout, rearranged)
    tensor = integer_weight(low, weight, layout, lambda: rearranged, rearranged.size)
    if tensor.interval is not None and not depthwise:
        # the pixels of a filter row follow one another unless they are dilated
        run = window.kernel[1] if window.dilations[1] == 1 else 1
        oc, c = filter_.shape[:2]
        tensor.magnitude = int(np.abs(data.astype(np.int64)).reshape(oc, -1).sum(1).max(initial=0))
        tensor.octets = octet_range(data.transpose(2, 3, 1, 0).reshape(-1, c, oc), run)
    return tensor


def _moved(low: Lowering, filter_: Filter, view: View, groups: int, *, depthwise: bool) -> Tensor:
    """As `pack_depthwise` and `pack_conv`, by kernels."""
    oc, c, kh, kw = filter_.shape
    lazy = Lazy.of(view, filter_.shape)
    if depthwise:
        return _stored(low, lazy.transpose((2, 3, 1, 0)))
    each = oc // groups
    lazy = low.reshaped(lazy, (groups, each, c, kh, kw))
    missing = -each % PANELS
    if missing:
        lazy = low.store(padded(low, lazy, (0,) * 5, (0, missing, 0, 0, 0), 0))
    lazy = low.reshaped(lazy, (groups, (each + missing) // PANELS, PANELS, c, kh, kw))
    return _stored(low, lazy.transpose((0, 1, 4, 5, 3, 2)))


def _stored(low: Lowering, lazy: Lazy) -> Tensor:
    stored = low.store(lazy, order=range(len(lazy.shape))).view
    assert stored is not None
    return stored.tensor
