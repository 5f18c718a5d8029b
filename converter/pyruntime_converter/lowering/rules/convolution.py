"""Lowering of convolutions: channels-last kernels over images, whatever the layout and rank of the graph."""

from __future__ import annotations

from dataclasses import replace

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.filters import Filter, filters, rearranged
from pyruntime_converter.lowering.hosts import ConvHost, MatMulHost
from pyruntime_converter.lowering.images import (
    Images,
    channels_last,
    graph_order,
    images_from,
    leading_first,
    plane_of,
    window_of,
)
from pyruntime_converter.lowering.lazy import Host, Lazy, combine
from pyruntime_converter.lowering.lower import Lowering, lowers
from pyruntime_converter.lowering.rules.matmul import PANELS, packed
from pyruntime_converter.lowering.rules.movement import padded

from pyruntime.ir.dims import product
from pyruntime.ir.dtypes import DType, sums_exactly
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Window
from pyruntime.ir.scalar import Acc, Scalar, call, cast
from pyruntime.ir.views import View


@lowers("Conv")
def conv(low: Lowering, node: Node) -> Lazy:
    """A convolution of images, with the bias as epilogue."""
    x, weight, dtype = node.input(0), node.input(1), node.output.dtype
    lead = max(x.rank - 4, 0)
    if lead:
        result = _summed(low, node, lead)
    else:
        ((_, filter_),) = filters(low, weight, weight.dtype)
        images = channels_last(low, x, dense=filter_.depthwise(node.attrs["group"]))
        result = _convolved(low, node, images, filter_, dtype)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        result = _added(low, result, low.lazy(node.input(2)))
    return graph_order(result, node)


def _summed(low: Lowering, node: Node, lead: int) -> Lazy:
    """Over more than two axes: one convolution of images for each tap of the leading axes, added up."""
    x, attrs, dtype = node.input(0), node.attrs, node.output.dtype
    held = DType.F32 if dtype is DType.F16 else dtype  # what has not all its terms is not rounded
    weight_held = held if dtype.is_float else node.input(1).dtype
    rank, fill = x.rank - 2, attrs["pad_value"]
    pads = [(attrs["pads"][a], attrs["pads"][a + rank]) for a in range(lead)]
    stored = leading_first(low, x, pads, fill, held if dtype.is_float else None)
    total: Lazy | None = None
    for tap, filter_ in filters(low, node.input(1), weight_held):
        starts = [t * d for t, d in zip(tap, attrs["dilations"], strict=False)]
        counts = node.output.shape[2 : 2 + lead]
        images = images_from(low, stored, starts, counts, attrs["strides"][:lead])
        part = _convolved(low, node, images, filter_, held)
        total = part if total is None else _added(low, part, low.store(total))
    assert total is not None
    rounded = combine([total], total.shape, lambda trees: cast(trees[0], dtype))
    assert rounded is not None
    return rounded


def _added(low: Lowering, result: Lazy, other: Lazy) -> Lazy:
    """A pending convolution plus what is a view or can be one."""

    def add(trees: list[Scalar]) -> Scalar:
        return call("add", trees[0], trees[1])

    total = combine([result, other], result.shape, add) or combine(
        [result, low.store(other)], result.shape, add
    )
    assert total is not None
    return total


def _convolved(low: Lowering, node: Node, images: Images, filter_: Filter, dtype: DType) -> Lazy:
    """Over (n, oh, ow, oc): 1x1 is a matrix product over pixels, the rest a Conv call."""
    out_channels, per_group, kh, kw = filter_.shape
    groups, view = node.attrs["group"], replace(images.x, fill=node.attrs["pad_value"])
    exact = sums_exactly(images.x.tensor.dtype, filter_.value.dtype)
    window = window_of(node, (kh, kw))
    out_size = plane_of(node.output.shape)
    n, in_size = images.n, images.size
    unmoved = (kh, kw, *window.strides, *window.pads) == (1, 1, 1, 1, 0, 0) and in_size == out_size
    host: Host
    if unmoved and groups == 1:
        if filter_.view is None:
            assert filter_.value.data is not None
            matrix = filter_.value.data.reshape(out_channels, per_group).T
            b = replace(packed(low, filter_.value, matrix, exact=exact), strides=(0, 0, 0, 0))
        else:
            b = replace(filter_.view, strides=(0, 0, *filter_.view.strides[1::-1]))
        panels = PANELS if filter_.view is None else 0
        host = MatMulHost((n, in_size[0]), in_size[1], out_channels, per_group, view, b, panels)
    elif exact and filter_.view is not None and not filter_.depthwise(groups):
        return _unfolded(low, node, replace(images, x=view), filter_, window)
    else:
        host = ConvHost(
            n,
            in_size,
            out_size,
            per_group * groups,
            out_channels,
            groups,
            window,
            view,
            View(rearranged(low, filter_, groups, window, exact=exact), 0, ()),
            0 if filter_.depthwise(groups) else PANELS,
        )
    return Lazy((n, *out_size, out_channels), Acc(dtype), host=host, origins=(node.origin,))


def _unfolded(low: Lowering, node: Node, images: Images, filter_: Filter, window: Window) -> Lazy:
    """A product of stored patches and a filter known at run time, whose sums nobody has taken before."""
    out_channels, depth, kh, kw = filter_.shape
    groups, out_size = node.attrs["group"], plane_of(node.output.shape)
    reach = [
        (o - 1) * s + (k - 1) * d + 1
        for o, s, k, d in zip(out_size, window.strides, window.kernel, window.dilations, strict=True)
    ]
    after = [r - p - size for r, p, size in zip(reach, window.pads, images.size, strict=True)]
    image = Lazy.of(images.x, (images.n, *images.size, images.channels))
    whole = padded(low, image, (0, *window.pads, 0), (0, *after, 0), images.x.fill)
    source = low.store(whole).view
    assert source is not None
    by_image, by_row, by_column, by_channel = source.strides
    steps = [s * by for s, by in zip(window.strides, (by_row, by_column), strict=True)]
    apart = [d * by for d, by in zip(window.dilations, (by_row, by_column), strict=True)]
    strides = (depth * by_channel, by_image, *steps, *apart, by_channel)
    rows, terms, each = product((images.n, *out_size)), kh * kw * depth, out_channels // groups
    shape = (groups, images.n, *out_size, kh, kw, depth)
    patches = low.store(Lazy.of(replace(source, strides=strides), shape), order=range(7)).view
    assert patches is not None
    assert filter_.view is not None
    grouped = low.reshaped(Lazy.of(filter_.view, filter_.shape), (groups, each, depth, kh, kw))
    matrices = low.reshaped(grouped.transpose((0, 3, 4, 2, 1)), (groups, terms, each)).view
    assert matrices is not None
    a = replace(patches, strides=views.contiguous_strides((groups, rows, terms)))
    host = MatMulHost((groups,), rows, each, terms, a, matrices)
    product_ = Lazy((groups, rows, each), Acc(DType.I32), host=host, origins=(node.origin,))
    by_pixel = product_.transpose((1, 0, 2)).reshape((images.n, *out_size, out_channels))
    assert by_pixel is not None
    return by_pixel
