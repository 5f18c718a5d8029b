"""Lowering of pools over windows: kernels over images, and over further axes one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyruntime_converter.lowering import views
from pyruntime_converter.lowering.hosts import PoolHost
from pyruntime_converter.lowering.images import (
    Images,
    channels_last,
    graph_order,
    images_from,
    leading_first,
    plane_of,
    window_of,
)
from pyruntime_converter.lowering.lazy import Lazy
from pyruntime_converter.lowering.lower import Lowering, lowers

from pyruntime.ir.dims import Dim, product
from pyruntime.ir.graph import Node
from pyruntime.ir.kernel import Window
from pyruntime.ir.scalar import Acc


@lowers("MaxPool", "AveragePool")
def pool(low: Lowering, node: Node) -> Lazy:
    """A Pool call over the last two axes, then one for each further axis.

    The largest of the largest is the largest of all. So is the mean of means the mean: how many elements of a
    window count is the product of how many count along each axis.
    """
    x, attrs, rank = node.input(0), node.attrs, node.input(0).rank - 2
    plane = window_of(node, (1, attrs["kernel"][0]) if rank == 1 else attrs["kernel"][-2:])
    ends = (0, attrs["pads"][1]) if rank == 1 else attrs["pads"][-2:]
    if rank <= 2:
        images = channels_last(low, x, dense=False)
        return graph_order(_pooled(node, images, plane_of(node.output.shape), plane, ends), node)
    sizes = [*x.shape[2:-2], x.shape[0], *plane_of(node.output.shape), x.shape[1]]
    lead = range(rank - 2)
    every = images_from(low, leading_first(low, x), [0 for _ in lead], x.shape[2:-2], [1 for _ in lead])
    result = _pooled(node, every, plane_of(node.output.shape), plane, ends)
    for axis in lead:
        stored = low.store(result).view
        assert stored is not None
        height, width, across = sizes[axis], product(sizes[axis + 1 : -1]), product(sizes[:axis])
        shape = (across, height, width, x.shape[1])
        columns = Images(
            replace(stored, strides=views.contiguous_strides(shape)), across, (height, width), x.shape[1]
        )
        kernel, strides, dilations = (attrs[name][axis] for name in ("kernel", "strides", "dilations"))
        window = Window((kernel, 1), (strides, 1), (dilations, 1), (attrs["pads"][axis], 0))
        sizes[axis] = node.output.shape[2 + axis]
        result = _pooled(node, columns, (sizes[axis], width), window, (attrs["pads"][axis + rank], 0))
    return graph_order(result, node)


def _pooled(
    node: Node, images: Images, out_size: tuple[Dim, Dim], window: Window, ends: Sequence[Dim]
) -> Lazy:
    """One Pool call, over (n, oh, ow, c); `ends` is the padding after."""
    height, width = (
        size + begin + end for size, begin, end in zip(images.size, window.pads, ends, strict=True)
    )
    host = PoolHost(
        "max" if node.op == "MaxPool" else "average",
        images.n,
        images.channels,
        images.size,
        out_size,
        window,
        bool(node.attrs.get("count_include_pad", False)),
        (height, width),
        images.x,
    )
    space = (images.n, *out_size, images.channels)
    return Lazy(space, Acc(node.output.dtype), host=host, origins=(node.origin,))
